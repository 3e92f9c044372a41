//! The memory of a target: segments in its virtual and physical address space.

use std::sync::{Arc, RwLock};

use crate::{Error, Result};

/// Which addresses a read means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AddressSpace {
    /// The target's own view: the kernel's, or a process's.
    Virtual,
    /// Physical memory.
    Physical,
}

/// Where the bytes of a segment come from.
pub trait MemoryReader: Send + Sync {
    /// Fills `buffer` from `offset` bytes after the start of the segment, which is `address`.
    fn read(&self, address: u64, offset: u64, buffer: &mut [u8]) -> Result<()>;
}

struct Segment {
    start: u64,
    /// The last address, so that a segment may end with the address space.
    end: u64,
    /// The address at which the segment was registered; `start` moves when it is overlaid.
    origin: u64,
    reader: Arc<dyn MemoryReader>,
}

/// The memory of a target.
///
/// Later segments overlay earlier ones.
#[derive(Default)]
pub struct Memory {
    virtual_segments: RwLock<Vec<Segment>>,
    physical_segments: RwLock<Vec<Segment>>,
}

impl Memory {
    /// Memory without any segment: every read faults.
    pub fn new() -> Self {
        Self::default()
    }

    fn segments(&self, space: AddressSpace) -> &RwLock<Vec<Segment>> {
        match space {
            AddressSpace::Virtual => &self.virtual_segments,
            AddressSpace::Physical => &self.physical_segments,
        }
    }

    /// Adds a segment of `size` bytes at `address`; it hides what was there before.
    pub fn add_segment(
        &self,
        space: AddressSpace,
        address: u64,
        size: u64,
        reader: Arc<dyn MemoryReader>,
    ) {
        let Some(last) = size.checked_sub(1) else {
            return;
        };
        let end = address.saturating_add(last);
        let mut segments = self
            .segments(space)
            .write()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        let mut kept = Vec::with_capacity(segments.len() + 2);
        for old in segments.drain(..) {
            if old.end < address || old.start > end {
                kept.push(old);
                continue;
            }
            if old.start < address {
                kept.push(Segment {
                    start: old.start,
                    end: address - 1,
                    origin: old.origin,
                    reader: old.reader.clone(),
                });
            }
            if old.end > end {
                kept.push(Segment {
                    start: end + 1,
                    ..old
                });
            }
        }
        kept.push(Segment {
            start: address,
            end,
            origin: address,
            reader,
        });
        kept.sort_by_key(|segment| segment.start);
        *segments = kept;
    }

    /// Fills `buffer` with the bytes at `address`.
    pub fn read(&self, space: AddressSpace, address: u64, buffer: &mut [u8]) -> Result<()> {
        let segments = self
            .segments(space)
            .read()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        let mut done = 0;
        while done < buffer.len() {
            let here = address.wrapping_add(done as u64);
            let after = segments.partition_point(|segment| segment.start <= here);
            let segment = after
                .checked_sub(1)
                .and_then(|index| segments.get(index))
                .filter(|segment| segment.end >= here)
                .ok_or_else(|| Error::Fault {
                    address: here,
                    reason: "address is not mapped".to_owned(),
                })?;
            let available = (segment.end - here).saturating_add(1);
            let count = usize::try_from(available)
                .unwrap_or(usize::MAX)
                .min(buffer.len() - done);
            segment
                .reader
                .read(here, here - segment.origin, &mut buffer[done..done + count])?;
            done += count;
        }
        Ok(())
    }
}
