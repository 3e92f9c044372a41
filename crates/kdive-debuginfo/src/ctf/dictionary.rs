//! The records and the strings of one dictionary.

use kdive_target::ByteOrder;

use super::header::{self, Header};
use crate::bytes::{c_string_at, u16_from, u32_at};
use crate::{Error, Result};

/// What a record describes: the numbers of the format.
pub(super) mod kind {
    pub const UNKNOWN: u32 = 0;
    pub const INTEGER: u32 = 1;
    pub const FLOAT: u32 = 2;
    pub const POINTER: u32 = 3;
    pub const ARRAY: u32 = 4;
    pub const FUNCTION: u32 = 5;
    pub const STRUCT: u32 = 6;
    pub const UNION: u32 = 7;
    pub const ENUM: u32 = 8;
    pub const FORWARD: u32 = 9;
    pub const TYPEDEF: u32 = 10;
    pub const VOLATILE: u32 = 11;
    pub const CONST: u32 = 12;
    pub const RESTRICT: u32 = 13;
    pub const SLICE: u32 = 14;
}

/// In place of a size: the size is in the two words that follow.
const LARGE: u32 = u32::MAX;
/// Structures of this size and more have offsets of 64 bits.
const LARGE_STRUCTURE: u64 = 536_870_912;
/// Set in the IDs of a dictionary that goes on from another one.
const OWN: u32 = 1 << 31;
/// Set in the offsets of strings that the ELF file has.
pub(super) const EXTERNAL: u32 = 1 << 31;

/// The records of a kernel, of a module, of a program or of one of its units.
pub(super) struct Dictionary {
    origin: String,
    pub(super) header: Header,
    body: Vec<u8>,
    /// The strings of the symbols of the ELF file that has the dictionary.
    external_strings: Vec<u8>,
    /// Where in `body` each record starts.
    offsets: Vec<u32>,
}

/// One record.
#[derive(Clone, Copy, Debug)]
pub(super) struct Record<'a> {
    pub(super) kind: u32,
    /// Whether the type is found by its name. Others only have another type's name.
    pub(super) is_visible: bool,
    /// How many entries follow.
    pub(super) count: u32,
    pub(super) name: u32,
    /// The third word, where that is not a size.
    pub(super) reference: u32,
    /// In bytes.
    pub(super) size: u64,
    entries: &'a [u8],
    byte_order: ByteOrder,
}

/// A member of a structure or union as the record has it.
pub(super) struct RawMember {
    pub(super) name: u32,
    pub(super) reference: u32,
    pub(super) bit_offset: u64,
}

/// A part of an integer: a bit field.
pub(super) struct Slice {
    pub(super) reference: u32,
    pub(super) bit_offset: u64,
    pub(super) bit_size: u64,
}

impl Dictionary {
    /// Reads a dictionary. `external_strings` has those that it shares with an ELF file; it is
    /// asked for them with whether those of `.dynsym` are meant.
    pub(super) fn parse(
        origin: &str,
        bytes: &[u8],
        external_strings: impl FnOnce(bool) -> Vec<u8>,
    ) -> Result<Dictionary> {
        let (header, body) = header::read(bytes).map_err(|message| Error::Bad {
            origin: origin.to_owned(),
            message,
        })?;
        let mut dictionary = Dictionary {
            origin: origin.to_owned(),
            external_strings: external_strings(header.is_dynamic),
            header,
            body,
            offsets: Vec::new(),
        };
        dictionary.offsets = dictionary.find_records()?;
        Ok(dictionary)
    }

    fn find_records(&self) -> Result<Vec<u32>> {
        let types = self.header.types.clone();
        // A record has 12 bytes at least; most have some more.
        let mut offsets = Vec::with_capacity(types.len() / 24);
        let mut at = types.start;
        while at < types.end {
            let end = self
                .record_at(at)
                .and_then(|(record, entries)| entries.checked_add(record.entries_size()?))
                .filter(|end| *end <= types.end);
            let Some(end) = end else {
                return Err(self.bad(format!(
                    "CTF record {} at offset {at:#x} is of an unknown kind or ends outside of the \
                     type section",
                    offsets.len() + 1
                )));
            };
            offsets.push(at as u32);
            at = end;
        }
        Ok(offsets)
    }

    /// The record at an offset of the body, and the offset of its entries.
    fn record_at(&self, at: usize) -> Option<(Record<'_>, usize)> {
        let field = |index: usize| u32_at(&self.body, at.checked_add(index * 4)?, self.order());
        let (name, info, reference) = (field(0)?, field(1)?, field(2)?);
        let (size, entries) = match reference {
            LARGE => (u64::from(field(3)?) << 32 | u64::from(field(4)?), at + 20),
            size => (u64::from(size), at + 12),
        };
        let record = Record {
            kind: info >> 26,
            is_visible: info >> 25 & 1 == 1,
            count: info & 0x00ff_ffff,
            name,
            reference,
            size,
            entries: self.body.get(entries..self.header.types.end)?,
            byte_order: self.order(),
        };
        Some((record, entries))
    }

    pub(super) fn bad(&self, message: String) -> Error {
        Error::Bad {
            origin: self.origin.clone(),
            message,
        }
    }

    pub(super) fn order(&self) -> ByteOrder {
        self.header.byte_order
    }

    pub(super) fn has_parent(&self) -> bool {
        self.header.parent != 0
    }

    /// The numbers of the records; the first one is 1.
    pub(super) fn numbers(&self) -> std::ops::RangeInclusive<u32> {
        1..=self.offsets.len() as u32
    }

    /// The number of the record that an ID of this dictionary means, if it is its own one and not
    /// one of its parent.
    pub(super) fn own_number(&self, id: u32) -> Option<u32> {
        match (self.has_parent(), id & OWN != 0) {
            (true, true) => Some(id & !OWN),
            (true, false) => None,
            (false, _) => Some(id),
        }
    }

    /// The record of this number.
    pub(super) fn record(&self, number: u32) -> Result<Record<'_>> {
        let offset = (number as usize)
            .checked_sub(1)
            .and_then(|index| self.offsets.get(index));
        let record = offset.and_then(|offset| self.record_at(*offset as usize));
        record.map(|(record, _)| record).ok_or_else(|| {
            self.bad(format!(
                "CTF type {number} does not exist; the last one is {}",
                self.offsets.len()
            ))
        })
    }

    /// The string that a record refers to. Those of an ELF file that is not at hand are empty, as
    /// are the names of what has none.
    pub(super) fn string(&self, reference: u32) -> Result<&str> {
        let (strings, offset) = if reference & EXTERNAL == 0 {
            let own = self.body.get(self.header.strings.clone());
            (own.unwrap_or_default(), reference as usize)
        } else {
            (&self.external_strings[..], (reference & !EXTERNAL) as usize)
        };
        if reference == 0 || strings.is_empty() && reference & EXTERNAL != 0 {
            return Ok("");
        }
        let bytes = c_string_at(strings, offset)
            .ok_or_else(|| self.bad(format!("CTF string {reference:#x} does not exist")))?;
        std::str::from_utf8(bytes)
            .map_err(|_| self.bad(format!("CTF string {reference:#x} is not UTF-8")))
    }

    /// The 32-bit numbers of a section.
    pub(super) fn words(&self, section: std::ops::Range<usize>) -> impl Iterator<Item = u32> + '_ {
        let bytes = self.body.get(section).unwrap_or_default();
        let (words, _) = bytes.as_chunks::<4>();
        words
            .iter()
            .map(|word| crate::bytes::u32_from(self.order(), *word))
    }
}

impl Record<'_> {
    /// How many bytes follow the fixed part; none if nothing is known of the kind.
    fn entries_size(&self) -> Option<usize> {
        let count = self.count as usize;
        let each = match self.kind {
            kind::INTEGER | kind::FLOAT => return Some(4),
            kind::ARRAY => return Some(12),
            kind::SLICE => return Some(8),
            kind::STRUCT | kind::UNION if self.size >= LARGE_STRUCTURE => 16,
            kind::STRUCT | kind::UNION => 12,
            kind::ENUM => 8,
            // Their number is made even.
            kind::FUNCTION => return count.checked_add(count & 1)?.checked_mul(4),
            kind::UNKNOWN
            | kind::POINTER
            | kind::FORWARD
            | kind::TYPEDEF
            | kind::VOLATILE
            | kind::CONST
            | kind::RESTRICT => return Some(0),
            _ => return None,
        };
        count.checked_mul(each)
    }

    /// The 32-bit number at an index of the entries.
    pub(super) fn word(&self, index: usize) -> Option<u32> {
        u32_at(self.entries, index.checked_mul(4)?, self.byte_order)
    }

    /// The members of a structure or union.
    pub(super) fn members(&self) -> impl Iterator<Item = RawMember> + '_ {
        let is_large = self.size >= LARGE_STRUCTURE;
        (0..self.count as usize).map_while(move |index| {
            let word = |position| self.word(index * if is_large { 4 } else { 3 } + position);
            let (name, high, reference) = (word(0)?, word(1)?, word(2)?);
            let bit_offset = if is_large {
                u64::from(high) << 32 | u64::from(word(3)?)
            } else {
                u64::from(high)
            };
            Some(RawMember {
                name,
                reference,
                bit_offset,
            })
        })
    }

    /// The names and values of an enumeration.
    pub(super) fn enumerators(&self) -> impl Iterator<Item = (u32, i32)> + '_ {
        (0..self.count as usize)
            .map_while(|index| Some((self.word(index * 2)?, self.word(index * 2 + 1)? as i32)))
    }

    /// The part of another type that a slice is.
    pub(super) fn slice(&self) -> Option<Slice> {
        let halves = self.entries.get(4..)?.first_chunk::<4>()?;
        let [a, b, c, d] = *halves;
        Some(Slice {
            reference: self.word(0)?,
            bit_offset: u16_from(self.byte_order, [a, b]).into(),
            bit_size: u16_from(self.byte_order, [c, d]).into(),
        })
    }
}
