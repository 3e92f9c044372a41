//! Tables of types in BTF.
//!
//! The input is the records and, after the first two bytes that say how many bytes they have, the
//! strings; the header is made for them, so that no corpus is needed to reach behind it.

#![no_main]

use std::sync::Arc;

use kdive_debuginfo::btf::{ArrayOrder, Btf, BtfSource, Environment};
use kdive_fuzz::visit;
use libfuzzer_sys::fuzz_target;

const MAGIC: u16 = 0xeb9f;
const HEADER_LENGTH: u32 = 24;

fuzz_target!(|input: &[u8]| {
    let Some((length, rest)) = input.split_first_chunk::<2>() else {
        return;
    };
    let length = usize::from(u16::from_le_bytes(*length)).min(rest.len());
    let (records, names) = rest.split_at(length);
    let mut table = MAGIC.to_le_bytes().to_vec();
    table.extend([1, 0]);
    let strings = names.len() as u32 + 2;
    for number in [HEADER_LENGTH, 0, length as u32, length as u32, strings] {
        table.extend(number.to_le_bytes());
    }
    table.extend(records);
    table.push(0);
    table.extend(names);
    table.push(0);
    let Ok(btf) = Btf::parse("input", table.into(), None) else {
        return;
    };
    let environment = Environment {
        pointer_size: 8,
        char_is_signed: true,
        arrays: ArrayOrder::InnermostFirst,
        module: None,
    };
    let Ok(source) = BtfSource::new(Arc::new(btf), environment) else {
        return;
    };
    visit(&source, None);
});
