//! Unwind rows of one module: a flat, sorted table that can be kept in a file and used mapped.
//!
//! Here live the [format](UnwindTable), the [rules](Rules) of a row, and the compilers that make
//! tables of CFI and ORC through a [`TableBuilder`]. [`Unwinder`](crate::Unwinder)
//! applies rules to registers.

mod builder;
mod cfi;
mod orc;
mod rules;

pub use builder::TableBuilder;
pub use cfi::FrameSection;
pub use orc::{OrcSections, OrcVersion};
pub use rules::{CfaRule, RegisterRule, Rules, Source};

use std::ops::Range;

use crate::{Error, Result};
use rules::Record;

const MAGIC: &[u8; 8] = b"KDUNWIND";
/// Raised whenever the format or what the compilers put into it changes.
const VERSION: u32 = 1;
const HEADER_SIZE: usize = 40;
/// The rules of addresses that no source covers.
const NO_RULES: u32 = u32::MAX;

/// The unwind rows of one module.
///
/// The bytes are little-endian: a header (magic, version, rows, records, bytes of expressions,
/// base), the start of each row as a 32-bit offset from the base, the index of the first record
/// of the row's rules, the records of 8 bytes, and the expressions. A row ends where the next
/// starts. Rules are shared between rows that have the same ones.
pub struct UnwindTable {
    bytes: Box<dyn AsRef<[u8]> + Send + Sync>,
    base: u64,
    starts: Range<usize>,
    rules: Range<usize>,
    records: Range<usize>,
    expressions: Range<usize>,
}

impl UnwindTable {
    /// Uses the bytes that [`TableBuilder::build`] made, which may be mapped from a file.
    ///
    /// The sizes are checked here; rows are checked when they are used, so that damaged bytes
    /// give wrong rules at worst.
    pub fn new(bytes: impl AsRef<[u8]> + Send + Sync + 'static) -> Result<Self> {
        let all = bytes.as_ref();
        if all.get(..8) != Some(MAGIC) {
            return Err(Error::Table("it does not begin with the format's name"));
        }
        if u32_at(all, 8) != Some(VERSION) {
            return Err(Error::Table("it is of another version"));
        }
        let count = |offset| {
            u32_at(all, offset)
                .map(|count| count as usize)
                .ok_or(Error::Table("it is shorter than its header"))
        };
        let (rows, records, expressions) = (count(12)?, count(16)?, count(20)?);
        let base = all
            .get(24..32)
            .map(crate::registers::little_endian)
            .ok_or(Error::Table("it is shorter than its header"))?;
        let mut end = HEADER_SIZE;
        let mut section = |size: Option<usize>| {
            let start = end;
            end = size.and_then(|size| start.checked_add(size))?;
            (end <= all.len()).then_some(start..end)
        };
        let starts = section(rows.checked_mul(4));
        let rules = section(rows.checked_mul(4));
        let records = section(records.checked_mul(8));
        let expressions = section(Some(expressions));
        let (Some(starts), Some(rules), Some(records), Some(expressions)) =
            (starts, rules, records, expressions)
        else {
            return Err(Error::Table("it is truncated"));
        };
        Ok(Self {
            bytes: Box::new(bytes),
            base,
            starts,
            rules,
            records,
            expressions,
        })
    }

    /// The bytes of the table, to keep in a file.
    pub fn as_bytes(&self) -> &[u8] {
        (*self.bytes).as_ref()
    }

    /// The number of rows.
    pub fn len(&self) -> usize {
        self.starts.len() / 4
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.starts.is_empty()
    }

    /// The rules for an address of the module as it was linked; none if no source covers it.
    pub fn lookup(&self, address: u64) -> Option<Rules<'_>> {
        let offset = u32::try_from(address.checked_sub(self.base)?).ok()?;
        let (starts, _) = self.slice(&self.starts).as_chunks::<4>();
        let row = starts
            .partition_point(|start| u32::from_le_bytes(*start) <= offset)
            .checked_sub(1)?;
        self.rules_of(row)
    }

    /// All rows in order: the address at which each starts, and its rules.
    pub fn rows(&self) -> impl Iterator<Item = (u64, Option<Rules<'_>>)> {
        let (starts, _) = self.slice(&self.starts).as_chunks::<4>();
        starts.iter().enumerate().map(|(row, start)| {
            let offset = u64::from(u32::from_le_bytes(*start));
            (self.base.wrapping_add(offset), self.rules_of(row))
        })
    }

    fn rules_of(&self, row: usize) -> Option<Rules<'_>> {
        let (rules, _) = self.slice(&self.rules).as_chunks::<4>();
        let index = u32::from_le_bytes(*rules.get(row)?);
        if index == NO_RULES {
            return None;
        }
        let (records, _) = self.slice(&self.records).as_chunks::<8>();
        let (header, rest) = records.get(index as usize..)?.split_first()?;
        Rules::new(Record(*header), rest, self.slice(&self.expressions))
    }

    fn slice(&self, range: &Range<usize>) -> &[u8] {
        self.as_bytes().get(range.clone()).unwrap_or(&[])
    }
}

impl std::fmt::Debug for UnwindTable {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("UnwindTable")
            .field("base", &format_args!("{:#x}", self.base))
            .field("rows", &self.len())
            .finish_non_exhaustive()
    }
}

fn u32_at(bytes: &[u8], offset: usize) -> Option<u32> {
    let bytes = bytes.get(offset..offset.checked_add(4)?)?;
    Some(u32::from_le_bytes(bytes.try_into().ok()?))
}
