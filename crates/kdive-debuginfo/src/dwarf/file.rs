//! One ELF file with DWARF: its sections, its units, and the index of its names.

use std::sync::{Arc, OnceLock};

use gimli::{EndianSlice, RunTimeEndian};
use kdive_target::ByteOrder;

use super::addresses::CodeIndex;
use super::encoding::{Encoding, UnitHeader, UnitHeaders};
use super::index::{GREATEST_OFFSET, Index, NameRef, NameSource, Strings, scan};
use super::scan::{Defect, ScanSections};
use crate::bytes::c_string_at;
use crate::cache::{CacheOutcome, IndexCache, ItemKind, Saved};
use crate::column::{Column, Fields, Record};
use crate::description::Language;
use crate::elf::ElfFile;
use crate::{Error, Result};

pub(super) type Slice<'a> = EndianSlice<'a, RunTimeEndian>;

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
    /// How long `.debug_info` is.
    info_length: u64,
    /// In the order of their offsets, first those of `.debug_info`.
    units: Vec<UnitSlot>,
    /// The signatures of type units and where their types are; sorted.
    type_signatures: Vec<(u64, u64)>,
    index: Index,
    cache_outcome: CacheOutcome,
    code: CodeIndex,
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
    facts: OnceLock<std::result::Result<UnitFacts, gimli::Error>>,
}

/// A unit as it is saved.
#[derive(Clone, Copy)]
struct SavedUnit {
    header: UnitHeader,
    is_types: bool,
}

impl Record for SavedUnit {
    const SIZE: usize = 64;

    fn read(bytes: &[u8]) -> SavedUnit {
        let mut fields = Fields(bytes);
        let [offset, end, entries, abbreviations] = [(); 4].map(|()| fields.u64());
        let [signature, type_offset, dwo_id] = [(); 3].map(|()| fields.u64());
        let (small, flags) = (fields.u32(), fields.u32());
        SavedUnit {
            header: UnitHeader {
                offset,
                end,
                entries,
                abbreviations,
                encoding: Encoding {
                    version: small as u16,
                    address_size: (small >> 16) as u8,
                    is_dwarf64: flags & 1 != 0,
                    byte_order: if flags & 2 == 0 {
                        ByteOrder::Little
                    } else {
                        ByteOrder::Big
                    },
                },
                type_signature: (flags & 4 != 0).then_some((signature, type_offset)),
                dwo_id: (flags & 8 != 0).then_some(dwo_id),
            },
            is_types: flags & 16 != 0,
        }
    }

    fn write(self, bytes: &mut Vec<u8>) {
        let SavedUnit { header, is_types } = self;
        let (signature, type_offset) = header.type_signature.unwrap_or_default();
        for number in [
            header.offset,
            header.end,
            header.entries,
            header.abbreviations,
            signature,
            type_offset,
            header.dwo_id.unwrap_or_default(),
        ] {
            number.write(bytes);
        }
        let encoding = header.encoding;
        let small = u32::from(encoding.version) | (u32::from(encoding.address_size) << 16);
        let flags = u32::from(encoding.is_dwarf64)
            | (u32::from(encoding.byte_order == ByteOrder::Big) << 1)
            | (u32::from(header.type_signature.is_some()) << 2)
            | (u32::from(header.dwo_id.is_some()) << 3)
            | (u32::from(is_types) << 4);
        bytes.extend_from_slice(&small.to_le_bytes());
        bytes.extend_from_slice(&flags.to_le_bytes());
    }
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
    language: Language,
}

/// A unit, ready to be read through gimli.
pub(super) struct UnitView<'a> {
    pub(super) file: &'a DwarfFile,
    pub(super) dwarf: gimli::Dwarf<Slice<'a>>,
    pub(super) unit: gimli::Unit<Slice<'a>>,
    pub(super) language: Language,
    /// The unit's offset in its file.
    pub(super) offset: u64,
}

impl DwarfFile {
    /// Indexes the debug information of `elf`, or takes its index from the cache, if there is one.
    /// `None` if it has no debug information.
    pub fn open(elf: &Arc<ElfFile>, cache: Option<&IndexCache>) -> Result<Option<DwarfFile>> {
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
            info_length: 0,
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
                    None => Err("the file has changed".to_owned()),
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

    fn scan(&mut self) -> Result<Vec<super::scan::Collected>> {
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
        if debug_info.len().saturating_add(debug_types.len()) as u64 > GREATEST_OFFSET {
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
            };
            let (headers, found) =
                scan(sections, headers, |bytes| elf.forget(bytes)).map_err(defect)?;
            collected.extend(found);
            for header in headers {
                self.add_unit(header, base);
            }
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
            facts: OnceLock::new(),
        });
    }

    /// What identifies the debug information beyond the build ID, which a stripped file and its
    /// debug file share.
    fn lengths(&self) -> [u64; 4] {
        let names = &self.name_sections;
        [names.info, names.types, names.str, names.line_str]
            .map(|section| section.and_then(|number| self.elf.sections().get(number)))
            .map(|section| section.map_or(0, |section| section.size))
    }

    /// The index as it is saved.
    fn save(&self) -> Vec<u8> {
        let mut contents = Vec::new();
        let counts = [
            self.units.len(),
            self.index.groups.len(),
            self.index.entries.len(),
            self.index.scopes.len(),
        ];
        for number in self
            .lengths()
            .into_iter()
            .chain(counts.map(|count| count as u64))
        {
            number.write(&mut contents);
        }
        self.info_length.write(&mut contents);
        let units: Vec<SavedUnit> = self
            .units
            .iter()
            .map(|unit| SavedUnit {
                header: unit.header,
                is_types: unit.base != 0,
            })
            .collect();
        Column::from(units).save(&mut contents);
        self.index.groups.save(&mut contents);
        self.index.entries.save(&mut contents);
        self.index.scopes.save(&mut contents);
        contents
    }

    /// Takes the index from a saved one. `None` if it is not of this file.
    fn load(&mut self, saved: &Saved) -> Option<()> {
        let mut offset = 0;
        let numbers: Column<u64> = Column::load(saved, &mut offset, 9)?;
        let numbers: [u64; 9] = numbers.iter().collect::<Vec<u64>>().try_into().ok()?;
        let [
            info,
            types,
            str,
            line_str,
            units,
            groups,
            entries,
            scopes,
            info_length,
        ] = numbers;
        if self.lengths() != [info, types, str, line_str] {
            return None;
        }
        let units: Column<SavedUnit> = Column::load(saved, &mut offset, units)?;
        self.index = Index {
            groups: Column::load(saved, &mut offset, groups)?,
            entries: Column::load(saved, &mut offset, entries)?,
            scopes: Column::load(saved, &mut offset, scopes)?,
        };
        self.info_length = info_length;
        for unit in units.iter() {
            self.add_unit(unit.header, if unit.is_types { info_length } else { 0 });
        }
        self.type_signatures.sort_unstable();
        Some(())
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
            Some(slot) => self.view(slot),
            None => Err(self.elf.bad(&format!("there is no unit {number}"))),
        }
    }

    /// The number of the unit that starts at `offset`.
    pub(super) fn unit_number(&self, offset: u64) -> Option<usize> {
        self.units
            .binary_search_by_key(&offset, |unit| unit.base + unit.header.offset)
            .ok()
    }

    /// The unit that contains the entry at `offset`.
    pub(super) fn unit_at(&self, offset: u64) -> Result<UnitView<'_>> {
        let number = self
            .units
            .partition_point(|unit| unit.base + unit.header.offset <= offset);
        let slot = number
            .checked_sub(1)
            .and_then(|number| self.units.get(number));
        match slot {
            Some(slot) if offset < slot.base + slot.header.end => self.view(slot),
            _ => Err(self.bad_entry(offset, "no unit has an entry there")),
        }
    }

    fn view<'a>(&'a self, slot: &'a UnitSlot) -> Result<UnitView<'a>> {
        let offset = slot.base + slot.header.offset;
        let failed = |error| self.bad_entry(offset, &format!("the unit can't be read: {error}"));
        let dwarf = self.dwarf();
        let header = self.gimli_header(slot).map_err(failed)?;
        let facts = slot.facts.get_or_init(|| read_facts(&dwarf, header));
        let facts = facts.as_ref().map_err(|error| failed(*error))?;
        let unit = gimli::Unit {
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
        Ok(UnitView {
            file: self,
            dwarf,
            unit,
            language: facts.language,
            offset,
        })
    }

    fn gimli_header(&self, slot: &UnitSlot) -> gimli::Result<gimli::UnitHeader<Slice<'_>>> {
        let start = slot.header.offset as usize;
        if slot.base == 0 {
            let debug_info = self
                .sections
                .debug_info
                .borrow(|section| self.slice(*section));
            return debug_info.header_from_offset(gimli::DebugInfoOffset(start));
        }
        // gimli has no way to start in the middle of .debug_types. Offsets within the unit, which
        // are all that is used of the header, are the same if the section starts with the unit.
        let section = self.sections.debug_types.borrow(|section| {
            let whole = self.slice(*section);
            let rest = whole.slice().get(start..).unwrap_or_default();
            EndianSlice::new(rest, self.endian())
        });
        section.units().next()?.ok_or(gimli::Error::MissingUnitDie)
    }

    fn slice(&self, section: Option<usize>) -> Slice<'_> {
        let bytes = section
            .and_then(|number| self.elf.sections().get(number))
            .and_then(|section| self.elf.data(section).ok())
            .unwrap_or_default();
        EndianSlice::new(bytes, self.endian())
    }

    fn endian(&self) -> RunTimeEndian {
        match self.elf.platform().byte_order {
            ByteOrder::Little => RunTimeEndian::Little,
            ByteOrder::Big => RunTimeEndian::Big,
        }
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

fn read_facts<'a>(
    dwarf: &gimli::Dwarf<Slice<'a>>,
    header: gimli::UnitHeader<Slice<'a>>,
) -> gimli::Result<UnitFacts> {
    let unit = dwarf.unit(header)?;
    let mut entries = unit.entries();
    entries.next_dfs()?;
    let language = entries
        .current()
        .and_then(|root| root.attr_value(gimli::DW_AT_language));
    let language = match language {
        Some(gimli::AttributeValue::Language(
            gimli::DW_LANG_C_plus_plus
            | gimli::DW_LANG_C_plus_plus_03
            | gimli::DW_LANG_C_plus_plus_11
            | gimli::DW_LANG_C_plus_plus_14
            | gimli::DW_LANG_C_plus_plus_17
            | gimli::DW_LANG_C_plus_plus_20,
        )) => Language::Cpp,
        _ => Language::C,
    };
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

impl Strings for DwarfFile {
    fn string(&self, name: NameRef) -> &[u8] {
        let (section, offset) = match name.source {
            NameSource::Str => (self.name_sections.str, name.offset),
            NameSource::LineStr => (self.name_sections.line_str, name.offset),
            NameSource::Inline => match name.offset.checked_sub(self.info_length) {
                None => (self.name_sections.info, name.offset),
                Some(offset) => (self.name_sections.types, offset),
            },
            NameSource::Supplementary => return &[],
        };
        usize::try_from(offset)
            .ok()
            .and_then(|offset| c_string_at(self.slice(section).slice(), offset))
            .unwrap_or_default()
    }
}
