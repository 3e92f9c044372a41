//! Collects rows of several sources into one table.

use std::collections::HashMap;
use std::ops::Range;

use super::rules::{CfaRule, Record, RegisterRule};
use super::{HEADER_SIZE, MAGIC, NO_RULES, UnwindTable, VERSION};
use crate::{Architecture, Error, Register, Result};

/// How many problems of damaged sections are told.
const MAX_PROBLEMS: usize = 16;

/// Compiles the unwind information of one module into an [`UnwindTable`].
///
/// Sources are added in the order of their precedence: a later one only fills what the earlier
/// ones leave open, except that ORC's canonical frame addresses win over those of CFI, which does not
/// know what inline assembly does to the stack.
/// Damaged entries are left out; [`problems`](Self::problems) tells them.
///
/// ```
/// use kdive_unwind::table::{FrameSection, TableBuilder};
/// use kdive_unwind::Architecture;
///
/// let architecture = Architecture::of(kdive_target::Architecture::X86_64).unwrap();
/// let mut builder = TableBuilder::new(architecture, 0x1000..0x2000);
/// builder.add_debug_frame(FrameSection { bytes: &[], address: 0, text_address: 0 });
/// let table = builder.build()?;
/// assert!(table.lookup(0x1000).is_none());
/// # Ok::<(), kdive_unwind::Error>(())
/// ```
pub struct TableBuilder {
    pub(super) architecture: &'static Architecture,
    code: Range<u64>,
    rules: HashMap<Vec<Record>, u32, foldhash::fast::FixedState>,
    records: Vec<Record>,
    combined: HashMap<(u32, u32), u32, foldhash::fast::FixedState>,
    expressions: Vec<u8>,
    expression_offsets: HashMap<Vec<u8>, i32, foldhash::fast::FixedState>,
    scratch: Vec<Record>,
    rows: Vec<Row>,
    problems: Vec<Error>,
}

/// A row starts at an offset into the code and ends where the next one starts.
#[derive(Clone, Copy, Debug)]
pub(super) struct Row {
    pub(super) start: u32,
    pub(super) rules: u32,
}

/// The rules of a row, before they are packed.
pub(super) struct NewRules<'a> {
    pub(super) cfa: CfaRule<'a>,
    pub(super) return_address: Register,
    pub(super) flags: u16,
}

impl TableBuilder {
    /// For the code of a module at these addresses, as it was linked. Rows elsewhere are left
    /// out: linkers leave entries for code that they dropped.
    pub fn new(architecture: &'static Architecture, code: Range<u64>) -> Self {
        Self {
            architecture,
            code,
            rules: HashMap::default(),
            records: Vec::new(),
            combined: HashMap::default(),
            expressions: Vec::new(),
            expression_offsets: HashMap::default(),
            scratch: Vec::new(),
            rows: Vec::new(),
            problems: Vec::new(),
        }
    }

    /// What was damaged and left out: the first few problems.
    pub fn problems(&self) -> &[Error] {
        &self.problems
    }

    pub(super) fn problem(&mut self, section: &'static str, message: String) {
        if self.problems.len() < MAX_PROBLEMS {
            self.problems.push(Error::Section { section, message });
        }
    }

    /// The part of a range of addresses that belongs to the module's code, as offsets.
    pub(super) fn clip(&self, start: u64, end: u64) -> Option<Range<u32>> {
        let start = start.max(self.code.start);
        let end = end.min(self.code.end);
        if start >= end {
            return None;
        }
        let offset = |address: u64| u32::try_from(address - self.code.start).ok();
        Some(offset(start)?..offset(end)?)
    }

    /// An address of the module's code, or its end, as an offset.
    pub(super) fn offset_of(&self, address: u64) -> Option<u32> {
        let offset = address.checked_sub(self.code.start)?;
        u32::try_from(offset)
            .ok()
            .filter(|_| address <= self.code.end)
    }

    /// Packs the rules of a row, or finds them if another row has the same; none if they can't
    /// be packed.
    pub(super) fn add_rules<'a>(
        &mut self,
        new: &NewRules<'_>,
        registers: impl IntoIterator<Item = (Register, RegisterRule<'a>)>,
    ) -> Option<u32> {
        let mut scratch = std::mem::take(&mut self.scratch);
        scratch.clear();
        let packed = self.pack(&mut scratch, new, registers);
        let index = packed.and_then(|()| self.intern_rules(&scratch));
        self.scratch = scratch;
        index
    }

    fn pack<'a>(
        &mut self,
        into: &mut Vec<Record>,
        new: &NewRules<'_>,
        registers: impl IntoIterator<Item = (Register, RegisterRule<'a>)>,
    ) -> Option<()> {
        into.push(Record::header(new.return_address, 0, new.flags));
        into.push(Record::of_cfa(new.cfa, |bytes| {
            self.intern_expression(bytes)
        })?);
        for (register, rule) in registers {
            into.push(Record::of_register(register, rule, |bytes| {
                self.intern_expression(bytes)
            })?);
        }
        let count = u8::try_from(into.len() - 2).ok()?;
        *into.first_mut()? = Record::header(new.return_address, count, new.flags);
        Some(())
    }

    fn intern_rules(&mut self, packed: &[Record]) -> Option<u32> {
        if let Some(&index) = self.rules.get(packed) {
            return Some(index);
        }
        let index = u32::try_from(self.records.len())
            .ok()
            .filter(|&index| index != NO_RULES)?;
        self.records.extend_from_slice(packed);
        self.rules.insert(packed.to_vec(), index);
        Some(index)
    }

    fn intern_expression(&mut self, bytes: &[u8]) -> Option<i32> {
        if let Some(&offset) = self.expression_offsets.get(bytes) {
            return Some(offset);
        }
        let offset = i32::try_from(self.expressions.len()).ok()?;
        self.expressions.extend_from_slice(bytes);
        self.expression_offsets.insert(bytes.to_vec(), offset);
        Some(offset)
    }

    /// Adds the rows of a source, sorted by their start, to those of the sources before it.
    pub(super) fn merge(&mut self, source: Vec<Row>) {
        if self.rows.is_empty() {
            self.rows = source;
            return;
        }
        let before = std::mem::take(&mut self.rows);
        let mut merged: Vec<Row> = Vec::with_capacity(before.len() + source.len());
        let (mut first, mut second) = (before.iter().peekable(), source.iter().peekable());
        let (mut preferred, mut other) = (NO_RULES, NO_RULES);
        loop {
            let start = match (first.peek(), second.peek()) {
                (Some(a), Some(b)) => a.start.min(b.start),
                (Some(row), None) | (None, Some(row)) => row.start,
                (None, None) => break,
            };
            while let Some(row) = first.next_if(|row| row.start == start) {
                preferred = row.rules;
            }
            while let Some(row) = second.next_if(|row| row.start == start) {
                other = row.rules;
            }
            let rules = match (preferred, other) {
                (NO_RULES, rules) | (rules, NO_RULES) => rules,
                (preferred, other) => self.combine(preferred, other),
            };
            merged.push(Row { start, rules });
        }
        self.rows = merged;
    }

    /// The rules where two sources have some: the preferred ones, unless ORC has another CFA.
    /// objtool follows what inline assembly does to the stack (`pushf`, `call_on_stack()`), which
    /// compilers do not know and CFI can't tell.
    fn combine(&mut self, preferred: u32, other: u32) -> u32 {
        if let Some(&rules) = self.combined.get(&(preferred, other)) {
            return rules;
        }
        let rules = self.with_cfa_of(preferred, other).unwrap_or(preferred);
        self.combined.insert((preferred, other), rules);
        rules
    }

    fn with_cfa_of(&mut self, preferred: u32, other: u32) -> Option<u32> {
        let rules = |index: u32| {
            let (header, rest) = self.records.get(index as usize..)?.split_first()?;
            let count = 1 + usize::from(header.count());
            Some((header, rest.get(..count)?))
        };
        let (header, own) = rules(preferred)?;
        let (other_header, others) = rules(other)?;
        let cfa = others.first()?;
        if !other_header.is_from_orc()
            || header.is_end_of_stack()
            || other_header.is_end_of_stack()
            || own.first()? == cfa
        {
            return None;
        }
        let mut combined = vec![*header, *cfa];
        combined.extend_from_slice(own.get(1..)?);
        self.intern_rules(&combined)
    }

    /// Makes the table.
    pub fn build(mut self) -> Result<UnwindTable> {
        self.rows.dedup_by(|next, row| {
            if next.start == row.start {
                row.rules = next.rules;
            }
            next.start == row.start
        });
        self.rows.dedup_by_key(|row| row.rules);
        let size = |count: usize| {
            u32::try_from(count)
                .map(u32::to_le_bytes)
                .map_err(|_| Error::Table("the module's unwind information is too large"))
        };
        let mut bytes = Vec::with_capacity(
            HEADER_SIZE + self.rows.len() * 8 + self.records.len() * 8 + self.expressions.len(),
        );
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(&VERSION.to_le_bytes());
        bytes.extend_from_slice(&size(self.rows.len())?);
        bytes.extend_from_slice(&size(self.records.len())?);
        bytes.extend_from_slice(&size(self.expressions.len())?);
        bytes.extend_from_slice(&self.code.start.to_le_bytes());
        bytes.resize(HEADER_SIZE, 0);
        bytes.extend(self.rows.iter().flat_map(|row| row.start.to_le_bytes()));
        bytes.extend(self.rows.iter().flat_map(|row| row.rules.to_le_bytes()));
        bytes.extend(self.records.iter().flat_map(|record| record.0));
        bytes.extend_from_slice(&self.expressions);
        UnwindTable::new(bytes)
    }
}
