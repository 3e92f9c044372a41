//! Compiled rows of CFI, compared with readelf's.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::programs::{architecture, compile, table_of};
use kdive_unwind::table::{CfaRule, RegisterRule, Rules};

/// A row as readelf prints it: rules by column.
type Row = BTreeMap<String, String>;

/// The rows that readelf finds in a file, by their addresses.
fn readelf_rows(path: &Path) -> BTreeMap<u64, Row> {
    let output = Command::new("readelf")
        .args(["--debug-dump=frames-interp", "-W"])
        .arg(path)
        .env("LC_ALL", "C")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let mut rows = BTreeMap::new();
    let mut columns: Vec<&str> = Vec::new();
    let mut end = None;
    for line in text.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        if let Some(range) = words.iter().find_map(|word| word.strip_prefix("pc=")) {
            end = range
                .split_once("..")
                .and_then(|(_, end)| u64::from_str_radix(end, 16).ok());
            columns.clear();
        } else if words.get(3) == Some(&"CIE") || words.get(2) == Some(&"CIE") {
            end = None;
        } else if words.first() == Some(&"LOC") {
            columns = words[1..].to_vec();
        } else if let (Some(end), Some(location)) = (end, words.first())
            && words.len() == columns.len() + 1
            && words[1] != "ZERO"
            && let Ok(location) = u64::from_str_radix(location, 16)
            && location < end
        {
            let row = columns.iter().zip(&words[1..]);
            rows.insert(
                location,
                row.map(|(column, rule)| ((*column).to_owned(), (*rule).to_owned()))
                    .collect(),
            );
        }
    }
    rows
}

/// A row in readelf's words.
fn described(rules: &Rules<'_>, columns: impl Iterator<Item = String>) -> Row {
    let name = |register| architecture().name(register).unwrap();
    columns
        .map(|column| {
            let rule = if column == "CFA" {
                match rules.cfa().unwrap() {
                    CfaRule::Register { register, offset } => {
                        format!("{}{offset:+}", name(register))
                    }
                    CfaRule::Expression(_) => "exp".to_owned(),
                    CfaRule::Dereferenced { .. } => panic!("CFI has no such rule"),
                }
            } else {
                let register = match column.as_str() {
                    "ra" => rules.return_address(),
                    other => architecture().by_name(other).unwrap(),
                };
                match rules.register(register) {
                    None | Some(RegisterRule::Undefined) => "u".to_owned(),
                    Some(RegisterRule::SameValue) => "s".to_owned(),
                    Some(RegisterRule::Offset(offset)) => format!("c{offset:+}"),
                    Some(RegisterRule::ValueOffset(offset)) => format!("v{offset:+}"),
                    Some(RegisterRule::Register(other)) => name(other).to_owned(),
                    Some(RegisterRule::Expression(_)) => "exp".to_owned(),
                    Some(RegisterRule::ValueExpression(_)) => "vexp".to_owned(),
                    Some(other) => panic!("CFI has no {other:?}"),
                }
            };
            (column, rule)
        })
        .collect()
}

fn check(path: &Path) -> usize {
    let table = table_of(path);
    let rows = readelf_rows(path);
    for (location, expected) in &rows {
        let rules = table
            .lookup(*location)
            .unwrap_or_else(|| panic!("no rules for {location:#x}"));
        let actual = described(&rules, expected.keys().cloned());
        assert_eq!(actual, *expected, "{location:#x} of {}", path.display());
    }
    rows.len()
}

#[test]
fn rows_of_programs() {
    let source = r"
        #include <alloca.h>
        #include <string.h>
        int leaf(int a) { return a + 1; }
        int (*volatile indirect)(int) = leaf;
        __attribute__((noinline)) int many(int a, int b, int c, int d, int e, int f, int g, int h) {
            char *space = alloca(a * 16);
            memset(space, b, a * 16);
            char wide[32] __attribute__((aligned(32)));
            memset(wide, c, 32);
            return indirect(a) * b + indirect(c) * d + e * f + g * h + space[a] + wide[d & 31];
        }
        int main(int argc, char **argv) { return many(argc, 1, 2, 3, 4, 5, 6, argc); }
    ";
    let directory = tempfile::tempdir().unwrap();
    for compiler in ["gcc", "clang"] {
        for flags in [
            &["-O0"][..],
            &["-O2"],
            &["-O3", "-fno-omit-frame-pointer"],
            &["-Os", "-fno-asynchronous-unwind-tables"],
        ] {
            let program = compile(directory.path(), compiler, "program", source, flags);
            assert!(check(&program) >= 10, "{compiler} {flags:?}");
        }
    }
}

#[test]
fn rows_of_the_c_library() {
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    let library = maps
        .lines()
        .filter_map(|line| line.split_whitespace().nth(5))
        .find(|path| path.contains("/libc.so") || path.contains("/libc-"))
        .map(PathBuf::from)
        .unwrap();
    assert!(check(&library) > 10_000);
}
