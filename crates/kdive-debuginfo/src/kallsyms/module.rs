//! The symbols that the kernel keeps with each of its modules: `struct mod_kallsyms`.

use kdive_target::{AddressSpace, ByteOrder, Memory};

use super::{bad, meaning};
use crate::Result;
use crate::symbols::{NamedSymbol, SymbolTable, from_elf_info};

/// A module has some thousand symbols.
const MAX_SYMBOLS: u64 = 1 << 20;
/// Their names take some tens of kilobytes.
const MAX_STRINGS: u32 = 1 << 26;
/// Of a symbol that is defined elsewhere.
const UNDEFINED: u16 = 0;

/// Where the table of a module is.
#[derive(Clone, Copy, Debug)]
pub struct ModuleSymbols {
    /// The address of the ELF symbols.
    pub symbols: u64,
    /// How many there are.
    pub count: u64,
    /// The address of their names.
    pub strings: u64,
    /// Whether the kernel has replaced their types by letters, as it did before "kallsyms: store
    /// type information in its own array", Linux 5.2.
    pub has_letters: bool,
}

impl ModuleSymbols {
    /// Reads the table. Names that can't be read leave their symbols out.
    pub fn read(self, memory: &Memory, order: ByteOrder, is_64_bit: bool) -> Result<SymbolTable> {
        if self.count > MAX_SYMBOLS {
            return Err(bad(format!(
                "a module with {} symbols can't be right",
                self.count
            )));
        }
        let size = if is_64_bit { 24 } else { 16 };
        let bytes = memory.read_bytes(
            AddressSpace::Virtual,
            self.symbols,
            self.count as usize * size,
        )?;
        let mut names = vec![];
        let entries: Vec<NamedSymbol> = bytes
            .chunks_exact(size)
            .filter_map(|bytes| {
                let entry = Entry::parse(bytes, order, is_64_bit)?;
                if entry.name == 0 || entry.name > MAX_STRINGS || entry.section == UNDEFINED {
                    return None;
                }
                let name = self.strings.wrapping_add(u64::from(entry.name));
                let name = memory
                    .read_c_string(AddressSpace::Virtual, name, super::MAX_NAME)
                    .ok()
                    .filter(|name| !name.is_empty())?;
                let start = names.len() as u32;
                names.extend_from_slice(&name);
                names.push(0);
                let (binding, kind) = if self.has_letters {
                    meaning(entry.info)
                } else {
                    from_elf_info(entry.info)
                };
                Some(NamedSymbol {
                    name: start,
                    address: entry.value,
                    size: entry.size,
                    binding,
                    kind,
                })
            })
            .collect();
        Ok(SymbolTable::with_names(names, entries))
    }
}

/// `Elf64_Sym` or `Elf32_Sym`, which have the same members in different orders.
struct Entry {
    name: u32,
    info: u8,
    section: u16,
    value: u64,
    size: u64,
}

impl Entry {
    fn parse(bytes: &[u8], order: ByteOrder, is_64_bit: bool) -> Option<Entry> {
        let u32_at = |offset: usize| Some(order.u32(*bytes.get(offset..)?.first_chunk()?));
        let u64_at = |offset: usize| Some(order.u64(*bytes.get(offset..)?.first_chunk()?));
        let u16_at = |offset: usize| Some(order.u16(*bytes.get(offset..)?.first_chunk()?));
        let name = u32_at(0)?;
        Some(if is_64_bit {
            Entry {
                name,
                info: *bytes.get(4)?,
                section: u16_at(6)?,
                value: u64_at(8)?,
                size: u64_at(16)?,
            }
        } else {
            Entry {
                name,
                info: *bytes.get(12)?,
                section: u16_at(14)?,
                value: u32_at(4)?.into(),
                size: u32_at(8)?.into(),
            }
        })
    }
}
