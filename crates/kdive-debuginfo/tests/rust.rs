//! Programs with units of Rust beside those of C: nothing of them is an error.

mod common;

use std::process::Command;
use std::sync::Arc;

use common::{Compiler, run};
use kdive_debuginfo::description::{Language, Shape, TypeKinds};
use kdive_debuginfo::dwarf::DwarfSource;
use kdive_debuginfo::elf::ElfFile;
use kdive_debuginfo::symbols::SymbolTable;
use kdive_debuginfo::{CodeSource, TypeSource};

const C: &str = "
struct c_only { unsigned low : 3, high : 4; long values[2]; };
struct c_only c_only = { 1, 2, { 3, 4 } };
long c_function(struct c_only *record) { return record->values[record->low]; }
";

const RUST: &str = r#"
use std::collections::{BTreeMap, HashMap};

pub enum Shape { Empty, Circle { radius: u32 }, Square(u64, u8) }
pub trait Area { fn area(&self) -> u64; }
impl Area for Shape {
    fn area(&self) -> u64 {
        match self {
            Shape::Empty => 0,
            Shape::Circle { radius } => u64::from(*radius) * 3,
            Shape::Square(side, _) => side * side,
        }
    }
}
#[repr(C)]
pub struct Record { pub bits: u32, pub values: [i64; 2] }
extern "C" {
    static mut c_only: Record;
    fn c_function(record: *mut Record) -> i64;
}
fn main() {
    let mut names: HashMap<String, Option<Box<dyn Area>>> = HashMap::new();
    names.insert("a".to_string(), Some(Box::new(Shape::Square(2, 3))));
    let sorted: BTreeMap<i128, Result<char, f32>> = [(-1, Ok('x')), (1 << 90, Err(0.5))].into();
    let total: u64 = names.values().flatten().map(|shape| shape.area()).sum();
    println!("{total} {sorted:?} {}", unsafe { c_function(&raw mut c_only) });
}
"#;

/// Compiles a program of both languages.
fn for_each_program(check: impl Fn(&str, &Arc<ElfFile>, &DwarfSource)) {
    let folder = Compiler::new();
    std::fs::write(folder.path("part.c"), C).unwrap();
    std::fs::write(folder.path("mixed.rs"), RUST).unwrap();
    let in_folder = |command: &str| {
        let mut words = command.split(' ');
        let mut command = Command::new(words.next().unwrap());
        command.current_dir(folder.path("")).args(words);
        command
    };
    for version in [4, 5] {
        run(&mut in_folder(&format!("gcc -gdwarf-{version} -c part.c")));
        run(&mut in_folder("ar rcs libpart.a part.o"));
        for options in ["", " -C opt-level=2", " -C split-debuginfo=unpacked"] {
            let rustc = format!(
                "rustc --edition 2021 -g -C dwarf-version={version} -L . -l static=part mixed.rs"
            );
            run(&mut in_folder(&format!("{rustc}{options}")));
            let elf = Arc::new(ElfFile::open(&folder.path("mixed")).unwrap());
            let source = DwarfSource::open(&elf, 0).unwrap().unwrap();
            check(&format!("DWARF {version}{options}"), &elf, &source);
        }
    }
}

#[test]
fn every_type_is_described() {
    for_each_program(|label, _, source| {
        assert_eq!(source.missing_files(), [], "{label}");
        let names = source.type_names(TypeKinds::all()).unwrap();
        for expected in [
            "c_only",
            "mixed::Shape",
            "mixed::Shape::Square",
            "core::option::Option<alloc::boxed::Box<dyn mixed::Area, alloc::alloc::Global>>",
            "core::result::Result<char, f32>",
        ] {
            assert!(
                names.iter().any(|name| &**name == expected),
                "{label}: {expected}"
            );
        }
        let mut variants = 0;
        for name in &names {
            for id in source.find_types(TypeKinds::all(), name, None).unwrap() {
                let context = format!("{label}: {name}");
                let described = source.describe(id).expect(&context);
                assert_ne!(described.shape, Shape::Void, "{context}");
                if let Shape::Compound { size, .. } = described.shape {
                    let end = size.map(|size| size * 8);
                    for member in source.members(id).expect(&context) {
                        assert!(end.is_none_or(|end| member.bit_offset <= end), "{context}");
                        let member_id = member.type_id.unwrap();
                        source.describe(member_id).expect(&context);
                        if member.name.as_deref() == Some("__discriminant") {
                            variants += 1;
                            source.enumerators(member_id).expect(&context);
                        }
                    }
                }
            }
        }
        assert!(variants >= 5, "{label}: {variants}");
    });
}

#[test]
fn units_of_both_languages_are_found() {
    for_each_program(|label, elf, source| {
        for (name, expected) in [("c_only", 24), ("mixed::Shape", 16)] {
            let found = source.find_types(TypeKinds::STRUCT, name, None).unwrap();
            let described = source.describe(found[0]).unwrap();
            // There is no Rust among the languages: it is shown as C.
            assert_eq!(described.language, Language::C, "{label}: {name}");
            match described.shape {
                Shape::Compound { size, .. } => assert_eq!(size, Some(expected), "{label}: {name}"),
                other => panic!("{label}: {name}: {other:?}"),
            }
        }
        let symbols = SymbolTable::from_elf(elf, 0).unwrap();
        let function = symbols.by_name("c_function").unwrap();
        let scopes = source.scopes_at(function.address).unwrap();
        assert_eq!(scopes[0].name.as_deref(), Some("c_function"), "{label}");
        let mut named = 0;
        for symbol in symbols.iter().filter(|symbol| symbol.size > 0) {
            let line = source.source_line(symbol.address).expect(label);
            let scopes = source.scopes_at(symbol.address).expect(label);
            for block in scopes.iter().flat_map(|scope| &scope.blocks) {
                source.variables(*block, symbol.address).expect(label);
            }
            named += usize::from(line.is_some() && !scopes.is_empty());
        }
        assert!(named > 20, "{label}: {named}");
    });
}
