//! The parser of type names.

use std::sync::Arc;

use kdive_engine::program::TypeFinder;
use kdive_engine::types::{Language, Type, TypeKinds, parse_type_name};
use kdive_engine::{Error, Program, Result, TypeKind};
use kdive_target::{Architecture, ByteOrder, Platform};

/// Knows one type of each kind that has a name.
struct Mock;

impl TypeFinder for Mock {
    fn find(
        &self,
        program: &Arc<Program>,
        kinds: TypeKinds,
        name: &str,
        file_name: Option<&str>,
    ) -> Result<Option<Type>> {
        let compound = |kind: TypeKind, tag: &str, language| {
            let definition = Some((8, Vec::new()));
            Type::compound(
                kind,
                Some(tag),
                definition,
                Vec::new(),
                ByteOrder::Little,
                language,
            )
        };
        let int = |name, size| Type::int(name, size, true, ByteOrder::Little, Language::C);
        let found = match name {
            "point" if file_name.is_none_or(|file| file == "point.h") => {
                compound(TypeKind::Struct, name, program.language())
            }
            "value" => compound(TypeKind::Union, name, Language::C),
            "class" => compound(TypeKind::Struct, name, program.language()),
            "color" => Type::enumeration(Some(name), None, ByteOrder::Little, Language::C)?,
            "number_t" => Type::typedef(name, int("int", 4), Language::C),
            "i128" => int(name, 16),
            "ns::Thing" | "std::vector<int, std::allocator<int> >" | "a<(1>2)>::b<c->d>" => {
                compound(TypeKind::Class, name, Language::Cpp)
            }
            _ => return Ok(None),
        };
        Ok(Some(found).filter(|ty| kinds.contains(ty.kind().as_set())))
    }
}

fn program(language: Language) -> Arc<Program> {
    let program = Program::new(Some(Platform {
        architecture: Architecture::X86_64,
        is_64_bit: true,
        byte_order: ByteOrder::Little,
    }));
    program.set_language(language);
    program
        .type_finders()
        .register("mock", Arc::new(Mock), Some(0))
        .unwrap();
    program
}

fn names(language: Language, cases: &[(&str, &str)]) {
    let program = program(language);
    for (text, expected) in cases {
        let ty =
            parse_type_name(&program, text, None).unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!(ty.type_name().unwrap(), *expected, "{text}");
        // What is printed can be parsed, and means the same.
        let again = parse_type_name(&program, expected, None).unwrap();
        assert_eq!(again.type_name().unwrap(), *expected);
        assert_eq!(
            again.constructor_call(&program).unwrap(),
            ty.constructor_call(&program).unwrap()
        );
    }
}

#[test]
fn keywords_come_in_any_order() {
    names(
        Language::C,
        &[
            ("void", "void"),
            ("unsigned", "unsigned int"),
            ("int long unsigned", "unsigned long"),
            ("long int unsigned long", "unsigned long long"),
            ("char signed", "signed char"),
            ("double long", "long double"),
            ("__signed__ short", "short"),
            ("_Bool", "_Bool"),
            ("bool", "_Bool"),
            ("size_t", "size_t"),
            ("ptrdiff_t", "ptrdiff_t"),
            ("__int128 unsigned", "unsigned __int128"),
            ("__int128", "__int128"),
            ("i128", "i128"),
        ],
    );
}

#[test]
fn qualifiers_stand_where_c_allows_them() {
    names(
        Language::C,
        &[
            ("int const", "const int"),
            ("const int const volatile", "const volatile int"),
            (
                "struct point const*volatile",
                "const struct point * volatile",
            ),
            ("unsigned const long", "const unsigned long"),
            ("char *__restrict", "char * restrict"),
            ("_Atomic int", "_Atomic int"),
            ("_Atomic(int *) *", "int * _Atomic *"),
            ("number_t const [3]", "const number_t [3]"),
            ("int [const 3]", "int [3]"),
        ],
    );
}

#[test]
fn declarators_nest() {
    names(
        Language::C,
        &[
            ("int\t*\n", "int *"),
            ("int*[3]", "int *[3]"),
            ("int (*)[0x10][010]", "int (*)[16][8]"),
            ("int ((*))", "int *"),
            ("int []", "int []"),
            ("int (*)(void)", "int (*)(void)"),
            ("int (*)()", "int (*)()"),
            ("int (struct point *, ...)", "int (struct point *, ...)"),
            (
                "void (*(*[3])(int cb(char), union value v))(enum color)",
                "void (*(*[3])(int cb(char), union value v))(enum color)",
            ),
            (
                "int (*(int (*cb)(char x, int, ...), void *))(char x, int, ...)",
                "int (*(int (*cb)(char x, int, ...), void *))(char x, int, ...)",
            ),
            ("struct class * const *", "struct class * const *"),
            ("int (number_t)", "int (number_t)"),
        ],
    );
}

#[test]
fn cpp_names_have_scopes_and_template_arguments() {
    names(
        Language::Cpp,
        &[
            ("bool", "bool"),
            ("point &", "point &"),
            ("struct point &&", "point &&"),
            ("class point *&", "point *&"),
            ("int (&)[3]", "int (&)[3]"),
            ("::ns::Thing const &", "const ns::Thing &"),
            (
                "std::vector<int,std::allocator<int>>",
                "std::vector<int, std::allocator<int> >",
            ),
            ("a<(1>2)>::b<c->d>", "a<(1>2)>::b<c->d>"),
            ("int (*)()", "int (*)(void)"),
        ],
    );
}

#[test]
fn errors_point_at_the_character() {
    let program = program(Language::C);
    let cases = [
        ("", "expected type specifier", 0),
        ("const", "expected type specifier", 5),
        ("int foo", "unexpected 'foo' after type name", 4),
        ("int $", "invalid character '$'", 4),
        ("int [3", "expected ']' after array length", 6),
        ("int [x]", "expected ']' or array length", 5),
        ("int [08]", "invalid number '08'", 5),
        ("int (*", "expected ')' after declarator", 6),
        (
            "int *)",
            "expected '*', '[', '(' or the end of the type name",
            5,
        ),
        (
            "unsigned float",
            "cannot combine 'float' with 'unsigned'",
            9,
        ),
        ("number_t long", "cannot combine 'long' with 'number_t'", 9),
        ("long long long", "cannot combine 'long' with 'long'", 10),
        ("struct", "expected identifier after 'struct'", 6),
        ("struct int", "expected identifier after 'struct'", 7),
        (
            "struct <anonymous> *",
            "an anonymous type can't be found by name; take it from the member or object that has it",
            7,
        ),
        ("int (*)(char, )", "expected type specifier", 14),
        ("int &*", "there are no pointers to references", 5),
        ("int [3](void)", "there are no arrays of functions", 4),
        (
            "int (void)[3]",
            "functions return neither arrays nor functions",
            4,
        ),
        ("é::", "expected identifier after '::'", 3),
        ("std::vector<int", "template arguments are not closed", 11),
    ];
    for (text, message, column) in cases {
        match parse_type_name(&program, text, None) {
            Err(Error::Syntax(error)) => {
                assert_eq!(
                    error,
                    format!("{message}\n  {text}\n  {:column$}^", ""),
                    "{text}"
                );
            }
            other => panic!("{text}: {:?}", other.map(|ty| ty.type_name())),
        }
    }
    assert!(matches!(
        parse_type_name(&program, "int [18446744073709551616]", None),
        Err(Error::Value(_))
    ));
}

#[test]
fn names_that_nobody_knows() {
    let program = program(Language::C);
    let message = |text: &str, file| match parse_type_name(&program, text, file) {
        Err(Error::Lookup(message)) => message,
        other => panic!("{text}: {:?}", other.map(|ty| ty.type_name())),
    };
    assert_eq!(
        message("const struct nope *", None),
        "could not find 'struct nope'"
    );
    assert_eq!(message("point", None), "could not find 'point'");
    assert_eq!(
        message("struct point", Some("other.c")),
        "could not find 'struct point' in 'other.c'"
    );
    assert!(parse_type_name(&program, "struct point", Some("point.h")).is_ok());
}

#[test]
fn absurd_names_are_errors() {
    let program = program(Language::C);
    for text in [
        format!("int {}", "*".repeat(5000)),
        format!("int {}", "[1]".repeat(5000)),
        format!("int {}", "(".repeat(50_000)),
        format!("int {}", "(int ".repeat(50_000)),
        format!("int {}*{}", "(".repeat(5000), ")".repeat(5000)),
        format!("a{}", "<a".repeat(50_000)),
        "_Atomic(".repeat(50_000),
    ] {
        assert!(matches!(
            parse_type_name(&program, &text, None),
            Err(Error::Syntax(_))
        ));
    }
}
