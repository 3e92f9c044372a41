//! CTF of compilers, linkers and libctf: against the DWARF of the same programs, against objdump,
//! and damaged.

mod common;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use common::{Compiler, Numbers};
use kdive_debuginfo::TypeSource;
use kdive_debuginfo::ctf::{Archive, ArrayOrder, CtfSource, Environment};
use kdive_debuginfo::description::{
    EnumInteger, Location, ObjectKinds, PointerKind, Qualifiers, Shape, TypeId, TypeKinds,
};
use kdive_debuginfo::dwarf::DwarfSource;
use kdive_debuginfo::elf::ElfFile;
use kdive_target::ByteOrder;

const SHAPES: &str = include_str!("ctf/shapes.c");
const ARCHIVE: &str = include_str!("ctf/archive.c");

/// Headers whose types are compared, as programs of one compilation unit each.
const HEADERS: [&[&str]; 4] = [
    &[
        "stdio.h",
        "stdlib.h",
        "signal.h",
        "pthread.h",
        "time.h",
        "locale.h",
        "wchar.h",
    ],
    &[
        "sys/socket.h",
        "netinet/in.h",
        "netinet/tcp.h",
        "netdb.h",
        "sys/stat.h",
        "sys/epoll.h",
    ],
    &["elf.h", "sys/procfs.h", "sys/user.h", "sys/ucontext.h"],
    &[
        "linux/perf_event.h",
        "linux/btf.h",
        "linux/fs.h",
        "linux/nl80211.h",
    ],
];

/// The kinds of types that have names of their own.
const NAMED: TypeKinds = TypeKinds::STRUCT
    .union(TypeKinds::UNION)
    .union(TypeKinds::ENUM)
    .union(TypeKinds::TYPEDEF)
    .union(TypeKinds::INT)
    .union(TypeKinds::BOOL)
    .union(TypeKinds::FLOAT);

fn with_headers(headers: &[&str]) -> String {
    let mut source = "#define _GNU_SOURCE\n".to_owned();
    for header in headers {
        let _ = writeln!(source, "#include <{header}>");
    }
    source + "int main(void) { return 0; }\n"
}

/// A type down to the next names.
fn text(source: &dyn TypeSource, id: Option<TypeId>) -> String {
    let Some(id) = id else {
        return "void".to_owned();
    };
    match source.describe(id).unwrap().shape {
        Shape::Void => "void".to_owned(),
        Shape::Int {
            name,
            size,
            is_signed,
            byte_order,
        } => format!("int {name} {size} {is_signed} {byte_order:?}"),
        Shape::Bool { name, size, .. } => format!("bool {name} {size}"),
        Shape::Float { name, size, .. } => format!("float {name} {size}"),
        Shape::Compound {
            kind,
            tag: Some(tag),
            ..
        } => format!("{kind:?} {tag}"),
        Shape::Enum { tag: Some(tag), .. } => format!("enum {tag}"),
        Shape::Typedef { name, .. } => format!("alias {name}"),
        Shape::Pointer {
            kind: PointerKind::Pointer,
            target,
            size,
            ..
        } => format!("pointer {size} to ({})", text(source, target)),
        Shape::Array {
            element,
            dimensions,
        } => {
            // What the linker makes of CTF doesn't tell `[0]` from `[]`.
            let lengths: Vec<_> = dimensions.iter().map(|it| it.unwrap_or(0)).collect();
            match source.describe(element.unwrap()).unwrap().shape {
                Shape::Array { .. } => panic!("all dimensions are described together"),
                _ => format!("{lengths:?} of ({})", text(source, element)),
            }
        }
        Shape::Function {
            returns,
            parameters,
            is_variadic,
        } => {
            let parameters: Vec<_> = parameters
                .iter()
                .map(|parameter| text(source, parameter.type_id))
                .collect();
            format!("({}) {parameters:?} {is_variadic}", text(source, returns))
        }
        Shape::Qualified { qualifiers, target } => {
            // In whatever order they are written.
            let (mut all, mut target) = (qualifiers, target);
            while let Some(Shape::Qualified {
                qualifiers,
                target: next,
            }) = target.map(|id| source.describe(id).unwrap().shape)
            {
                all |= qualifiers;
                target = next;
            }
            match all {
                none if none.is_empty() => text(source, target),
                Qualifiers { .. } => format!("{all:?} {}", text(source, target)),
            }
        }
        _ => content(source, id),
    }
}

/// What the definition of a type says.
fn content(source: &dyn TypeSource, id: TypeId) -> String {
    match source.describe(id).unwrap().shape {
        Shape::Compound { kind, size, .. } => {
            let mut all = format!("{kind:?} of {size:?} bytes {{ ");
            for member in source.members(id).unwrap() {
                let _ = write!(
                    all,
                    "{} {:?} {:?} {}; ",
                    member.bit_offset,
                    member.name,
                    member.bit_field_size,
                    text(source, member.type_id)
                );
            }
            all + "}"
        }
        Shape::Enum { integer, .. } => {
            let values: Vec<_> = source
                .enumerators(id)
                .unwrap()
                .into_iter()
                // The compiler leaves out what doesn't fit 32 bits with a sign.
                .filter(|enumerator| i32::try_from(enumerator.value).is_ok())
                .map(|enumerator| (enumerator.name, enumerator.value))
                .collect();
            let size = match integer {
                Some(EnumInteger::Plain { size, .. }) => Some(size),
                Some(EnumInteger::Type(id)) => match source.describe(id).unwrap().shape {
                    Shape::Int { size, .. } => Some(size),
                    other => panic!("an enumeration of {other:?}"),
                },
                None => None,
            };
            format!("enum of {size:?} bytes {values:?}")
        }
        Shape::Typedef { target, .. } => format!("alias of {}", text(source, target)),
        _ => text(source, Some(id)),
    }
}

fn first(source: &dyn TypeSource, kinds: TypeKinds, name: &str) -> TypeId {
    *source
        .find_types(kinds, name, None)
        .unwrap()
        .first()
        .unwrap_or_else(|| panic!("{} has no {name}", source.format()))
}

fn sources(path: &Path) -> (CtfSource, DwarfSource) {
    let file = Arc::new(ElfFile::open(path).unwrap());
    let ctf = CtfSource::from_elf(&file, 0x1000).unwrap();
    let dwarf = DwarfSource::open(&file, 0x1000).unwrap();
    (ctf.expect("it has CTF"), dwarf.expect("it has DWARF"))
}

/// Compares every type of a program that has a name; returns how many there are.
fn compare_with_dwarf(path: &Path) -> usize {
    let (ctf, dwarf) = sources(path);
    let mut count = 0;
    for kind in NAMED.iter() {
        for name in ctf.type_names(kind).unwrap() {
            let ours = content(&ctf, first(&ctf, kind, &name));
            let theirs = content(&dwarf, first(&dwarf, kind, &name));
            // Vectors can't be written in CTF, and enumerations are always of 4 bytes there.
            let is_written = !theirs.contains("La_x86_64_")
                && !name.starts_with("La_x86_64_")
                && !theirs.starts_with("enum of Some(8) bytes");
            if is_written {
                assert_eq!(ours, theirs, "{kind:?} {name} of {}", path.display());
                count += 1;
            }
        }
    }
    count
}

fn compile(compiler: &Compiler, gcc: &str, source: &str, name: &str, more: &[&str]) -> PathBuf {
    let options = [&["-g", "-gctf", "-fno-eliminate-unused-debug-types"], more].concat();
    compiler.compile(gcc, source, name, &options)
}

#[test]
fn types_are_those_of_the_dwarf_of_the_same_program() {
    let compiler = Compiler::new();
    let shapes = compile(&compiler, "gcc", SHAPES, "shapes.c", &[]);
    assert!(compare_with_dwarf(&shapes) > 20);
    for (number, headers) in HEADERS.iter().enumerate() {
        let source = with_headers(headers);
        let name = format!("headers{number}.c");
        let program = compile(&compiler, "gcc", &source, &name, &[]);
        assert!(compare_with_dwarf(&program) > 60, "{headers:?}");
    }
    // The other byte order, and an object that was not linked.
    let big_endian = compile(
        &compiler,
        "s390x-linux-gnu-gcc",
        SHAPES,
        "big-endian.c",
        &["-nostdlib", "-Wl,-e,main"],
    );
    assert!(compare_with_dwarf(&big_endian) > 20);
    let object = compile(&compiler, "gcc", SHAPES, "object.c", &["-c"]);
    assert!(compare_with_dwarf(&object) > 20);
}

/// The members or enumerators of each structure, union and enumeration that objdump lists.
fn listed_by_objdump(path: &Path) -> BTreeMap<String, Vec<String>> {
    let listing = common::run(Command::new("objdump").arg("--ctf=.ctf").arg(path));
    let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut current: Option<(String, usize)> = None;
    let types = listing.split("  Types:\n").nth(1).expect("a list of types");
    for line in types.lines().take_while(|line| *line != "  Strings:") {
        let words: Vec<_> = line.split_whitespace().collect();
        let indent = line.len() - line.trim_start().len();
        match &words[..] {
            [_, "(kind", kind, keyword, tag, ..]
                if ["6)", "7)", "8)"].contains(kind) && !tag.starts_with('(') =>
            {
                let name = format!("{keyword} {tag}");
                found.insert(name.clone(), Vec::new());
                current = Some((name, 0));
            }
            [_, "(kind", ..] => current = None,
            [first, ..] => {
                if let Some((name, level)) = &mut current {
                    // Members of unnamed structures are listed below these, further in.
                    if *level == 0 {
                        *level = indent;
                    }
                    if *level == indent {
                        let entry = match first.strip_prefix('[') {
                            Some(offset) => {
                                let name = words.get(1).copied().unwrap_or_default();
                                let slice = line.split("[slice ").nth(1);
                                let bits = slice.and_then(|it| it.split([':', ']']).nth(1));
                                format!(
                                    "{} at {} {}",
                                    name.trim_end_matches(':'),
                                    offset.trim_end_matches(']'),
                                    bits.unwrap_or("-")
                                )
                            }
                            None => line.trim().to_owned(),
                        };
                        found.get_mut(name.as_str()).unwrap().push(entry);
                    }
                }
            }
            [] => {}
        }
    }
    found
}

#[test]
fn structures_are_those_that_objdump_lists() {
    let compiler = Compiler::new();
    let mut programs = vec![compile(&compiler, "gcc", SHAPES, "shapes.c", &[])];
    for (number, headers) in HEADERS.iter().enumerate() {
        let (source, name) = (with_headers(headers), format!("headers{number}.c"));
        programs.push(compile(&compiler, "gcc", &source, &name, &[]));
    }
    let mut count = 0;
    for program in programs {
        let (ctf, _) = sources(&program);
        for (name, listed) in listed_by_objdump(&program) {
            let (keyword, tag) = name.split_once(' ').unwrap();
            let kind = match keyword {
                "struct" => TypeKinds::STRUCT,
                "union" => TypeKinds::UNION,
                _ => TypeKinds::ENUM,
            };
            let id = first(&ctf, kind, tag);
            let ours: Vec<String> = if kind == TypeKinds::ENUM {
                let all = ctf.enumerators(id).unwrap();
                all.iter()
                    .map(|it| format!("{}: {}", it.name, it.value))
                    .collect()
            } else {
                let all = ctf.members(id).unwrap();
                all.iter()
                    .map(|member| {
                        // objdump leaves out that a field fills an integer, of any type.
                        let bits = member
                            .bit_field_size
                            .filter(|bits| ![8, 16, 32, 64].contains(bits));
                        let bits = bits.map_or("-".to_owned(), |bits| format!("{bits:#x}"));
                        let name = member.name.as_deref().unwrap_or_default();
                        format!("{name} at {:#x} {bits}", member.bit_offset)
                    })
                    .collect()
            };
            let what = format!("{name} of {}", program.display());
            // Long enumerations are abridged in the middle.
            match listed.iter().position(|entry| entry == "...") {
                Some(at) => {
                    let rest = &listed[at + 1..];
                    assert_eq!(ours[..at], listed[..at], "{what}");
                    assert_eq!(ours[ours.len() - rest.len()..], *rest, "{what}");
                }
                None => assert_eq!(ours, listed, "{what}"),
            }
            count += 1;
        }
    }
    assert!(count > 300, "{count}");
}

/// The location and the type of each variable and function of `SHAPES`.
fn objects(source: &dyn TypeSource, names: &[&str]) -> Vec<String> {
    names
        .iter()
        .map(|name| {
            let found = source.find_objects(ObjectKinds::all(), name, None).unwrap();
            match found.first() {
                Some(object) => {
                    let ty = text(source, object.type_id);
                    format!("{name} {:x?} {ty}", object.location)
                }
                None => format!("{name} is not known"),
            }
        })
        .collect()
}

const GLOBAL: [&str; 6] = [
    "global",
    "head",
    "outers",
    "number",
    "words",
    "unnamed_parts",
];

/// Without what DWARF alone tells: names of parameters don't matter here.
#[test]
fn variables_and_functions_are_those_of_the_dwarf() {
    let compiler = Compiler::new();
    let variables = "-Wl,--ctf-variables";
    let all = [
        &GLOBAL[..],
        &["counters", "per_thread", "main", "GREEN", "nothing"],
    ]
    .concat();
    for (name, options, names) in [
        // Names in the variable section.
        ("variables.c", &[variables][..], &all[..]),
        // Types in the order of .dynsym, and names in .dynstr.
        ("dynamic.c", &["-rdynamic"], &GLOBAL[..]),
        ("library.c", &["-shared", "-fPIC"], &GLOBAL[..]),
        ("both.c", &["-rdynamic", variables], &all[..]),
    ] {
        let (ctf, dwarf) = sources(&compile(&compiler, "gcc", SHAPES, name, options));
        assert_eq!(objects(&ctf, names), objects(&dwarf, names), "{name}");
    }
    // With names beside the types, and addresses within sections that have none yet.
    let object = compile(&compiler, "gcc", SHAPES, "object.c", &["-c"]);
    let (ctf, dwarf) = sources(&object);
    for name in GLOBAL {
        let ty = |source: &dyn TypeSource| {
            let found = source.find_objects(ObjectKinds::all(), name, None).unwrap();
            text(source, found.first().expect(name).type_id)
        };
        assert_eq!(ty(&ctf), ty(&dwarf), "{name}");
    }
}

#[test]
fn types_of_one_name_are_kept_by_their_units() {
    let compiler = Compiler::new();
    let one = "struct same { int one; }; struct same of_one; int two(void);
               int main(void) { return two(); }";
    let two = "struct same { long a, b; }; struct same of_two; int two(void) { return 0; }";
    std::fs::write(compiler.path("second.c"), two).unwrap();
    let program = compile(
        &compiler,
        "gcc",
        one,
        "first.c",
        &["second.c", "-Wl,--ctf-variables"],
    );
    let (ctf, _) = sources(&program);
    let members = |file_name: &str| {
        let found = ctf.find_types(TypeKinds::STRUCT, "same", Some(file_name));
        let found = found.unwrap();
        let members = ctf.members(found[0]).unwrap();
        members
            .into_iter()
            .map(|member| member.name.unwrap().to_string())
            .collect::<Vec<_>>()
    };
    assert_eq!(members("first.c"), ["one"]);
    assert_eq!(members("second.c"), ["a", "b"]);
    let nowhere = ctf.find_types(TypeKinds::STRUCT, "same", Some("third"));
    assert_eq!(nowhere.unwrap(), []);
    let object = |name| {
        let found = ctf.find_objects(ObjectKinds::VARIABLE, name, None).unwrap();
        text(&ctf, found.first().expect(name).type_id)
    };
    assert_eq!(
        object("of_one"),
        object("of_two"),
        "both are named the same"
    );
    let size = |name| {
        let found = ctf.find_objects(ObjectKinds::VARIABLE, name, None).unwrap();
        match ctf.describe(found[0].type_id.unwrap()).unwrap().shape {
            Shape::Compound { size, .. } => size,
            other => panic!("{name} is {other:?}"),
        }
    };
    assert_eq!((size("of_one"), size("of_two")), (Some(4), Some(16)));
}

const KERNEL: Environment = Environment {
    pointer_size: 8,
    byte_order: ByteOrder::Little,
    arrays: ArrayOrder::OutermostFirst,
};

/// An archive written by libctf.
fn archive(compiler: &Compiler, compress_from: &str) -> Vec<u8> {
    let maker = compiler.compile("gcc", ARCHIVE, "archive.c", &["-lctf"]);
    let path = compiler.path("vmlinux.ctfa");
    common::run(Command::new(maker).arg(&path).arg(compress_from));
    std::fs::read(path).unwrap()
}

fn open(bytes: &[u8]) -> kdive_debuginfo::Result<CtfSource> {
    CtfSource::new(Archive::parse("vmlinux.ctfa", bytes.into())?, KERNEL)
}

fn check_archive(bytes: &[u8]) {
    let source = open(bytes).unwrap();
    let mut names: Vec<_> = source.dictionaries().collect();
    names.sort_unstable();
    assert_eq!(names, ["dm_mod", "loop", "shared_ctf", "vmlinux"]);
    assert!(source.has_kernel_module("dm_mod") && !source.has_kernel_module("dm"));

    let structure = |name, file_name| {
        let found = source.find_types(TypeKinds::STRUCT, name, file_name);
        content(&source, found.unwrap()[0])
    };
    assert_eq!(
        structure("node", None),
        "Struct of Some(16) bytes { 0 Some(\"value\") None int int 4 true Little; \
         64 Some(\"conflict\") None pointer 8 to (Struct conflict); }"
    );
    // The kernel's own goes first; that of a module is found by the module's name or file.
    let of_kernel = "Struct of Some(4) bytes { 0 Some(\"of_kernel\") None int int 4 true Little; }";
    let of_loop = "Struct of Some(5) bytes { 0 Some(\"of_loop\") None int int 4 true Little; \
                   35 Some(\"bits\") Some(5) int int 4 true Little; }";
    assert_eq!(structure("conflict", None), of_kernel);
    assert_eq!(structure("conflict", Some("vmlinux")), of_kernel);
    for file_name in ["loop", "drivers/block/loop.c", "loop.h"] {
        assert_eq!(structure("conflict", Some(file_name)), of_loop);
    }
    assert!(structure("only_dm", None).contains("Struct node"));
    assert!(structure("only_dm", Some("drivers/md/dm-mod.c")).contains("Struct node"));
    assert_eq!(
        structure("big", None),
        "Struct of Some(4294967296) bytes { 0 Some(\"first\") None int int 4 true Little; \
         34359738336 Some(\"last\") None int int 4 true Little; }"
    );
    let object = |kind, name, file_name| {
        let found = source.find_objects(kind, name, file_name).unwrap();
        let found = found.first().expect(name);
        (found.location.clone(), text(&source, found.type_id))
    };
    let variable = ObjectKinds::VARIABLE;
    assert_eq!(
        object(variable, "root_node", None),
        (Location::Symbol("root_node".into()), "Struct node".into())
    );
    assert_eq!(
        object(variable, "state", None),
        (Location::Symbol("state".into()), "enum color".into())
    );
    let of_module = Location::ModuleSymbol {
        module: "loop".into(),
        name: "state".into(),
    };
    assert_eq!(
        object(variable, "state", Some("loop")),
        (of_module, "Struct node".into())
    );
    let (blue, _) = object(ObjectKinds::CONSTANT, "BLUE", None);
    assert_eq!(format!("{blue:?}"), "Constant(Integer(-7))");

    // The declaration in the shared dictionary leads to the kernel's definition.
    let node = first(&source, TypeKinds::STRUCT, "node");
    let pointer = source.members(node).unwrap()[1].type_id.unwrap();
    let Shape::Pointer { target, .. } = source.describe(pointer).unwrap().shape else {
        panic!("a pointer is described as one");
    };
    assert_eq!(content(&source, target.unwrap()), of_kernel);
}

#[test]
fn archives_are_read_however_their_sizes_are_written() {
    let compiler = Compiler::new();
    check_archive(&archive(&compiler, "0x7fffffff"));
    let compressed = archive(&compiler, "0");
    check_archive(&compressed);
    // The other convention: sizes without their own eight bytes.
    let mut other = compressed;
    let number = |bytes: &[u8], at: usize| {
        u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap()) as usize
    };
    for index in 0..number(&other, 16) {
        let at = number(&other, 32) + number(&other, 40 + index * 16 + 8);
        let size = number(&other, at) - 8;
        other[at..at + 8].copy_from_slice(&(size as u64).to_le_bytes());
    }
    check_archive(&other);
}

/// Asks for everything. Errors are expected, panics are not.
fn exercise(source: &CtfSource) {
    let names = source.type_names(TypeKinds::all()).unwrap_or_default();
    for name in names.iter().take(300) {
        for id in source
            .find_types(TypeKinds::all(), name, None)
            .unwrap_or_default()
        {
            let _ = source.describe(id);
            let _ = source.enumerators(id);
            for member in source.members(id).unwrap_or_default().iter().take(1000) {
                let _ = member.type_id.map(|id| source.describe(id));
            }
        }
    }
    for name in ["global", "state", "counters", "main", "RED", ""] {
        let _ = source.find_objects(ObjectKinds::all(), name, None);
        let _ = source.find_types(TypeKinds::all(), name, Some("loop.c"));
    }
}

/// Archives, and the CTF of a program with the program's symbols.
fn damageable() -> [Vec<u8>; 3] {
    let compiler = Compiler::new();
    let plain = archive(&compiler, "0x7fffffff");
    let compressed = archive(&compiler, "0");
    let options = ["-c", "-gctf", "-g0"];
    let object = compiler.compile("gcc", SHAPES, "object.c", &options);
    let file = ElfFile::open(&object).unwrap();
    let dictionary = file.section_data(".ctf").unwrap().unwrap().to_vec();
    [plain, compressed, dictionary]
}

#[test]
fn truncated_files_are_survived() {
    for bytes in damageable() {
        exercise(&open(&bytes).unwrap());
        for part in 0..200 {
            let length = bytes.len() * part / 200;
            if let Ok(source) = open(&bytes[..length]) {
                exercise(&source);
            }
        }
    }
}

#[test]
fn corrupted_files_are_survived() {
    let mut numbers = Numbers(0x9e37_79b9_7f4a_7c15);
    let samples = damageable();
    let mut opened = 0;
    for copy in 0..10_000 {
        let mut damaged = samples[copy % samples.len()].clone();
        for _ in 0..=numbers.below(8) {
            let at = numbers.below(damaged.len());
            damaged[at] = match numbers.below(4) {
                0 => 0,
                1 => 0xff,
                2 => damaged[at].wrapping_add(1),
                _ => numbers.below(256) as u8,
            };
        }
        if let Ok(source) = open(&damaged) {
            exercise(&source);
            opened += 1;
        }
    }
    assert!(opened > 1000, "only {opened} could be opened at all");
}
