//! Random C expressions have the values and types that a program compiled by gcc gives them.
//!
//! Undefined behaviour is left out: divisors are constants, shifts stay below the width, and
//! floating-point numbers are converted to integers only where they fit. Overflow wraps, as gcc
//! does it with `-fwrapv`.

mod expression;
mod generator;

use std::fmt::Write as _;
use std::io::Write as _;
use std::process::{Command, Stdio};
use std::sync::Arc;

use expression::{Expression, Outcome};
use generator::Generator;
use kdive_engine::Program;
use kdive_target::{Architecture, ByteOrder, Platform};

const CASES: usize = 24_000;
const CASES_PER_PROGRAM: usize = 3_000;

fn program() -> Arc<Program> {
    Program::new(Some(Platform {
        architecture: Architecture::X86_64,
        is_64_bit: true,
        byte_order: ByteOrder::Little,
    }))
}

const PRELUDE: &str = r#"
#include <stdio.h>
#include <string.h>
typedef __int128 i128;
typedef unsigned __int128 u128;
struct three { int a, b, c; };
#define TYPE(e) _Generic((e), _Bool: "_Bool", char: "char", signed char: "signed char", \
    unsigned char: "unsigned char", short: "short", unsigned short: "unsigned short", \
    int: "int", unsigned: "unsigned int", long: "long", unsigned long: "unsigned long", \
    long long: "long long", unsigned long long: "unsigned long long", \
    i128: "__int128", u128: "unsigned __int128", \
    float: "float", double: "double", long double: "long double", default: "?")
static void integer(const char *type, i128 value)
{
    printf("%s %016lx%016lx\n", type, (unsigned long)((u128)value >> 64), (unsigned long)value);
}
static void bytes(const char *type, const void *value, int size)
{
    unsigned char copy[16] = {0};
    unsigned long high, low;
    memcpy(copy, value, size);
    memcpy(&low, copy, 8);
    memcpy(&high, copy + 8, 8);
    printf("%s %016lx%016lx\n", type, high, low);
}
#define INTEGER(e) integer(TYPE(e), (i128)(e))
#define POINTER(e) integer("pointer", (i128)(unsigned long)(e))
#define FLOATING(e, size) do { __typeof__(e) value = (e); bytes(TYPE(e), &value, size); } while (0)
"#;

fn source(cases: &[Expression]) -> String {
    let mut text = String::from(PRELUDE);
    let mut fields = Vec::new();
    let mut body = String::new();
    for (index, case) in cases.iter().enumerate() {
        if index % 500 == 0 {
            let close = if index == 0 { "" } else { "}\n" };
            let _ = writeln!(body, "{close}static void part{}(void) {{", index / 500);
        }
        let _ = writeln!(body, "{};", case.statement(&mut fields));
    }
    body.push_str("}\nint main(void) {\n");
    for part in 0..cases.len().div_ceil(500) {
        let _ = writeln!(body, "part{part}();");
    }
    body.push_str("return 0; }\n");
    for (index, field) in fields.iter().enumerate() {
        let (declaration, value) = field;
        let _ = writeln!(
            text,
            "static struct {{ {declaration}; }} field{index} = {{ {value} }};"
        );
    }
    text.push_str(&body);
    text
}

fn run(source: &str, directory: &std::path::Path, index: usize) -> Vec<String> {
    let binary = directory.join(format!("cases{index}"));
    let mut compiler = Command::new("gcc")
        .args(["-x", "c", "-std=gnu11", "-O0", "-w", "-fwrapv", "-o"])
        .arg(&binary)
        .arg("-")
        .stdin(Stdio::piped())
        .spawn()
        .expect("gcc runs");
    compiler
        .stdin
        .take()
        .expect("gcc reads its input")
        .write_all(source.as_bytes())
        .expect("gcc takes the source");
    assert!(compiler.wait().expect("gcc ends").success());
    let output = Command::new(&binary).output().expect("the program runs");
    assert!(output.status.success(), "{:?}", output.status);
    String::from_utf8(output.stdout)
        .expect("the program prints text")
        .lines()
        .map(str::to_owned)
        .collect()
}

#[test]
fn expressions_have_the_values_that_gcc_gives_them() {
    let mut generator = Generator::new(program(), 0x5eed_0001);
    let directory = tempfile::tempdir().expect("a temporary directory");
    let mut differences = Vec::new();
    let mut count = 0;
    for index in 0..CASES / CASES_PER_PROGRAM {
        let cases: Vec<Expression> = std::iter::repeat_with(|| generator.next_case())
            .take(CASES_PER_PROGRAM)
            .collect();
        let lines = run(&source(&cases), directory.path(), index);
        assert_eq!(lines.len(), cases.len());
        for (case, line) in cases.iter().zip(&lines) {
            count += 1;
            if let Outcome::Differs(found) = case.check(line) {
                differences.push(format!("{}\n  gcc:   {line}\n  kdive: {found}", case.text));
            }
        }
    }
    assert_eq!(count, CASES);
    assert!(
        differences.is_empty(),
        "{} of {count} differ:\n{}",
        differences.len(),
        differences[..differences.len().min(20)].join("\n")
    );
}
