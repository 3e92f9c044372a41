//! One ELF file with DWARF: its sections, its units, and the index of its names.
//!
//! [`package`] has what is different in files of split DWARF, [`saved`] how the index is kept.

pub(super) mod package;
pub(super) mod saved;

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use gimli::{EndianSlice, RunTimeEndian};
use kdive_target::ByteOrder;

use super::addresses::CodeIndex;
use super::encoding::{UnitHeader, UnitHeaders};
use super::index::{GREATEST_OFFSET, Index, NameRef, NameSource, Strings, scan};
use super::languages::{Import, UnitStart};
use super::scan::{Collected, Defect, ScanSections};
use crate::bytes::c_string_at;
use crate::cache::{CacheOutcome, IndexCache, ItemKind};
use crate::description::Language;
use crate::elf::ElfFile;
use crate::{Error, Result};

use package::Package;

pub(super) type Slice<'a> = EndianSlice<'a, RunTimeEndian>;

/// How many entries may stand between one without a name and the one that names it.
const GREATEST_ORIGIN_CHAIN: usize = 8;

/// An ELF file's debug information.
///
/// Entries of `.debug_info` and `.debug_types` are known by one offset: those of the latter count
/// on from the end of the former.
pub struct DwarfFile {
    elf: Arc<ElfFile>,
    /// The numbers of the sections in the ELF file's table.
    sections: gimli::DwarfSections<Option<usize>>,
    name_sections: NameSections,
    is_dwo: bool,
    package: Package,
    /// The file that this one shares entries and strings of with other files.
    supplementary: Option<Arc<DwarfFile>>,
    /// What this file of split DWARF was split off from.
    skeletons: Option<Skeletons>,
    /// How long `.debug_info` is.
    info_length: u64,
    /// How long `.debug_info` and `.debug_types` are together.
    entries_length: u64,
    /// In the order of their offsets, first those of `.debug_info`.
    units: Vec<UnitSlot>,
    /// The signatures of type units and where their types are; sorted.
    type_signatures: Vec<(u64, u64)>,
    index: Index,
    cache_outcome: CacheOutcome,
    code: CodeIndex,
}

/// The other files that are needed to understand a file.
#[derive(Default)]
pub(super) struct Companions {
    pub(super) supplementary: Option<Arc<DwarfFile>>,
    pub(super) skeletons: Option<Skeletons>,
}

/// The units that were left where others were split off: they have what the linker writes.
pub(super) struct Skeletons {
    pub(super) file: Arc<DwarfFile>,
    /// Their numbers, by the ID that they share with what was split off.
    pub(super) by_id: HashMap<u64, usize>,
}

/// The numbers of the sections where names are.
struct NameSections {
    str: Option<usize>,
    line_str: Option<usize>,
    info: Option<usize>,
    types: Option<usize>,
}

/// A unit, and what was read of it.
struct UnitSlot {
    header: UnitHeader,
    /// 0, or for units of `.debug_types` the length of `.debug_info`.
    base: u64,
    /// Which row of a package it is; none outside of packages.
    row: Option<package::Row>,
    facts: OnceLock<std::result::Result<UnitFacts, gimli::Error>>,
}

/// What [`gimli::Unit`] holds without borrowing from the file.
struct UnitFacts {
    abbreviations: Arc<gimli::Abbreviations>,
    low_pc: u64,
    str_offsets_base: gimli::DebugStrOffsetsBase,
    addr_base: gimli::DebugAddrBase,
    loclists_base: gimli::DebugLocListsBase,
    rnglists_base: gimli::DebugRngListsBase,
    dwo_id: Option<gimli::DwoId>,
    language: Option<Language>,
}

/// A unit, ready to be read through gimli.
pub(super) struct UnitView<'a> {
    pub(super) file: &'a DwarfFile,
    pub(super) dwarf: gimli::Dwarf<Slice<'a>>,
    pub(super) unit: gimli::Unit<Slice<'a>>,
    /// None if the unit does not say it.
    pub(super) language: Option<Language>,
    /// The unit's offset in its file.
    pub(super) offset: u64,
}

impl DwarfFile {
    /// Indexes the debug information of `elf`, or takes its index from the cache, if there is one.
    /// `None` if it has no debug information.
    pub(super) fn open(
        elf: &Arc<ElfFile>,
        cache: Option<&IndexCache>,
        companions: Companions,
    ) -> Result<Option<DwarfFile>> {
        let is_dwo = elf.section(".debug_info.dwo").is_some();
        let find = |id: gimli::SectionId| {
            let name = if is_dwo { id.dwo_name()? } else { id.name() };
            let mut sections = elf.sections().iter();
            Some(
                sections
                    .find(|section| section.name == name && section.has_data())?
                    .index,
            )
        };
        let sections = gimli::DwarfSections::load(|id| Ok::<_, Error>(find(id)))?;
        let name_sections = NameSections {
            str: find(gimli::SectionId::DebugStr),
            line_str: find(gimli::SectionId::DebugLineStr),
            info: find(gimli::SectionId::DebugInfo),
            types: find(gimli::SectionId::DebugTypes),
        };
        let mut file = DwarfFile {
            elf: Arc::clone(elf),
            sections,
            name_sections,
            is_dwo,
            package: if is_dwo {
                Package::open(elf)?
            } else {
                Package::default()
            },
            supplementary: companions.supplementary,
            skeletons: companions.skeletons,
            info_length: 0,
            entries_length: 0,
            units: Vec::new(),
            type_signatures: Vec::new(),
            index: Index::default(),
            cache_outcome: CacheOutcome::NotUsed,
            code: CodeIndex::default(),
        };
        let key = cache.zip(elf.build_id());
        let loaded = match key {
            Some((cache, build_id)) => match cache.load(ItemKind::Index, build_id) {
                Ok(Some(saved)) => match file.load(&saved) {
                    Some(()) => Ok(true),
                    None => cache
                        .refuse(ItemKind::Index, build_id, "the file has changed".to_owned())
                        .map(|()| false),
                },
                Ok(None) => Ok(false),
                Err(reason) => Err(reason),
            },
            None => Ok(false),
        };
        if loaded == Ok(true) {
            file.cache_outcome = CacheOutcome::Found;
            return Ok(Some(file));
        }
        if !file.make_index()? {
            return Ok(None);
        }
        if let Some((cache, build_id)) = key {
            let saved = cache.save(ItemKind::Index, build_id, &file.save());
            file.cache_outcome = match (saved, loaded) {
                (Err(error), _) => CacheOutcome::NotSaved(error.to_string()),
                (Ok(()), Err(reason)) => CacheOutcome::Replaced(reason),
                (Ok(()), Ok(_)) => CacheOutcome::Saved,
            };
        }
        Ok(Some(file))
    }

    /// Indexes the file. It is false if there is nothing to be indexed.
    fn make_index(&mut self) -> Result<bool> {
        let collected = self.scan()?;
        if self.units.is_empty() {
            return Ok(false);
        }
        self.index = Index::build(collected, &*self);
        // What was read for the index alone needn't stay in memory.
        for name in [".debug_abbrev", ".debug_str", ".debug_line"] {
            self.elf
                .forget(self.elf.section_data(name)?.unwrap_or_default());
        }
        Ok(true)
    }

    fn scan(&mut self) -> Result<Vec<Collected>> {
        let elf = Arc::clone(&self.elf);
        let is_dwo = self.is_dwo;
        let section = |name: &str| {
            let suffix = if is_dwo { ".dwo" } else { "" };
            Ok::<_, Error>(
                elf.section_data(&format!("{name}{suffix}"))?
                    .unwrap_or_default(),
            )
        };
        let debug_info = section(".debug_info")?;
        let debug_types = section(".debug_types")?;
        self.info_length = debug_info.len() as u64;
        self.entries_length = self.info_length.saturating_add(debug_types.len() as u64);
        if self.entries_length > GREATEST_OFFSET {
            return Err(elf.bad(".debug_info: larger than 1 TiB"));
        }
        let mut collected = Vec::new();
        for (entries, base, name) in [
            (debug_info, 0, ".debug_info"),
            (debug_types, self.info_length, ".debug_types"),
        ] {
            let defect =
                |(offset, message): Defect| elf.bad(&format!("{name}+{offset:#x}: {message}"));
            let is_types = name == ".debug_types";
            let headers = UnitHeaders::new(entries, is_types, elf.platform().byte_order);
            let sections = ScanSections {
                entries,
                base,
                abbrev: section(".debug_abbrev")?,
                str_offsets: section(".debug_str_offsets")?,
                line: elf.section_data(".debug_line")?.unwrap_or_default(),
                is_dwo,
                contributions: self.package.contributions(is_types),
            };
            let (mut headers, found) =
                scan(sections, headers, |bytes| elf.forget(bytes)).map_err(defect)?;
            note_split_ids(&mut headers, &found);
            collected.extend(found);
            for header in headers {
                self.add_unit(header, base);
            }
        }
        if let Some(supplementary) = &self.supplementary {
            let named = supplementary.name_deferred(&mut collected);
            collected.push(named);
        }
        self.type_signatures.sort_unstable();
        Ok(collected)
    }

    fn add_unit(&mut self, header: UnitHeader, base: u64) {
        if let Some((signature, offset)) = header.type_signature {
            self.type_signatures.push((signature, base + offset));
        }
        self.units.push(UnitSlot {
            header,
            base,
            row: self.package.row(header.offset, base != 0),
            facts: OnceLock::new(),
        });
    }

    /// The names of entries that other files have named by entries of this one.
    fn name_deferred(&self, collected: &mut [Collected]) -> Collected {
        let mut named = Collected::default();
        for deferred in collected
            .iter_mut()
            .flat_map(|run| run.supplementary.drain(..))
        {
            // What is damaged here hides no other names.
            if let Ok(Some(name)) = self.name_at(deferred.target) {
                named.entries[name.source as usize].push(deferred.entry.with_name(name.offset));
            }
        }
        named
    }

    /// The name of the entry at `offset`, as a file that shares this one refers to it.
    fn name_at(&self, offset: u64) -> Result<Option<NameRef>> {
        let mut offset = offset;
        for _ in 0..GREATEST_ORIGIN_CHAIN {
            let view = self.unit_at(offset)?;
            let failed = |error: gimli::Error| self.bad_entry(offset, &error.to_string());
            let in_unit = gimli::UnitOffset((offset - view.offset) as usize);
            let die = view.unit.entry(in_unit).map_err(failed)?;
            let found = |source, offset| Ok(Some(NameRef { source, offset }));
            match die.attr_value(gimli::DW_AT_name) {
                Some(gimli::AttributeValue::DebugStrRef(at)) => {
                    return found(NameSource::Supplementary, at.0 as u64);
                }
                Some(gimli::AttributeValue::String(name)) => {
                    let start = self.slice(self.name_sections.info);
                    let at = name
                        .slice()
                        .as_ptr()
                        .addr()
                        .wrapping_sub(start.slice().as_ptr().addr());
                    return found(NameSource::SupplementaryInline, at as u64);
                }
                _ => {}
            }
            let origin = die
                .attr_value(gimli::DW_AT_specification)
                .or_else(|| die.attr_value(gimli::DW_AT_abstract_origin));
            offset = match origin {
                Some(gimli::AttributeValue::UnitRef(next)) => view.offset + next.0 as u64,
                Some(gimli::AttributeValue::DebugInfoRef(next)) => next.0 as u64,
                _ => return Ok(None),
            };
        }
        Ok(None)
    }

    /// Whether it has what was split off from other files.
    pub(super) fn is_split(&self) -> bool {
        self.is_dwo
    }

    /// Whether each unit has parts of the sections to itself.
    pub(super) fn is_package(&self) -> bool {
        self.units.iter().any(|unit| unit.row.is_some())
    }

    /// How long the sections with macros are together.
    pub(super) fn macros_length(&self) -> u64 {
        let suffix = if self.is_dwo { ".dwo" } else { "" };
        [".debug_macro", ".debug_macinfo"]
            .iter()
            .filter_map(|name| self.elf.section_data(&format!("{name}{suffix}")).ok()?)
            .fold(0, |sum, bytes| sum.saturating_add(bytes.len() as u64))
    }

    /// How long the sections with entries are together.
    pub(super) fn entries_length(&self) -> u64 {
        self.entries_length
    }

    /// The units that others were split off from, and the IDs that they share.
    pub(super) fn skeletons(&self) -> impl Iterator<Item = (usize, u64)> + '_ {
        let units = self.units.iter().enumerate().filter(|_| !self.is_dwo);
        units.filter_map(|(number, unit)| Some((number, unit.header.dwo_id?)))
    }

    /// The units of a file of split DWARF, and the IDs that they share with skeletons.
    pub(super) fn split_units(&self) -> impl Iterator<Item = (usize, u64)> + '_ {
        let units = self.units.iter().enumerate().filter(|_| self.is_dwo);
        units.filter_map(|(number, unit)| Some((number, unit.header.dwo_id?)))
    }

    /// The file and the unit that were left when a unit was split off.
    pub(super) fn skeleton_of(&self, unit: usize) -> Option<(&DwarfFile, usize)> {
        let skeletons = self.skeletons.as_ref()?;
        let id = self.units.get(unit)?.header.dwo_id?;
        Some((&skeletons.file, *skeletons.by_id.get(&id)?))
    }

    /// Whether the index came from the cache.
    pub fn cache_outcome(&self) -> &CacheOutcome {
        &self.cache_outcome
    }

    /// The ELF file.
    pub fn elf(&self) -> &Arc<ElfFile> {
        &self.elf
    }

    /// How many entries the index has.
    pub fn entry_count(&self) -> usize {
        self.index.len()
    }

    pub(super) fn index(&self) -> &Index {
        &self.index
    }

    /// Where the type with a signature is.
    pub(super) fn type_with_signature(&self, signature: u64) -> Option<u64> {
        let at = self
            .type_signatures
            .partition_point(|&(other, _)| other < signature);
        let &(found, offset) = self.type_signatures.get(at)?;
        (found == signature).then_some(offset)
    }

    pub(super) fn code(&self) -> &CodeIndex {
        &self.code
    }

    /// How many units there are.
    pub(super) fn unit_count(&self) -> usize {
        self.units.len()
    }

    /// The unit of a number.
    pub(super) fn unit(&self, number: usize) -> Result<UnitView<'_>> {
        match self.units.get(number) {
            Some(slot) => self.view(number, slot),
            None => Err(self.elf.bad(&format!("there is no unit {number}"))),
        }
    }

    /// Where a unit starts.
    pub(super) fn unit_offset(&self, number: usize) -> Option<u64> {
        let unit = self.units.get(number)?;
        Some(unit.base + unit.header.offset)
    }

    /// What a unit says before all else. Nothing of it is kept.
    pub(super) fn unit_start(&self, number: usize) -> gimli::Result<UnitStart> {
        let slot = self.units.get(number).ok_or(gimli::Error::MissingUnitDie)?;
        let dwarf = self.dwarf_of(slot)?;
        let header = self.gimli_header(slot, &dwarf)?;
        let abbreviations = header.abbreviations(&dwarf.debug_abbrev)?;
        let mut entries = header.entries(&abbreviations);
        let language = entries.next_dfs()?.and_then(language_of);
        let mut imports = Vec::new();
        while let Some(entry) = entries.next_dfs()? {
            if entry.tag() != gimli::DW_TAG_imported_unit {
                break;
            }
            match entry.attr_value(gimli::DW_AT_import) {
                Some(gimli::AttributeValue::DebugInfoRef(offset)) => {
                    imports.push(Import::Own(offset.0 as u64));
                }
                Some(gimli::AttributeValue::DebugInfoRefSup(offset)) => {
                    imports.push(Import::Supplementary(offset.0 as u64));
                }
                _ => {}
            }
        }
        Ok(UnitStart { language, imports })
    }

    /// The number of the unit that starts at `offset`.
    pub(super) fn unit_number(&self, offset: u64) -> Option<usize> {
        self.units
            .binary_search_by_key(&offset, |unit| unit.base + unit.header.offset)
            .ok()
    }

    /// The number of the unit that contains the entry at `offset`.
    pub(super) fn unit_number_at(&self, offset: u64) -> Option<usize> {
        let is_before = |unit: &UnitSlot| unit.base + unit.header.offset <= offset;
        let number = self.units.partition_point(is_before).checked_sub(1)?;
        let unit = self.units.get(number)?;
        (offset < unit.base + unit.header.end).then_some(number)
    }

    /// The unit that contains the entry at `offset`.
    pub(super) fn unit_at(&self, offset: u64) -> Result<UnitView<'_>> {
        match self.unit_number_at(offset) {
            Some(number) => self.unit(number),
            None => Err(self.bad_entry(offset, "no unit has an entry there")),
        }
    }

    fn view<'a>(&'a self, number: usize, slot: &'a UnitSlot) -> Result<UnitView<'a>> {
        let offset = slot.base + slot.header.offset;
        let failed = |error| self.bad_entry(offset, &format!("the unit can't be read: {error}"));
        let dwarf = self.dwarf_of(slot).map_err(failed)?;
        let header = self.gimli_header(slot, &dwarf).map_err(failed)?;
        let facts = slot.facts.get_or_init(|| read_facts(&dwarf, header));
        let facts = facts.as_ref().map_err(|error| failed(*error))?;
        let mut unit = gimli::Unit {
            header,
            abbreviations: Arc::clone(&facts.abbreviations),
            name: None,
            comp_dir: None,
            low_pc: facts.low_pc,
            str_offsets_base: facts.str_offsets_base,
            addr_base: facts.addr_base,
            loclists_base: facts.loclists_base,
            rnglists_base: facts.rnglists_base,
            line_program: None,
            dwo_id: facts.dwo_id,
        };
        if let Some((file, number)) = self.skeleton_of(number) {
            unit.copy_relocated_attributes(&file.unit(number)?.unit);
        }
        Ok(UnitView {
            file: self,
            dwarf,
            unit,
            language: facts.language,
            offset,
        })
    }

    /// The sections that a unit is read with: in a package, its own parts of them.
    fn dwarf_of(&self, slot: &UnitSlot) -> gimli::Result<gimli::Dwarf<Slice<'_>>> {
        let parent = self
            .skeletons
            .as_ref()
            .map(|skeletons| skeletons.file.dwarf());
        if let Some(row) = slot.row {
            let parent = parent.unwrap_or_else(|| self.dwarf());
            return self
                .package
                .sections(row, &parent, |section| self.slice(section));
        }
        let mut dwarf = self.dwarf();
        if let Some(parent) = parent {
            dwarf.make_dwo(&parent);
        }
        if let Some(supplementary) = &self.supplementary {
            dwarf.set_sup(supplementary.dwarf());
        }
        Ok(dwarf)
    }

    fn gimli_header<'a>(
        &'a self,
        slot: &UnitSlot,
        dwarf: &gimli::Dwarf<Slice<'a>>,
    ) -> gimli::Result<gimli::UnitHeader<Slice<'a>>> {
        let start = slot.header.offset as usize;
        let missing = gimli::Error::MissingUnitDie;
        match (slot.base, slot.row) {
            // The parts of a package start with the unit.
            (0, Some(_)) => return dwarf.debug_info.units().next()?.ok_or(missing),
            (_, Some(_)) => return dwarf.debug_types.units().next()?.ok_or(missing),
            (0, None) => {
                return dwarf
                    .debug_info
                    .header_from_offset(gimli::DebugInfoOffset(start));
            }
            (_, None) => {}
        }
        // gimli has no way to start in the middle of .debug_types. Offsets within the unit, which
        // are all that is used of the header, are the same if the section starts with the unit.
        let section = self.sections.debug_types.borrow(|section| {
            let whole = self.slice(*section);
            let rest = whole.slice().get(start..).unwrap_or_default();
            EndianSlice::new(rest, self.endian())
        });
        section.units().next()?.ok_or(missing)
    }

    fn slice(&self, section: Option<usize>) -> Slice<'_> {
        let bytes = section
            .and_then(|number| self.elf.sections().get(number))
            .and_then(|section| self.elf.data(section).ok())
            .unwrap_or_default();
        EndianSlice::new(bytes, self.endian())
    }

    fn endian(&self) -> RunTimeEndian {
        endian(&self.elf)
    }

    pub(super) fn dwarf(&self) -> gimli::Dwarf<Slice<'_>> {
        let mut dwarf = self.sections.borrow(|section| self.slice(*section));
        if self.is_dwo {
            dwarf.file_type = gimli::DwarfFileType::Dwo;
        }
        dwarf
    }

    /// An error about the entry at `offset`.
    pub(super) fn bad_entry(&self, offset: u64, message: &str) -> Error {
        match offset.checked_sub(self.info_length) {
            None => self.elf.bad(&format!(".debug_info+{offset:#x}: {message}")),
            Some(offset) => self
                .elf
                .bad(&format!(".debug_types+{offset:#x}: {message}")),
        }
    }
}

fn endian(elf: &ElfFile) -> RunTimeEndian {
    match elf.platform().byte_order {
        ByteOrder::Little => RunTimeEndian::Little,
        ByteOrder::Big => RunTimeEndian::Big,
    }
}

/// Before DWARF 5 the ID that a skeleton and what was split off share is not in the header.
fn note_split_ids(headers: &mut [UnitHeader], collected: &[Collected]) {
    for &(offset, id) in collected.iter().flat_map(|run| &run.split_ids) {
        if let Ok(number) = headers.binary_search_by_key(&offset, |header| header.offset) {
            headers[number].dwo_id.get_or_insert(id);
        }
    }
}

fn read_facts<'a>(
    dwarf: &gimli::Dwarf<Slice<'a>>,
    header: gimli::UnitHeader<Slice<'a>>,
) -> gimli::Result<UnitFacts> {
    let unit = dwarf.unit(header)?;
    let language = unit.entries().next_dfs()?.and_then(language_of);
    Ok(UnitFacts {
        abbreviations: unit.abbreviations,
        low_pc: unit.low_pc,
        str_offsets_base: unit.str_offsets_base,
        addr_base: unit.addr_base,
        loclists_base: unit.loclists_base,
        rnglists_base: unit.rnglists_base,
        dwo_id: unit.dwo_id,
        language,
    })
}

/// What the entry of a unit says of its language.
fn language_of(root: &gimli::DebuggingInformationEntry<Slice<'_>>) -> Option<Language> {
    Some(match root.attr_value(gimli::DW_AT_language)? {
        gimli::AttributeValue::Language(
            gimli::DW_LANG_C_plus_plus
            | gimli::DW_LANG_C_plus_plus_03
            | gimli::DW_LANG_C_plus_plus_11
            | gimli::DW_LANG_C_plus_plus_14
            | gimli::DW_LANG_C_plus_plus_17
            | gimli::DW_LANG_C_plus_plus_20,
        ) => Language::Cpp,
        _ => Language::C,
    })
}

impl Strings for DwarfFile {
    fn string(&self, name: NameRef) -> &[u8] {
        let (section, offset) = match name.source {
            NameSource::Str => (self.name_sections.str, name.offset),
            NameSource::LineStr => (self.name_sections.line_str, name.offset),
            NameSource::Inline => match name.offset.checked_sub(self.info_length) {
                None => (self.name_sections.info, name.offset),
                Some(offset) => (self.name_sections.types, offset),
            },
            NameSource::Supplementary | NameSource::SupplementaryInline => {
                let source = match name.source {
                    NameSource::Supplementary => NameSource::Str,
                    _ => NameSource::Inline,
                };
                let supplementary = self.supplementary.as_ref();
                return supplementary.map_or(&[], |file| file.string(NameRef { source, ..name }));
            }
        };
        usize::try_from(offset)
            .ok()
            .and_then(|offset| c_string_at(self.slice(section).slice(), offset))
            .unwrap_or_default()
    }
}
