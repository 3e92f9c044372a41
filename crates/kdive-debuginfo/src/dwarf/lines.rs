//! Line tables: the source files of a unit.

use std::sync::Arc;

use super::file::{DwarfFile, Slice, UnitView};
use crate::Result;

impl DwarfFile {
    /// The path of the source file with number `file` in a unit, with its directories.
    pub(super) fn source_file(&self, view: &UnitView<'_>, file: u64) -> Result<Option<Arc<str>>> {
        let files = self.source_files(view)?;
        Ok(usize::try_from(file)
            .ok()
            .and_then(|file| files.get(file).cloned()))
    }

    /// The paths of all source files of a unit, by their numbers.
    fn source_files(&self, view: &UnitView<'_>) -> Result<Vec<Arc<str>>> {
        let skeleton = self
            .unit_number(view.offset)
            .and_then(|unit| self.skeleton_of(unit));
        if let Some((file, skeleton)) = skeleton {
            return file.source_files(&file.unit(skeleton)?);
        }
        let failed = |error: gimli::Error| {
            self.bad_entry(
                view.offset,
                &format!("the unit's line table can't be read: {error}"),
            )
        };
        let unit = view.dwarf.unit(view.unit.header).map_err(failed)?;
        file_paths(view, &unit).map_err(failed)
    }

    /// The path of the source file with a number that macros of a unit refer to. Those of split
    /// DWARF refer to a table of files beside them.
    pub(super) fn macro_file(&self, view: &UnitView<'_>, file: u64) -> Result<Option<Arc<str>>> {
        let split = gimli::DebugLineOffset(0);
        let size = view.unit.encoding().address_size;
        match view.dwarf.debug_line.program(split, size, None, None) {
            Ok(program) if self.is_split() => {
                let failed = |error: gimli::Error| self.bad_entry(view.offset, &error.to_string());
                let mut unit = view.dwarf.unit(view.unit.header).map_err(failed)?;
                unit.line_program = Some(program);
                let paths = file_paths(view, &unit).map_err(failed)?;
                Ok(usize::try_from(file)
                    .ok()
                    .and_then(|file| paths.get(file).cloned()))
            }
            _ => self.source_file(view, file),
        }
    }
}

/// The paths of all source files of a unit's line table, by their numbers.
fn file_paths<'a>(
    view: &UnitView<'a>,
    unit: &gimli::Unit<Slice<'a>>,
) -> gimli::Result<Vec<Arc<str>>> {
    let Some(program) = &unit.line_program else {
        return Ok(Vec::new());
    };
    let header = program.header();
    let count = header.file_names().len() as u64;
    // Up to DWARF 4, files are numbered from 1.
    let numbers = if header.version() >= 5 {
        0..count
    } else {
        0..count.saturating_add(1)
    };
    let mut files = Vec::new();
    for number in numbers {
        let path = match header.file(number) {
            Some(file) => file_path(unit, view, header, file)?,
            None => String::new(),
        };
        files.push(path.into());
    }
    Ok(files)
}

fn file_path<'a>(
    unit: &gimli::Unit<Slice<'a>>,
    view: &UnitView<'a>,
    header: &gimli::LineProgramHeader<Slice<'a>>,
    file: &gimli::FileEntry<Slice<'a>>,
) -> gimli::Result<String> {
    let mut path = String::new();
    if let Some(directory) = unit.comp_dir {
        path.push_str(&directory.to_string_lossy());
    }
    let mut append = |part: &str| {
        if part.starts_with('/') {
            path.clear();
        } else if !path.is_empty() && !path.ends_with('/') {
            path.push('/');
        }
        path.push_str(part);
    };
    if let Some(directory) = file.directory(header) {
        let directory = view.dwarf.attr_string(unit, directory)?;
        append(&directory.to_string_lossy());
    }
    append(
        &view
            .dwarf
            .attr_string(unit, file.path_name())?
            .to_string_lossy(),
    );
    Ok(path)
}
