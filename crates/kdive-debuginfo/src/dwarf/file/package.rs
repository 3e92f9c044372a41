//! Packages of split DWARF (`.dwp`): which parts of the sections belong to which unit.

use gimli::IndexSectionId;

use super::Slice;
use crate::Result;
use crate::elf::ElfFile;

/// A row of the index of a package.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::dwarf) enum Row {
    /// Of `.debug_cu_index`.
    Unit(u32),
    /// Of `.debug_tu_index`.
    TypeUnit(u32),
}

/// Where the parts of a unit are that the indexing pass reads.
#[derive(Clone, Copy, Debug)]
pub(in crate::dwarf) struct Contribution {
    /// Where the unit is in `.debug_info` or `.debug_types`.
    pub(in crate::dwarf) offset: u64,
    pub(in crate::dwarf) abbrev: u64,
    pub(in crate::dwarf) str_offsets: u64,
    row: Row,
}

/// The indexes of a package. They are empty for every other file.
#[derive(Default)]
pub(super) struct Package {
    sections: Option<gimli::DwarfPackageSections<Option<usize>>>,
    /// Of units in `.debug_info`, by their offsets.
    units: Vec<Contribution>,
    /// Of units in `.debug_types`, by their offsets.
    types: Vec<Contribution>,
}

impl Package {
    /// Reads the indexes of a file.
    pub(super) fn open(elf: &ElfFile) -> Result<Package> {
        if elf.section(".debug_cu_index").is_none() && elf.section(".debug_tu_index").is_none() {
            return Ok(Package::default());
        }
        let number = |id: gimli::SectionId| {
            let section = elf.section(id.dwo_name()?)?;
            section.has_data().then_some(section.index)
        };
        let failed = |error: gimli::Error| elf.bad(&format!("the index of the package: {error}"));
        let load = |id| Ok::<_, gimli::Error>(number(id));
        let mut package = Package {
            sections: Some(gimli::DwarfPackageSections::load(load).map_err(failed)?),
            ..Package::default()
        };
        package.read_rows(elf).map_err(failed)?;
        Ok(package)
    }

    fn read_rows(&mut self, elf: &ElfFile) -> gimli::Result<()> {
        let package = self.borrow(|section| slice(elf, section))?;
        let (mut units, mut types) = (Vec::new(), Vec::new());
        let rows = (1..=package.cu_index.unit_count())
            .map(Row::Unit)
            .chain((1..=package.tu_index.unit_count()).map(Row::TypeUnit));
        for row in rows {
            let sections = match row {
                Row::Unit(number) => package.cu_index.sections(number)?,
                Row::TypeUnit(number) => package.tu_index.sections(number)?,
            };
            let mut found = Contribution {
                offset: 0,
                abbrev: 0,
                str_offsets: 0,
                row,
            };
            let mut list = &mut units;
            for section in sections {
                let offset = u64::from(section.offset);
                match section.section {
                    IndexSectionId::DebugInfo => found.offset = offset,
                    IndexSectionId::DebugTypes => {
                        found.offset = offset;
                        list = &mut types;
                    }
                    IndexSectionId::DebugAbbrev => found.abbrev = offset,
                    IndexSectionId::DebugStrOffsets => found.str_offsets = offset,
                    _ => {}
                }
            }
            list.push(found);
        }
        units.sort_unstable_by_key(|unit| unit.offset);
        types.sort_unstable_by_key(|unit| unit.offset);
        (self.units, self.types) = (units, types);
        Ok(())
    }

    fn borrow<'a>(
        &self,
        slice: impl Fn(Option<usize>) -> Slice<'a>,
    ) -> gimli::Result<gimli::DwarfPackage<Slice<'a>>> {
        let Some(sections) = &self.sections else {
            return Err(gimli::Error::MissingUnitDie);
        };
        sections.borrow(|section| slice(*section), slice(None))
    }

    /// What units of `.debug_info` or, if `is_types`, of `.debug_types` have of other sections.
    pub(super) fn contributions(&self, is_types: bool) -> &[Contribution] {
        if is_types { &self.types } else { &self.units }
    }

    /// The row of the unit at an offset of its section.
    pub(super) fn row(&self, offset: u64, is_types: bool) -> Option<Row> {
        find(self.contributions(is_types), offset).map(|found| found.row)
    }

    /// The sections as the unit of a row sees them.
    pub(super) fn sections<'a>(
        &self,
        row: Row,
        parent: &gimli::Dwarf<Slice<'a>>,
        slice: impl Fn(Option<usize>) -> Slice<'a>,
    ) -> gimli::Result<gimli::Dwarf<Slice<'a>>> {
        let package = self.borrow(slice)?;
        match row {
            Row::Unit(number) => package.cu_sections(number, parent),
            Row::TypeUnit(number) => package.tu_sections(number, parent),
        }
    }
}

/// What the unit at an offset has of other sections.
pub(in crate::dwarf) fn find(contributions: &[Contribution], offset: u64) -> Option<&Contribution> {
    let number = contributions
        .binary_search_by_key(&offset, |found| found.offset)
        .ok()?;
    contributions.get(number)
}

fn slice(elf: &ElfFile, section: Option<usize>) -> Slice<'_> {
    let bytes = section
        .and_then(|number| elf.sections().get(number))
        .and_then(|section| elf.data(section).ok())
        .unwrap_or_default();
    Slice::new(bytes, super::endian(elf))
}
