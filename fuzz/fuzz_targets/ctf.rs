//! Types in CTF.
//!
//! The input says which of three forms it has: a whole file, the body of a dictionary for which a
//! header is made, or such a dictionary as the kernel's in an archive with the one that it goes on
//! from. So no corpus is needed to reach behind the headers.

#![no_main]

use kdive_debuginfo::ctf::{Archive, ArrayOrder, CtfSource, Environment};
use kdive_fuzz::visit;
use kdive_target::ByteOrder;
use libfuzzer_sys::fuzz_target;

const MAGIC: u16 = 0xdff2;
const ARCHIVE_MAGIC: u64 = 0x8b47_f2a4_d762_3eeb;
const VERSION_3: u8 = 4;
const NEW_FUNCTIONS: u8 = 2;

/// A dictionary of these variables, types and strings.
fn dictionary(parent: u32, variables: &[u8], types: &[u8], strings: &[u8]) -> Vec<u8> {
    let mut table = MAGIC.to_le_bytes().to_vec();
    table.extend([VERSION_3, NEW_FUNCTIONS]);
    let at_types = variables.len() as u32;
    let at_strings = at_types + types.len() as u32;
    let length = strings.len() as u32;
    for number in [0, parent, 0, 0, 0, 0, 0, 0, 0, at_types, at_strings, length] {
        table.extend(number.to_le_bytes());
    }
    table.extend([variables, types, strings].concat());
    table
}

/// An archive of two dictionaries, `shared` and `vmlinux`.
fn archive(dictionaries: [&[u8]; 2]) -> Vec<u8> {
    const NAMES: &[u8] = b"shared\0vmlinux\0\0";
    let mut bytes = Vec::new();
    let names = 40 + 2 * 16;
    let start = names + NAMES.len() as u64;
    let second = 8 + dictionaries[0].len() as u64;
    for number in [ARCHIVE_MAGIC, 2, 2, names, start, 0, 0, 7, second] {
        bytes.extend(number.to_le_bytes());
    }
    bytes.extend(NAMES);
    for dictionary in dictionaries {
        bytes.extend((dictionary.len() as u64 + 8).to_le_bytes());
        bytes.extend(dictionary);
    }
    bytes
}

/// Strings that end, the first one empty.
fn strings(bytes: &[u8]) -> Vec<u8> {
    [b"\0shared\0", bytes, b"\0"].concat()
}

fuzz_target!(|input: &[u8]| {
    let Some(([form, variables, types], rest)) = input.split_first_chunk::<3>() else {
        return;
    };
    let (variables, rest) = rest.split_at(usize::from(*variables).min(rest.len()) / 8 * 8);
    let (types, names) = rest.split_at((usize::from(*types) * 4).min(rest.len()));
    let names = strings(names);
    let bytes = match form % 3 {
        0 => input[1..].to_vec(),
        1 => dictionary(0, variables, types, &names),
        _ => archive([
            &dictionary(0, &[], types, &names),
            &dictionary(1, variables, types, &names),
        ]),
    };
    let environment = Environment {
        pointer_size: 8,
        byte_order: ByteOrder::Little,
        arrays: if form & 0x80 == 0 {
            ArrayOrder::OutermostFirst
        } else {
            ArrayOrder::InnermostFirst
        },
    };
    let source = Archive::parse("input", bytes.into())
        .and_then(|archive| CtfSource::new(archive, environment));
    let Ok(source) = source else {
        return;
    };
    visit(&source, Some("a/shared.c"));
});
