//! Macros, which compilers describe with `-g3`.
//!
//! They are not in the index: the sections are gone through when a name is looked for that
//! nothing else has. What is damaged of them is as if it was not there.

use std::collections::HashMap;

use foldhash::fast::FixedState;
use gimli::{AttributeValue, MacroEntry, MacroIter, MacroString};

use super::file::{Slice, UnitView};
use super::source::DwarfSource;
use crate::hash::hash_name;
use crate::macros::{MacroDefinition, MacroSource, MacroUnit};
use crate::{Result, path_ends_with};

/// Compilers and dwz nest imports two or three deep.
const GREATEST_IMPORT_DEPTH: u32 = 32;

/// The macros of all units.
#[derive(Default)]
pub(super) struct Macros {
    /// The tables of units, in their order.
    units: Vec<u32>,
    tables: Vec<Table>,
    /// The hashes of all names and the tables that say something of them; sorted.
    names: Vec<(u32, u32)>,
}

/// A run of entries that a unit, or other tables, refer to.
struct Table {
    place: Place,
    /// The hashes of names and the numbers of the entries that define or undefine them; sorted.
    changes: Vec<(u32, u32)>,
    /// The numbers of entries that stand for another table, and that table; sorted.
    imports: Vec<(u32, u32)>,
    /// The numbers of entries at which a file begins or, without a number, ends; sorted.
    files: Vec<(u32, Option<u64>)>,
}

/// Where a table is.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Place {
    /// The number of the file in the source.
    file: u32,
    /// A unit that the table is read for: names may be written as numbers of its strings.
    unit: u32,
    /// Whether it is in `.debug_macinfo`, which had macros before `.debug_macro`.
    is_macinfo: bool,
    offset: usize,
}

/// What the last entry about a macro says.
#[derive(Clone)]
enum Change {
    Defined {
        definition: MacroDefinition,
        /// The number of the source file, if the table has that.
        file: Option<u64>,
    },
    Undefined,
}

/// What tables say of one name, by their numbers.
type Known = HashMap<u32, Option<Change>, FixedState>;

struct Reader<'a> {
    source: &'a DwarfSource,
    macros: Macros,
    /// Tables that were met. Outside of packages it does not matter which unit refers to them.
    known: HashMap<Place, u32, FixedState>,
    /// How many entries may still be read: no table is part of another one, so there are fewer
    /// than bytes.
    left: u64,
}

impl Macros {
    /// Goes through the macros of all units of a source.
    pub(super) fn read(source: &DwarfSource) -> Macros {
        let mut reader = Reader {
            source,
            macros: Macros::default(),
            known: HashMap::default(),
            left: source
                .files()
                .iter()
                .map(|slot| slot.file.macros_length())
                .fold(0, u64::saturating_add),
        };
        if reader.left != 0 {
            for file in 0..source.files().len() {
                reader.read_units(file);
            }
        }
        let mut macros = reader.macros;
        for (number, table) in (0u32..).zip(&mut macros.tables) {
            table.changes.sort_unstable();
            let names = table.changes.iter().map(|&(hash, _)| (hash, number));
            macros.names.extend(names);
        }
        macros.names.sort_unstable();
        macros.names.dedup();
        macros
    }

    /// What a table says of a name at its end.
    fn last_change(
        &self,
        source: &DwarfSource,
        number: u32,
        (name, hash): (&str, u32),
        depth: u32,
        known: &mut Known,
    ) -> Option<Change> {
        if let Some(change) = known.get(&number) {
            return change.clone();
        }
        let table = self.tables.get(number as usize)?;
        if depth == GREATEST_IMPORT_DEPTH {
            return None;
        }
        // Those that import each other must not be gone through for ever.
        known.insert(number, None);
        let mut found = None;
        let start = table.changes.partition_point(|&(other, _)| other < hash);
        let end = table.changes.partition_point(|&(other, _)| other <= hash);
        let own = table.changes.get(start..end).unwrap_or_default();
        for &(_, entry) in own.iter().rev() {
            if let Some(change) = source.macro_change(table.place, entry, name) {
                found = Some((entry, change));
                break;
            }
        }
        for &(entry, imported) in table.imports.iter().rev() {
            if found.as_ref().is_some_and(|&(own, _)| own > entry) {
                break;
            }
            let change = self.last_change(source, imported, (name, hash), depth + 1, known);
            if let Some(change) = change {
                found = Some((entry, change));
                break;
            }
        }
        let change = found.map(|(entry, change)| match change {
            Change::Defined {
                definition,
                file: None,
            } => Change::Defined {
                definition,
                file: table.file_at(entry),
            },
            change => change,
        });
        known.insert(number, change.clone());
        change
    }

    fn definition(
        &self,
        source: &DwarfSource,
        unit: MacroUnit,
        name: &str,
        known: &mut Known,
    ) -> Option<(MacroDefinition, Option<u64>)> {
        let table = *self.units.get(unit.0 as usize)?;
        let hash = hash_name(name.as_bytes());
        match self.last_change(source, table, (name, hash), 0, known)? {
            Change::Defined { definition, file } => Some((definition, file)),
            Change::Undefined => None,
        }
    }

    fn has_name(&self, name: &str) -> bool {
        let hash = hash_name(name.as_bytes());
        let start = self.names.partition_point(|&(other, _)| other < hash);
        self.names
            .get(start)
            .is_some_and(|&(found, _)| found == hash)
    }
}

impl Table {
    /// The source file that an entry is in.
    fn file_at(&self, entry: u32) -> Option<u64> {
        let mut open = Vec::new();
        for &(_, file) in self.files.iter().take_while(|(at, _)| *at < entry) {
            match file {
                Some(file) => open.push(file),
                None => {
                    open.pop();
                }
            }
        }
        open.last().copied()
    }
}

impl Reader<'_> {
    fn read_units(&mut self, file: usize) {
        let Some(slot) = self.source.files().get(file) else {
            return;
        };
        for unit in 0..slot.file.unit_count() {
            let Ok(view) = slot.file.unit(unit) else {
                continue;
            };
            let Some((is_macinfo, offset)) = reference(&view) else {
                continue;
            };
            let place = Place {
                file: file as u32,
                unit: unit as u32,
                is_macinfo,
                offset,
            };
            let table = self.read_table(place);
            self.macros.units.push(table);
        }
    }

    /// The number of a table, which is read with all that it imports if that is the first time.
    fn read_table(&mut self, place: Place) -> u32 {
        let first = self.add_table(place);
        let mut next = first as usize;
        while let Some(place) = self.macros.tables.get(next).map(|table| table.place) {
            let _ = self.read_entries(next, place);
            next += 1;
        }
        first
    }

    /// The number of a table, which has no entries yet if it is met for the first time.
    fn add_table(&mut self, place: Place) -> u32 {
        let number = self.macros.tables.len() as u32;
        let file = self.source.files().get(place.file as usize);
        let key = match file {
            Some(slot) if slot.file.is_package() => place,
            _ => Place { unit: 0, ..place },
        };
        let found = *self.known.entry(key).or_insert(number);
        if found == number {
            self.macros.tables.push(Table {
                place,
                changes: Vec::new(),
                imports: Vec::new(),
                files: Vec::new(),
            });
        }
        found
    }

    fn read_entries(&mut self, number: usize, place: Place) -> gimli::Result<()> {
        let source = self.source;
        let Some(view) = source.macro_view(place) else {
            return Ok(());
        };
        let mut entries = iterate(&view, place)?;
        let (mut changes, mut imports, mut files) = (Vec::new(), Vec::new(), Vec::new());
        let mut result = Ok(());
        for at in 0u32.. {
            if self.left == 0 {
                break;
            }
            self.left -= 1;
            let entry = match entries.next() {
                Ok(Some(entry)) => entry,
                Ok(None) => break,
                Err(error) => {
                    result = Err(error);
                    break;
                }
            };
            match entry {
                MacroEntry::Define { text, .. } | MacroEntry::Undef { name: text, .. } => {
                    if let Some(text) = string(&view, &text) {
                        changes.push((hash_name(name_of(&text)), at));
                    }
                }
                MacroEntry::StartFile { file, .. } => files.push((at, Some(file))),
                MacroEntry::EndFile => files.push((at, None)),
                MacroEntry::Import { offset } => {
                    let place = Place {
                        offset: offset.0,
                        ..place
                    };
                    imports.push((at, self.add_table(place)));
                }
                MacroEntry::ImportSup { offset } => {
                    if let Some(file) = source.supplementary_number() {
                        let place = Place {
                            file: file as u32,
                            unit: 0,
                            is_macinfo: false,
                            offset: offset.0,
                        };
                        imports.push((at, self.add_table(place)));
                    }
                }
                MacroEntry::VendorExt { .. } => {}
            }
        }
        if let Some(table) = self.macros.tables.get_mut(number) {
            (table.changes, table.imports, table.files) = (changes, imports, files);
        }
        result
    }
}

/// Where the macros of a unit are, and whether that is in `.debug_macinfo`.
fn reference(view: &UnitView<'_>) -> Option<(bool, usize)> {
    let mut entries = view.unit.entries();
    entries.next_dfs().ok()?;
    let root = entries.current()?;
    for attribute in [
        gimli::DW_AT_macros,
        gimli::DW_AT_GNU_macros,
        gimli::DW_AT_macro_info,
    ] {
        let offset = match root.attr_value(attribute) {
            Some(AttributeValue::DebugMacroRef(offset)) => offset.0,
            Some(AttributeValue::DebugMacinfoRef(offset)) => offset.0,
            Some(AttributeValue::SecOffset(offset)) => offset,
            // Before DWARF 4, offsets of sections were plain numbers.
            Some(AttributeValue::Data4(offset)) => offset as usize,
            Some(AttributeValue::Data8(offset)) => usize::try_from(offset).ok()?,
            _ => continue,
        };
        return Some((attribute == gimli::DW_AT_macro_info, offset));
    }
    None
}

fn iterate<'a>(view: &UnitView<'a>, place: Place) -> gimli::Result<MacroIter<Slice<'a>>> {
    if place.is_macinfo {
        view.dwarf.macinfo(gimli::DebugMacinfoOffset(place.offset))
    } else {
        view.dwarf.macros(gimli::DebugMacroOffset(place.offset))
    }
}

fn string<'a>(view: &UnitView<'a>, text: &MacroString<Slice<'a>>) -> Option<Slice<'a>> {
    let unit = gimli::UnitRef::new(&view.dwarf, &view.unit);
    text.string(unit).ok()
}

/// The name that the text of a definition starts with.
fn name_of<'a>(text: &Slice<'a>) -> &'a [u8] {
    let text = text.slice();
    let end = text.iter().position(|byte| matches!(byte, b' ' | b'('));
    end.and_then(|end| text.get(..end)).unwrap_or(text)
}

impl DwarfSource {
    fn macro_view(&self, place: Place) -> Option<UnitView<'_>> {
        let file = &self.files().get(place.file as usize)?.file;
        file.unit(place.unit as usize).ok()
    }

    /// What an entry of a table says; none if that is about another name.
    fn macro_change(&self, place: Place, entry: u32, name: &str) -> Option<Change> {
        let view = self.macro_view(place)?;
        let mut entries = iterate(&view, place).ok()?;
        for _ in 0..entry {
            entries.next().ok()??;
        }
        match entries.next().ok()?? {
            MacroEntry::Define { text, .. } => {
                let text = string(&view, &text)?.to_string_lossy();
                let (defined, definition) = MacroDefinition::parse(&text)?;
                (defined == name).then_some(Change::Defined {
                    definition,
                    file: None,
                })
            }
            MacroEntry::Undef { name: text, .. } => {
                (name_of(&string(&view, &text)?) == name.as_bytes()).then_some(Change::Undefined)
            }
            _ => None,
        }
    }

    /// Whether the source file of a number in a unit ends with `file_name`.
    fn is_macro_file(&self, unit: MacroUnit, file: Option<u64>, file_name: &str) -> Result<bool> {
        let table = self.macros().units.get(unit.0 as usize);
        let place = table.and_then(|&table| Some(self.macros().tables.get(table as usize)?.place));
        let (Some(view), Some(file)) = (place.and_then(|place| self.macro_view(place)), file)
        else {
            return Ok(false);
        };
        let path = view.file.macro_file(&view, file)?;
        Ok(path.is_some_and(|path| path_ends_with(&path, file_name)))
    }
}

impl MacroSource for DwarfSource {
    fn unit_with_macro(&self, name: &str, file_name: Option<&str>) -> Result<Option<MacroUnit>> {
        let macros = self.macros();
        if !macros.has_name(name) {
            return Ok(None);
        }
        let mut known = Known::default();
        for unit in (0..macros.units.len() as u32).map(MacroUnit) {
            let Some((_, file)) = macros.definition(self, unit, name, &mut known) else {
                continue;
            };
            match file_name {
                Some(wanted) if !self.is_macro_file(unit, file, wanted)? => {}
                _ => return Ok(Some(unit)),
            }
        }
        Ok(None)
    }

    fn macro_in(&self, unit: MacroUnit, name: &str) -> Result<Option<MacroDefinition>> {
        let found = self
            .macros()
            .definition(self, unit, name, &mut Known::default());
        Ok(found.map(|(definition, _)| definition))
    }
}
