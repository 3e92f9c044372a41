//! Objects as text.

use std::sync::Arc;

use kdive_engine::object::{AbsenceReason, FormatFlags, FormatOptions, Literal, Number};
use kdive_engine::program::{Symbol, SymbolBinding, SymbolFinder, SymbolKind, SymbolQuery};
use kdive_engine::types::{Content, Enumerator, Language, Member, PointerKind, Type};
use kdive_engine::{Error, Object, Program, Result, TypeKind};
use kdive_target::{AddressSpace, Architecture, ByteOrder, MemoryReader, Platform};

const BASE: u64 = 0xffff_0000;
const ORDER: ByteOrder = ByteOrder::Little;

struct Bytes(Vec<u8>);

impl MemoryReader for Bytes {
    fn read(&self, _: u64, offset: u64, buffer: &mut [u8]) -> kdive_target::Result<()> {
        let start = offset as usize;
        buffer.copy_from_slice(&self.0[start..start + buffer.len()]);
        Ok(())
    }
}

/// One symbol of 16 bytes.
struct OneSymbol;

impl SymbolFinder for OneSymbol {
    fn find(&self, _: &Arc<Program>, query: SymbolQuery<'_>) -> Result<Vec<Symbol>> {
        let start = BASE + 0x10;
        let is_hit = query
            .address
            .is_some_and(|address| (start..start + 16).contains(&address));
        Ok(is_hit
            .then(|| Symbol {
                name: "sym".into(),
                address: start,
                size: 16,
                binding: SymbolBinding::Global,
                kind: SymbolKind::Object,
            })
            .into_iter()
            .collect())
    }
}

/// A program with "AAAA\0BBBB\0…TTTT\0" and 200 zeros in its memory.
fn program() -> Arc<Program> {
    let program = Program::new(Some(Platform {
        architecture: Architecture::X86_64,
        is_64_bit: true,
        byte_order: ORDER,
    }));
    let mut bytes: Vec<u8> = (b'A'..=b'T')
        .flat_map(|letter| [letter, letter, letter, letter, 0])
        .collect();
    bytes.extend([0; 200]);
    let size = bytes.len() as u64;
    program.add_memory_segment(AddressSpace::Virtual, BASE, size, Arc::new(Bytes(bytes)));
    program
        .symbol_finders()
        .register("one", Arc::new(OneSymbol), Some(0))
        .unwrap();
    program
}

fn int() -> Type {
    Type::int("int", 4, true, ORDER, Language::C)
}

fn char() -> Type {
    Type::int("char", 1, true, ORDER, Language::C)
}

fn double() -> Type {
    Type::float("double", 8, ORDER, Language::C)
}

fn pointer(target: Type) -> Type {
    Type::pointer(target, PointerKind::Pointer, 8, ORDER, Language::C)
}

fn array(element: Type, length: impl Into<Option<u64>>) -> Type {
    Type::array(element, length.into(), Language::C)
}

fn compound(kind: TypeKind, tag: Option<&str>, size: u64, members: &[(&str, u64, Type)]) -> Type {
    let members = members
        .iter()
        .map(|(name, offset, ty)| Member {
            name: Some(*name).filter(|name| !name.is_empty()).map(Arc::from),
            bit_offset: *offset,
            is_base_class: false,
            alignment: None,
            content: Content::from_type(ty.clone()),
        })
        .collect();
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
    compound(
        TypeKind::Struct,
        tag,
        8,
        &[("a", 0, int()), ("b", 32, int())],
    )
}

fn color() -> Type {
    let enumerators = [("RED", 0), ("BLUE", 5)].map(|(name, value)| Enumerator {
        name: name.into(),
        value,
    });
    Type::enumeration(
        Some("color"),
        Some((int(), enumerators.to_vec())),
        ORDER,
        Language::C,
    )
    .unwrap()
}

fn at(program: &Arc<Program>, ty: Type, address: u64) -> Object {
    Object::reference(program, ty, address, 0, None).unwrap()
}

fn number(program: &Arc<Program>, ty: Type, value: i128) -> Object {
    Object::from_integer(program, ty, value).unwrap()
}

fn from_bytes(program: &Arc<Program>, ty: Type, bytes: &[u8]) -> Object {
    Object::from_bytes(program, ty, bytes, 0, None).unwrap()
}

fn ints(values: &[i32]) -> Vec<u8> {
    values
        .iter()
        .flat_map(|value| value.to_le_bytes())
        .collect()
}

fn text(object: &Object) -> String {
    object.format(&FormatOptions::default()).unwrap()
}

fn with(object: &Object, change: impl FnOnce(&mut FormatOptions)) -> String {
    let mut options = FormatOptions::default();
    change(&mut options);
    object.format(&options).unwrap()
}

fn in_columns(object: &Object, columns: usize, flags: FormatFlags) -> String {
    with(object, |options| {
        options.columns = Some(columns);
        options.flags |= flags;
    })
}

#[test]
fn numbers() {
    let program = program();
    let float = |value| {
        let object = Object::from_number(&program, double(), Number::Float(value), None).unwrap();
        text(&object)
    };
    assert_eq!(text(&number(&program, int(), -5)), "(int)-5");
    assert_eq!(text(&number(&program, char(), 65)), "(char)65");
    assert_eq!(text(&number(&program, color(), 5)), "(enum color)BLUE");
    assert_eq!(text(&number(&program, color(), -7)), "(enum color)-7");
    for (value, expected) in [
        (3.0, "(double)3.0"),
        (-0.0, "(double)-0.0"),
        (0.1, "(double)0.10000000000000001"),
        (1e-5, "(double)1.0000000000000001e-05"),
        (1e16, "(double)10000000000000000.0"),
        (1.5, "(double)1.5"),
        (123.456, "(double)123.456"),
        (f64::NAN, "(double)nan"),
        (f64::NEG_INFINITY, "(double)-inf"),
        (
            1e100,
            "(double)10000000000000000159028911097599180468360808563945281389781327557747838772170381060813469985856815104.0",
        ),
    ] {
        assert_eq!(float(value), expected);
    }
    let in_base = |value, base| {
        with(&number(&program, int(), value), |options| {
            options.integer_base = base;
        })
    };
    assert_eq!(in_base(-20, 8), "(int)-024");
    assert_eq!(in_base(0, 8), "(int)0");
    assert_eq!(in_base(20, 16), "(int)0x14");
    assert!(matches!(
        number(&program, int(), 1).format(&FormatOptions {
            integer_base: 2,
            ..FormatOptions::default()
        }),
        Err(Error::Value(_))
    ));
    let wide = Type::int("__int128", 16, true, ORDER, Language::C);
    assert_eq!(text(&number(&program, wide, -3)), "(__int128)-3");
    let very_wide = Type::int("u256", 32, false, ORDER, Language::C);
    let mut bytes = [0; 32];
    bytes[25] = 1;
    assert_eq!(
        text(&from_bytes(&program, very_wide, &bytes)),
        "(u256)0x100000000000000000000000000000000000000000000000000"
    );
}

#[test]
fn characters_and_strings() {
    let program = program();
    let character = |value| {
        with(&number(&program, char(), value), |options| {
            options.flags |= FormatFlags::CHAR;
        })
    };
    for (value, expected) in [
        (0, "(char)'\\0'"),
        (7, "(char)'\\a'"),
        (27, "(char)'\\x1b'"),
        (34, "(char)'\"'"),
        (39, "(char)'\\''"),
        (92, "(char)'\\\\'"),
        (-1, "(char)'\\xff'"),
    ] {
        assert_eq!(character(value), expected);
    }
    let string = from_bytes(&program, array(char(), 8), b"\"'\\\n\x7f\xff\0x");
    assert_eq!(text(&string), "(char [8])\"\\\"'\\\\\\n\\x7f\\xff\"");
    assert_eq!(
        with(&string, |options| options.flags.remove(FormatFlags::STRING)),
        "(char [8]){ 34, 39, 92, 10, 127, -1, 0, 120 }"
    );
    let alias = Type::typedef("mychar", char(), Language::C);
    assert_eq!(
        text(&from_bytes(&program, array(alias, 2), b"hi")),
        "(mychar [2]){ 104, 105 }"
    );
    assert_eq!(
        text(&at(&program, array(array(char(), 5), 3), BASE)),
        "(char [3][5]){ \"AAAA\", \"BBBB\", \"CCCC\" }"
    );
}

#[test]
fn pointers() {
    let program = program();
    let shown = |target, address| text(&number(&program, pointer(target), i128::from(address)));
    assert_eq!(shown(int(), 0), "(int *)0x0");
    assert_eq!(shown(int(), BASE), "*(int *)0xffff0000 = 1094795585");
    assert_eq!(
        shown(int(), BASE + 0x14),
        "*(int *)(sym+0x4 = 0xffff0014) = 1162167621"
    );
    assert_eq!(
        shown(Type::void(Language::C), BASE + 0x14),
        "(void *)sym+0x4 = 0xffff0014"
    );
    assert_eq!(
        shown(char(), BASE + 0x10),
        "(char *)sym+0x0 = 0xffff0010 = \"DDD\""
    );
    assert_eq!(
        shown(two_ints(Some("s")), BASE),
        "*(struct s *)0xffff0000 = {\n\t.a = (int)1094795585,\n\t.b = (int)1111638528,\n}"
    );
    assert_eq!(
        shown(array(char(), 6), BASE),
        "*(char (*)[6])0xffff0000 = \"AAAA\""
    );
    assert_eq!(shown(char(), 0x10), "(char *)0x10");
    let plain = number(&program, pointer(int()), i128::from(BASE));
    assert_eq!(
        with(&plain, |options| options
            .flags
            .remove(FormatFlags::DEREFERENCE)),
        "(int *)0xffff0000"
    );
    assert_eq!(
        with(&plain, |options| options
            .flags
            .remove(FormatFlags::TYPE_NAME)),
        "*0xffff0000 = 1094795585"
    );
    let three = [BASE, BASE + 0x14, 1].map(u64::to_le_bytes).concat();
    assert_eq!(
        text(&from_bytes(&program, array(pointer(char()), 3), &three)),
        "(char *[3]){ 0xffff0000 = \"AAAA\", sym+0x4 = 0xffff0014 = \"EEEE\", 0x1 }"
    );
}

#[test]
fn structures() {
    let program = program();
    let union = compound(TypeKind::Union, None, 4, &[("x", 0, int())]);
    let outer = compound(
        TypeKind::Struct,
        Some("outer"),
        32,
        &[
            ("s", 0, two_ints(None)),
            ("", 64, union),
            ("text", 96, array(char(), 4)),
            ("list", 128, array(int(), 3)),
            ("rest", 224, array(int(), None)),
        ],
    );
    let mut bytes = ints(&[1, -2, 3, 0, 0, 7, 0, 9]);
    bytes[12..14].copy_from_slice(b"hi");
    let object = from_bytes(&program, outer, &bytes);
    assert_eq!(
        text(&object),
        "(struct outer){\n\t.s = (struct <anonymous>){\n\t\t.a = (int)1,\n\t\t.b = (int)-2,\n\t},\n\
         \t.x = (int)3,\n\t.text = (char [4])\"hi\",\n\t.list = (int [3]){ 0, 7 },\n\
         \t.rest = (int [])<absent>,\n}"
    );
    let bare = FormatFlags::MEMBERS_SAME_LINE
        | FormatFlags::ELEMENTS_SAME_LINE
        | FormatFlags::STRING
        | FormatFlags::ELEMENT_INDICES;
    assert_eq!(
        with(&object, |options| options.flags = bare),
        "{ { 1, -2 }, { 3 }, \"hi\", { [1] = 7 } }"
    );
    let zero = from_bytes(&program, two_ints(Some("s")), &[0; 8]);
    assert_eq!(
        with(&zero, |options| options
            .flags
            .remove(FormatFlags::IMPLICIT_MEMBERS)),
        "(struct s){}"
    );
}

#[test]
fn arrays() {
    let program = program();
    let one = from_bytes(&program, array(int(), 6), &ints(&[0, 1, 0, 2, 0, 0]));
    let two = from_bytes(
        &program,
        array(array(int(), 3), 3),
        &ints(&[0, 0, 0, 2, 0, 1, 0, 0, 0]),
    );
    let three = from_bytes(
        &program,
        array(two_ints(Some("s")), 3),
        &ints(&[0, 0, 1, 0, 0, 0]),
    );
    assert_eq!(text(&one), "(int [6]){ 0, 1, 0, 2 }");
    assert_eq!(text(&two), "(int [3][3]){ {}, { 2, 0, 1 } }");
    assert_eq!(
        text(&three),
        "(struct s [3]){\n\t{\n\t\t.a = (int)0,\n\t\t.b = (int)0,\n\t},\n\
         \t{\n\t\t.a = (int)1,\n\t\t.b = (int)0,\n\t},\n}"
    );
    let indices = |object: &Object| {
        with(object, |options| {
            options.flags |= FormatFlags::ELEMENT_INDICES;
        })
    };
    assert_eq!(indices(&one), "(int [6]){ [1] = 1, [3] = 2 }");
    assert_eq!(indices(&two), "(int [3][3]){ [1] = { [0] = 2, [2] = 1 } }");
    let all = |object: &Object| {
        with(object, |options| {
            options.flags |= FormatFlags::IMPLICIT_ELEMENTS | FormatFlags::ELEMENT_TYPE_NAMES;
        })
    };
    assert_eq!(
        all(&one),
        "(int [6]){ (int)0, (int)1, (int)0, (int)2, (int)0, (int)0 }"
    );
    assert_eq!(text(&at(&program, array(int(), None), BASE)), "(int []){}");
    assert_eq!(text(&at(&program, array(int(), 0), BASE)), "(int [0]){}");
}

#[test]
fn lines_break_at_the_last_column() {
    let program = program();
    let numbers: Vec<i32> = (0..12).collect();
    let list = from_bytes(&program, array(int(), 12), &ints(&numbers));
    let none = FormatFlags::empty();
    assert_eq!(
        in_columns(&list, 20, none),
        "(int [12]){\n\t0, 1, 2, 3,\n\t4, 5, 6, 7,\n\t8, 9, 10,\n\t11,\n}"
    );
    assert!(in_columns(&list, 0, none).starts_with("(int [12]){\n\t0,\n\t1,\n"));
    let grid = from_bytes(
        &program,
        array(array(int(), 3), 3),
        &ints(&[1, 1, 10, 2, 0, 99, 3, 4, 5]),
    );
    for (columns, expected) in [
        (
            20,
            "(int [3][3]){\n\t{\n\t\t1,\n\t\t1,\n\t\t10,\n\t},\n\t{\n\t\t2,\n\t\t0,\n\t\t99,\n\t},\n\t{ 3, 4, 5 },\n}",
        ),
        (
            21,
            "(int [3][3]){\n\t{ 1, 1, 10 },\n\t{ 2, 0, 99 },\n\t{ 3, 4, 5 },\n}",
        ),
        (
            34,
            "(int [3][3]){\n\t{ 1, 1, 10 },\n\t{ 2, 0, 99 }, { 3, 4, 5 },\n}",
        ),
        (
            35,
            "(int [3][3]){\n\t{ 1, 1, 10 }, { 2, 0, 99 },\n\t{ 3, 4, 5 },\n}",
        ),
    ] {
        assert_eq!(in_columns(&grid, columns, none), expected, "{columns}");
    }
    let pairs = from_bytes(
        &program,
        array(two_ints(Some("s")), 2),
        &ints(&[1, 0, 0, 1]),
    );
    assert_eq!(
        in_columns(&pairs, 60, FormatFlags::MEMBERS_SAME_LINE),
        "(struct s [2]){\n\t{ .a = (int)1, .b = (int)0 },\n\t{ .a = (int)0, .b = (int)1 },\n}"
    );
    assert_eq!(
        in_columns(&pairs, 30, FormatFlags::MEMBERS_SAME_LINE),
        "(struct s [2]){\n\t{\n\t\t.a = (int)1,\n\t\t.b = (int)0,\n\t},\n\
         \t{\n\t\t.a = (int)0,\n\t\t.b = (int)1,\n\t},\n}"
    );
}

#[test]
fn what_can_be_read_is_shown_and_the_rest_marked() {
    let program = program();
    let end = BASE + 300;
    let list = at(&program, array(int(), 1000), end - 8);
    assert_eq!(
        text(&list),
        "(int [1000]){ 0, 0, [2 ... 999] = <not readable: 0xffff012c> }"
    );
    let pair = compound(
        TypeKind::Struct,
        Some("pair"),
        16,
        &[("text", 0, array(char(), 4)), ("lost", 64, pointer(int()))],
    );
    assert_eq!(
        text(&at(&program, pair.clone(), end - 8)),
        "(struct pair){\n\t.text = (char [4])\"\",\n\t.lost = <not readable: 0xffff012c>,\n}"
    );
    let nothing = at(&program, pair, 0x10).format(&FormatOptions::default());
    assert!(matches!(nothing, Err(Error::Target(_))));
}

#[test]
fn what_has_no_value() {
    let program = program();
    let absent = |reason| text(&Object::absent(&program, int(), reason, None).unwrap());
    assert_eq!(absent(AbsenceReason::Other), "(int)<absent>");
    assert_eq!(absent(AbsenceReason::OptimizedOut), "(int)<optimized out>");
    assert_eq!(
        absent(AbsenceReason::NotImplemented),
        "(int)<not implemented>"
    );
    let void = at(&program, Type::void(Language::C), BASE);
    assert!(matches!(
        void.format(&FormatOptions::default()),
        Err(Error::Type(message)) if message == "cannot format void object"
    ));
    let function = Type::function(int(), Vec::new(), false, Vec::new(), Language::C);
    assert_eq!(
        text(&at(&program, function, BASE)),
        "(int (void))0xffff0000"
    );
}

#[test]
fn absurd_values_are_errors() {
    let program = program();
    let fails = |ty| {
        at(&program, ty, BASE)
            .format(&FormatOptions::default())
            .is_err()
    };
    assert!(fails(array(int(), 1 << 62)));
    assert!(fails(array(char(), u64::MAX)));
    let empty = compound(TypeKind::Struct, Some("empty"), 0, &[]);
    let many = at(&program, array(empty, u64::MAX), BASE);
    assert_eq!(text(&many), "(struct empty [18446744073709551615]){}");
    assert!(
        many.format(&FormatOptions {
            flags: FormatFlags::IMPLICIT_ELEMENTS,
            ..FormatOptions::default()
        })
        .is_err()
    );
    let mut nested = int();
    for _ in 0..500 {
        nested = compound(
            TypeKind::Struct,
            None,
            4,
            &[("a", 0, nested.clone()), ("b", 0, nested)],
        );
    }
    assert!(fails(nested));
}

#[test]
fn constructor_calls() {
    let program = program();
    let call = |object: &Object| object.constructor_call().unwrap();
    assert_eq!(
        call(&number(&program, int(), -5)),
        "Object(prog, 'int', value=-5)"
    );
    assert_eq!(
        call(&number(&program, pointer(int()), 0x10)),
        "Object(prog, 'int *', value=0x10)"
    );
    let float =
        |value| call(&Object::from_number(&program, double(), Number::Float(value), None).unwrap());
    assert_eq!(float(0.1), "Object(prog, 'double', value=0.1)");
    assert_eq!(float(1e22), "Object(prog, 'double', value=1e+22)");
    assert_eq!(float(1e-7), "Object(prog, 'double', value=1e-07)");
    assert_eq!(float(f64::INFINITY), "Object(prog, 'double', value=inf)");
    assert_eq!(
        call(&from_bytes(&program, two_ints(Some("s")), &ints(&[1, 2]))),
        "Object(prog, 'struct s', value={'a': 1, 'b': 2})"
    );
    assert_eq!(
        call(&at(&program, two_ints(Some("s")), BASE)),
        "Object(prog, 'struct s', address=0xffff0000)"
    );
    let field = Object::reference(&program, int(), BASE, 3, Some(5)).unwrap();
    assert_eq!(
        call(&field),
        "Object(prog, 'int', address=0xffff0000, bit_offset=3, bit_field_size=5)"
    );
    let wide = Type::int("i256", 32, true, ORDER, Language::C);
    let mut bytes = [0xff; 32];
    bytes[25] = 0xfe;
    assert_eq!(
        call(&from_bytes(&program, wide, &bytes)),
        "Object(prog, 'i256', value=-1606938044258990275541962092341162602522202993782792835301377)"
    );
    let literal = Literal::List(vec![Literal::Number(7u64.into())]);
    let list = Object::from_literal(&program, array(int(), 2), &literal, None).unwrap();
    assert_eq!(call(&list), "Object(prog, 'int [2]', value=[7, 0])");
}
