//! Which source line the code at an address belongs to.

use std::sync::Arc;

use super::file::{DwarfFile, Slice, UnitView};
use crate::Result;
use crate::code::SourceLine;

/// The line table of a unit.
#[derive(Default)]
pub(super) struct LineRows {
    /// Sorted by address.
    rows: Vec<Row>,
    /// By their numbers.
    files: Vec<Arc<str>>,
}

struct Row {
    address: u64,
    file: u32,
    line: u32,
    column: u16,
    /// The address is behind the last instruction of a sequence.
    is_end: bool,
}

impl LineRows {
    /// The line of the code at an address, as linked.
    pub(super) fn line_at(&self, address: u64) -> Option<SourceLine> {
        let row = self
            .rows
            .partition_point(|row| row.address <= address)
            .checked_sub(1)?;
        let row = self.rows.get(row).filter(|row| !row.is_end)?;
        Some(SourceLine {
            file: self.file(u64::from(row.file))?,
            line: u64::from(row.line),
            column: u64::from(row.column),
        })
    }

    /// The file of a number.
    pub(super) fn file(&self, number: u64) -> Option<Arc<str>> {
        self.files.get(usize::try_from(number).ok()?).cloned()
    }
}

impl DwarfFile {
    /// The line table of a unit.
    pub(super) fn line_rows(&self, unit: usize, view: &UnitView<'_>) -> Result<&LineRows> {
        static NONE: LineRows = LineRows {
            rows: Vec::new(),
            files: Vec::new(),
        };
        if let Some((file, skeleton)) = self.skeleton_of(unit) {
            return file.line_rows(skeleton, &file.unit(skeleton)?);
        }
        let Some(code) = self.unit_code(unit) else {
            return Ok(&NONE);
        };
        if code.lines.get().is_none() {
            let rows = read(view).map_err(|error| {
                let message = format!("the unit's line table can't be read: {error}");
                self.bad_entry(view.offset, &message)
            })?;
            let _ = code.lines.set(rows);
        }
        Ok(code.lines.get().unwrap_or(&NONE))
    }
}

fn read(view: &UnitView<'_>) -> gimli::Result<LineRows> {
    let unit = view.dwarf.unit(view.unit.header)?;
    let Some(program) = unit.line_program.clone() else {
        return Ok(LineRows::default());
    };
    let files = files(&unit, view, program.header())?;
    let mut rows = Vec::new();
    let mut reader = program.rows();
    while let Some((_, row)) = reader.next_row()? {
        rows.push(Row {
            address: row.address(),
            file: u32::try_from(row.file_index()).unwrap_or(u32::MAX),
            line: row
                .line()
                .map_or(0, |line| u32::try_from(line.get()).unwrap_or(0)),
            column: match row.column() {
                gimli::ColumnType::LeftEdge => 0,
                gimli::ColumnType::Column(column) => u16::try_from(column.get()).unwrap_or(0),
            },
            is_end: row.end_sequence(),
        });
    }
    // A sequence may start where another ends. Of several rows for one address the last counts.
    rows.sort_by_key(|row| (row.address, !row.is_end));
    Ok(LineRows { rows, files })
}

fn files(
    unit: &gimli::Unit<Slice<'_>>,
    view: &UnitView<'_>,
    header: &gimli::LineProgramHeader<Slice<'_>>,
) -> gimli::Result<Vec<Arc<str>>> {
    let count = header.file_names().len() as u64;
    // Up to DWARF 4, files are numbered from 1.
    let numbers = if header.version() >= 5 {
        0..count
    } else {
        0..count.saturating_add(1)
    };
    numbers
        .map(|number| {
            let Some(file) = header.file(number) else {
                return Ok("".into());
            };
            let name = view.dwarf.attr_string(unit, file.path_name())?;
            let name = name.to_string_lossy();
            let path = match file.directory(header) {
                Some(directory) if !name.starts_with('/') => {
                    let directory = view.dwarf.attr_string(unit, directory)?;
                    format!("{}/{name}", directory.to_string_lossy())
                }
                _ => name.into_owned(),
            };
            Ok(crate::source_path::normalize(&path).into())
        })
        .collect()
}
