//! The index of a file, as it is kept in the cache.

use kdive_target::ByteOrder;

use super::DwarfFile;
use crate::cache::Saved;
use crate::column::{Column, Fields, Record, layout_of};
use crate::dwarf::encoding::{Encoding, UnitHeader};
use crate::dwarf::index::{Entry, Group, Index, Scope};

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

    fn example() -> SavedUnit {
        SavedUnit {
            header: UnitHeader {
                offset: 1,
                end: 2,
                entries: 3,
                abbreviations: 4,
                encoding: Encoding {
                    version: 5,
                    address_size: 8,
                    is_dwarf64: true,
                    byte_order: ByteOrder::Little,
                },
                type_signature: Some((6, 7)),
                dwo_id: Some(9),
            },
            is_types: true,
        }
    }
}

/// A number that changes with the layout of any record of a saved index.
pub(crate) fn layout() -> u32 {
    [
        layout_of::<u64>(),
        layout_of::<SavedUnit>(),
        layout_of::<Group>(),
        layout_of::<Entry>(),
        layout_of::<Scope>(),
    ]
    .into_iter()
    .fold(HEADER_NUMBERS as u32, |sum, layout| {
        sum.rotate_left(5) ^ layout
    })
}

/// How many numbers stand before the records.
const HEADER_NUMBERS: usize = 11;

impl DwarfFile {
    /// What identifies the debug information beyond the build ID, which a stripped file and its
    /// debug file share.
    fn lengths(&self) -> [u64; 5] {
        let names = &self.name_sections;
        let [info, types, str, line_str] = [names.info, names.types, names.str, names.line_str]
            .map(|section| section.and_then(|number| self.elf.sections().get(number)))
            .map(|section| section.map_or(0, |section| section.size));
        // Entries that the supplementary file names are in the index only if it was there.
        let supplementary = self.supplementary.as_ref();
        let supplementary = supplementary.map_or(0, |file| file.entries_length);
        [info, types, str, line_str, supplementary]
    }

    /// The index as it is saved.
    pub(super) fn save(&self) -> Vec<u8> {
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
        self.entries_length.write(&mut contents);
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
    pub(super) fn load(&mut self, saved: &Saved) -> Option<()> {
        let mut offset = 0;
        let numbers: Column<u64> = Column::load(saved, &mut offset, HEADER_NUMBERS as u64)?;
        let numbers: [u64; HEADER_NUMBERS] =
            numbers.iter().collect::<Vec<u64>>().try_into().ok()?;
        let [
            info,
            types,
            str,
            line_str,
            supplementary,
            units,
            groups,
            entries,
            scopes,
            info_length,
            entries_length,
        ] = numbers;
        if self.lengths() != [info, types, str, line_str, supplementary] {
            return None;
        }
        let units: Column<SavedUnit> = Column::load(saved, &mut offset, units)?;
        self.index = Index {
            groups: Column::load(saved, &mut offset, groups)?,
            entries: Column::load(saved, &mut offset, entries)?,
            scopes: Column::load(saved, &mut offset, scopes)?,
        };
        self.info_length = info_length;
        self.entries_length = entries_length;
        for unit in units.iter() {
            self.add_unit(unit.header, if unit.is_types { info_length } else { 0 });
        }
        self.type_signatures.sort_unstable();
        Some(())
    }
}
