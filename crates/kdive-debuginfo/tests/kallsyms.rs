//! The symbols that kernels have of themselves: every way to write them, and damaged ones.

#[path = "common/kernel_symbols.rs"]
mod kernel_symbols;

use kdive_debuginfo::kallsyms;
use kdive_target::ByteOrder;
use kernel_symbols::{Encoding, NAMES, Tables, address};

#[test]
fn every_encoding_gives_the_addresses() {
    for encoding in Encoding::ALL {
        let (memory, info) = Tables::new(encoding, 6).load();
        let symbols = kallsyms::read(&memory, &info, ByteOrder::Little)
            .expect("the table is sound")
            .expect("there is one");
        for (index, name) in NAMES.iter().enumerate() {
            let found = symbols.by_name(&name[1..]).map(|symbol| symbol.address);
            assert_eq!(found, Some(address(index)), "{encoding:?} {name}");
        }
    }
}

/// Whatever one byte becomes and wherever memory ends, there is an error or a table.
#[test]
fn damaged_tables_are_errors() {
    for encoding in Encoding::ALL {
        let length = Tables::new(encoding, 6).bytes.len();
        let mut refused = 0;
        for position in (0..length).step_by(3) {
            let mut cut = Tables::new(encoding, 6);
            cut.bytes.truncate(position);
            let (memory, info) = cut.load();
            assert!(
                kallsyms::read(&memory, &info, ByteOrder::Little).is_err(),
                "{encoding:?} cut to {position} bytes"
            );
            for value in [0, 0x7f, 0x80, 0xff] {
                let mut damaged = Tables::new(encoding, 6);
                damaged.bytes[position] = value;
                let (memory, info) = damaged.load();
                refused += u32::from(kallsyms::read(&memory, &info, ByteOrder::Little).is_err());
            }
        }
        assert!(refused > 0, "{encoding:?}");
    }
}
