//! Core dumps of processes.

use std::sync::Arc;

use super::file_segment::{FileSegment, Lost, Unsaved};
use super::{Target, TargetKind, Truncation};
use crate::elf::ElfCore;
use crate::memory::Segment;
use crate::notes::{self, ProcessNotes};
use crate::range_map::RangeMap;
use crate::source::Source;
use crate::{AddressSpace, Memory};

const NOT_SAVED: &str = "the memory was not saved in the core dump";

/// Opens the core dump of a process.
pub(super) fn open(source: &Arc<dyn Source>, core: ElfCore) -> Target {
    let platform = core.platform;
    let memory = Memory::new();
    let mut unsaved = Vec::new();
    let segments: Vec<Segment> = core
        .loads
        .iter()
        .map(|load| {
            if let Some(size) = load.memory_size.checked_sub(load.file_size)
                && size > 0
            {
                unsaved.push((load.virtual_address.wrapping_add(load.file_size), size));
            }
            Segment {
                address: load.virtual_address,
                size: load.memory_size.max(load.file_size),
                reader: Arc::new(FileSegment {
                    source: source.clone(),
                    offset: load.offset,
                    saved: load.file_size,
                    unsaved: Unsaved::Fault(NOT_SAVED),
                    lost: Lost::CutOff,
                }),
            }
        })
        .collect();
    memory.add_segments(AddressSpace::Virtual, &segments);
    let process = ProcessNotes::parse(&core.notes, platform);
    // gdb leaves out segments of which it saves nothing, and names their files all the same.
    let left_out = left_out(&memory, &process);
    unsaved.extend(&left_out);
    let segments: Vec<Segment> = left_out
        .into_iter()
        .map(|(address, size)| Segment {
            address,
            size,
            reader: Arc::new(FileSegment {
                source: source.clone(),
                offset: 0,
                saved: 0,
                unsaved: Unsaved::Fault(NOT_SAVED),
                lost: Lost::CutOff,
            }),
        })
        .collect();
    memory.add_segments(AddressSpace::Virtual, &segments);
    Target {
        kind: TargetKind::ProcessDump,
        platform,
        memory: Arc::new(memory),
        path: Some(source.path().to_owned()),
        vmcoreinfo: None,
        page_tables: None,
        threads: notes::threads(&core.notes, platform),
        qemu_cpus: Vec::new(),
        process: Some(process),
        notes: core.notes,
        unsaved,
        truncation: Truncation::of(&**source, core.size),
        remarks: Vec::new(),
        notices: Vec::new(),
    }
}

/// What was mapped from files and is in no segment, as address and size.
fn left_out(memory: &Memory, process: &ProcessNotes) -> Vec<(u64, u64)> {
    let gaps = memory.gaps(AddressSpace::Virtual);
    let files = process
        .files
        .iter()
        .map(|file| (file.start, file.end.saturating_sub(file.start), ()));
    let mut left_out = Vec::new();
    for file in RangeMap::default().overlaid(files).iter() {
        let before = gaps.partition_point(|&(_, last)| last < file.start);
        let gaps = gaps.get(before..).unwrap_or_default().iter();
        for &(first, last) in gaps.take_while(|(first, _)| *first <= file.end) {
            let start = file.start.max(first);
            left_out.push((start, (file.end.min(last) - start).saturating_add(1)));
        }
    }
    left_out
}
