//! Types and objects of C programs, compiled in every DWARF version.

mod common;

use std::sync::Arc;

use common::Compiler;
use kdive_debuginfo::TypeSource;
use kdive_debuginfo::description::{
    CompoundKind, ConstantValue, EnumInteger, Location, ObjectKinds, Qualifiers, Shape, TypeId,
    TypeKinds,
};
use kdive_debuginfo::dwarf::DwarfSource;
use kdive_debuginfo::elf::ElfFile;
use kdive_debuginfo::symbols::SymbolTable;

const SOURCE: &str = r#"
struct point { int x; const volatile unsigned long y; };
struct bits {
    unsigned int a : 3;
    int b : 7;
    unsigned long long c : 40;
    _Bool flag : 1;
    struct { short inner; };
    union { char u1; long u2; } named;
    char flexible[];
};
struct opaque;
enum color { RED, GREEN = 5, BLUE = -3 };
enum big { SMALL = 1, LARGE = 0xffffffff00000000ull };
enum byte_sized { HIGH = 200 };
typedef struct point point_t;
typedef int (*callback)(struct opaque *self, const char *text, ...);
extern int declared_then_defined;
int declared_then_defined = 7;
static int matrix[3][4];
int empty[0];
point_t origin;
callback handler;
struct bits *bits_pointer;
enum color favourite = GREEN;
enum big large = LARGE;
enum byte_sized byte_size = HIGH;
static __thread long thread_counter = 5;
float real; double _Complex *unused_complex;
char a, *string = "text";
int add(int left, unsigned char right) { return left + right + matrix[1][2] + (int)thread_counter; }
static inline __attribute__((always_inline)) int only_inlined(int x) { return x * 3; }
int main(int argc, char **argv) { (void)argv; matrix[argc][0] = argc; thread_counter += argc; return add(1, 2) + only_inlined(matrix[0][0]); }
"#;

const VERSIONS: [&str; 4] = ["-gdwarf-2", "-gdwarf-3", "-gdwarf-4", "-gdwarf-5"];

/// Opens the program compiled with each compiler and version.
fn for_each_sample(check: impl Fn(&str, &Arc<ElfFile>, &DwarfSource)) {
    let compiler = Compiler::new();
    for name in ["gcc", "clang"] {
        for version in VERSIONS {
            let options = [
                version,
                "-O1",
                "-no-pie",
                "-fno-eliminate-unused-debug-types",
            ];
            let program = compiler.compile(name, SOURCE, "sample.c", &options);
            let elf = Arc::new(ElfFile::open(&program).unwrap());
            let source = DwarfSource::open(&elf, 0).unwrap().unwrap();
            check(&format!("{name} {version}"), &elf, &source);
        }
    }
}

fn one(source: &DwarfSource, kinds: TypeKinds, name: &str) -> TypeId {
    let found = source.find_types(kinds, name, None).unwrap();
    *found.first().unwrap_or_else(|| panic!("{name} is missing"))
}

fn shape(source: &DwarfSource, id: TypeId) -> Shape {
    source.describe(id).unwrap().shape
}

/// How a type is written, roughly as in C.
fn spell(source: &DwarfSource, id: Option<TypeId>) -> String {
    let Some(id) = id else {
        return "void".to_owned();
    };
    match shape(source, id) {
        Shape::Void => "void".to_owned(),
        Shape::Int { name, .. } | Shape::Bool { name, .. } | Shape::Float { name, .. } => {
            name.to_string()
        }
        Shape::Compound { kind, tag, .. } => {
            let keyword = match kind {
                CompoundKind::Struct => "struct",
                CompoundKind::Union => "union",
                CompoundKind::Class => "class",
            };
            format!("{keyword} {}", tag.as_deref().unwrap_or("<anonymous>"))
        }
        Shape::Enum { tag, .. } => format!("enum {}", tag.as_deref().unwrap_or("<anonymous>")),
        Shape::Typedef { name, .. } => name.to_string(),
        Shape::Pointer { target, .. } => format!("{} *", spell(source, target)),
        Shape::MemberPointer { class, target, .. } => {
            format!("{} {}::*", spell(source, target), spell(source, class))
        }
        Shape::Array {
            element,
            dimensions,
        } => {
            let lengths: String = dimensions
                .iter()
                .map(|length| length.map_or("[]".to_owned(), |length| format!("[{length}]")))
                .collect();
            format!("{} {lengths}", spell(source, element))
        }
        Shape::Function {
            returns,
            parameters,
            is_variadic,
        } => {
            let mut list: Vec<String> = parameters
                .iter()
                .map(|parameter| spell(source, parameter.type_id))
                .collect();
            if is_variadic {
                list.push("...".to_owned());
            }
            format!("{} ({})", spell(source, returns), list.join(", "))
        }
        Shape::Qualified { qualifiers, target } => {
            let mut words = String::new();
            for (qualifier, word) in [
                (Qualifiers::CONST, "const "),
                (Qualifiers::VOLATILE, "volatile "),
            ] {
                if qualifiers.contains(qualifier) {
                    words.push_str(word);
                }
            }
            words + &spell(source, target)
        }
    }
}

fn location(source: &DwarfSource, kinds: ObjectKinds, name: &str) -> Location {
    let found = source.find_objects(kinds, name, None).unwrap();
    found
        .first()
        .unwrap_or_else(|| panic!("{name} is missing"))
        .location
        .clone()
}

#[test]
fn members_have_their_offsets() {
    for_each_sample(|sample, _, source| {
        let bits = one(source, TypeKinds::STRUCT, "bits");
        let members: Vec<_> = source
            .members(bits)
            .unwrap()
            .iter()
            .map(|member| {
                (
                    member.name.as_deref().unwrap_or("").to_owned(),
                    member.bit_offset,
                    member.bit_field_size,
                )
            })
            .collect();
        let expected = [
            ("a", 0, Some(3)),
            ("b", 3, Some(7)),
            ("c", 10, Some(40)),
            ("flag", 50, Some(1)),
            ("", 64, None),
            ("named", 128, None),
            ("flexible", 192, None),
        ]
        .map(|(name, offset, size)| (name.to_owned(), offset, size));
        assert_eq!(members, expected, "{sample}");
        let Shape::Compound { size, tag, kind } = shape(source, bits) else {
            panic!("{sample}: not a structure")
        };
        assert_eq!(
            (size, tag.as_deref(), kind),
            (Some(24), Some("bits"), CompoundKind::Struct)
        );
        let flexible = source.members(bits).unwrap()[6].type_id;
        assert_eq!(spell(source, flexible), "char []", "{sample}");
    });
}

#[test]
fn types_are_spelled_as_in_the_source() {
    for_each_sample(|sample, _, source| {
        let point = one(source, TypeKinds::STRUCT, "point");
        let types: Vec<String> = source
            .members(point)
            .unwrap()
            .iter()
            .map(|member| spell(source, member.type_id))
            .collect();
        assert_eq!(
            types,
            ["int", "const volatile long unsigned int"].map(|name| {
                // clang has its own names for the same integers.
                if sample.starts_with("clang") {
                    name.replace("long unsigned int", "unsigned long")
                } else {
                    name.to_owned()
                }
            }),
            "{sample}"
        );
        for (name, expected) in [
            ("origin", "point_t"),
            ("handler", "callback"),
            ("bits_pointer", "struct bits *"),
            ("matrix", "int [3][4]"),
            ("empty", "int [0]"),
            ("favourite", "enum color"),
            ("string", "char *"),
            ("declared_then_defined", "int"),
        ] {
            let found = source
                .find_objects(ObjectKinds::VARIABLE, name, None)
                .unwrap();
            assert_eq!(
                spell(source, found[0].type_id),
                expected,
                "{sample}: {name}"
            );
        }
        let callback = one(source, TypeKinds::TYPEDEF, "callback");
        let Shape::Typedef { target, .. } = shape(source, callback) else {
            panic!("{sample}")
        };
        assert_eq!(
            spell(source, target),
            "int (struct opaque *, const char *, ...) *",
            "{sample}"
        );
        let opaque = one(source, TypeKinds::STRUCT, "opaque");
        assert!(
            matches!(shape(source, opaque), Shape::Compound { size: None, .. }),
            "{sample}"
        );
    });
}

#[test]
fn enumerators_have_their_values() {
    for_each_sample(|sample, _, source| {
        for (name, expected) in [
            ("color", vec![("RED", 0), ("GREEN", 5), ("BLUE", -3)]),
            ("big", vec![("SMALL", 1), ("LARGE", 0xffff_ffff_0000_0000)]),
            ("byte_sized", vec![("HIGH", 200)]),
        ] {
            let id = one(source, TypeKinds::ENUM, name);
            let enumerators = source.enumerators(id).unwrap();
            let values: Vec<(&str, i128)> = enumerators
                .iter()
                .map(|enumerator| (&*enumerator.name, enumerator.value))
                .collect();
            assert_eq!(values, expected, "{sample}: {name}");
            let Shape::Enum {
                integer: Some(integer),
                ..
            } = shape(source, id)
            else {
                panic!("{sample}: {name}")
            };
            let (size, is_signed) = match integer {
                EnumInteger::Plain { size, is_signed } => (size, is_signed),
                EnumInteger::Type(id) => match shape(source, id) {
                    Shape::Int {
                        size, is_signed, ..
                    } => (size, is_signed),
                    other => panic!("{sample}: {other:?}"),
                },
            };
            assert_eq!(
                (size, is_signed),
                if name == "big" {
                    (8, false)
                } else {
                    (4, name == "color")
                }
            );
        }
        assert_eq!(
            location(source, ObjectKinds::CONSTANT, "BLUE"),
            Location::Constant(ConstantValue::Integer(-3)),
            "{sample}"
        );
    });
}

#[test]
fn objects_are_where_their_symbols_are() {
    for_each_sample(|sample, elf, source| {
        let symbols = SymbolTable::from_elf(elf, 0).unwrap();
        for name in [
            "declared_then_defined",
            "origin",
            "matrix",
            "string",
            "add",
            "main",
            "a",
        ] {
            let kinds = ObjectKinds::VARIABLE | ObjectKinds::FUNCTION;
            let expected = Location::Address(symbols.by_name(name).unwrap().address);
            assert_eq!(location(source, kinds, name), expected, "{sample}: {name}");
        }
        assert_eq!(
            location(source, ObjectKinds::VARIABLE, "thread_counter"),
            Location::ThreadLocal(0),
            "{sample}"
        );
        let add = source
            .find_objects(ObjectKinds::FUNCTION, "add", None)
            .unwrap();
        assert_eq!(
            spell(source, add[0].type_id),
            "int (int, unsigned char)",
            "{sample}"
        );
        assert!(
            source
                .find_objects(ObjectKinds::VARIABLE, "add", None)
                .unwrap()
                .is_empty()
        );
        assert!(
            source
                .find_objects(ObjectKinds::all(), "missing", None)
                .unwrap()
                .is_empty()
        );

        let biased = DwarfSource::open(elf, 0x1000).unwrap().unwrap();
        let expected = Location::Address(symbols.by_name("origin").unwrap().address + 0x1000);
        assert_eq!(
            location(&biased, ObjectKinds::VARIABLE, "origin"),
            expected,
            "{sample}"
        );
    });
}

#[test]
fn base_types_and_names_are_found() {
    for_each_sample(|sample, _, source| {
        let found = source.find_types(TypeKinds::INT, "char", None).unwrap();
        assert!(
            matches!(
                shape(source, found[0]),
                Shape::Int {
                    size: 1,
                    is_signed: true,
                    ..
                }
            ),
            "{sample}"
        );
        assert!(
            source
                .find_types(TypeKinds::FLOAT, "char", None)
                .unwrap()
                .is_empty()
        );
        assert!(matches!(
            shape(source, one(source, TypeKinds::FLOAT, "float")),
            Shape::Float { size: 4, .. }
        ));
        let names = source.type_names(TypeKinds::STRUCT).unwrap();
        let names: Vec<&str> = names.iter().map(|name| &**name).collect();
        assert_eq!(names, ["bits", "opaque", "point"], "{sample}");
    });
}

/// Two units have a type of the same name: the name of the file says which is meant.
#[test]
fn the_file_name_selects_among_types_of_one_name() {
    let compiler = Compiler::new();
    for version in VERSIONS {
        std::fs::create_dir_all(compiler.path("one")).unwrap();
        std::fs::create_dir_all(compiler.path("two")).unwrap();
        std::fs::write(
            compiler.path("one/part.c"),
            "struct twin { int a; } first; int get(void);",
        )
        .unwrap();
        std::fs::write(
            compiler.path("two/part.c"),
            "struct twin { long b, c; } second;",
        )
        .unwrap();
        let main = "int main(void) { return 0; }";
        let program = compiler.compile(
            "gcc",
            main,
            "main.c",
            &[version, "one/part.c", "two/part.c"],
        );
        let elf = Arc::new(ElfFile::open(&program).unwrap());
        let source = DwarfSource::open(&elf, 0).unwrap().unwrap();
        let size = |file: &str| -> Vec<u64> {
            source
                .find_types(TypeKinds::STRUCT, "twin", Some(file))
                .unwrap()
                .iter()
                .map(|id| match shape(&source, *id) {
                    Shape::Compound { size, .. } => size.unwrap(),
                    other => panic!("{other:?}"),
                })
                .collect()
        };
        assert_eq!(size("one/part.c"), [4], "{version}");
        assert_eq!(size("two/part.c"), [16], "{version}");
        assert_eq!(
            size(compiler.path("two/../two/part.c").to_str().unwrap()),
            [16],
            "{version}"
        );
        assert_eq!(size("part.c"), [4, 16], "{version}");
        assert_eq!(size("art.c"), [0_u64; 0], "{version}");
    }
}

/// Only DWARF 5 says what alignment the source demands.
#[test]
fn demanded_alignments_are_told() {
    let source = "
        struct aligned { char a; } __attribute__((aligned(64)));
        struct with_member { char a; int b __attribute__((aligned(32))); };
        typedef int wide_int __attribute__((aligned(16)));
        struct plain { long a; };
        struct aligned one; struct with_member two; wide_int three; struct plain four;
        int main(void) { return 0; }";
    let compiler = Compiler::new();
    for name in ["gcc", "clang"] {
        let path = compiler.compile(name, source, "aligned.c", &["-gdwarf-5"]);
        let elf = Arc::new(ElfFile::open(&path).unwrap());
        let source = DwarfSource::open(&elf, 0).unwrap().unwrap();
        let alignment = |kinds, name| {
            let id = one(&source, kinds, name);
            source.describe(id).unwrap().alignment
        };
        assert_eq!(alignment(TypeKinds::STRUCT, "aligned"), Some(64), "{name}");
        assert_eq!(alignment(TypeKinds::TYPEDEF, "wide_int"), Some(16));
        assert_eq!(alignment(TypeKinds::STRUCT, "plain"), None);
        let members = source
            .members(one(&source, TypeKinds::STRUCT, "with_member"))
            .unwrap();
        let alignments: Vec<_> = members.iter().map(|member| member.alignment).collect();
        assert_eq!(alignments, [None, Some(32)], "{name}");
    }
}
