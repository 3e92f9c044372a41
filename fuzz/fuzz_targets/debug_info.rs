//! Damaged programs: their symbols, types, variables and source lines.
//!
//! The input is a byte that chooses one of the programs that gcc compiles at the start, then for
//! each damage an offset in three bytes and the new byte; the rest of an input that starts with 255
//! is a file by itself.

#![no_main]

use std::path::Path;
use std::process::Command;
use std::sync::{Arc, LazyLock};

use kdive_debuginfo::description::{ObjectKinds, TypeKinds};
use kdive_debuginfo::dwarf::DwarfSource;
use kdive_debuginfo::elf::{ElfFile, Section};
use kdive_debuginfo::symbols::SymbolTable;
use kdive_debuginfo::{CodeSource, MacroSource, TypeSource};
use libfuzzer_sys::fuzz_target;

const SOURCE: &str = r"
#define SIZE (4 << 10)
enum color { RED, GREEN = 5 };
struct list { struct list *next; unsigned low : 3, high : 9; enum color color; };
typedef int (*callback)(struct list *, ...);
struct list head = { &head, 1, 2, GREEN };
callback handlers[3][4];
static inline __attribute__((always_inline)) int inner(int x) { return x * 3 + head.low; }
int outer(int a, const char *text) { int b = inner(a); return b + *text; }
int main(int argc, char **argv) { return outer(argc, argv[0]); }
";

static PROGRAMS: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| {
    [
        &["-gdwarf-5", "-O1"][..],
        &["-gdwarf-2", "-O1"],
        &["-gdwarf-4", "-fdebug-types-section"],
        &["-gdwarf-5", "-g3", "-c"],
        &["-gdwarf-5", "-gz=zlib"],
    ]
    .map(compile)
    .to_vec()
});

fn compile(options: &[&str]) -> Vec<u8> {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("program.c"), SOURCE).expect("room for the source");
    let done = Command::new("gcc")
        .current_dir(folder.path())
        .args(["program.c", "-o", "program"])
        .args(options)
        .status()
        .expect("gcc");
    assert!(done.success(), "gcc failed with {options:?}");
    std::fs::read(folder.path().join("program")).expect("the program")
}

fuzz_target!(init: {
    // Compiling takes longer than an input may take.
    LazyLock::force(&PROGRAMS);
}, |input: &[u8]| {
    let Some((&choice, damages)) = input.split_first() else {
        return;
    };
    if choice == 255 {
        exercise(damages.to_vec());
        return;
    }
    let Some(mut program) = PROGRAMS.get(usize::from(choice) % PROGRAMS.len()).cloned() else {
        return;
    };
    for damage in damages.as_chunks::<4>().0 {
        let offset = u32::from_le_bytes(*damage) & 0xff_ffff;
        let size = program.len();
        if let Some(byte) = program.get_mut(offset as usize % size) {
            *byte = damage[3];
        }
    }
    exercise(program);
});

/// Asks for everything. Errors are expected.
fn exercise(bytes: Vec<u8>) {
    let Ok(elf) = ElfFile::from_bytes(Path::new("program"), bytes) else {
        return;
    };
    let elf = Arc::new(elf);
    let _ = (elf.build_id(), elf.debug_link(), elf.supplementary_link());
    if let Ok(symbols) = SymbolTable::from_elf(&elf, 0x1000) {
        for symbol in symbols.iter().take(50) {
            symbols.by_name(&symbol.name);
            symbols.all_by_address(symbol.address.wrapping_add(1));
        }
    }
    let Ok(Some(source)) = DwarfSource::open(&elf, 0x1000) else {
        return;
    };
    let macros: &dyn MacroSource = &source;
    for name in ["SIZE", "NULL", "__GNUC__"] {
        if let Ok(Some(unit)) = macros.unit_with_macro(name, Some("program.c")) {
            let _ = macros.macro_in(unit, name);
        }
    }
    let names = source.type_names(TypeKinds::all()).unwrap_or_default();
    for name in names.iter().take(50) {
        let found = source.find_types(TypeKinds::all(), name, Some("program.c"));
        for id in found.unwrap_or_default().into_iter().take(10) {
            let _ = source.describe(id);
            let _ = source.enumerators(id);
            let _ = source.members(id);
        }
    }
    for name in ["head", "handlers", "outer", "main", "GREEN"] {
        let _ = source.find_objects(ObjectKinds::all(), name, None);
    }
    let text = elf.section(".text").map_or(0..0, Section::addresses);
    for address in text.step_by(8).take(64) {
        let address = address.wrapping_add(0x1000);
        let _ = source.source_line(address);
        for scope in source.scopes_at(address).unwrap_or_default().iter() {
            let _ = source.frame_base(scope.entry, address);
            let _ = source.call_site(scope.entry, address);
            for block in &scope.blocks {
                let _ = source.variables(*block, address);
            }
        }
    }
}
