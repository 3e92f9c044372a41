//! Memory that the core dump of a process leaves out, read from the files that were mapped there.
//!
//! By default Linux does not save what a process has mapped from files and not changed, such as
//! its code.

use std::sync::Arc;

use kdive_debuginfo::elf::{ElfFile, Segment};
use kdive_target::{AddressSpace, Error, MemoryReader, Result, Target, TargetKind};

use crate::program::Program;

const PAGE: u64 = 4096;

/// Lays the content of a file, which is known to be the one that was loaded, under the parts of
/// its segments that the dump doesn't have.
pub(super) fn supply(program: &Program, target: &Target, file: &Arc<ElfFile>, bias: u64) {
    if target.kind != TargetKind::ProcessDump {
        return;
    }
    for segment in file.segments().iter().filter(|it| it.is_load()) {
        let (start, end) = mapped(segment, bias);
        for &(first, size) in &target.unsaved {
            let from = first.max(start);
            let until = first.saturating_add(size).min(end);
            if from < until {
                let reader = FileBytes {
                    file: file.clone(),
                    offset: (segment.offset & !(PAGE - 1)).saturating_add(from - start),
                };
                let reader = Arc::new(reader);
                program.add_memory_segment(AddressSpace::Virtual, from, until - from, reader);
            }
        }
    }
}

/// The addresses that have the content of the file: whole pages are mapped.
fn mapped(segment: &Segment, bias: u64) -> (u64, u64) {
    let start = segment.address.wrapping_add(bias);
    let end = start.saturating_add(segment.file_size);
    (
        start & !(PAGE - 1),
        end.checked_next_multiple_of(PAGE).unwrap_or(end),
    )
}

/// A piece of a file.
struct FileBytes {
    file: Arc<ElfFile>,
    offset: u64,
}

impl MemoryReader for FileBytes {
    fn read(&self, address: u64, offset: u64, buffer: &mut [u8]) -> Result<()> {
        let bytes = usize::try_from(self.offset.saturating_add(offset))
            .ok()
            .and_then(|start| {
                let end = start.checked_add(buffer.len())?;
                self.file.bytes().get(start..end)
            })
            .ok_or_else(|| Error::Fault {
                address,
                reason: format!("{} ends before this address", self.file.path().display()),
            })?;
        buffer.copy_from_slice(bytes);
        Ok(())
    }

    fn read_at_hand(&self, address: u64, offset: u64, buffer: &mut [u8]) -> bool {
        self.read(address, offset, buffer).is_ok()
    }
}
