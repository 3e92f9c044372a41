//! Segments of memory whose bytes are a piece of a file.

use std::io;
use std::sync::Arc;

use crate::source::Source;
use crate::{Error, MemoryReader, Result};

/// A segment of an ELF file: bytes in the file, then some that were not saved.
pub(super) struct FileSegment {
    pub source: Arc<dyn Source>,
    pub offset: u64,
    pub saved: u64,
    pub unsaved: Unsaved,
    pub lost: Lost,
}

/// How the part of a segment reads that the file doesn't have.
pub(super) enum Unsaved {
    Zero,
    Fault(&'static str),
}

/// Why bytes are missing that the file should have.
#[derive(Clone, Copy)]
pub(super) enum Lost {
    /// The file of a dump ends before.
    CutOff,
    /// Who gives the bytes of something that runs doesn't give these.
    Refused(&'static str),
}

impl Lost {
    fn reason(self) -> &'static str {
        match self {
            Self::CutOff => "the address lies beyond the end of the truncated file",
            Self::Refused(reason) => reason,
        }
    }
}

impl FileSegment {
    /// The number of saved bytes that the file has. Headers may promise any number.
    fn present(&self) -> u64 {
        match self.lost {
            Lost::CutOff => self
                .saved
                .min(self.source.size().saturating_sub(self.offset)),
            Lost::Refused(_) => self.saved,
        }
    }
}

impl MemoryReader for FileSegment {
    fn read(&self, address: u64, offset: u64, buffer: &mut [u8]) -> Result<()> {
        let fault = |done: usize, reason: String| Error::Fault {
            address: address.wrapping_add(done as u64),
            reason,
        };
        let in_file = self.saved.saturating_sub(offset);
        let in_file = usize::try_from(in_file).map_or(buffer.len(), |size| size.min(buffer.len()));
        let (saved, unsaved) = buffer.split_at_mut(in_file);
        if !saved.is_empty() {
            let at = self.offset.saturating_add(offset);
            let count = match self.source.read_at(at, saved) {
                Ok(count) => count,
                Err(error) if is_unmapped(&error) => 0,
                Err(error) => {
                    return Err(fault(0, format!("the file could not be read ({error})")));
                }
            };
            if count < in_file {
                return Err(fault(count, self.lost.reason().to_owned()));
            }
        }
        if !unsaved.is_empty() {
            match self.unsaved {
                Unsaved::Zero => unsaved.fill(0),
                Unsaved::Fault(reason) => return Err(fault(in_file, reason.to_owned())),
            }
        }
        Ok(())
    }

    fn read_at_hand(&self, address: u64, offset: u64, buffer: &mut [u8]) -> bool {
        self.source.is_mapped() && self.read(address, offset, buffer).is_ok()
    }

    fn next_readable(&self, first: u64, last: u64, offset: u64) -> Option<(u64, u64)> {
        let left = self.present().checked_sub(offset)?.checked_sub(1)?;
        Some((first, last.min(first.saturating_add(left))))
    }

    fn cut_off(&self, first: u64, last: u64, offset: u64) -> Option<(u64, u64)> {
        let present = self.present().max(offset);
        let missing = self.saved.checked_sub(present)?.checked_sub(1)?;
        let first = first.checked_add(present - offset)?;
        (first <= last).then(|| (first, last.min(first.saturating_add(missing))))
    }
}

/// How files of live memory say that nothing is there.
fn is_unmapped(error: &io::Error) -> bool {
    let code = error.raw_os_error();
    [libc::EIO, libc::EFAULT, libc::ENXIO, libc::EINVAL]
        .iter()
        .any(|&it| code == Some(it))
}
