//! Damaged dumps: an error or less to read, but no panic, no hang and no vast allocation.

mod machine;

use std::time::{Duration, Instant};

use kdive_target::search::{Pattern, Search};
use kdive_target::{AddressSpace, Error, OpenOptions, Truncation, open};
use machine::{Codec, KERNEL, Kdump, PAGE, PAGES};

fn samples() -> Vec<(&'static str, Vec<u8>)> {
    let kdump = |codec| {
        let kdump = Kdump {
            codec,
            ..Kdump::default()
        };
        kdump.build()
    };
    let zlib = kdump(|_| Codec::Zlib);
    vec![
        ("elf", machine::qemu_elf()),
        ("process", process()),
        ("flattened", machine::flatten(&zlib)),
        ("zlib", zlib),
        ("lzo", kdump(|_| Codec::Lzo)),
        ("snappy", kdump(|_| Codec::Snappy)),
        ("zstd", kdump(|_| Codec::Zstd)),
        ("lime", machine::lime()),
        ("avml", machine::avml()),
        ("raw", raw()),
    ]
}

/// An image of physical memory, as large as such ones are at least.
fn raw() -> Vec<u8> {
    let mut image = machine::memory();
    image.resize(1 << 20, 0);
    image
}

fn process() -> Vec<u8> {
    let load = machine::Load {
        virtual_address: 0x40_0000,
        physical_address: 0,
        memory_size: 0x3000,
        bytes: &[7; 0x2000],
    };
    machine::elf(&machine::status(5, 6), &[load], false)
}

/// Opens and reads; what comes of it is up to the damage.
fn exercise(name: &str, bytes: &[u8]) {
    let start = Instant::now();
    let file = machine::file(bytes);
    if let Ok(target) = open(file.path(), &OpenOptions::default()) {
        let mut page = [0; PAGE];
        for number in 0..PAGES as u64 {
            let at = number * PAGE as u64;
            let _ = target.memory.read(AddressSpace::Physical, at, &mut page);
            let _ = target
                .memory
                .read(AddressSpace::Virtual, KERNEL + at, &mut page);
        }
        let _ = target
            .memory
            .read_bytes(AddressSpace::Physical, 0, PAGES * PAGE);
        for space in [AddressSpace::Physical, AddressSpace::Virtual] {
            let pattern = Pattern::Bytes {
                bytes: b"fox".to_vec(),
                alignment: 1,
            };
            let mut search = Search::new(target.memory.clone(), space, pattern);
            let steps = std::iter::from_fn(|| search.step());
            steps.take(3).for_each(drop);
        }
        let _ = target
            .memory
            .read_c_string(AddressSpace::Virtual, KERNEL, 1 << 20);
    }
    assert!(start.elapsed() < Duration::from_secs(5), "{name} hangs");
}

#[test]
fn truncated_dumps() {
    for (name, bytes) in samples() {
        // The headers are cut at many places, the rest at some.
        let near = (0..100).map(|step| step * 67);
        let far = (0..100).map(|step| bytes.len() * step / 100);
        for size in near.chain(far).filter(|&size| size < bytes.len()) {
            exercise(name, &bytes[..size]);
        }
    }
}

#[test]
fn what_a_truncated_dump_has_is_readable() {
    let memory = machine::memory();
    for (name, bytes) in samples() {
        if ["process", "flattened", "lime", "avml", "raw"].contains(&name) {
            continue;
        }
        let present = bytes.len() * 3 / 4;
        let half = machine::file(&bytes[..present]);
        let target = open(half.path(), &OpenOptions::default()).unwrap();
        let expected = Truncation {
            path: half.path().to_owned(),
            present: present as u64,
            expected: Some(bytes.len() as u64),
        };
        assert_eq!(target.truncation, Some(expected), "{name}");
        let named = format!("{} is truncated: only {present} of", half.path().display());
        assert!(
            target.remarks[0].starts_with(&named),
            "{:?}",
            target.remarks
        );
        let strict = OpenOptions {
            refuse_truncated: true,
            ..OpenOptions::default()
        };
        assert!(matches!(
            open(half.path(), &strict).err(),
            Some(Error::Truncated(_))
        ));
        open(machine::file(&bytes).path(), &strict).unwrap();
        let read = target
            .memory
            .read_bytes(AddressSpace::Virtual, KERNEL + 0x5000, 5 * PAGE);
        assert_eq!(read.unwrap(), memory[0x5000..0x5000 + 5 * PAGE], "{name}");
        let last = (PAGES - 1) * PAGE;
        let error = target
            .memory
            .read_u8(AddressSpace::Physical, last as u64)
            .unwrap_err();
        let message = error.to_string();
        assert!(
            message.contains("beyond the end of the truncated file"),
            "{message}"
        );
    }
}

/// `KDIVE_DAMAGES=10000` makes so many damaged versions of each dump instead of a few.
fn damages() -> usize {
    std::env::var("KDIVE_DAMAGES").map_or(200, |count| count.parse().unwrap())
}

#[test]
fn corrupted_dumps() {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut random = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as usize
    };
    for (name, bytes) in samples() {
        for round in 0..damages() {
            let mut damaged = bytes.clone();
            // Half of the rounds aim at the headers, where damage does most.
            let reach = if round % 2 == 0 {
                5 * PAGE
            } else {
                bytes.len()
            };
            for _ in 0..=random() % 8 {
                let at = random() % reach.min(bytes.len());
                let value = [0, 0xff, 0x7f, 0x80, random() as u8][random() % 5];
                let size = 1 + random() % 8;
                damaged
                    .iter_mut()
                    .skip(at)
                    .take(size)
                    .for_each(|byte| *byte = value);
            }
            exercise(name, &damaged);
        }
    }
}

#[test]
fn a_range_that_promises_too_much_goes_as_far_as_the_file() {
    let mut bytes = machine::avml_of(&[(PAGE, PAGES * PAGE)]);
    let end_of_last_address = 20..24;
    bytes[end_of_last_address].fill(0x7f);
    exercise("avml", &bytes);
    let target = open(machine::file(&bytes).path(), &OpenOptions::default()).unwrap();
    let space = AddressSpace::Physical;
    let (first, last) = target.memory.next_readable(space, 0).unwrap();
    assert_eq!((first, last), (PAGE as u64, (PAGES * PAGE) as u64 - 1));
    assert_eq!(target.memory.next_readable(space, last + 1), None);
    let missing: Vec<u64> = target.memory.cut_off(space).iter().map(|it| it.0).collect();
    assert_eq!(missing, [last + 1]);
}

#[test]
fn foreign_files_are_refused_with_a_reason() {
    for (bytes, expected) in [
        (&b""[..], "empty"),
        (b"#!/bin/sh\n", "not a dump"),
        (b"\x7fELF", "header"),
        (b"KDUMP   ", "header"),
        (b"makedumpfile\0\0\0\0", "flattened"),
    ] {
        let file = machine::file(bytes);
        let error = open(file.path(), &OpenOptions::default())
            .err()
            .unwrap()
            .to_string();
        assert!(error.contains(expected), "{error}");
        assert!(
            error.contains(&file.path().display().to_string()),
            "{error}"
        );
    }
    let missing = open("/nonexistent/vmcore".as_ref(), &OpenOptions::default());
    assert!(
        missing
            .err()
            .unwrap()
            .to_string()
            .contains("/nonexistent/vmcore")
    );
}
