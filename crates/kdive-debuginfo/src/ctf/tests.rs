//! Dictionaries written by hand: what no tool of today writes, and what none should.

use kdive_target::ByteOrder;

use super::*;
use crate::TypeSource;
use crate::description::{
    CompoundKind, Location, ObjectKinds, Shape, TypeDescription, TypeId, TypeKinds,
};

const V2: u8 = 3;
const V3: u8 = 4;

const INTEGER: u32 = 1;
const POINTER: u32 = 3;
const ARRAY: u32 = 4;
const STRUCT: u32 = 6;
const FORWARD: u32 = 9;
const TYPEDEF: u32 = 10;

const STRINGS: &[u8] = b"\0int\0s\0a\0b\0v\0shared\0t\0";
const INT: u32 = 1;
const S: u32 = 5;
const A: u32 = 7;
const B: u32 = 9;
const V: u32 = 11;
const SHARED: u32 = 13;
const T: u32 = 20;

fn info(kind: u32, count: u32) -> u32 {
    kind << 26 | 1 << 25 | count
}

struct Sample<'a> {
    version: u8,
    is_big_endian: bool,
    parent: u32,
    variables: &'a [u32],
    types: &'a [u32],
}

impl Sample<'_> {
    fn of(types: &[u32]) -> Sample<'_> {
        Sample {
            version: V3,
            is_big_endian: false,
            parent: 0,
            variables: &[],
            types,
        }
    }

    fn bytes(&self) -> Vec<u8> {
        let word = |word: &u32| {
            if self.is_big_endian {
                word.to_be_bytes()
            } else {
                word.to_le_bytes()
            }
        };
        let magic = 0xdff2_u16;
        let mut bytes = if self.is_big_endian {
            magic.to_be_bytes().to_vec()
        } else {
            magic.to_le_bytes().to_vec()
        };
        bytes.extend([self.version, 0]);
        let types = self.variables.len() as u32 * 4;
        let strings = types + self.types.len() as u32 * 4;
        let ends = [0, types, strings, STRINGS.len() as u32];
        let header = if self.version == V2 {
            [&[0, self.parent, 0, 0, 0], &ends[..]].concat()
        } else {
            [&[0, self.parent, 0, 0, 0, 0, 0, 0], &ends[..]].concat()
        };
        for part in [&header, self.variables, self.types] {
            bytes.extend(part.iter().flat_map(word));
        }
        bytes.extend_from_slice(STRINGS);
        bytes
    }

    fn open(&self) -> crate::Result<CtfSource> {
        open(&self.bytes(), ArrayOrder::OutermostFirst)
    }
}

fn open(bytes: &[u8], arrays: ArrayOrder) -> crate::Result<CtfSource> {
    let environment = Environment {
        pointer_size: 8,
        byte_order: ByteOrder::Little,
        arrays,
    };
    CtfSource::new(Archive::parse("sample", bytes.into())?, environment)
}

fn found(source: &CtfSource, name: &str) -> TypeId {
    let found = source.find_types(TypeKinds::all(), name, None);
    *found
        .expect("a lookup")
        .first()
        .expect("a type of this name")
}

/// struct s { int a : 3, b : 5; } as `dwarf2ctf` wrote it, and a variable.
const OLD: Sample<'_> = Sample {
    version: V2,
    is_big_endian: false,
    parent: 0,
    variables: &[V, 4],
    types: &[
        // 1: int
        INT,
        INTEGER << 26 | 1 << 25,
        4,
        1 << 24 | 32,
        // 2, 3: 3 bits of it, and 5 bits from the third one on; they are not found by name
        INT,
        INTEGER << 26,
        4,
        1 << 24 | 3,
        INT,
        INTEGER << 26,
        4,
        1 << 24 | 3 << 16 | 5,
        // 4: struct s
        S,
        STRUCT << 26 | 1 << 25 | 2,
        4,
        A,
        0,
        2,
        B,
        0,
        3,
    ],
};

#[test]
fn version_2_has_bit_fields_as_integers_of_fewer_bits() {
    for is_big_endian in [false, true] {
        let source = Sample {
            is_big_endian,
            ..OLD
        }
        .open()
        .expect("the sample is valid");
        assert_eq!(found(&source, "int").0, 1, "the whole one");
        let members = source.members(found(&source, "s")).expect("a structure");
        let places: Vec<_> = members
            .iter()
            .map(|member| {
                (
                    member.name.as_deref(),
                    member.bit_offset,
                    member.bit_field_size,
                )
            })
            .collect();
        assert_eq!(places, [(Some("a"), 0, Some(3)), (Some("b"), 3, Some(5))]);
        let objects = source
            .find_objects(ObjectKinds::VARIABLE, "v", None)
            .expect("a lookup");
        assert_eq!(objects.len(), 1);
        assert_eq!(objects[0].type_id, Some(TypeId(4)));
        assert_eq!(objects[0].location, Location::Symbol("v".into()));
    }
}

#[test]
fn arrays_are_read_in_the_order_of_their_compiler() {
    // int [2][3][], the last one without a type of its index.
    let array = info(ARRAY, 0);
    let types = [
        INT,
        info(INTEGER, 0),
        4,
        1 << 24 | 32,
        0,
        array,
        0,
        1,
        0,
        0,
        0,
        array,
        0,
        2,
        1,
        3,
        0,
        array,
        0,
        3,
        1,
        2,
        T,
        info(TYPEDEF, 0),
        4,
    ];
    let sample = Sample::of(&types);
    for (order, expected) in [
        (ArrayOrder::OutermostFirst, vec![Some(2), Some(3), None]),
        (ArrayOrder::InnermostFirst, vec![None, Some(3), Some(2)]),
    ] {
        let source = open(&sample.bytes(), order).expect("the sample is valid");
        let Ok(TypeDescription {
            shape:
                Shape::Typedef {
                    target: Some(target),
                    ..
                },
            ..
        }) = source.describe(found(&source, "t"))
        else {
            panic!("an alias is described as one");
        };
        let shape = source.describe(target).expect("an array").shape;
        let Shape::Array {
            element,
            dimensions,
        } = shape
        else {
            panic!("an array is described as one, not as {shape:?}");
        };
        assert_eq!((element, dimensions), (Some(TypeId(1)), expected));
    }
}

#[test]
fn what_is_only_declared_is_told_from_what_is_defined() {
    // struct s; union b; and something that is declared as what can't be declared.
    let source = Sample::of(&[
        S,
        info(FORWARD, 0),
        STRUCT,
        B,
        info(FORWARD, 0),
        7,
        A,
        info(FORWARD, 0),
        FORWARD,
    ])
    .open()
    .expect("the sample is valid");
    for (name, expected) in [
        ("s", CompoundKind::Struct),
        ("b", CompoundKind::Union),
        ("a", CompoundKind::Struct),
    ] {
        let id = found(&source, name);
        let shape = source.describe(id).expect("a declaration").shape;
        let Shape::Compound {
            kind,
            tag,
            size: None,
        } = shape
        else {
            panic!("a declaration is described as one, not as {shape:?}");
        };
        assert_eq!((kind, tag.as_deref()), (expected, Some(name)));
        assert_eq!(source.members(id).expect("none"), []);
    }
}

#[test]
fn circles_end() {
    // An array of itself, and a pointer to itself.
    let array = info(ARRAY, 0);
    let source = Sample::of(&[0, array, 0, 1, 1, 2, 0, info(POINTER, 0), 2])
        .open()
        .expect("the sample is valid");
    let error = source.describe(TypeId(1)).expect_err("it has no end");
    assert!(error.to_string().contains("more than 64 dimensions"));
    assert!(source.describe(TypeId(2)).is_ok());
    // A dictionary that goes on from itself, and from one that is not there.
    let own = Sample {
        parent: SHARED,
        ..OLD
    };
    let error = own.open().err().expect("there is none");
    assert!(error.to_string().contains("dictionary shared"), "{error}");
}

#[test]
fn other_versions_are_named() {
    for (version, message) in [
        (1, "CTF version 1 is not supported"),
        (5, "format number 5 is not supported"),
    ] {
        let mut bytes = Sample::of(&[]).bytes();
        bytes[2] = version;
        let error = open(&bytes, ArrayOrder::OutermostFirst).err();
        let error = error.expect("it is not supported").to_string();
        assert!(error.contains(message), "{error}");
    }
    let error = Archive::parse("here", b"\x7fELF"[..].into()).err();
    let error = error.expect("it is something else").to_string();
    assert!(
        error.starts_with("here: this is neither CTF nor"),
        "{error}"
    );
}

#[test]
fn damaged_dictionaries_are_errors() {
    let whole = OLD.bytes();
    for length in 0..whole.len() {
        assert!(
            open(&whole[..length], ArrayOrder::OutermostFirst).is_err(),
            "cut to {length} bytes"
        );
    }
    for position in 0..whole.len() {
        for value in [0, 1, 0x7f, 0x80, 0xff] {
            let mut damaged = whole.clone();
            damaged[position] = value;
            let Ok(source) = open(&damaged, ArrayOrder::InnermostFirst) else {
                continue;
            };
            for id in 0..8 {
                let _ = source.describe(TypeId(id));
                let _ = source.members(TypeId(id));
                let _ = source.enumerators(TypeId(id));
            }
            let _ = source.find_objects(ObjectKinds::all(), "v", None);
        }
    }
}
