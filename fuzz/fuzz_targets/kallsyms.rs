//! The symbols that a kernel has of itself and its modules.
//!
//! A sound table of few symbols is made, in an encoding that the input chooses; the rest of the
//! input says which of its bytes become what, and where memory ends.

#![no_main]

#[path = "../../crates/kdive-debuginfo/tests/common/kernel_symbols.rs"]
mod kernel_symbols;

use kdive_debuginfo::kallsyms::{self, KernelImage, exports, module::ModuleSymbols};
use kdive_target::ByteOrder;
use kernel_symbols::{Encoding, START, Tables};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let Some(([encoding, form, length], rest)) = input.split_first_chunk::<3>() else {
        return;
    };
    let chosen = Encoding::ALL[usize::from(*encoding) % Encoding::ALL.len()];
    let mut tables = Tables::new(chosen, encoding / 16);
    for [low, high, value] in rest.as_chunks::<3>().0 {
        let position = usize::from(u16::from_le_bytes([*low, *high]));
        if let Some(byte) = tables.bytes.get_mut(position) {
            *byte = *value;
        }
    }
    if form & 1 != 0 {
        let kept = tables.bytes.len() * usize::from(*length) / 255;
        tables.bytes.truncate(kept);
    }
    if form & 2 != 0 {
        // As before Linux 6.0, whose VMCOREINFO doesn't say where the tables are.
        let lines = tables
            .info
            .lines()
            .filter(|line| !line.contains("kallsyms"));
        tables.info = lines.collect::<Vec<_>>().join("\n");
    }
    let (memory, info) = tables.load();
    if let Ok(Some(symbols)) = kallsyms::read(&memory, &info, ByteOrder::Little) {
        let _ = symbols.by_name("schedule");
        let mut found = Vec::new();
        symbols.find(None, Some(START), false, &mut found);
    }
    let _ = exports::find(&KernelImage::new(&memory, ByteOrder::Little, START));
    let module = ModuleSymbols {
        symbols: START,
        count: u64::from(*length),
        strings: START + 64,
        has_letters: form & 4 != 0,
    };
    let _ = module.read(&memory, ByteOrder::Little, form & 8 == 0);
    let _ = kallsyms::listed(rest, Some(START));
});
