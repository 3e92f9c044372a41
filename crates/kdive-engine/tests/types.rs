//! Names, declarations, definitions and constructor calls of types.

use std::sync::Arc;

use kdive_engine::object::{FormatOptions, Object};
use kdive_engine::types::{
    Argument, Content, Enumerator, Language, Member, Parameter, PointerKind, Qualifiers, Thunk,
    Type,
};
use kdive_engine::{Program, TypeKind};
use kdive_target::{Architecture, ByteOrder, Platform};

const ORDER: ByteOrder = ByteOrder::Little;
const CONST: Qualifiers = Qualifiers::CONST;

fn program() -> Arc<Program> {
    Program::new(Some(Platform {
        architecture: Architecture::X86_64,
        is_64_bit: true,
        byte_order: ORDER,
    }))
}

fn int() -> Type {
    Type::int("int", 4, true, ORDER, Language::C)
}

fn char() -> Type {
    Type::int("char", 1, true, ORDER, Language::C)
}

fn pointer(target: Type) -> Type {
    Type::pointer(target, PointerKind::Pointer, 8, ORDER, Language::C)
}

fn array(element: Type, length: impl Into<Option<u64>>) -> Type {
    Type::array(element, length.into(), Language::C)
}

fn function(returns: Type, parameters: Vec<(Option<&str>, Type)>, is_variadic: bool) -> Type {
    let parameters = parameters
        .into_iter()
        .map(|(name, ty)| Parameter {
            name: name.map(Arc::from),
            content: Content::from_type(ty),
        })
        .collect();
    Type::function(returns, parameters, is_variadic, Vec::new(), Language::C)
}

fn member(name: Option<&str>, bit_offset: u64, content: Content) -> Member {
    Member {
        name: name.map(Arc::from),
        bit_offset,
        is_base_class: false,
        alignment: None,
        content,
    }
}

fn compound(kind: TypeKind, tag: Option<&str>, size: u64, members: Vec<Member>) -> Type {
    Type::compound(
        kind,
        tag,
        Some((size, members)),
        Vec::new(),
        ORDER,
        Language::C,
    )
}

fn two_ints(tag: Option<&str>) -> Type {
    let members = vec![
        member(Some("a"), 0, Content::from_type(int())),
        member(Some("b"), 32, Content::from_type(int())),
    ];
    compound(TypeKind::Struct, tag, 8, members)
}

fn color(tag: Option<&str>) -> Type {
    let enumerators = vec![
        Enumerator {
            name: "RED".into(),
            value: 0,
        },
        Enumerator {
            name: "BLUE".into(),
            value: -5,
        },
    ];
    Type::enumeration(tag, Some((int(), enumerators)), ORDER, Language::C).unwrap()
}

fn callback() -> Type {
    pointer(function(
        int(),
        vec![(Some("x"), char()), (None, int())],
        true,
    ))
}

#[test]
fn names_and_declarations() {
    let anonymous = two_ints(None);
    let cases = [
        (
            int().qualified(Qualifiers::all()),
            "const volatile restrict _Atomic int",
            "const volatile restrict _Atomic int v",
        ),
        (two_ints(Some("s")), "struct s", "struct s v"),
        (
            anonymous.clone(),
            "struct <anonymous>",
            "struct {\n\tint a;\n\tint b;\n} v",
        ),
        (
            pointer(anonymous.clone()),
            "struct <anonymous> *",
            "struct <anonymous> *v",
        ),
        (
            pointer(int().qualified(CONST)),
            "const int *",
            "const int *v",
        ),
        (
            pointer(pointer(int()).qualified(CONST | Qualifiers::VOLATILE))
                .qualified(Qualifiers::RESTRICT),
            "int * const volatile * restrict",
            "int * const volatile * restrict v",
        ),
        (array(array(int(), 3), 2), "int [2][3]", "int v[2][3]"),
        (array(int(), None), "int []", "int v[]"),
        (array(pointer(int()), 3), "int *[3]", "int *v[3]"),
        (
            array(pointer(int()).qualified(CONST), 3),
            "int * const [3]",
            "int * const v[3]",
        ),
        (pointer(array(int(), 3)), "int (*)[3]", "int (*v)[3]"),
        (
            pointer(array(int(), None)).qualified(CONST),
            "int (* const)[]",
            "int (* const v)[]",
        ),
        (
            function(pointer(int()).qualified(CONST), vec![], false),
            "int * const (void)",
            "int * const v(void)",
        ),
        (function(int(), vec![], true), "int ()", "int v()"),
        (
            array(callback(), 4),
            "int (*[4])(char x, int, ...)",
            "int (*v[4])(char x, int, ...)",
        ),
        (
            function(
                callback(),
                vec![(Some("cb"), callback()), (None, pointer(char()))],
                false,
            ),
            "int (*(int (*cb)(char x, int, ...), char *))(char x, int, ...)",
            "int (*v(int (*cb)(char x, int, ...), char *))(char x, int, ...)",
        ),
        (
            function(
                Type::void(Language::C),
                vec![(Some("x"), anonymous), (Some("arr"), array(int(), 3))],
                false,
            ),
            "void (struct <anonymous> x, int arr[3])",
            "void v(struct <anonymous> x, int arr[3])",
        ),
        (
            Type::pointer(
                int().qualified(CONST),
                PointerKind::Reference,
                8,
                ORDER,
                Language::Cpp,
            ),
            "const int &",
            "const int &v",
        ),
        (
            Type::pointer(
                array(int(), 3),
                PointerKind::RvalueReference,
                8,
                ORDER,
                Language::Cpp,
            ),
            "int (&&)[3]",
            "int (&&v)[3]",
        ),
    ];
    for (ty, name, declaration) in cases {
        assert_eq!(ty.type_name().unwrap(), name);
        assert_eq!(ty.variable_declaration("v").unwrap(), declaration);
    }
}

#[test]
fn cpp_types_go_without_keywords() {
    let class = Type::compound(
        TypeKind::Class,
        Some("ns::K<int>"),
        Some((8, vec![])),
        Vec::new(),
        ORDER,
        Language::Cpp,
    );
    assert_eq!(class.type_name().unwrap(), "ns::K<int>");
    assert_eq!(class.definition().unwrap(), "class ns::K<int> {\n}");
    let base = Member {
        name: None,
        bit_offset: 0,
        is_base_class: true,
        alignment: None,
        content: Content::from_type(class),
    };
    let derived = Type::compound(
        TypeKind::Struct,
        Some("D"),
        Some((
            16,
            vec![base, member(Some("m"), 64, Content::from_type(int()))],
        )),
        Vec::new(),
        ORDER,
        Language::Cpp,
    );
    assert_eq!(
        derived.definition().unwrap(),
        "struct D : ns::K<int> {\n\tint m;\n}"
    );
}

#[test]
fn definitions() {
    let union = compound(
        TypeKind::Union,
        None,
        4,
        vec![member(Some("x"), 0, Content::from_type(int()))],
    );
    let outer = compound(
        TypeKind::Struct,
        Some("outer"),
        64,
        vec![
            member(Some("z"), 0, Content::from_bit_field(int(), 3)),
            member(None, 3, Content::from_bit_field(int(), 4)),
            member(
                Some("s"),
                32,
                Content::from_type(two_ints(None).qualified(CONST)),
            ),
            member(None, 96, Content::from_type(union)),
            member(Some("e"), 128, Content::from_type(color(None))),
            member(Some("fn"), 192, Content::from_type(callback())),
            member(
                Some("two"),
                256,
                Content::from_type(array(two_ints(None), 2)),
            ),
            member(None, 384, Content::from_type(two_ints(Some("named")))),
        ],
    );
    assert_eq!(
        outer.definition().unwrap(),
        "struct outer {\n\tint z : 3;\n\tint : 4;\n\tconst struct {\n\t\tint a;\n\t\tint b;\n\t} s;\n\
         \tunion {\n\t\tint x;\n\t};\n\tenum {\n\t\tRED = 0,\n\t\tBLUE = -5,\n\t} e;\n\
         \tint (*fn)(char x, int, ...);\n\tstruct <anonymous> two[2];\n\tstruct named;\n}"
    );
    let alias = Type::typedef("A", two_ints(None).qualified(CONST), Language::C);
    assert_eq!(
        alias.qualified(Qualifiers::VOLATILE).definition().unwrap(),
        "volatile typedef const struct {\n\tint a;\n\tint b;\n} A"
    );
    let incomplete = Type::compound(
        TypeKind::Struct,
        Some("later"),
        None,
        Vec::new(),
        ORDER,
        Language::C,
    );
    assert_eq!(incomplete.definition().unwrap(), "struct later");
    assert_eq!(
        Type::typedef("later_t", pointer(incomplete), Language::C)
            .definition()
            .unwrap(),
        "typedef struct later *later_t"
    );
}

#[test]
fn constructor_calls() {
    let program = program();
    let call = |ty: &Type| ty.constructor_call(&program).unwrap();
    assert_eq!(
        call(&int().qualified(CONST | Qualifiers::RESTRICT)),
        "prog.int_type(name='int', size=4, is_signed=True, qualifiers=<Qualifiers.CONST|RESTRICT: 5>)"
    );
    assert_eq!(
        call(&Type::float("it's", 4, ByteOrder::Big, Language::Cpp)),
        "prog.float_type(name=\"it's\", size=4, byteorder='big', language=Language.CPP)"
    );
    assert_eq!(
        call(&Type::pointer(
            two_ints(None),
            PointerKind::Pointer,
            4,
            ORDER,
            Language::C
        )),
        "prog.pointer_type(type=prog.struct_type(tag=None, size=8, members=(\
         TypeMember(prog.type('int'), name='a', bit_offset=0), \
         TypeMember(prog.type('int'), name='b', bit_offset=32))), size=4)"
    );
    let fields = compound(
        TypeKind::Union,
        Some("u"),
        4,
        vec![member(None, 3, Content::from_bit_field(int(), 4))],
    );
    assert_eq!(
        call(&fields),
        "prog.union_type(tag='u', size=4, members=(\
         TypeMember(Object(prog, 'int', bit_field_size=4), bit_offset=3),))"
    );
    assert_eq!(
        call(&color(Some("color"))),
        "prog.enum_type(tag='color', type=prog.int_type(name='int', size=4, is_signed=True), \
         enumerators=(TypeEnumerator('RED', 0), TypeEnumerator('BLUE', -5)))"
    );
    assert_eq!(
        call(&function(
            Type::void(Language::C),
            vec![(Some("x"), array(int(), None))],
            false
        )),
        "prog.function_type(type=prog.void_type(), parameters=(\
         TypeParameter(prog.type('int []'), name='x'),), is_variadic=False)"
    );
    assert_eq!(call(&Type::void(Language::C)), "prog.void_type()");
}

#[test]
fn functions_that_take_each_other_without_end_are_an_error() {
    let mut ty = function(int(), vec![], false);
    for _ in 0..200 {
        ty = function(int(), vec![(None, ty.clone()), (None, ty)], false);
    }
    assert!(matches!(
        ty.type_name(),
        Err(kdive_engine::Error::Recursion(_))
    ));
}

/// Gives the type that was put into it.
struct Later(Arc<std::sync::OnceLock<Type>>);

impl Thunk for Later {
    fn evaluate(&self) -> kdive_engine::Result<Argument> {
        Ok(Argument::Type(self.0.get().unwrap().clone()))
    }
}

/// An anonymous structure that contains itself twice, without a name and with one.
fn endless() -> Type {
    let cell = Arc::new(std::sync::OnceLock::new());
    let itself = || Content::from_thunk(Arc::new(Later(cell.clone())));
    let members = vec![
        member(None, 0, itself()),
        member(Some("again"), 0, itself()),
    ];
    let ty = compound(TypeKind::Struct, None, 8, members);
    assert!(cell.set(ty.clone()).is_ok());
    ty
}

fn is_too_deep<T>(result: &kdive_engine::Result<T>) -> bool {
    matches!(result, Err(kdive_engine::Error::Recursion(_)))
}

#[test]
fn structures_that_contain_themselves_are_errors() {
    let program = program();
    let ty = endless();
    assert!(is_too_deep(&ty.definition()));
    assert!(is_too_deep(&ty.variable_declaration("v")));
    assert!(is_too_deep(&ty.find_member("a")));
    assert!(is_too_deep(&ty.alignment()));
    assert_eq!(ty.type_name().unwrap(), "struct <anonymous>");
    assert!(
        ty.constructor_call(&program)
            .unwrap()
            .contains("prog.type('struct <anonymous>')")
    );
    let object = Object::from_bytes(&program, ty, &[1; 8], 0, None).unwrap();
    assert!(is_too_deep(&object.format(&FormatOptions::default())));
    assert!(object.value().is_err());
    assert!(object.constructor_call().is_err());
}

#[test]
fn ten_thousand_aliases_are_an_error() {
    let program = program();
    let mut ty = int();
    for _ in 0..10_000 {
        ty = Type::typedef("alias", ty, Language::C);
    }
    assert_eq!(ty.type_name().unwrap(), "alias");
    assert_eq!(ty.definition().unwrap(), "typedef alias alias");
    assert!(is_too_deep(&ty.unaliased()));
    assert!(is_too_deep(&ty.size()));
    assert!(is_too_deep(&ty.constructor_call(&program)));
    assert!(is_too_deep(&Object::from_integer(&program, ty, 1)));
}

#[test]
fn long_chains_of_types_are_dropped_within_the_stack() {
    const LENGTH: usize = 100_000;
    let chain = |wrap: &dyn Fn(Type) -> Type| {
        let mut ty = int();
        for _ in 0..LENGTH {
            ty = wrap(ty);
        }
        ty
    };
    let nested = |ty| {
        let members = vec![member(Some("m"), 0, Content::from_type(ty))];
        compound(TypeKind::Struct, None, 4, members)
    };
    let aliases = chain(&|ty| Type::typedef("alias", ty, Language::C));
    let pointers = chain(&pointer);
    let arrays = chain(&|ty| array(ty, 1));
    let structures = chain(&nested);
    let functions = chain(&|ty| function(ty, Vec::new(), false));
    let parameters = chain(&|ty| function(int(), vec![(None, ty)], false));
    assert!(is_too_deep(&aliases.unaliased()));
    assert!(is_too_deep(&pointers.type_name()));
    assert!(is_too_deep(&arrays.size()));
    assert!(is_too_deep(&structures.alignment()));
    assert!(is_too_deep(&functions.type_name()));
    assert!(is_too_deep(&parameters.type_name()));
    for ty in [aliases, pointers, arrays, structures, functions] {
        let kind = ty.kind();
        let inner = match ty.target().unwrap() {
            Some(target) => target,
            None => ty.find_member("m").unwrap().unwrap().ty,
        };
        drop(ty);
        // What is still in use survives the type that it belonged to.
        assert_eq!(inner.kind(), kind);
    }
    drop(parameters);
}

#[test]
fn arrays_of_2_to_the_63_elements_are_errors() {
    let program = program();
    let ty = array(int(), 1 << 63);
    assert_eq!(ty.type_name().unwrap(), "int [9223372036854775808]");
    assert!(matches!(ty.size(), Err(kdive_engine::Error::Overflow(_))));
    let object = Object::reference(&program, ty, 0x1000, 0, None).unwrap();
    assert!(object.value().is_err());
    assert!(object.read().is_err());
    assert!(object.format(&FormatOptions::default()).is_err());
    let characters = array(char(), 1 << 63);
    let object = Object::reference(&program, characters, 0x1000, 0, None).unwrap();
    assert!(object.format(&FormatOptions::default()).is_err());
    assert!(object.value().is_err());
}
