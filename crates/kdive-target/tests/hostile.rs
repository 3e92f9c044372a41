//! Damaged dumps: an error or less to read, but no panic, no hang and no vast allocation.

mod machine;

use std::time::{Duration, Instant};

use kdive_target::search::{Pattern, Search};
use kdive_target::{
    AddressSpace, Architecture, Error, OpenOptions, Truncation, find_vmcoreinfo, open,
};
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

#[test]
fn what_is_in_a_file_twice_may_be_cut_off_once() {
    let memory = machine::memory();
    let load = |start: usize, end: usize| machine::Load {
        virtual_address: 0,
        physical_address: (start * PAGE) as u64,
        memory_size: ((end - start) * PAGE) as u64,
        bytes: &memory[start * PAGE..end * PAGE],
    };
    let bytes = machine::elf(
        &machine::kernel_notes(),
        &[load(20, 40), load(0, PAGES)],
        false,
    );
    let without = |pages: usize| {
        let file = machine::file(&bytes[..bytes.len() - pages * PAGE]);
        open(file.path(), &OpenOptions::default()).unwrap()
    };
    let read = |target: &kdive_target::Target, start: usize, pages: usize| {
        let address = (start * PAGE) as u64;
        target
            .memory
            .read_bytes(AddressSpace::Physical, address, pages * PAGE)
    };
    for (cut_off, readable) in [(PAGES - 5, 5), (PAGES + 5, 0)] {
        let target = without(cut_off);
        if readable > 0 {
            assert_eq!(
                read(&target, 0, readable).unwrap(),
                memory[..readable * PAGE]
            );
        }
        let twice = 20..if readable > 0 { 40 } else { 35 };
        assert_eq!(
            read(&target, twice.start, twice.len()).unwrap(),
            memory[twice.start * PAGE..twice.end * PAGE]
        );
        for missing in [readable, 19, twice.end, PAGES - 1] {
            let error = read(&target, missing, 1).unwrap_err().to_string();
            assert!(
                error.contains("beyond the end of the truncated file"),
                "{error}"
            );
        }
    }
}

/// gdb writes a table of sections after all memory.
#[test]
fn a_table_of_sections_that_is_cut_off() {
    let mut bytes = process();
    let table = bytes.len() as u64;
    bytes[40..48].copy_from_slice(&table.to_le_bytes());
    bytes[60..62].copy_from_slice(&3_u16.to_le_bytes());
    bytes.resize(bytes.len() + 3 * 64, 0);
    let truncation = |bytes: &[u8]| {
        let target = open(machine::file(bytes).path(), &OpenOptions::default());
        target.unwrap().truncation.map(|it| it.to_string())
    };
    assert_eq!(truncation(&bytes), None);
    let (whole, size) = (bytes.len(), bytes.len() - 1);
    let expected = format!("only {size} of {whole} bytes are there");
    assert_eq!(truncation(&bytes[..size]), Some(expected));
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

/// A file of a MiB whose headers say that all of it belongs to each of many segments.
fn shared_by_all(segments: usize) -> Vec<u8> {
    let load = |index: usize| machine::Load {
        virtual_address: 0,
        physical_address: (index << 20) as u64,
        memory_size: 1 << 20,
        bytes: &[],
    };
    let loads: Vec<machine::Load> = (0..segments).map(load).collect();
    let mut bytes = machine::elf(&machine::status(1, 2), &loads, true);
    let content = bytes.len() as u64;
    for index in 0..segments {
        let header = machine::program_header(index);
        bytes[header + 8..][..8].copy_from_slice(&content.to_le_bytes());
        bytes[header + 32..][..8].copy_from_slice(&(1_u64 << 20).to_le_bytes());
    }
    bytes.resize(bytes.len() + (1 << 20), 0);
    bytes
}

/// Files that by their headers have far more memory than bytes are not searched for VMCOREINFO.
#[test]
fn memory_that_can_not_be_there_is_not_searched() {
    const FAR: u64 = 1 << 62;
    let mut raw = machine::memory();
    raw.resize(1 << 20, 0);
    let mut lime = machine::lime();
    lime[16..24].copy_from_slice(&(FAR - 1).to_le_bytes());
    let end: &[u8] = &[0; 4096];
    let samples = [
        ("elf", shared_by_all(50_000)),
        ("raw", machine::flatten_chunks(&[(0, &raw), (FAR, end)])),
        ("lime", machine::flatten_chunks(&[(0, &lime), (FAR, end)])),
    ];
    let searched = OpenOptions {
        architecture: Some(Architecture::X86_64),
        ..OpenOptions::default()
    };
    for (name, bytes) in samples {
        let file = machine::file(&bytes);
        let start = Instant::now();
        let target = open(file.path(), &searched).unwrap();
        assert!(start.elapsed() < Duration::from_secs(5), "{name} hangs");
        assert!(target.vmcoreinfo.is_none(), "{name}");
        let is_said =
            |remark: &String| remark.starts_with("memory was not searched for VMCOREINFO");
        assert!(
            target.remarks.iter().any(is_said),
            "{name}: {:?}",
            target.remarks
        );
    }
}

/// QEMU may name pages twice.
#[test]
fn segments_that_share_a_page_are_searched() {
    let target = open(
        machine::file(&shared_by_all(2)).path(),
        &OpenOptions::default(),
    );
    let remarks = target.unwrap().remarks;
    assert!(
        !remarks.iter().any(|it| it.contains("searched")),
        "{remarks:?}"
    );
}

/// What files are mapped to and what is in no segment are many, and overlap each other.
#[test]
fn mapped_files_that_all_overlap() {
    const COUNT: usize = 60_000;
    let start_of = |index: usize| 0x1000_0000 + index as u64 * 0x2000;
    let load = |index: usize| machine::Load {
        virtual_address: start_of(index),
        physical_address: 0,
        memory_size: 0x1000,
        bytes: &[7],
    };
    let loads: Vec<machine::Load> = (0..COUNT).map(load).collect();
    let mut files = Vec::new();
    for word in [COUNT as u64, 4096] {
        files.extend(word.to_le_bytes());
    }
    for _ in 0..COUNT {
        for word in [start_of(0), start_of(COUNT), 0] {
            files.extend(word.to_le_bytes());
        }
    }
    files.extend(b"/x\0".repeat(COUNT));
    let notes = [
        machine::status(5, 6),
        machine::note("CORE", 0x4649_4c45, &files),
    ]
    .concat();
    let bytes = machine::elf(&notes, &loads, true);
    let start = Instant::now();
    let target = open(machine::file(&bytes).path(), &OpenOptions::default()).unwrap();
    assert!(start.elapsed() < Duration::from_secs(5));
    assert_eq!(target.process.unwrap().files.len(), COUNT);
    // Of each segment what is not saved, and what is between it and the next one.
    let expected = (0..COUNT)
        .map(|index| (start_of(index) + 1, 0xfff))
        .chain((0..COUNT).map(|index| (start_of(index) + 0x1000, 0x1000)));
    assert!(target.unsaved.into_iter().eq(expected));
}

/// Each range of an image needs little memory of its own.
#[test]
fn images_of_very_many_ranges() {
    const COUNT: usize = 100_000;
    let resident = || {
        let status = std::fs::read_to_string("/proc/self/statm").unwrap();
        let pages: usize = status.split(' ').nth(1).unwrap().parse().unwrap();
        pages * 4096
    };
    let range = |index| machine::range_header("AVML", 2, index * PAGE, PAGE);
    let mut bytes = Vec::new();
    for index in 0..COUNT {
        bytes.extend(range(index));
        bytes.extend([0; 8]);
    }
    let file = machine::file(&bytes);
    let before = resident();
    let target = open(file.path(), &OpenOptions::default()).unwrap();
    let taken = resident().saturating_sub(before);
    assert!(
        taken < 300 << 20,
        "{taken} bytes for {} of a file",
        bytes.len()
    );
    assert!(target.truncation.is_some());
}

#[test]
fn very_many_vmcoreinfos() {
    let page = &machine::memory()[machine::INFO_PAGE * PAGE..][..PAGE];
    let mut image = machine::memory();
    image.extend(page.repeat(1000));
    let file = machine::file(&image);
    let target = open(file.path(), &OpenOptions::default()).unwrap();
    assert_eq!(find_vmcoreinfo(&target.memory).len(), 64);
    assert_eq!(target.remarks.len(), 63);
    assert_eq!(target.vmcoreinfo.unwrap().os_release(), Some("6.1.0-test"));
}

#[test]
fn foreign_files_are_refused_with_a_reason() {
    for (bytes, expected) in [
        (&b""[..], "empty"),
        (b"#!/bin/sh\n", "not a dump"),
        (b"\x7fELF", "header"),
        (b"KDUMP   ", "header"),
        (b"makedumpfile\0\0\0\0", "flattened"),
        (b"QEVM\0\0\0\x03\x07", "--memory-only"),
        (b"LibvirtQemudSave\x02\0", "--memory-only"),
        (&[b"EMiL", [9; 60].as_slice()].concat(), "first range"),
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
