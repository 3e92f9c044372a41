//! What checking a dump finds.

mod machine;

use std::ops::ControlFlow;

use kdive_target::verify::{Verification, verify};
use kdive_target::{ExcludedPages, OpenOptions, find_vmcoreinfo, open};
use machine::{Codec, EXCLUDED, Kdump, NO_MEMORY, PAGE, PAGES};

fn check(bytes: &[u8]) -> Verification {
    let file = machine::file(bytes);
    let target = open(file.path(), &OpenOptions::default()).unwrap();
    verify(&target, |_, _| ControlFlow::Continue(()))
}

const SAVED: u64 = ((PAGES - 5) * PAGE) as u64;

#[test]
fn sound_dumps() {
    let elf = check(&machine::qemu_elf());
    assert!(elf.is_sound(), "{elf:?}");
    assert_eq!(elf.expected_bytes, (PAGES * PAGE) as u64);
    let kdump = check(&Kdump::default().build());
    assert!(kdump.is_sound(), "{kdump:?}");
    assert_eq!(kdump.readable_bytes, SAVED);
}

#[test]
fn lost_and_damaged_pages() {
    let mut bytes = Kdump {
        codec: |page| match page {
            40 | 41 => Codec::Lost,
            _ => Codec::Zlib,
        },
        ..Kdump::default()
    }
    .build();
    // The descriptor of page 20, which the bytes of its stored data follow.
    let descriptor = 4 * PAGE + 24 * 20;
    let offset = u64::from_le_bytes(bytes[descriptor..descriptor + 8].try_into().unwrap());
    bytes[offset as usize + 20] ^= 0x55;
    let found = check(&bytes);
    assert!(!found.is_sound());
    assert!(found.is_usable);
    let places: Vec<(u64, u64)> = found
        .damages
        .iter()
        .map(|it| (it.address, it.size))
        .collect();
    let page = PAGE as u64;
    assert_eq!(places, [(20 * page, page), (40 * page, 2 * page)]);
    assert!(found.damages[0].reason.contains("does not decode"));
    assert!(found.damages[1].reason.contains("lost"));
    assert_eq!(found.readable_bytes, SAVED - 3 * page);
}

/// A bit too many or too few in the bitmap, and every page after it is that of another address.
#[test]
fn bitmaps_that_are_wrong() {
    const CLEARED: usize = 20;
    let more = "has more pages than there are descriptors";
    let lacks = "lacks pages that there are descriptors of (1)";
    let no_memory = "pages are saved that are no memory (1)";
    for (page, expected) in [
        (EXCLUDED, vec![more]),
        (NO_MEMORY, vec![no_memory, more]),
        (CLEARED, vec![lacks]),
    ] {
        let mut bytes = Kdump::default().build();
        bytes[3 * PAGE + page / 8] ^= 1 << (page % 8);
        let found = check(&bytes);
        assert!(!found.is_sound());
        let problems: Vec<&String> = found
            .problems
            .iter()
            .filter(|it| it.contains("bitmap"))
            .collect();
        assert_eq!(problems.len(), expected.len(), "{problems:?}");
        for (problem, expected) in problems.iter().zip(expected) {
            assert!(problem.contains(expected), "{problem}");
        }
    }
}

#[test]
fn truncated_dumps() {
    let whole = machine::qemu_elf();
    let found = check(&whole[..whole.len() - 10 * PAGE]);
    assert!(found.is_usable && !found.is_sound());
    assert_eq!(found.damages.len(), 1);
    assert_eq!(found.damages[0].address, ((PAGES - 10) * PAGE) as u64);
    let found = check(&whole[..2 * PAGE]);
    assert!(!found.is_usable);
}

#[test]
fn the_check_can_be_stopped() {
    let file = machine::file(&machine::elf(
        &machine::kernel_notes(),
        &[machine::Load {
            virtual_address: 0,
            physical_address: 0,
            memory_size: 64 << 20,
            bytes: vec![0; 64 << 20].leak(),
        }],
        false,
    ));
    let target = open(file.path(), &OpenOptions::default()).unwrap();
    let found = verify(&target, |done, total| {
        assert_eq!((done, total), (32 << 20, 64 << 20));
        ControlFlow::Break(())
    });
    assert!(found.was_stopped && !found.is_sound());
    assert_eq!(found.readable_bytes, 32 << 20);
}

/// All addresses there are, cut off in two pieces.
#[test]
fn everything_is_cut_off() {
    const HALF: u64 = 1 << 63;
    let load = |start| machine::Load {
        virtual_address: start,
        physical_address: 0,
        memory_size: HALF,
        bytes: &[],
    };
    let mut bytes = machine::elf(&machine::status(1, 2), &[load(0), load(HALF)], true);
    for index in [0, 1] {
        let header = machine::program_header(index);
        let beyond = bytes.len() as u64;
        bytes[header + 8..][..8].copy_from_slice(&beyond.to_le_bytes());
        bytes[header + 32..][..8].copy_from_slice(&HALF.to_le_bytes());
    }
    let found = check(&bytes);
    assert!(!found.is_usable);
    assert_eq!((found.readable_bytes, found.expected_bytes), (0, u64::MAX));
    let places: Vec<(u64, u64)> = found
        .damages
        .iter()
        .map(|it| (it.address, it.size))
        .collect();
    assert_eq!(places, [(0, u64::MAX)]);
}

/// Headers may promise more memory than any machine has; what takes time is what the file has.
#[test]
fn absurd_sizes() {
    const PROMISED: u64 = 1 << 56;
    const SAVED_SIZE: usize = 64 + 56 + 32;
    const MEMORY_SIZE: usize = SAVED_SIZE + 8;
    let whole = machine::qemu_elf();
    let policies = [ExcludedPages::Fault, ExcludedPages::Zero];
    for (field, excluded_pages) in [SAVED_SIZE, MEMORY_SIZE]
        .into_iter()
        .flat_map(|field| policies.map(|policy| (field, policy)))
    {
        let mut bytes = whole.clone();
        bytes[MEMORY_SIZE..MEMORY_SIZE + 8].copy_from_slice(&PROMISED.to_le_bytes());
        bytes[field..field + 8].copy_from_slice(&PROMISED.to_le_bytes());
        let options = OpenOptions {
            excluded_pages,
            ..OpenOptions::default()
        };
        let target = open(machine::file(&bytes).path(), &options).unwrap();
        assert_eq!(find_vmcoreinfo(&target.memory).len(), 1);
        let found = verify(&target, |_, _| ControlFlow::Continue(()));
        assert!(found.is_usable);
        if field == SAVED_SIZE {
            assert_eq!(found.expected_bytes, PROMISED);
            assert_eq!(found.damages.len(), 1, "{:?}", found.damages);
            assert_eq!(found.damages[0].size, PROMISED - found.readable_bytes);
            assert!(found.damages[0].reason.contains("truncated file"));
        } else {
            assert!(found.is_sound(), "{found:?}");
            assert_eq!(found.expected_bytes, (PAGES * PAGE) as u64);
        }
    }
}
