//! Relocations of files that are not linked yet (`ET_REL`): object files and kernel modules.
//!
//! How an architecture numbers its relocations is in the file of its name.

mod aarch64;
mod arm;
mod i386;
mod loongarch64;
mod ppc64;
mod riscv;
mod s390x;
mod x86_64;

use kdive_target::{Architecture, ByteOrder};

use super::{ElfFile, Section};
use crate::bytes::{u32_from, u64_from};

/// What a relocation does to the bytes at its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    /// Nothing.
    Nothing,
    /// Stores a number of this many bytes.
    Store(u8),
    /// Stores the number less the address of the place.
    StoreRelative(u8),
    /// Adds to the number that is there.
    Add(u8),
    /// Subtracts from the number that is there.
    Subtract(u8),
    /// Stores the low six bits.
    StoreSixBits,
    /// Subtracts from the low six bits.
    SubtractSixBits,
    /// Stores a ULEB128 number in as many bytes as there are.
    StoreLeb,
    /// Subtracts from a ULEB128 number, in as many bytes as there are.
    SubtractLeb,
}

fn action(architecture: Architecture, kind: u32) -> Option<Action> {
    match architecture {
        Architecture::X86_64 => x86_64::action(kind),
        Architecture::I386 => i386::action(kind),
        Architecture::Aarch64 => aarch64::action(kind),
        Architecture::Arm => arm::action(kind),
        Architecture::Ppc64 => ppc64::action(kind),
        Architecture::Riscv64 | Architecture::Riscv32 => riscv::action(kind),
        Architecture::S390x | Architecture::S390 => s390x::action(kind),
        Architecture::LoongArch64 => loongarch64::action(kind),
        Architecture::Unknown => None,
    }
}

/// One relocation.
struct Relocation {
    offset: u64,
    symbol: u32,
    kind: u32,
    /// `None` if it is in the relocated bytes.
    addend: Option<u64>,
}

/// Applies the relocations of `table` to `bytes`, which are those of `section`.
pub(super) fn apply(
    file: &ElfFile,
    section: &Section,
    table: &Section,
    bytes: &mut [u8],
) -> Result<(), String> {
    let symbols = Symbols::new(file, table)?;
    let order = file.platform().byte_order;
    let architecture = file.platform().architecture;
    for relocation in read_table(file, table)? {
        let Some(action) = action(architecture, relocation.kind) else {
            if section.is_loaded() {
                // Code and data have relocations that only concern instructions.
                continue;
            }
            return Err(format!(
                "the relocation at {:#x} has unknown type {}",
                relocation.offset, relocation.kind
            ));
        };
        let symbol = symbols.value(relocation.symbol)?;
        let place = section.address.wrapping_add(relocation.offset);
        usize::try_from(relocation.offset)
            .ok()
            .and_then(|offset| bytes.get_mut(offset..))
            .and_then(|rest| perform(action, rest, order, symbol, relocation.addend, place))
            .ok_or_else(|| {
                format!(
                    "the relocation at {:#x} is outside of the section",
                    relocation.offset
                )
            })?;
    }
    Ok(())
}

/// Performs a relocation at the start of `bytes`. `None` if they are too few.
fn perform(
    action: Action,
    bytes: &mut [u8],
    order: ByteOrder,
    symbol: u64,
    addend: Option<u64>,
    place: u64,
) -> Option<()> {
    match action {
        Action::Nothing => {}
        Action::Store(size) => {
            let addend = addend.or_else(|| read(bytes, size, order))?;
            write(bytes, size, order, symbol.wrapping_add(addend))?;
        }
        Action::StoreRelative(size) => {
            let addend = addend.or_else(|| read(bytes, size, order))?;
            write(
                bytes,
                size,
                order,
                symbol.wrapping_add(addend).wrapping_sub(place),
            )?;
        }
        Action::Add(size) => {
            let value = symbol.wrapping_add(addend.unwrap_or(0));
            let sum = read(bytes, size, order)?.wrapping_add(value);
            write(bytes, size, order, sum)?;
        }
        Action::Subtract(size) => {
            let value = symbol.wrapping_add(addend.unwrap_or(0));
            let difference = read(bytes, size, order)?.wrapping_sub(value);
            write(bytes, size, order, difference)?;
        }
        Action::StoreSixBits => {
            let byte = bytes.first_mut()?;
            let value = symbol.wrapping_add(addend.unwrap_or(0)) as u8;
            *byte = (*byte & 0xc0) | (value & 0x3f);
        }
        Action::SubtractSixBits => {
            let byte = bytes.first_mut()?;
            let value = symbol.wrapping_add(addend.unwrap_or(0)) as u8;
            *byte = (*byte & 0xc0) | (byte.wrapping_sub(value) & 0x3f);
        }
        Action::StoreLeb => write_leb(bytes, symbol.wrapping_add(addend.unwrap_or(0)))?,
        Action::SubtractLeb => {
            let value = symbol.wrapping_add(addend.unwrap_or(0));
            write_leb(bytes, read_leb(bytes)?.wrapping_sub(value))?;
        }
    }
    Some(())
}

fn read(bytes: &[u8], size: u8, order: ByteOrder) -> Option<u64> {
    let bytes = bytes.get(..usize::from(size))?;
    let number = |value: u64, &byte: &u8| (value << 8) | u64::from(byte);
    Some(match order {
        ByteOrder::Little => bytes.iter().rev().fold(0, number),
        ByteOrder::Big => bytes.iter().fold(0, number),
    })
}

fn write(bytes: &mut [u8], size: u8, order: ByteOrder, value: u64) -> Option<()> {
    let bytes = bytes.get_mut(..usize::from(size))?;
    match order {
        ByteOrder::Little => bytes.copy_from_slice(value.to_le_bytes().get(..bytes.len())?),
        ByteOrder::Big => bytes.copy_from_slice(value.to_be_bytes().get(8 - bytes.len()..)?),
    }
    Some(())
}

fn read_leb(bytes: &[u8]) -> Option<u64> {
    let mut value = 0;
    for (index, byte) in bytes.iter().enumerate() {
        if index < 10 {
            value |= u64::from(byte & 0x7f)
                .checked_shl(index as u32 * 7)
                .unwrap_or(0);
        }
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

fn write_leb(bytes: &mut [u8], mut value: u64) -> Option<()> {
    for byte in bytes {
        let is_last = *byte & 0x80 == 0;
        *byte = (value & 0x7f) as u8 | (*byte & 0x80);
        value >>= 7;
        if is_last {
            return Some(());
        }
    }
    None
}

fn read_table(file: &ElfFile, table: &Section) -> Result<Vec<Relocation>, String> {
    let data = file.data(table).map_err(|error| error.to_string())?;
    let order = file.platform().byte_order;
    let has_addend = table.kind == object::elf::SHT_RELA.0;
    let word = if file.platform().is_64_bit { 8 } else { 4 };
    let entry_size = if has_addend { 3 * word } else { 2 * word };
    let mut relocations = Vec::with_capacity(data.len() / entry_size);
    for entry in data.chunks_exact(entry_size) {
        let number = |index: usize| {
            read(
                entry.get(index * word..).unwrap_or_default(),
                word as u8,
                order,
            )
            .unwrap_or(0)
        };
        let info = number(1);
        let (symbol, kind) = if word == 8 {
            ((info >> 32) as u32, info as u32)
        } else {
            ((info >> 8) as u32, info as u32 & 0xff)
        };
        let addend = has_addend.then(|| number(2));
        relocations.push(Relocation {
            offset: number(0),
            symbol,
            kind,
            addend,
        });
    }
    Ok(relocations)
}

/// The values of the symbols that relocations refer to.
struct Symbols<'a> {
    file: &'a ElfFile,
    data: &'a [u8],
}

impl<'a> Symbols<'a> {
    fn new(file: &'a ElfFile, table: &Section) -> Result<Symbols<'a>, String> {
        let symbols = file
            .sections()
            .get(table.link as usize)
            // A damaged link may lead to the section that is being relocated, which would wait for
            // itself; symbol tables are never relocated.
            .filter(|section| section.kind == object::elf::SHT_SYMTAB.0)
            .ok_or("there is no symbol table")?;
        let data = file.data(symbols).map_err(|error| error.to_string())?;
        Ok(Symbols { file, data })
    }

    fn value(&self, number: u32) -> Result<u64, String> {
        self.read(number)
            .ok_or_else(|| format!("there is no symbol {number}"))
    }

    fn read(&self, number: u32) -> Option<u64> {
        let order = self.file.platform().byte_order;
        let size = if self.file.platform().is_64_bit {
            24
        } else {
            16
        };
        let start = (number as usize).checked_mul(size)?;
        let entry = self.data.get(start..start.checked_add(size)?)?;
        let (value, section) = if size == 24 {
            (
                u64_from(order, *entry.get(8..)?.first_chunk()?),
                entry.get(6..8)?,
            )
        } else {
            (
                u64::from(u32_from(order, *entry.get(4..)?.first_chunk()?)),
                entry.get(14..16)?,
            )
        };
        let section = read(section, 2, order)? as usize;
        // Indexes from 0xff00 on have special meanings, such as that the value is absolute.
        let base = match section {
            1..0xff00 => self.file.sections().get(section)?.address,
            _ => 0,
        };
        Some(base.wrapping_add(value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn relocate(action: Action, bytes: &[u8], order: ByteOrder, addend: Option<u64>) -> Vec<u8> {
        let mut bytes = bytes.to_vec();
        perform(action, &mut bytes, order, 0x1000, addend, 0x800).unwrap();
        bytes
    }

    #[test]
    fn numbers_are_stored_in_the_byte_order() {
        let big = ByteOrder::Big;
        let little = ByteOrder::Little;
        assert_eq!(
            relocate(Action::Store(4), &[0; 5], little, Some(2)),
            [2, 0x10, 0, 0, 0]
        );
        assert_eq!(
            relocate(Action::Store(4), &[0; 5], big, Some(2)),
            [0, 0, 0x10, 2, 0]
        );
        assert_eq!(relocate(Action::Store(2), &[1, 0], little, None), [1, 0x10]);
        assert_eq!(
            relocate(Action::StoreRelative(4), &[0; 4], little, Some(0)),
            [0, 8, 0, 0]
        );
    }

    #[test]
    fn differences_are_made_in_two_steps() {
        let little = ByteOrder::Little;
        let sum = relocate(Action::Add(2), &[5, 0], little, Some(1));
        assert_eq!(sum, [6, 0x10]);
        assert_eq!(relocate(Action::Subtract(2), &sum, little, Some(0)), [6, 0]);
        assert_eq!(
            relocate(Action::StoreSixBits, &[0xc0], little, Some(7)),
            [0xc7]
        );
        assert_eq!(
            relocate(Action::SubtractSixBits, &[0xc7], little, Some(1)),
            [0xc6]
        );
        let leb = relocate(Action::StoreLeb, &[0x80, 0x80, 0], little, Some(3));
        assert_eq!(leb, [0x83, 0xa0, 0]);
        assert_eq!(
            relocate(Action::SubtractLeb, &leb, little, Some(1)),
            [0x82, 0x80, 0]
        );
    }

    #[test]
    fn places_outside_of_the_section_are_refused() {
        let outside = perform(
            Action::Store(8),
            &mut [0; 7],
            ByteOrder::Little,
            1,
            Some(0),
            0,
        );
        assert_eq!(outside, None);
    }
}
