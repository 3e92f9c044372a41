//! Source lines, scopes, variables and calls of a compiled program.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use kdive_debuginfo::CodeSource;
use kdive_debuginfo::code::{FunctionScope, VariableValue};
use kdive_debuginfo::dwarf::DwarfSource;
use kdive_debuginfo::elf::ElfFile;
use kdive_debuginfo::symbols::SymbolTable;

const BIAS: u64 = 0x7000_0000;

const SOURCE: &str = r"
int sink;
__attribute__((noinline)) int leaf(int value) { asm volatile(``nop``); sink = value; return value; }
static inline __attribute__((always_inline)) int middle(int inner) {
    int doubled = inner * 2;
    return leaf(doubled);
}
__attribute__((noinline)) int outer(int first, int second) {
    int sum = first + second;
    {
        int block = sum + 1;
        sum += middle(block);
    }
    return sum;
}
int main(int argc, char **argv) { return outer(argc, 7) + 1; }
";

struct Program {
    source: DwarfSource,
    symbols: SymbolTable,
}

impl Program {
    fn compile(directory: &Path, compiler: &str, flags: &[&str]) -> Self {
        let file = directory.join("program.c");
        std::fs::write(&file, SOURCE.replace("``", "\"")).unwrap();
        let output = Command::new(compiler)
            .current_dir(directory)
            .args(["-g", "-no-pie", "-o", "program", "program.c"])
            .args(flags)
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        let elf = Arc::new(ElfFile::open(&directory.join("program")).unwrap());
        Self {
            source: DwarfSource::open(&elf, BIAS).unwrap().unwrap(),
            symbols: SymbolTable::from_elf(&elf, BIAS).unwrap(),
        }
    }

    fn function(&self, name: &str) -> std::ops::Range<u64> {
        let symbol = self.symbols.by_name(name).unwrap();
        symbol.address..symbol.address + symbol.size
    }

    /// The scopes of the first address in `outer` that belongs to `middle`.
    fn in_middle(&self) -> (u64, Arc<[FunctionScope]>) {
        self.function("outer")
            .map(|address| (address, self.source.scopes_at(address).unwrap()))
            .find(|(_, scopes)| scopes.len() == 2)
            .unwrap()
    }

    fn names(&self, scope: &FunctionScope, address: u64) -> Vec<String> {
        scope
            .blocks
            .iter()
            .flat_map(|block| self.source.variables(*block, address).unwrap())
            .map(|variable| variable.name.to_string())
            .collect()
    }
}

#[test]
fn inlined_functions_blocks_and_lines() {
    for compiler in ["gcc", "clang"] {
        for flags in [&["-O0"][..], &["-O1"], &["-O1", "-gdwarf-4"]] {
            let directory = tempfile::tempdir().unwrap();
            let program = Program::compile(directory.path(), compiler, flags);
            let context = format!("{compiler} {flags:?}");
            let (address, scopes) = program.in_middle();
            assert_eq!(scopes[0].name.as_deref(), Some("middle"), "{context}");
            assert!(scopes[0].is_inline);
            let call = scopes[0].inlined_at.as_ref().unwrap();
            assert_eq!(call.line, 12, "{context}");
            assert!(call.file.ends_with("program.c"), "{}", call.file);
            assert_eq!(
                program.names(&scopes[0], address),
                ["inner", "doubled"],
                "{context}"
            );
            assert_eq!(scopes[1].name.as_deref(), Some("outer"));
            assert!(!scopes[1].is_inline && scopes[1].inlined_at.is_none());
            assert_eq!(
                program.names(&scopes[1], address),
                ["first", "second", "sum", "block"],
                "{context}"
            );
            let line = program.source.source_line(address).unwrap().unwrap();
            assert!((4..=6).contains(&line.line), "{context}: {line:?}");
            let start = program.function("main").start;
            assert_eq!(program.source.source_line(start).unwrap().unwrap().line, 16);
            assert!(
                program
                    .source
                    .frame_base(scopes[1].entry, address)
                    .unwrap()
                    .is_some()
            );
        }
    }
}

#[test]
fn calls_tell_what_they_pass() {
    let directory = tempfile::tempdir().unwrap();
    let program = Program::compile(directory.path(), "gcc", &["-O1"]);
    let mut main = program.function("main");
    let scopes = program.source.scopes_at(main.start).unwrap();
    let site = main
        .find_map(|address| program.source.call_site(scopes[0].entry, address).unwrap())
        .unwrap();
    assert!(!site.is_tail_call);
    // DW_OP_reg4 (rsi) is passed DW_OP_lit7.
    let second = site
        .parameters
        .iter()
        .find(|parameter| parameter.location == [0x54])
        .unwrap();
    assert_eq!(second.value, Some(&[0x37][..]));
}

#[test]
fn addresses_without_code_have_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let program = Program::compile(directory.path(), "gcc", &["-O0"]);
    for address in [0, BIAS, u64::MAX, program.function("main").start - BIAS] {
        assert_eq!(program.source.source_line(address).unwrap(), None);
        assert!(program.source.scopes_at(address).unwrap().is_empty());
    }
}

#[test]
fn optimised_variables_have_places_where_they_live() {
    let directory = tempfile::tempdir().unwrap();
    let program = Program::compile(directory.path(), "gcc", &["-O2"]);
    let leaf = program.function("leaf");
    let scopes = program.source.scopes_at(leaf.start).unwrap();
    let variables = program
        .source
        .variables(scopes[0].entry, leaf.start)
        .unwrap();
    assert_eq!(&*variables[0].name, "value");
    // DW_OP_reg5: the first argument is in rdi.
    assert_eq!(variables[0].value, VariableValue::Expression(&[0x55]));
}
