//! Programs that gcc and clang compile in every combination of DWARF version, split DWARF, type
//! units, macros, compression and dwz: all must answer alike.

mod common;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use common::{Compiler, run};
use kdive_debuginfo::description::{Language, Location, ObjectKinds, TypeId, TypeKinds};
use kdive_debuginfo::dwarf::DwarfSource;
use kdive_debuginfo::elf::ElfFile;
use kdive_debuginfo::symbols::SymbolTable;
use kdive_debuginfo::{CodeSource, TypeSource};
use rayon::prelude::*;

const HEADER: &str = "
#pragma once
struct matrix_list { struct matrix_list *next, *previous; };
struct matrix_record { struct matrix_list links; unsigned low : 3, high : 4; long values[9]; };
union matrix_word { int number; char bytes[8]; };
enum matrix_color { MATRIX_RED, MATRIX_GREEN = 7, MATRIX_BLUE = -2 };
typedef int (*matrix_callback)(struct matrix_record *record, enum matrix_color color);
extern struct matrix_record matrix_variable;
extern union matrix_word matrix_word_variable;
#define MATRIX_SHIFTED(value, bits) ((value) << (bits))
#define MATRIX_MASK (MATRIX_SHIFTED(1UL, 4) - 1)
#define MATRIX_GONE 1
#undef MATRIX_GONE
#ifdef __cplusplus
namespace space {
template <typename T, int N> struct array { T items[N]; T first() { return items[0]; } };
class base { public: virtual int get(); int number; };
class derived : public base { public: int get() override; array<long, 3> items; static int made; };
}
extern space::derived matrix_object;
#endif
int matrix_function(struct matrix_record *record, matrix_callback callback);
";

const OTHER: &str = "#include \"matrix.h\"
#define MATRIX_OTHER 1
#define MATRIX_BOTH 2
struct matrix_record matrix_variable = { { 0, 0 }, 1, 2, { 3 } };
union matrix_word matrix_word_variable;
int matrix_function(struct matrix_record *record, matrix_callback callback) {
    return callback(record, MATRIX_BLUE);
}
#ifdef __cplusplus
namespace space {
int base::get() { return number; }
int derived::get() { return (int)items.first(); }
int derived::made = 5;
}
space::derived matrix_object;
#endif
";

const MAIN: &str = "#include \"matrix.h\"
#define MATRIX_BOTH 1
static inline __attribute__((always_inline)) int inlined(struct matrix_record *inner) {
    matrix_word_variable.number += 3;
    return inner->low;
}
static int call(struct matrix_record *record, enum matrix_color color) {
    int sum = inlined(record);
    return sum + color;
}
int main(void) { return matrix_function(&matrix_variable, call); }
";

const TYPES: [&str; 3] = ["matrix_list", "matrix_record", "matrix_word"];
const LAYOUTS: [&str; 4] = [
    "matrix_list 16: next@0 previous@64",
    "matrix_record 96: links@0 low@128:3 high@131:4 values@192",
    "matrix_word 8: number@0 bytes@0",
    "matrix_color: MATRIX_RED=0 MATRIX_GREEN=7 MATRIX_BLUE=-2",
];
/// The same where addresses and `long` have 32 bits.
const LAYOUTS_32: [&str; 4] = [
    "matrix_list 8: next@0 previous@32",
    "matrix_record 48: links@0 low@64:3 high@67:4 values@96",
    "matrix_word 8: number@0 bytes@0",
    "matrix_color: MATRIX_RED=0 MATRIX_GREEN=7 MATRIX_BLUE=-2",
];
const CPP_LAYOUTS: [&str; 3] = [
    "ARRAY 24: items@0",
    "space::base 16: _vptr@0 number@64",
    "space::derived 40: base@0 items@128",
];

/// What a source says of the types of the sample.
fn layouts(source: &DwarfSource, names: &[&str], label: &str) -> Vec<String> {
    let find = |kinds, name: &str| -> TypeId {
        let found = source.find_types(kinds, name, None).unwrap();
        *found
            .first()
            .unwrap_or_else(|| panic!("{label}: {name} was not found"))
    };
    let compound = TypeKinds::STRUCT | TypeKinds::UNION | TypeKinds::CLASS;
    names
        .iter()
        .map(|name| {
            let id = find(compound, name);
            let members = source.members(id).unwrap();
            let members: Vec<String> = members
                .iter()
                .map(|member| {
                    let kind = source
                        .describe(member.type_id.unwrap())
                        .unwrap()
                        .shape
                        .kind();
                    let name = match &member.name {
                        Some(name) if name.starts_with("_vptr") => "_vptr",
                        Some(name) => name,
                        None if kind.is_some_and(|kind| kind == TypeKinds::CLASS) => "base",
                        None => "?",
                    };
                    let bits = member.bit_field_size.map(|size| format!(":{size}"));
                    format!(" {name}@{}{}", member.bit_offset, bits.unwrap_or_default())
                })
                .collect();
            let size = match source.describe(id).unwrap().shape {
                kdive_debuginfo::description::Shape::Compound { size, .. } => {
                    size.unwrap_or_else(|| panic!("{label}: {name} is only declared"))
                }
                other => panic!("{other:?}"),
            };
            let name = if name.contains("array") {
                "ARRAY"
            } else {
                name
            };
            format!("{name} {size}:{}", members.concat())
        })
        .collect()
}

fn color(source: &DwarfSource) -> String {
    let id = source
        .find_types(TypeKinds::ENUM, "matrix_color", Some("matrix.h"))
        .unwrap()[0];
    let values = source.enumerators(id).unwrap();
    let values: Vec<String> = values
        .iter()
        .map(|value| format!(" {}={}", value.name, value.value))
        .collect();
    format!("matrix_color:{}", values.concat())
}

/// Checks everything about one program.
fn check(program: &Path, supplementary: Option<&Path>, is_cpp: bool, label: &str) {
    let open = |path: &Path| Arc::new(ElfFile::open(path).unwrap());
    let elf = open(program);
    let supplementary = supplementary.map(open);
    let source = DwarfSource::open_with_supplementary(&elf, 0, None, supplementary.as_ref())
        .unwrap()
        .unwrap_or_else(|| panic!("{label}: no debug information"));
    assert_eq!(source.missing_files(), [], "{label}");
    let mut found = layouts(&source, &TYPES, label);
    found.push(color(&source));
    let is_64_bit = elf.platform().is_64_bit;
    let expected = if is_64_bit { LAYOUTS } else { LAYOUTS_32 };
    assert_eq!(found, expected, "{label}");
    let language = if is_cpp { Language::Cpp } else { Language::C };
    for name in TYPES {
        for id in source.find_types(TypeKinds::all(), name, None).unwrap() {
            assert_eq!(source.describe(id).unwrap().language, language, "{label}");
        }
    }
    let symbols = SymbolTable::from_elf(&elf, 0).unwrap();
    let mut objects = vec![
        ("matrix_variable", "matrix_variable"),
        ("matrix_word_variable", "matrix_word_variable"),
        ("main", "main"),
    ];
    if is_cpp {
        // The compilers spell the name each in their way.
        let is_gcc = label.starts_with("g++");
        let array = if is_gcc {
            "space::array<long int, 3>"
        } else {
            "space::array<long, 3>"
        };
        assert_eq!(
            layouts(&source, &[array, "space::base", "space::derived"], label),
            CPP_LAYOUTS,
            "{label}"
        );
        objects.extend([
            ("matrix_object", "matrix_object"),
            ("space::derived::made", "_ZN5space7derived4madeE"),
            ("space::derived::get", "_ZN5space7derived3getEv"),
        ]);
    } else {
        objects.push(("matrix_function", "matrix_function"));
    }
    for (name, symbol) in objects {
        let address = symbols.by_name(symbol).unwrap().address;
        let objects = source.find_objects(ObjectKinds::all(), name, None).unwrap();
        let object = objects.first().unwrap_or_else(|| panic!("{label}: {name}"));
        assert_eq!(
            object.location,
            Location::Address(address),
            "{label}: {name}"
        );
        source.describe(object.type_id.unwrap()).unwrap();
    }
    check_code(&source, &symbols, is_cpp, label);
    check_macros(&source, label);
}

/// Macros are known with `-g3`, as they are at the end of a unit.
fn check_macros(source: &DwarfSource, label: &str) {
    let macros = TypeSource::macros(source).unwrap();
    let find = |name: &str, file: Option<&str>| {
        let unit = macros.unit_with_macro(name, file).unwrap()?;
        let found = macros.macro_in(unit, name).unwrap().unwrap();
        let parameters = found.parameters.unwrap_or_default();
        Some(format!("{} {}", parameters.join(","), found.body))
    };
    if !label.contains("-g3") {
        assert_eq!(find("MATRIX_MASK", None), None, "{label}");
        return;
    }
    // gcc 12 loses where split-off macros are, and llvm-dwp 14 those from before DWARF 5.
    let is_lost = label.starts_with('g') || label.contains("DWARF 4") && label.contains("llvm-dwp");
    if label.contains("-gsplit-dwarf") && is_lost {
        return;
    }
    for (name, file, expected) in [
        (
            "MATRIX_SHIFTED",
            None,
            Some("value,bits ((value) << (bits))"),
        ),
        ("MATRIX_MASK", None, Some(" (MATRIX_SHIFTED(1UL, 4) - 1)")),
        (
            "MATRIX_MASK",
            Some("matrix.h"),
            Some(" (MATRIX_SHIFTED(1UL, 4) - 1)"),
        ),
        ("MATRIX_MASK", Some("main.c"), None),
        ("MATRIX_GONE", None, None),
        ("MATRIX_OTHER", None, Some(" 1")),
        ("MATRIX_BOTH", None, Some(" 1")),
        ("MATRIX_BOTH", Some("other.c"), Some(" 2")),
        ("MATRIX_NONE", None, None),
    ] {
        assert_eq!(
            find(name, file).as_deref(),
            expected,
            "{label}: {name} {file:?}"
        );
    }
}

/// The inlined function is found with its variables, where it was written.
fn check_code(source: &DwarfSource, symbols: &SymbolTable, is_cpp: bool, label: &str) {
    let name = if is_cpp {
        "_ZL4callP13matrix_record12matrix_color"
    } else {
        "call"
    };
    let call = symbols.by_name(name).unwrap();
    let (address, scopes) = (call.address..call.address + call.size)
        .map(|address| (address, source.scopes_at(address).unwrap()))
        .find(|(_, scopes)| scopes.len() == 2)
        .unwrap_or_else(|| panic!("{label}: no inlined code"));
    let names: Vec<_> = scopes
        .iter()
        .map(|scope| scope.name.as_deref().unwrap())
        .collect();
    assert_eq!(names, ["inlined", "call"], "{label}");
    let called = scopes[0].inlined_at.as_ref().unwrap();
    assert!(called.file.ends_with("main.c"), "{label}: {called:?}");
    assert_eq!(called.line, 8, "{label}");
    let line = source.source_line(address).unwrap().unwrap();
    assert!((3..=5).contains(&line.line), "{label}: {line:?}");
    let variables = source.variables(scopes[1].blocks[0], address).unwrap();
    let names: Vec<&str> = variables.iter().map(|variable| &*variable.name).collect();
    assert_eq!(names, ["record", "color", "sum"], "{label}");
    for variable in &variables {
        source.describe(variable.type_id.unwrap()).unwrap();
    }
}

/// Compiles the sample.
fn compile(folder: &Compiler, compiler: &str, options: &[&str]) -> PathBuf {
    for (name, text) in [("matrix.h", HEADER), ("other.c", OTHER), ("main.c", MAIN)] {
        std::fs::write(folder.path(name), text).unwrap();
    }
    let mut command = Command::new(compiler);
    command.current_dir(folder.path(""));
    if compiler.ends_with("++") {
        command.args(["-x", "c++"]);
    }
    command.args(["main.c", "other.c", "-o", "program"]);
    command.args(["-no-pie", "-Wl,--build-id", "-O1"]);
    command.args(["-fno-inline-functions", "-fno-optimize-sibling-calls"]);
    run(command.args(options));
    folder.path("program")
}

/// Compiles the sample and checks what can be made of it.
fn check_variants(
    compiler: &str,
    version: u32,
    [split, types, macros]: [bool; 3],
    squeezed: &Squeezed,
) {
    let folder = Compiler::new();
    let is_cpp = compiler.ends_with("++");
    let mut label = format!("{compiler} DWARF {version}");
    let version_option = format!("-gdwarf-{version}");
    let mut options = vec![&*version_option];
    for (is_wanted, option) in [
        (split, "-gsplit-dwarf"),
        (types, "-fdebug-types-section"),
        (macros, "-g3"),
        (macros && compiler.starts_with("clang"), "-fdebug-macro"),
    ] {
        if is_wanted {
            options.push(option);
            label.extend([" ", option]);
        }
    }
    let program = compile(&folder, compiler, &options);
    check(&program, None, is_cpp, &label);
    for compression in ["zlib-gnu", "zlib-gabi", "zstd"] {
        let compressed = folder.path(&format!("program.{compression}"));
        let option = format!("--compress-debug-sections={compression}");
        let done = Command::new("objcopy")
            .arg(option)
            .args([&program, &compressed])
            .output()
            .unwrap();
        // Before binutils 2.40 there is no zstd.
        if done.status.success() {
            check(&compressed, None, is_cpp, &format!("{label} {compression}"));
        } else {
            assert_eq!(compression, "zstd", "{label}");
        }
    }
    if split {
        check_package(
            &folder,
            &program,
            is_cpp,
            &label,
            version >= 5 || compiler.starts_with("clang"),
        );
    } else {
        squeezed.check(&folder, &program, is_cpp, &label);
    }
}

/// Packs what was split off, and removes what it was packed from.
fn check_package(folder: &Compiler, program: &Path, is_cpp: bool, label: &str, is_llvm: bool) {
    // That of binutils does not know DWARF 5.
    let packer = if is_llvm { "llvm-dwp" } else { "dwp" };
    let package = folder.path("program.dwp");
    run(Command::new(packer)
        .current_dir(folder.path(""))
        .arg("-e")
        .arg(program)
        .arg("-o")
        .arg(&package));
    let split: Vec<PathBuf> = std::fs::read_dir(folder.path(""))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "dwo"))
        .collect();
    assert_eq!(split.len(), 2, "{label}");
    for path in &split {
        std::fs::remove_file(path).unwrap();
    }
    check(program, None, is_cpp, &format!("{label} {packer}"));
    std::fs::remove_file(package).unwrap();
    let elf = Arc::new(ElfFile::open(program).unwrap());
    let source = DwarfSource::open(&elf, 0).unwrap().unwrap();
    let missing: Vec<_> = source
        .missing_files()
        .iter()
        .map(|file| &file.path)
        .collect();
    assert_eq!(missing.len(), 2, "{label}");
    assert!(
        missing.iter().all(|path| split.contains(path)),
        "{missing:?}"
    );
}

/// How often dwz could make something of a program: it refuses what it can't make smaller.
#[derive(Default)]
struct Squeezed {
    alone: AtomicU32,
    with_supplementary: AtomicU32,
}

impl Squeezed {
    /// Lets dwz share what is equal, within the program and with another one.
    fn check(&self, folder: &Compiler, program: &Path, is_cpp: bool, label: &str) {
        let squeezed = folder.path("squeezed");
        let mut dwz = Command::new("dwz");
        let done = dwz.arg("-o").args([&squeezed, program]).output().unwrap();
        if done.status.success() && squeezed.exists() {
            check(&squeezed, None, is_cpp, &format!("{label} dwz"));
            self.alone.fetch_add(1, Ordering::Relaxed);
        }
        // With a link of GNU's, or of DWARF 5.
        for standard in [false, true] {
            let (one, two) = (folder.path("one"), folder.path("two"));
            let shared = folder.path("shared.debug");
            for copy in [&one, &two] {
                std::fs::copy(program, copy).unwrap();
            }
            let mut dwz = Command::new("dwz");
            if standard {
                dwz.arg("--dwarf-5");
            }
            let done = dwz.arg("-m").args([&shared, &one, &two]).output().unwrap();
            let link = ElfFile::open(&one).unwrap().supplementary_link().unwrap();
            let (true, Some(link)) = (done.status.success(), link) else {
                continue;
            };
            assert!(link.path.ends_with("shared.debug"), "{label}: {link:?}");
            if !standard {
                let supplementary = ElfFile::open(&shared).unwrap();
                assert_eq!(supplementary.build_id(), Some(&*link.checksum), "{label}");
            }
            let label = format!("{label} dwz -m, standard: {standard}");
            check(&one, Some(&shared), is_cpp, &label);
            self.with_supplementary.fetch_add(1, Ordering::Relaxed);
        }
    }
}

fn check_all(compiler: &str) {
    let mut variants = Vec::new();
    for version in 2..=5 {
        for bits in 0..8 {
            let options = [bits & 4 != 0, bits & 2 != 0, bits & 1 != 0];
            // Split DWARF and type units came with DWARF 4.
            if version >= 4 || bits < 2 {
                variants.push((version, options));
            }
        }
    }
    let squeezed = Squeezed::default();
    variants.into_par_iter().for_each(|(version, options)| {
        check_variants(compiler, version, options, &squeezed);
    });
    assert!(squeezed.alone.into_inner() >= 6);
    assert!(squeezed.with_supplementary.into_inner() >= 6);
}

#[test]
fn c_by_gcc() {
    check_all("gcc");
}

#[test]
fn cpp_by_gcc() {
    check_all("g++");
}

#[test]
fn c_by_clang() {
    check_all("clang");
}

#[test]
fn cpp_by_clang() {
    check_all("clang++");
}

/// A machine with 32 bits, and one with the most significant byte first.
#[test]
fn other_machines() {
    for (compiler, machine) in [
        ("gcc", Some("-m32")),
        ("clang", Some("-m32")),
        ("s390x-linux-gnu-gcc", None),
    ] {
        let options = ["-g3", "-fdebug-types-section", "-gsplit-dwarf", "-gz=zlib"];
        // Earlier versions have no more than macros.
        let early = (2..=3).map(|version| (version, options[0]));
        let late = (4..=5).flat_map(|version| options.map(|extra| (version, extra)));
        for (version, extra) in early.chain(late) {
            let folder = Compiler::new();
            let version = format!("-gdwarf-{version}");
            // There may be no C library for the machine.
            let mut options = vec![&*version, extra, "-nostdlib", "-Wl,-e,main"];
            if compiler == "clang" && extra == "-g3" {
                options.push("-fdebug-macro");
            }
            options.extend(machine);
            let program = compile(&folder, compiler, &options);
            check(&program, None, false, &format!("{compiler} {options:?}"));
        }
    }
}
