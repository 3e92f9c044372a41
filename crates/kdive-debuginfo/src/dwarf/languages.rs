//! The languages of units that do not say theirs.
//!
//! dwz moves what several units have in common to partial units, which have no language: it is
//! that of the units that import them.

use std::collections::HashMap;

use foldhash::fast::FixedState;

use super::file::DwarfFile;
use super::source::DwarfSource;
use crate::description::Language;

/// The languages of partial units, by the offsets of the units in the source.
pub(super) type Languages = HashMap<u64, Language, FixedState>;

/// What a unit says at its start.
pub(super) struct UnitStart {
    pub(super) language: Option<Language>,
    /// What it imports: in its own file, or in the supplementary one.
    pub(super) imports: Vec<Import>,
}

/// The offset of an entry of an imported unit.
#[derive(Clone, Copy)]
pub(super) enum Import {
    Own(u64),
    Supplementary(u64),
}

/// Goes through the imports of all units. Where units of several languages import one, that of
/// the first counts. What is damaged imports nothing.
pub(super) fn read(source: &DwarfSource) -> Languages {
    let mut imports: HashMap<u64, Vec<u64>, FixedState> = HashMap::default();
    let mut known = Vec::new();
    for slot in source.files() {
        for number in 0..slot.file.unit_count() {
            let Some(offset) = slot.file.unit_offset(number) else {
                continue;
            };
            let Ok(start) = slot.file.unit_start(number) else {
                continue;
            };
            let unit = slot.base + offset;
            let targets = start.imports.iter().filter_map(|import| match *import {
                Import::Own(offset) => containing(&slot.file, slot.base, offset),
                Import::Supplementary(offset) => {
                    let other = source.files().get(source.supplementary_number()?)?;
                    containing(&other.file, other.base, offset)
                }
            });
            imports.insert(unit, targets.collect());
            if let Some(language) = start.language {
                known.push((unit, language));
            }
        }
    }
    let mut languages = Languages::default();
    for (unit, language) in known {
        let mut waiting = vec![unit];
        while let Some(unit) = waiting.pop() {
            for &imported in imports.get(&unit).into_iter().flatten() {
                languages.entry(imported).or_insert_with(|| {
                    waiting.push(imported);
                    language
                });
            }
        }
    }
    languages
}

/// The offset in the source of the unit that contains an entry.
fn containing(file: &DwarfFile, base: u64, entry: u64) -> Option<u64> {
    Some(base + file.unit_offset(file.unit_number_at(entry)?)?)
}
