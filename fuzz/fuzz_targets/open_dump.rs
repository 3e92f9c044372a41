//! Damaged dumps of every format.
//!
//! The input is a byte that chooses the dump, then for each damage an offset in three bytes and
//! the new byte; the rest of an input that starts with 255 is a dump by itself.

#![no_main]

#[path = "../../crates/kdive-target/tests/machine/mod.rs"]
mod machine;

use std::fs::File;
use std::io::Write;
use std::ops::ControlFlow;
use std::os::fd::OwnedFd;
use std::sync::LazyLock;

use kdive_target::search::{Pattern, Search};
use kdive_target::verify::verify;
use kdive_target::{AddressSpace, ExcludedPages, OpenOptions, open_file};
use libfuzzer_sys::fuzz_target;
use machine::{Codec, KERNEL, Kdump, PAGE, PAGES};

static DUMPS: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| {
    let kdump = |codec| {
        let kdump = Kdump {
            codec,
            ..Kdump::default()
        };
        kdump.build()
    };
    let zlib = kdump(|_| Codec::Zlib);
    vec![
        machine::qemu_elf(),
        machine::flatten(&zlib),
        zlib,
        kdump(|_| Codec::Lzo),
        kdump(|_| Codec::Snappy),
        kdump(|_| Codec::Zstd),
        machine::lime(),
        machine::avml(),
    ]
});

fuzz_target!(|input: &[u8]| {
    let Some((&choice, damages)) = input.split_first() else {
        return;
    };
    if choice == 255 {
        exercise(damages);
        return;
    }
    let Some(mut dump) = DUMPS.get(usize::from(choice) % DUMPS.len()).cloned() else {
        return;
    };
    for damage in damages.as_chunks::<4>().0 {
        let offset = u32::from_le_bytes(*damage) & 0xff_ffff;
        let size = dump.len();
        if let Some(byte) = dump.get_mut(offset as usize % size) {
            *byte = damage[3];
        }
    }
    exercise(&dump);
});

fn exercise(dump: &[u8]) {
    let memory = rustix::fs::memfd_create("dump", rustix::fs::MemfdFlags::empty());
    let mut file = File::from(memory.expect("a memory file"));
    file.write_all(dump).expect("room for the dump");
    let options = OpenOptions {
        excluded_pages: ExcludedPages::Zero,
        ..OpenOptions::default()
    };
    let Ok(target) = open_file(OwnedFd::from(file), &options) else {
        return;
    };
    let mut page = [0; PAGE];
    for number in 0..PAGES as u64 {
        let at = number * PAGE as u64;
        let _ = target
            .memory
            .read(AddressSpace::Virtual, KERNEL + at, &mut page);
        let _ = target.memory.read(AddressSpace::Physical, at, &mut page);
    }
    let pattern = Pattern::Bytes {
        bytes: b"fox".to_vec(),
        alignment: 1,
    };
    let mut search = Search::new(target.memory.clone(), AddressSpace::Virtual, pattern);
    search.step();
    verify(&target, |_, _| ControlFlow::Break(()));
}
