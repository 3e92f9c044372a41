//! The lists that a table of symbols is made of.

use std::ops::Range;

use super::{SymbolBinding, SymbolKind};
use crate::bytes::c_string_at;
use crate::column::{self, Column, Fields};
use crate::hash::hash_name;

/// Stands for no record.
pub(super) const NONE: u32 = u32::MAX;

/// A symbol whose name is at an offset of a table of names.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NamedSymbol {
    pub(crate) name: u32,
    pub(crate) address: u64,
    pub(crate) size: u64,
    pub(crate) binding: SymbolBinding,
    pub(crate) kind: SymbolKind,
}

/// A symbol with its name elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Record {
    /// Before the bias.
    pub(super) address: u64,
    pub(super) size: u64,
    pub(super) name: u32,
    /// Which of the table's names holds the name.
    pub(super) source: u8,
    pub(super) binding: SymbolBinding,
    pub(super) kind: SymbolKind,
    /// Whether, if its size is not known, it may name what follows in its section: it doesn't mark
    /// the section's end.
    pub(super) may_reach: bool,
}

impl From<NamedSymbol> for Record {
    fn from(symbol: NamedSymbol) -> Record {
        Record {
            address: symbol.address,
            size: symbol.size,
            name: symbol.name,
            source: 0,
            binding: symbol.binding,
            kind: symbol.kind,
            may_reach: true,
        }
    }
}

impl Record {
    /// Where the addresses that it occupies end.
    pub(super) fn end(&self) -> u64 {
        self.address.saturating_add(self.size)
    }

    /// Whether it has an address. Those that are thread-local, or in `fixed`, have offsets.
    pub(super) fn is_placed(&self, fixed: &Range<u64>) -> bool {
        self.kind != SymbolKind::Tls && !fixed.contains(&self.address)
    }

    /// Which of several goes first: that with the least number, according to its binding.
    pub(super) fn precedence(&self) -> u8 {
        match self.binding {
            SymbolBinding::Global | SymbolBinding::Unique => 0,
            SymbolBinding::Weak => 1,
            SymbolBinding::Local => 2,
            SymbolBinding::Unknown => LAST_PRECEDENCE,
        }
    }
}

const LAST_PRECEDENCE: u8 = 3;

impl column::Record for Record {
    const SIZE: usize = 24;

    fn read(bytes: &[u8]) -> Record {
        let mut fields = Fields(bytes);
        let (address, size, name) = (fields.u64(), fields.u64(), fields.u32());
        let [source, binding, kind, may_reach] = fields.u32().to_le_bytes();
        Record {
            address,
            size,
            name,
            source,
            binding: SymbolBinding::from_number(binding),
            kind: SymbolKind::from_number(kind),
            may_reach: may_reach != 0,
        }
    }

    fn write(self, bytes: &mut Vec<u8>) {
        bytes.extend_from_slice(&self.address.to_le_bytes());
        bytes.extend_from_slice(&self.size.to_le_bytes());
        bytes.extend_from_slice(&self.name.to_le_bytes());
        bytes.extend_from_slice(&[
            self.source,
            self.binding as u8,
            self.kind as u8,
            u8::from(self.may_reach),
        ]);
    }

    fn example() -> Record {
        Record {
            address: 1,
            size: 2,
            name: 3,
            source: 4,
            binding: SymbolBinding::Unique,
            kind: SymbolKind::IndirectFunction,
            may_reach: true,
        }
    }
}

/// All records of a table: first those that have offsets and no addresses, then the others, each
/// sorted by that, and those of one address by which goes first. A kernel has thousands of symbols
/// at one address.
pub(super) struct Records {
    pub(super) list: Column<Record>,
    /// The number of the first one with an address.
    pub(super) first_placed: usize,
}

impl Records {
    pub(super) fn new(mut records: Vec<Record>, fixed: &Range<u64>) -> Records {
        // 32-bit record numbers with one value to spare.
        records.truncate(NONE as usize);
        records
            .sort_by_key(|record| (record.is_placed(fixed), record.address, record.precedence()));
        Records {
            first_placed: records.partition_point(|record| !record.is_placed(fixed)),
            list: records.into(),
        }
    }

    /// The last record at or before an address.
    pub(super) fn last_at_or_before(&self, address: u64) -> Option<usize> {
        let behind = self.first_where(|record| record.address > address);
        self.before(behind)
    }

    /// The records with an address that start there, the one that goes first before the others.
    pub(super) fn starting_at(&self, start: u64) -> impl Iterator<Item = Record> + '_ {
        let first = self.first_where(|record| record.address >= start);
        self.list
            .range(first..self.list.len())
            .take_while(move |record| record.address == start)
    }

    /// The number of the record before one, if that has an address, too.
    pub(super) fn before(&self, number: usize) -> Option<usize> {
        number
            .checked_sub(1)
            .filter(|&before| before >= self.first_placed)
    }

    /// The number of the first record with an address for which something is so, as it is for all
    /// that follow.
    fn first_where(&self, is_so: impl Fn(Record) -> bool) -> usize {
        self.list
            .partition_point_from(self.first_placed, |record| !is_so(record))
    }

    /// For each record the nearest one before it that ends after it. As records are sorted by
    /// start, an address that a record doesn't contain isn't contained by the skipped ones either.
    pub(super) fn enclosing(&self) -> Column<u32> {
        let mut open: Vec<(u32, u64)> = Vec::new();
        let numbered = (0u32..).zip(self.list.iter());
        let enclosing = numbered.map(|(number, record)| {
            if (number as usize) < self.first_placed {
                return NONE;
            }
            while open.last().is_some_and(|&(_, end)| end <= record.end()) {
                open.pop();
            }
            let outer = open.last().map_or(NONE, |&(outer, _)| outer);
            open.push((number, record.end()));
            outer
        });
        enclosing.collect::<Vec<u32>>().into()
    }
}

/// An open-addressing table of record numbers.
pub(super) struct NameIndex {
    /// A power of two of them.
    pub(super) slots: Column<u32>,
}

impl NameIndex {
    pub(super) fn new(records: &Records, names: &[&[u8]]) -> NameIndex {
        let size = (records.list.len().max(2) * 2).next_power_of_two();
        let mask = size - 1;
        let mut slots = vec![NONE; size];
        // Symbols of one name are met in the order in which they were put in. Some names, such as
        // those that compilers make up, have hundreds of symbols.
        for rank in 0..=LAST_PRECEDENCE {
            let ranked = (0u32..)
                .zip(records.list.iter())
                .filter(|(_, record)| record.precedence() == rank);
            for (number, record) in ranked {
                let name = names
                    .get(usize::from(record.source))
                    .and_then(|names| c_string_at(names, record.name as usize))
                    .unwrap_or_default();
                let mut slot = hash_name(name) as usize & mask;
                while slots[slot] != NONE {
                    slot = (slot + 1) & mask;
                }
                slots[slot] = number;
            }
        }
        NameIndex {
            slots: slots.into(),
        }
    }

    /// The numbers of records that may have a name, the best first.
    pub(super) fn candidates(&self, name: &[u8]) -> impl Iterator<Item = usize> + '_ {
        let size = self.slots.len();
        let start = hash_name(name) as usize;
        // Lists out of the cache may be damaged, and have no free slot.
        (0..size).map_while(move |step| {
            let slot = start.wrapping_add(step) & size.wrapping_sub(1);
            let number = self.slots.get(slot).filter(|&number| number != NONE)?;
            Some(number as usize)
        })
    }
}
