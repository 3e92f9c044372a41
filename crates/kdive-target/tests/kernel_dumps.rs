//! The same machine, read from each format of kernel dump.

mod machine;

use std::ops::ControlFlow;

use kdive_target::search::{Pattern, Search};
use kdive_target::{
    AddressSpace, Architecture, Error, ExcludedPages, OpenOptions, Target, TargetKind, open,
    open_split, verify::verify,
};
use machine::{Codec, EXCLUDED, KERNEL, Kdump, Load, MAPPED, NO_MEMORY, PAGE, PAGES};

fn open_bytes(bytes: &[u8]) -> Target {
    open(machine::file(bytes).path(), &OpenOptions::default()).unwrap()
}

fn fault_at(target: &Target, address: u64) -> String {
    let read = target.memory.read_u8(AddressSpace::Virtual, address);
    match read {
        Err(Error::Fault {
            address: at,
            reason,
        }) => {
            assert_eq!(at, address);
            reason
        }
        other => panic!("{address:#x}: {other:?}"),
    }
}

fn mixed(page: usize) -> Codec {
    [
        Codec::Raw,
        Codec::Zlib,
        Codec::Lzo,
        Codec::Snappy,
        Codec::Zstd,
    ][page % 5]
}

/// Checks what every dump of the machine must give, in blocks of each size.
fn check(target: &Target, pages: impl Iterator<Item = usize>) {
    assert_eq!(target.kind, TargetKind::KernelDump);
    assert_eq!(target.platform.architecture, Architecture::X86_64);
    let info = target.vmcoreinfo.as_ref().unwrap();
    assert_eq!(info.os_release(), Some("6.1.0-test"));
    assert_eq!(info.kernel_offset(), Some(0x100_0000));
    for null in [0, 0x10, 0x2000, 0x7fff_ffff_f000] {
        assert!(fault_at(target, null).contains("user space"));
    }
    assert!(fault_at(target, KERNEL + (MAPPED * PAGE) as u64).contains("not mapped"));
    check_memory(target, pages);
    let tids: Vec<u32> = target.threads.iter().map(|cpu| cpu.tid).collect();
    assert_eq!(tids, [11, 22]);
    assert_eq!(
        target.threads[1].registers,
        0x2222_u64.to_le_bytes().repeat(27)
    );
}

fn check_memory(target: &Target, pages: impl Iterator<Item = usize>) {
    let expected = machine::memory();
    for page in pages {
        let physical = (page * PAGE) as u64;
        for (offset, size) in [(0, PAGE), (1, 8), (4000, 96)] {
            let expected = &expected[page * PAGE + offset..][..size];
            let at = physical + offset as u64;
            let read = target.memory.read_bytes(AddressSpace::Physical, at, size);
            assert_eq!(read.unwrap(), expected, "page {page}");
            if page < MAPPED {
                let read = target
                    .memory
                    .read_bytes(AddressSpace::Virtual, KERNEL + at, size);
                assert_eq!(read.unwrap(), expected, "page {page}");
            }
        }
    }
}

fn saved() -> impl Iterator<Item = usize> + Clone {
    (0..PAGES).filter(|&page| page != EXCLUDED && !(NO_MEMORY..MAPPED).contains(&page))
}

#[test]
fn elf_without_virtual_addresses() {
    let target = open_bytes(&machine::qemu_elf());
    check(&target, 0..PAGES);
    assert_eq!(target.remarks, [""; 0]);
    let all = target
        .memory
        .read_bytes(AddressSpace::Virtual, KERNEL, MAPPED * PAGE);
    assert_eq!(all.unwrap(), machine::memory()[..MAPPED * PAGE]);
}

#[test]
fn elf_with_virtual_addresses_and_more_segments_than_fit() {
    let memory = machine::memory();
    let loads: Vec<Load> = memory
        .chunks(PAGE)
        .enumerate()
        .map(|(page, bytes)| Load {
            virtual_address: 0xffff_8880_0000_0000 + (page * PAGE) as u64,
            physical_address: (page * PAGE) as u64,
            memory_size: PAGE as u64,
            bytes,
        })
        .collect();
    let target = open_bytes(&machine::elf(&machine::kernel_notes(), &loads, true));
    check(&target, 0..PAGES);
    let direct = target
        .memory
        .read_bytes(AddressSpace::Virtual, 0xffff_8880_0000_0ff0, PAGE);
    assert_eq!(direct.unwrap(), memory[0xff0..0xff0 + PAGE]);
}

#[test]
fn elf_with_more_than_65535_segments_some_of_which_overlap() {
    let memory = machine::memory();
    let load = |at: usize, bytes| Load {
        virtual_address: 0,
        physical_address: at as u64,
        memory_size: 4,
        bytes,
    };
    // Each word of memory by itself, and before that, to be hidden, other content for some.
    let other = [0xee; 4];
    let hidden = (0..1000).map(|word| load(word * 40 + 2, other.as_slice()));
    let words = memory
        .chunks(4)
        .enumerate()
        .map(|(word, bytes)| load(word * 4, bytes));
    let loads: Vec<Load> = hidden.chain(words).collect();
    assert!(loads.len() > 65_535);
    let target = open_bytes(&machine::elf(&machine::kernel_notes(), &loads, true));
    check(&target, 0..PAGES);
}

#[test]
fn virtual_addresses_that_contradict_the_page_tables_are_not_used() {
    let memory = machine::memory();
    let loads = [Load {
        virtual_address: KERNEL + 0x1000,
        physical_address: 0,
        memory_size: memory.len() as u64,
        bytes: &memory,
    }];
    check(
        &open_bytes(&machine::elf(&machine::kernel_notes(), &loads, false)),
        0..PAGES,
    );
}

#[test]
fn elf_with_excluded_pages() {
    let memory = machine::memory();
    let loads = [Load {
        virtual_address: 0,
        physical_address: 0,
        memory_size: memory.len() as u64,
        bytes: &memory[..60 * PAGE],
    }];
    let bytes = machine::elf(&machine::kernel_notes(), &loads, false);
    let target = open_bytes(&bytes);
    check(&target, 0..60);
    let excluded = (60 * PAGE) as u64;
    let read = target
        .memory
        .read_bytes(AddressSpace::Physical, excluded - 8, 16);
    let Err(Error::Fault { address, reason }) = read else {
        panic!("an excluded page was read");
    };
    assert_eq!(address, excluded);
    assert!(reason.contains("all zeros"), "{reason}");
    let zero = OpenOptions {
        excluded_pages: ExcludedPages::Zero,
        ..OpenOptions::default()
    };
    let target = open(machine::file(&bytes).path(), &zero).unwrap();
    let read = target
        .memory
        .read_bytes(AddressSpace::Physical, excluded, 16);
    assert_eq!(read.unwrap(), [0; 16]);
}

#[test]
fn kdump_with_each_codec() {
    let codecs: [fn(usize) -> Codec; 6] = [
        |_| Codec::Raw,
        |_| Codec::Zlib,
        |_| Codec::Lzo,
        |_| Codec::Snappy,
        |_| Codec::Zstd,
        mixed,
    ];
    for codec in codecs {
        let bytes = Kdump {
            codec,
            ..Kdump::default()
        };
        let target = open_bytes(&bytes.build());
        check(&target, saved());
        assert_eq!(target.remarks, [""; 0]);
        let bulk = target
            .memory
            .read_bytes(AddressSpace::Physical, 10, 49 * PAGE);
        assert_eq!(bulk.unwrap(), machine::memory()[10..10 + 49 * PAGE]);
        let excluded = KERNEL + (EXCLUDED * PAGE) as u64;
        assert!(fault_at(&target, excluded).contains("excluded"));
        let hole = KERNEL + (NO_MEMORY * PAGE) as u64;
        fault_at(&target, hole);
        let bulk = target
            .memory
            .read_bytes(AddressSpace::Virtual, KERNEL, 55 * PAGE);
        assert!(matches!(bulk, Err(Error::Fault { address, .. }) if address == excluded));
    }
}

/// Who reads page by page is ahead of the decoder after a few pages, where there are other threads.
#[test]
fn pages_are_decoded_ahead_of_who_reads_them_in_order() {
    let is_decoded = |order: [usize; 8]| {
        let target = open_bytes(&Kdump::default().build());
        let mut byte = [0];
        for page in order {
            let address = (page * PAGE) as u64;
            let space = AddressSpace::Physical;
            target.memory.read(space, address, &mut byte).unwrap();
            assert_eq!(byte[0], machine::memory()[page * PAGE]);
        }
        let next = (30 * PAGE + 5) as u64;
        let is_decoded = target
            .memory
            .read_at_hand(AddressSpace::Physical, next, &mut byte);
        assert!(!is_decoded || byte[0] == machine::memory()[30 * PAGE + 5]);
        is_decoded
    };
    let has_threads = std::thread::available_parallelism().is_ok_and(|count| count.get() > 1);
    assert_eq!(is_decoded([22, 23, 24, 25, 26, 27, 28, 29]), has_threads);
    assert!(!is_decoded([29, 28, 27, 26, 25, 24, 23, 22]));
    assert!(!is_decoded([22, 29, 23, 28, 24, 27, 25, 26]));
}

#[test]
fn kdump_as_qemu_writes_it() {
    let bytes = Kdump {
        machine: "",
        codec: mixed,
        ..Kdump::default()
    };
    check(&open_bytes(&bytes.build()), saved());
    check(&open_bytes(&machine::flatten(&bytes.build())), saved());
}

#[test]
fn older_versions_of_kdump() {
    for version in 0..6 {
        let bytes = Kdump {
            version,
            ..Kdump::default()
        };
        let target = open_bytes(&bytes.build());
        if version >= 4 {
            check(&target, saved());
            continue;
        }
        check_memory(&target, saved());
        assert!(target.threads.is_empty());
        let info = target.vmcoreinfo.as_ref().unwrap();
        assert_eq!(info.os_release(), Some("6.1.0-test"));
        // The header says from version 3 on where VMCOREINFO is.
        let was_found = target
            .notices
            .iter()
            .any(|it| it.contains("found in memory"));
        assert_eq!(was_found, version < 3, "{:?}", target.notices);
    }
}

/// Old diskdump files have one bitmap only, that of the saved pages.
#[test]
fn dumps_with_one_bitmap() {
    let target = open_bytes(&Kdump::default().build_with_one_bitmap());
    check(&target, saved());
    let excluded = KERNEL + (EXCLUDED * PAGE) as u64;
    assert!(fault_at(&target, excluded).contains("could not find physical memory"));
}

#[test]
fn incomplete_elf_files_say_so() {
    let mut bytes = machine::qemu_elf();
    let flags = 48;
    bytes[flags] = 1;
    let target = open_bytes(&bytes);
    let expected =
        "the dump is incomplete: makedumpfile ran out of space or time, pages are missing";
    assert_eq!(target.remarks, [expected]);
    check(&target, 0..PAGES);
    let found = verify(&target, |_, _| ControlFlow::Continue(()));
    assert!(found.is_usable && !found.is_sound());
}

#[test]
fn excluded_pages_as_zeros() {
    let options = OpenOptions {
        excluded_pages: ExcludedPages::Zero,
        ..OpenOptions::default()
    };
    let target = open(machine::file(&Kdump::default().build()).path(), &options).unwrap();
    let at = KERNEL + (EXCLUDED * PAGE) as u64;
    let read = target.memory.read_bytes(AddressSpace::Virtual, at, 16);
    assert_eq!(read.unwrap(), [0; 16]);
}

/// Whether a page was excluded is not known where that is cut off.
#[test]
fn bitmaps_that_are_cut_off() {
    let whole = Kdump::default().build();
    let options = OpenOptions {
        excluded_pages: ExcludedPages::Zero,
        ..OpenOptions::default()
    };
    // Half of either bitmap: eight pages in four bytes each.
    for end in [2 * PAGE + 4, 3 * PAGE + 4] {
        let file = machine::file(&whole[..end]);
        let target = open(file.path(), &options).unwrap();
        assert!(target.truncation.is_some());
        for page in [40, EXCLUDED, PAGES - 1] {
            let address = (page * PAGE) as u64;
            let read = target.memory.read_u8(AddressSpace::Physical, address);
            let error = read.unwrap_err().to_string();
            assert!(
                error.contains("beyond the end of the truncated file"),
                "{error}"
            );
        }
    }
}

#[test]
fn split_dumps() {
    let part = |start, end| {
        let part = Some((start, end));
        machine::file(
            &Kdump {
                part,
                codec: mixed,
                ..Kdump::default()
            }
            .build(),
        )
    };
    let files = [part(40, PAGES), part(0, 13), part(13, 40)];
    let target = open_split(&files, &OpenOptions::default()).unwrap();
    check(&target, saved());
    assert_eq!(target.remarks, [""; 0]);
    let target = open_split(&files[..2], &OpenOptions::default()).unwrap();
    assert!(
        target.remarks[0].contains("0xd to 0x27"),
        "{:?}",
        target.remarks
    );
    check(&target, saved().filter(|page| !(13..40).contains(page)));
    assert!(fault_at(&target, KERNEL + 20 * PAGE as u64).contains("another file"));
}

#[test]
fn lost_pages_are_reported_as_lost() {
    let dump = Kdump {
        codec: |page| if page == 33 { Codec::Lost } else { Codec::Zlib },
        status: 1 | 8,
        ..Kdump::default()
    };
    let target = open_bytes(&dump.build());
    assert!(target.remarks[0].contains("incomplete"));
    check(&target, saved().filter(|&page| page != 33));
    assert!(fault_at(&target, KERNEL + 33 * PAGE as u64).contains("lost"));
}

#[test]
fn vmcoreinfo_can_be_given() {
    let options = OpenOptions {
        vmcoreinfo: Some(b"OSRELEASE=given\n".to_vec()),
        ..OpenOptions::default()
    };
    let target = open(machine::file(&machine::qemu_elf()).path(), &options).unwrap();
    assert_eq!(target.vmcoreinfo.unwrap().os_release(), Some("given"));
    assert!(target.page_tables.is_none());
    assert!(
        target.remarks[0].contains("swapper_pg_dir"),
        "{:?}",
        target.remarks
    );
}

#[test]
fn searching_a_dump() {
    let memory = machine::memory();
    let page = 21;
    let needle = &memory[page * PAGE + 1000..][..24];
    for bytes in [machine::qemu_elf(), Kdump::default().build()] {
        let target = open_bytes(&bytes);
        for (space, base) in [(AddressSpace::Virtual, KERNEL), (AddressSpace::Physical, 0)] {
            let pattern = Pattern::Bytes {
                bytes: needle.to_vec(),
                alignment: 1,
            };
            let expected: Vec<u64> = saved()
                .filter(|&page| space == AddressSpace::Physical || page < MAPPED)
                .flat_map(|page| {
                    let page_bytes = &memory[page * PAGE..][..PAGE];
                    let places = (0..PAGE - 24).filter(|&at| page_bytes[at..].starts_with(needle));
                    places.map(move |at| base + (page * PAGE + at) as u64)
                })
                .collect();
            assert!(expected.contains(&(base + (page * PAGE + 1000) as u64)));
            let found: Vec<u64> = Search::new(target.memory.clone(), space, pattern)
                .map(|it| it.address)
                .collect();
            assert_eq!(found, expected);
        }
    }
}

#[test]
fn images_of_physical_memory() {
    let mut raw = machine::memory();
    raw.resize((1 << 20) + PAGE, 0);
    for (bytes, first_page) in [(raw, 0), (machine::lime(), 1), (machine::avml(), 1)] {
        let target = open_bytes(&bytes);
        assert_eq!(target.platform.architecture, Architecture::X86_64);
        assert_eq!(
            target.vmcoreinfo.as_ref().unwrap().os_release(),
            Some("6.1.0-test")
        );
        check_memory(&target, first_page..PAGES);
        assert!(target.remarks.is_empty(), "{:?}", target.remarks);
        assert_eq!(target.notices.len(), 1, "{:?}", target.notices);
        assert!(target.notices[0].contains("physical address 0x1f000"));
        if first_page == 1 {
            target
                .memory
                .read_u8(AddressSpace::Physical, 0)
                .unwrap_err();
            let truncated = open_bytes(&bytes[..bytes.len() - PAGE]);
            assert!(truncated.remarks.iter().any(|it| it.contains("truncated")));
            check_memory(&truncated, 1..40);
            // Within the header of a range, too.
            let second = if bytes.starts_with(b"EMiL") {
                39 * PAGE + 32 + 16
            } else {
                20
            };
            let truncated = open_bytes(&bytes[..second]);
            assert!(truncated.truncation.is_some());
        } else {
            let truncated = open_bytes(&bytes[..bytes.len() - 100]);
            let expected = format!("its end is missing after {} bytes", bytes.len() - 100);
            assert_eq!(truncated.truncation.unwrap().to_string(), expected);
        }
    }
}

#[test]
fn blocks_that_avml_left_out_are_like_excluded_pages() {
    let bytes = machine::avml_of(&[(PAGE, 40 * PAGE), (43 * PAGE, PAGES * PAGE)]);
    let target = open_bytes(&bytes);
    let left_out = 41 * PAGE as u64;
    let error = target.memory.read_u8(AddressSpace::Physical, left_out);
    let error = error.unwrap_err().to_string();
    assert!(
        error.contains("AVML leaves out what is all zeros"),
        "{error}"
    );
    let after = (PAGES * PAGE) as u64;
    let error = target.memory.read_u8(AddressSpace::Physical, after);
    let error = error.unwrap_err().to_string();
    assert!(error.contains("could not find"), "{error}");
    let checked = verify(&target, |_, _| ControlFlow::Continue(()));
    assert_eq!(checked.readable_bytes, ((PAGES - 4) * PAGE) as u64);
    assert_eq!(checked.damages, []);
    let options = OpenOptions {
        excluded_pages: ExcludedPages::Zero,
        ..OpenOptions::default()
    };
    let target = open(machine::file(&bytes).path(), &options).unwrap();
    check_memory(&target, (1..40).chain(43..PAGES));
    let zeros = target
        .memory
        .read_bytes(AddressSpace::Physical, 40 * PAGE as u64, 3 * PAGE);
    assert_eq!(zeros.unwrap(), [0; 3 * PAGE]);
}

#[test]
fn the_search_for_vmcoreinfo_can_be_interrupted() {
    let mut image = machine::memory();
    image.resize(1 << 20, 0);
    let file = machine::file(&image);
    let found = |is_interrupted| {
        let options = OpenOptions {
            architecture: Some(Architecture::X86_64),
            is_interrupted: Some(is_interrupted),
            ..OpenOptions::default()
        };
        open(file.path(), &options).unwrap().vmcoreinfo.is_some()
    };
    assert!(found(|| false));
    assert!(!found(|| true));
}

#[test]
fn dumps_without_vmcoreinfo_find_it_in_memory() {
    let memory = machine::memory();
    let mut other = memory[machine::INFO_PAGE * PAGE..][..PAGE].to_vec();
    let place = other
        .windows(16)
        .position(|it| it == b"ffffffff80020000")
        .unwrap();
    other[place..place + 16].copy_from_slice(b"ffffffff80021000");
    let load = |start: usize, bytes| Load {
        virtual_address: 0,
        physical_address: start as u64,
        memory_size: PAGE as u64,
        bytes,
    };
    let mut loads: Vec<Load> = memory
        .chunks(PAGE)
        .enumerate()
        .map(|(page, bytes)| load(page * PAGE, bytes))
        .collect();
    // A page that an earlier kernel left behind comes first; its symbols lead nowhere.
    loads[7].bytes = &other;
    let bytes = machine::elf(&machine::status(11, 1), &loads, false);
    let target = open_bytes(&bytes);
    check_memory(&target, (0..PAGES).filter(|&page| page != 7));
    assert_eq!(target.remarks.len(), 1, "{:?}", target.remarks);
    assert!(target.notices[0].contains("found in memory, at physical address 0x1f000"));
    assert!(target.remarks[0].contains("no running kernel, at physical address 0x7000"));
}
