//! Which unit and which function the code at an address belongs to.

use std::sync::OnceLock;

use gimli::constants as dw;

use super::file::{DwarfFile, Slice, UnitView};
use super::line_rows::LineRows;
use crate::Result;

/// What was read of the code of a file, as linked.
#[derive(Default)]
pub(super) struct CodeIndex {
    /// From `.debug_aranges`, which most compilers write; sorted.
    announced: OnceLock<Vec<UnitRange>>,
    /// Of the units that it leaves out; sorted.
    others: OnceLock<Vec<UnitRange>>,
    units: OnceLock<Vec<UnitCode>>,
}

/// Code of one unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct UnitRange {
    start: u64,
    end: u64,
    /// The number of the unit in the file.
    unit: usize,
}

/// What was read of one unit.
#[derive(Default)]
pub(super) struct UnitCode {
    functions: OnceLock<Vec<FunctionRange>>,
    pub(super) lines: OnceLock<LineRows>,
}

/// Code of one function.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct FunctionRange {
    start: u64,
    end: u64,
    offset: usize,
}

impl DwarfFile {
    /// The number of the unit whose code is at an address.
    pub(super) fn unit_of_code(&self, address: u64) -> Result<Option<usize>> {
        let announced = self
            .code()
            .announced
            .get_or_init(|| self.announced_ranges());
        if let Some(range) = find(announced, address, |range| (range.start, range.end)) {
            return Ok(Some(range.unit));
        }
        if self.code().others.get().is_none() {
            let ranges = self.other_ranges(announced)?;
            let _ = self.code().others.set(ranges);
        }
        let others = self.code().others.get().map_or(&[][..], Vec::as_slice);
        Ok(find(others, address, |range| (range.start, range.end)).map(|range| range.unit))
    }

    /// What was read of a unit.
    pub(super) fn unit_code(&self, unit: usize) -> Option<&UnitCode> {
        self.code()
            .units
            .get_or_init(|| {
                (0..self.unit_count())
                    .map(|_| UnitCode::default())
                    .collect()
            })
            .get(unit)
    }

    /// The offset in its unit of the function whose code is at an address.
    pub(super) fn function_at(
        &self,
        unit: usize,
        view: &UnitView<'_>,
        address: u64,
    ) -> Result<Option<gimli::UnitOffset>> {
        let Some(code) = self.unit_code(unit) else {
            return Ok(None);
        };
        if code.functions.get().is_none() {
            let functions =
                functions(view).map_err(|error| self.bad_entry(view.offset, &error.to_string()))?;
            let _ = code.functions.set(functions);
        }
        let functions = code.functions.get().map_or(&[][..], Vec::as_slice);
        Ok(find(functions, address, |range| (range.start, range.end))
            .map(|range| gimli::UnitOffset(range.offset)))
    }

    fn announced_ranges(&self) -> Vec<UnitRange> {
        let dwarf = self.dwarf();
        let mut ranges = Vec::new();
        let mut headers = dwarf.debug_aranges.headers();
        // What follows damage is found as if it had not been announced.
        while let Ok(Some(header)) = headers.next() {
            let Some(unit) = self.unit_number(header.debug_info_offset().0 as u64) else {
                continue;
            };
            let mut entries = header.entries();
            while let Ok(Some(entry)) = entries.next() {
                ranges.push(UnitRange {
                    start: entry.address(),
                    end: entry.address().saturating_add(entry.length()),
                    unit,
                });
            }
        }
        ranges.sort_unstable();
        ranges
    }

    fn other_ranges(&self, announced: &[UnitRange]) -> Result<Vec<UnitRange>> {
        let mut is_announced = vec![false; self.unit_count()];
        for range in announced {
            if let Some(flag) = is_announced.get_mut(range.unit) {
                *flag = true;
            }
        }
        let mut ranges = Vec::new();
        let units = is_announced.iter().enumerate();
        for (unit, _) in units.filter(|(_, is_announced)| !**is_announced) {
            let view = self.unit(unit)?;
            let failed = |error: gimli::Error| self.bad_entry(view.offset, &error.to_string());
            let mut found = view.own_ranges().map_err(failed)?;
            while let Some(range) = found.next().map_err(failed)? {
                ranges.push(UnitRange {
                    start: range.begin,
                    end: range.end,
                    unit,
                });
            }
        }
        ranges.sort_unstable();
        Ok(ranges)
    }
}

impl<'a> UnitView<'a> {
    /// Where the code of an entry is, as linked. What would end beyond all addresses is nowhere.
    pub(super) fn ranges(
        &self,
        entry: &gimli::DebuggingInformationEntry<Slice<'a>>,
    ) -> gimli::Result<gimli::RangeIter<Slice<'a>>> {
        // gimli adds the length to the start, whatever comes of it.
        let (mut start, mut length) = (0, 0);
        for attribute in entry.attrs() {
            match (attribute.name(), attribute.value()) {
                (dw::DW_AT_low_pc, value) => {
                    let address = self.dwarf.attr_address(&self.unit, value)?;
                    start = address.unwrap_or_default();
                }
                (dw::DW_AT_high_pc, gimli::AttributeValue::Udata(value)) => length = value,
                _ => {}
            }
        }
        match start.checked_add(length) {
            Some(_) => self.dwarf.die_ranges(&self.unit, entry),
            None => Ok(gimli::RangeIter::default()),
        }
    }

    /// Where the code of the unit is, as linked.
    fn own_ranges(&self) -> gimli::Result<gimli::RangeIter<Slice<'a>>> {
        let mut entries = self.unit.entries();
        match entries.next_dfs()? {
            Some(root) => self.ranges(root),
            None => Ok(gimli::RangeIter::default()),
        }
    }
}

/// All functions of a unit that have code, sorted by it.
fn functions(view: &UnitView<'_>) -> gimli::Result<Vec<FunctionRange>> {
    let mut functions = Vec::new();
    let mut entries = view.unit.entries();
    while let Some(entry) = entries.next_dfs()? {
        if entry.tag() != dw::DW_TAG_subprogram {
            continue;
        }
        let mut ranges = view.ranges(entry)?;
        while let Some(range) = ranges.next()? {
            if range.begin < range.end {
                functions.push(FunctionRange {
                    start: range.begin,
                    end: range.end,
                    offset: entry.offset().0,
                });
            }
        }
    }
    functions.sort_unstable();
    Ok(functions)
}

/// The range that contains an address, among sorted ones of which few overlap.
fn find<T>(ranges: &[T], address: u64, bounds: impl Fn(&T) -> (u64, u64)) -> Option<&T> {
    /// Discarded code of other functions may lie at the same addresses, near 0.
    const OVERLAPPING: usize = 64;
    let after = ranges.partition_point(|range| bounds(range).0 <= address);
    ranges
        .get(..after)?
        .iter()
        .rev()
        .take(OVERLAPPING)
        .find(|range| address < bounds(range).1)
}
