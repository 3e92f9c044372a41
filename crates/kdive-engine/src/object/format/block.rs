//! The bytes of an object that is being formatted.

use kdive_target::AddressSpace;

use crate::object::{AbsenceReason, Layout, Object, Place, Value, bits};
use crate::types::{Type, TypeKind};
use crate::{Error, Program, Result};

/// The largest object that is formatted, in bytes.
const MAX_SIZE: u64 = 1 << 26;

const PAGE_SIZE: u64 = 4096;

/// Why an object has no value.
pub(super) fn reason_in_words(reason: AbsenceReason) -> &'static str {
    match reason {
        AbsenceReason::Other => "absent",
        AbsenceReason::OptimizedOut => "optimized out",
        AbsenceReason::NotImplemented => "not implemented",
    }
}

/// The bytes of an object, as far as they can be read.
pub(super) struct Block {
    pub(super) bytes: Vec<u8>,
    /// Where the bytes come from; none for a value.
    pub(super) address: Option<u64>,
    /// The parts that could not be read, as ranges of offsets in ascending order.
    holes: Vec<(u64, u64)>,
    /// Why there are holes in a value.
    absence: AbsenceReason,
}

impl Block {
    /// No bytes, for what has an address and no value.
    pub(super) fn empty(address: Option<u64>) -> Block {
        Block {
            bytes: Vec::new(),
            address,
            holes: Vec::new(),
            absence: AbsenceReason::Other,
        }
    }

    /// The bytes of an object; its value starts at the bit that is returned with them.
    pub(super) fn of(object: &Object, layout: &Layout) -> Result<(Block, u64)> {
        match &object.place {
            Place::Value(value) => {
                let bytes = match value {
                    Value::Bytes(bytes) => bytes.to_vec(),
                    number => bits::encode(layout, number)?,
                };
                let block = Block {
                    bytes,
                    ..Block::empty(None)
                };
                Ok((block, 0))
            }
            Place::Partial(value) => {
                let unknown = value.unknown().iter();
                let block = Block {
                    bytes: value.bytes().to_vec(),
                    address: None,
                    holes: unknown.map(|range| (range.start, range.end)).collect(),
                    absence: value.reason(),
                };
                Ok((block, 0))
            }
            Place::Absent(_) => Err(Error::Absent("object absent".to_owned())),
            Place::Reference {
                address,
                bit_offset,
            } => {
                let bit_offset = *bit_offset;
                let size = layout.bits.saturating_add(bit_offset).div_ceil(8);
                let block = Block::read(&object.program, *address, size, &object.ty)?;
                Ok((block, bit_offset))
            }
        }
    }

    /// Reads what can be read; nothing at all is an error.
    fn read(program: &Program, address: u64, size: u64, ty: &Type) -> Result<Block> {
        if size > MAX_SIZE {
            return Err(Error::Overflow(format!(
                "'{}' has {size} bytes, too many to be formatted at once; format parts of it",
                ty.type_name()?
            )));
        }
        let mut block = Block {
            bytes: vec![0; size as usize],
            ..Block::empty(Some(address))
        };
        let Err(error) = program.read(AddressSpace::Virtual, address, &mut block.bytes) else {
            return Ok(block);
        };
        // Half a number is none.
        let kind = ty.unaliased_kind()?;
        if !kind.is_compound() && kind != TypeKind::Array {
            return Err(error);
        }
        let mut start = 0;
        while start < size {
            let page_end = PAGE_SIZE - address.wrapping_add(start) % PAGE_SIZE;
            let end = start.saturating_add(page_end).min(size);
            block.read_page(program, start, end);
            start = end;
        }
        if block.holes == [(0, size)] {
            return Err(error);
        }
        Ok(block)
    }

    fn read_page(&mut self, program: &Program, start: u64, end: u64) {
        if self.try_read(program, start, end) {
            return;
        }
        let is_edge = |block: &mut Block, start: u64| {
            block.try_read(program, start, start.saturating_add(1).min(end))
        };
        let last = end.saturating_sub(1).max(start);
        if is_edge(self, start) || is_edge(self, last) {
            self.narrow(program, start, end);
        } else {
            self.add_hole(start, end);
        }
    }

    fn narrow(&mut self, program: &Program, start: u64, end: u64) {
        if self.try_read(program, start, end) {
        } else if end - start <= 1 {
            self.add_hole(start, end);
        } else {
            let middle = start + (end - start) / 2;
            self.narrow(program, start, middle);
            self.narrow(program, middle, end);
        }
    }

    fn try_read(&mut self, program: &Program, start: u64, end: u64) -> bool {
        let Some(address) = self.address else {
            return true;
        };
        match self.bytes.get_mut(start as usize..end as usize) {
            Some(buffer) => {
                let address = address.wrapping_add(start) & program.address_mask();
                program.read(AddressSpace::Virtual, address, buffer).is_ok()
            }
            None => false,
        }
    }

    fn add_hole(&mut self, start: u64, end: u64) {
        match self.holes.last_mut() {
            Some((_, last)) if *last == start => *last = end,
            _ => self.holes.push((start, end)),
        }
    }

    /// Whether these bits are part of the object, as those of a damaged type may not be.
    pub(super) fn has(&self, bit_offset: u64, bits: u64) -> bool {
        bits == 0 || bit_offset.saturating_add(bits).div_ceil(8) <= self.bytes.len() as u64
    }

    /// The hole that some of these bits fall into.
    pub(super) fn hole(&self, bit_offset: u64, bits: u64) -> Option<(u64, u64)> {
        if self.holes.is_empty() || bits == 0 {
            return None;
        }
        let first = bit_offset / 8;
        let end = bit_offset.saturating_add(bits).div_ceil(8);
        let index = self
            .holes
            .partition_point(|(_, hole_end)| *hole_end <= first);
        self.holes
            .get(index)
            .copied()
            .filter(|(start, _)| *start < end)
    }

    /// Whether all of these bits are in one hole.
    pub(super) fn is_lost(&self, bit_offset: u64, bits: u64) -> bool {
        let end = bit_offset.saturating_add(bits).div_ceil(8);
        self.hole(bit_offset, bits)
            .is_some_and(|(start, hole_end)| start <= bit_offset / 8 && end <= hole_end)
    }

    /// Why the byte with this bit is in a hole, in words.
    pub(super) fn why_missing(&self, bit_offset: u64) -> String {
        match self.address_of(bit_offset) {
            Some(address) => format!("not readable: 0x{address:x}"),
            None => reason_in_words(self.absence).to_owned(),
        }
    }

    /// The address of the byte with this bit.
    pub(super) fn address_of(&self, bit_offset: u64) -> Option<u64> {
        self.address
            .map(|address| address.wrapping_add(bit_offset / 8))
    }

    /// The offset in bits after the last byte that is not zero, within a part of the block.
    pub(super) fn end_of_content(&self, bit_offset: u64, bits: u64) -> u64 {
        let first = (bit_offset / 8) as usize;
        let end = (bit_offset.saturating_add(bits).div_ceil(8) as usize).min(self.bytes.len());
        let unread = self
            .holes
            .iter()
            .rev()
            .find(|(start, hole_end)| *start < end as u64 && *hole_end > first as u64)
            .map_or(0, |(_, hole_end)| hole_end.saturating_mul(8));
        let last = self
            .bytes
            .get(first..end)
            .and_then(|bytes| bytes.iter().rposition(|byte| *byte != 0));
        last.map_or(bit_offset, |last| (first + last + 1) as u64 * 8)
            .max(unread)
            .min(bit_offset.saturating_add(bits))
    }
}
