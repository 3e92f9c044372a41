//! Reads ELF files that the compiler and binutils of this machine make.

mod common;

use common::Compiler;
use kdive_debuginfo::elf::{ElfFile, ElfKind};
use kdive_debuginfo::symbols::{SymbolBinding, SymbolKind, SymbolTable};
use std::process::Command;
use std::sync::Arc;

const PROGRAM: &str = r"
int counter = 3;
static int hidden(int x) { return x + counter; }
__attribute__((weak)) int soft(void) { return 1; }
int main(int argc, char **argv) { (void)argv; return hidden(argc) + soft(); }
";

/// Sections of the same file, differently compressed, have the same bytes.
#[test]
fn compressed_sections_read_like_plain_ones() {
    let compiler = Compiler::new();
    let plain = compiler.compile(
        "gcc",
        PROGRAM,
        "plain.c",
        &["-g", "-gz=none", "-Wl,--build-id"],
    );
    let plain_file = ElfFile::open(&plain).unwrap();
    let expected = plain_file.section_data(".debug_info").unwrap().unwrap();
    assert!(expected.len() > 100);
    for compression in ["zlib-gnu", "zlib-gabi", "zstd"] {
        let target = compiler.path(compression);
        let status = Command::new("objcopy")
            .arg(format!("--compress-debug-sections={compression}"))
            .args([&plain, &target])
            .status()
            .unwrap();
        assert!(status.success());
        let file = ElfFile::open(&target).unwrap();
        let section = file.section(".debug_str").unwrap();
        let debug_str = plain_file.section_data(".debug_str").unwrap().unwrap();
        assert_eq!(file.data(section).unwrap(), debug_str, "{compression}");
        assert_eq!(
            file.section_data(".debug_info").unwrap().unwrap(),
            expected,
            "{compression}"
        );
    }
}

#[test]
fn links_and_build_id_are_those_that_readelf_shows() {
    let compiler = Compiler::new();
    let program = compiler.compile(
        "gcc",
        PROGRAM,
        "linked.c",
        &[
            "-g",
            "-Wl,--build-id=0x0123456789abcdef0123456789abcdef01234567",
        ],
    );
    let debug = compiler.path("linked.debug");
    let stripped = compiler.path("stripped");
    common::run(
        Command::new("objcopy")
            .arg("--only-keep-debug")
            .args([&program, &debug]),
    );
    common::run(
        Command::new("objcopy")
            .arg("--strip-debug")
            .arg(format!("--add-gnu-debuglink={}", debug.display()))
            .args([&program, &stripped]),
    );
    let file = ElfFile::open(&stripped).unwrap();
    assert_eq!(
        file.build_id().unwrap(),
        [
            1, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef, 1, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd,
            0xef, 1, 0x23, 0x45, 0x67
        ]
    );
    let link = file.debug_link().unwrap().unwrap();
    assert_eq!(link.file_name.to_str(), Some("linked.debug"));
    let mut crc = flate2::Crc::new();
    crc.update(&std::fs::read(&debug).unwrap());
    assert_eq!(link.checksum, crc.sum());
    assert_eq!(ElfFile::open(&debug).unwrap().build_id(), file.build_id());
    assert_eq!(ElfFile::open(&program).unwrap().debug_link().unwrap(), None);
}

#[test]
fn symbols_are_those_of_nm() {
    let compiler = Compiler::new();
    let program = compiler.compile("gcc", PROGRAM, "symbols.c", &["-no-pie"]);
    let output = common::run(
        Command::new("nm")
            .args(["--defined-only", "-S"])
            .arg(&program),
    );
    let file = Arc::new(ElfFile::open(&program).unwrap());
    assert_eq!(file.kind(), ElfKind::Executable);
    let table = SymbolTable::from_elf(&file, 0).unwrap();
    let mut compared = 0;
    for line in output.lines() {
        let mut words: Vec<&str> = line.split_whitespace().collect();
        let name = words.pop().unwrap();
        let letter = words.pop().unwrap();
        let address = u64::from_str_radix(words[0], 16).unwrap();
        let size = words
            .get(1)
            .map_or(0, |word| u64::from_str_radix(word, 16).unwrap());
        let found = table.all_by_name(name);
        let symbol = found
            .iter()
            .find(|symbol| symbol.address == address)
            .unwrap();
        assert_eq!(symbol.size, size, "{name}");
        match letter {
            "W" => assert_eq!(symbol.binding, SymbolBinding::Weak, "{name}"),
            "t" | "d" | "b" => assert_eq!(symbol.binding, SymbolBinding::Local, "{name}"),
            "T" | "D" | "B" => assert_eq!(symbol.binding, SymbolBinding::Global, "{name}"),
            _ => {}
        }
        compared += 1;
    }
    assert!(compared > 20, "{output}");
    let counter = table.by_name("counter").unwrap();
    assert_eq!((counter.size, counter.kind), (4, SymbolKind::Object));
    assert_eq!(table.by_address(counter.address + 3), Some(counter.clone()));
    let shifted = SymbolTable::from_elf(&file, 0x10_0000).unwrap();
    assert_eq!(
        shifted.by_name("counter").unwrap().address,
        counter.address + 0x10_0000
    );
}

#[test]
fn foreign_empty_and_truncated_files_are_refused() {
    let compiler = Compiler::new();
    let program = std::fs::read(compiler.compile("gcc", PROGRAM, "truncated.c", &["-g"])).unwrap();
    let path = compiler.path("sample");
    for (bytes, expected) in [
        (&b""[..], "the file is empty"),
        (&b"#!/bin/sh\n"[..], "not an ELF file"),
        (&program[..program.len() / 2], "ELF header"),
    ] {
        std::fs::write(&path, bytes).unwrap();
        let message = ElfFile::open(&path).unwrap_err().to_string();
        assert!(message.contains(expected), "{message}");
        assert!(message.starts_with(path.to_str().unwrap()), "{message}");
    }
}

/// What distributions do to programs (`.gnu_debugdata`) and to kernel modules (`.ko.xz`).
#[test]
fn compressed_files_and_mini_debug_info_are_read() {
    let compiler = Compiler::new();
    let program = compiler.compile("gcc", PROGRAM, "mini.c", &["-g", "-rdynamic"]);
    let full = Arc::new(ElfFile::open(&program).unwrap());
    let expected = SymbolTable::from_elf(&full, 0)
        .unwrap()
        .by_name("hidden")
        .unwrap();

    for (command, suffix) in [("xz", "xz"), ("gzip", "gz"), ("zstd", "zst")] {
        common::run(Command::new(command).args(["-k", "-f", "-q"]).arg(&program));
        let compressed = compiler.path(&format!("mini.out.{suffix}"));
        let file = ElfFile::open(&compressed).unwrap();
        assert_eq!(file.bytes(), full.bytes(), "{command}");
        let mut bytes = std::fs::read(&compressed).unwrap();
        bytes.truncate(bytes.len() / 2);
        std::fs::write(&compressed, bytes).unwrap();
        let message = ElfFile::open(&compressed).unwrap_err().to_string();
        assert!(message.contains(compressed.to_str().unwrap()), "{message}");
    }

    let symbols_only = compiler.path("symbols");
    let stripped = compiler.path("stripped");
    common::run(
        Command::new("objcopy")
            .args(["-S", "--only-keep-debug", "-K", "hidden"])
            .args([&program, &symbols_only]),
    );
    common::run(Command::new("xz").args(["-k", "-f"]).arg(&symbols_only));
    common::run(
        Command::new("objcopy")
            .arg("-S")
            .arg(format!(
                "--add-section=.gnu_debugdata={}.xz",
                symbols_only.display()
            ))
            .args([&program, &stripped]),
    );
    let file = Arc::new(ElfFile::open(&stripped).unwrap());
    assert!(file.section(".symtab").is_none());
    let table = SymbolTable::from_elf(&file, 0).unwrap();
    assert_eq!(table.by_name("hidden"), Some(expected.clone()));
    assert_eq!(table.by_address(expected.address), Some(expected));
    assert!(
        table.by_name("counter").is_some(),
        "exported symbols are in .dynsym"
    );
}

/// A small file that would fill the memory is refused.
#[test]
fn a_file_that_decompresses_to_too_much_is_refused() {
    let compiler = Compiler::new();
    let zeros = compiler.path("zeros");
    std::fs::write(&zeros, vec![0; 8 << 20]).unwrap();
    for (command, suffix) in [("xz", "xz"), ("gzip", "gz"), ("zstd", "zst")] {
        common::run(Command::new(command).args(["-k", "-f", "-q"]).arg(&zeros));
        let compressed = compiler.path(&format!("zeros.{suffix}"));
        let message = ElfFile::open(&compressed).unwrap_err().to_string();
        assert!(
            message.contains("decompresses to more than can be"),
            "{command}: {message}"
        );
    }
}

/// A symbol that marks the end of a section doesn't name what the next one holds.
#[test]
fn symbols_without_a_size_stay_within_their_section() {
    let compiler = Compiler::new();
    let source = r#"
        asm(".section .one, \"aw\"\nstart_one: .quad 1\nlabel: .quad 2\nend_one:\n"
            ".section .two, \"aw\"\nstart_two: .quad 3, 4\n.text\n");
        int main(void) { return 0; }"#;
    let path = compiler.compile("gcc", source, "sections.c", &["-no-pie"]);
    let elf = Arc::new(ElfFile::open(&path).unwrap());
    let symbols = SymbolTable::from_elf(&elf, 0).unwrap();
    let address = |name| symbols.by_name(name).unwrap().address;
    let name_at = |address| {
        symbols
            .by_address(address)
            .map(|symbol| symbol.name.to_string())
    };
    assert_eq!(address("end_one"), address("start_two"));
    assert_eq!(name_at(address("label") + 7).as_deref(), Some("label"));
    assert_eq!(
        name_at(address("start_two") + 8).as_deref(),
        Some("start_two")
    );
}
