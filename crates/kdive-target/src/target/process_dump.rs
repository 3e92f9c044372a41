//! Core dumps of processes.

use std::sync::Arc;

use super::file_segment::{CUT_OFF, FileSegment, Unsaved};
use super::{Target, TargetKind, Truncation};
use crate::elf::ElfCore;
use crate::memory::Segment;
use crate::notes::{self, ProcessNotes};
use crate::source::Source;
use crate::{AddressSpace, Memory};

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
                    unsaved: Unsaved::Fault("the memory was not saved in the core dump"),
                    cut_off: CUT_OFF,
                }),
            }
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
        process: Some(ProcessNotes::parse(&core.notes, platform)),
        notes: core.notes,
        unsaved,
        truncation: Truncation::of(&**source, core.size),
        remarks: Vec::new(),
    }
}
