//! Takes symbols out of ELF files.

use std::ops::Range;
use std::sync::Arc;

use kdive_target::ByteOrder;
use object::Endianness;
use object::elf;
use object::pod::{Pod, slice_from_bytes};
use object::read::elf::Sym;

use super::records::{NamedSymbol, Record};
use super::{SymbolBinding, SymbolKind};
use crate::elf::{ElfFile, ElfKind};

/// A symbol table in a file.
pub(super) struct Unread {
    pub(super) file: Arc<ElfFile>,
    pub(super) section: usize,
}

/// Numbers that look like addresses of the file's symbols and are offsets: into each CPU's memory,
/// or into sections of a relocatable file that were not loaded, or are gone again.
pub(super) fn offsets(file: &ElfFile) -> Range<u64> {
    if file.kind() != ElfKind::Relocatable {
        return file.fixed_addresses();
    }
    let (placed, unplaced): (Vec<_>, Vec<_>) = file
        .sections()
        .iter()
        .filter(|section| section.is_loaded())
        .partition(|section| section.address != 0);
    if placed.is_empty() {
        return 0..0;
    }
    // A symbol may stand at the end of its section.
    let ends = unplaced
        .iter()
        .map(|section| section.size.saturating_add(1));
    0..ends.max().unwrap_or(0)
}

/// What is added to the addresses of symbols. Those of relocatable files have been placed already.
pub(super) fn effective_bias(file: &ElfFile, bias: u64) -> u64 {
    match file.kind() {
        ElfKind::Relocatable => 0,
        _ => bias,
    }
}

/// Reads the symbols that have a name and a place.
pub(super) fn read_symbols(unread: &Unread, source: u8) -> Vec<Record> {
    let Unread { file, section } = unread;
    let section = file.sections().get(*section);
    let data = section
        .and_then(|section| file.data(section).ok())
        .unwrap_or_default();
    if file.platform().is_64_bit {
        read_entries::<elf::Sym64<Endianness>>(file, data, source)
    } else {
        read_entries::<elf::Sym32<Endianness>>(file, data, source)
    }
}

fn read_entries<S>(file: &ElfFile, data: &[u8], source: u8) -> Vec<Record>
where
    S: Sym<Endian = Endianness> + Pod,
{
    let endian = match file.platform().byte_order {
        ByteOrder::Little => Endianness::Little,
        ByteOrder::Big => Endianness::Big,
    };
    let Ok((symbols, _)) = slice_from_bytes::<S>(data, data.len() / size_of::<S>()) else {
        return Vec::new();
    };
    let mut records = Vec::with_capacity(symbols.len());
    for symbol in symbols {
        let kind = symbol_kind(symbol.st_type());
        let name = symbol.st_name(endian);
        let section = symbol.st_shndx(endian);
        if name == 0
            || section == elf::SHN_UNDEF
            || matches!(kind, SymbolKind::Section | SymbolKind::File)
        {
            continue;
        }
        let value: u64 = symbol.st_value(endian).into();
        let section = file.sections().get(usize::from(section.0));
        let address = if file.kind() == ElfKind::Relocatable {
            section
                .map_or(0, |section| section.address)
                .wrapping_add(value)
        } else {
            value
        };
        let size = symbol.st_size(endian).into();
        let binding = symbol_binding(symbol.st_bind());
        records.push(Record {
            address,
            size,
            name,
            source,
            binding,
            kind,
            may_reach: section
                .is_none_or(|section| address != section.address.wrapping_add(section.size)),
        });
    }
    records
}

/// The defined symbols of `.dynsym` or `.symtab` in the order of the table, with the strings that
/// have their names; nothing if there is no such table.
pub(crate) fn symbols_in_order(
    file: &Arc<ElfFile>,
    is_dynamic: bool,
) -> (&[u8], impl Iterator<Item = NamedSymbol>) {
    let kind = if is_dynamic {
        elf::SHT_DYNSYM
    } else {
        elf::SHT_SYMTAB
    };
    let table = file
        .sections()
        .iter()
        .find(|section| section.kind == kind.0);
    let names = table.and_then(|table| file.sections().get(table.link as usize));
    let names = names.and_then(|section| file.data(section).ok());
    let records = table.map(|table| {
        let unread = Unread {
            file: Arc::clone(file),
            section: table.index,
        };
        read_symbols(&unread, 0)
    });
    let symbols = records
        .unwrap_or_default()
        .into_iter()
        .map(|record| NamedSymbol {
            name: record.name,
            address: record.address,
            size: record.size,
            binding: record.binding,
            kind: record.kind,
        });
    (names.unwrap_or_default(), symbols)
}

/// The meaning of the byte of an ELF symbol that has its binding and its type.
pub(crate) fn from_elf_info(info: u8) -> (SymbolBinding, SymbolKind) {
    (
        symbol_binding(elf::SymbolBind(info >> 4)),
        symbol_kind(elf::SymbolType(info & 0xf)),
    )
}

fn symbol_kind(kind: elf::SymbolType) -> SymbolKind {
    match kind {
        elf::STT_OBJECT => SymbolKind::Object,
        elf::STT_FUNC => SymbolKind::Function,
        elf::STT_SECTION => SymbolKind::Section,
        elf::STT_FILE => SymbolKind::File,
        elf::STT_COMMON => SymbolKind::Common,
        elf::STT_TLS => SymbolKind::Tls,
        elf::STT_GNU_IFUNC => SymbolKind::IndirectFunction,
        _ => SymbolKind::Unknown,
    }
}

fn symbol_binding(binding: elf::SymbolBind) -> SymbolBinding {
    match binding {
        elf::STB_LOCAL => SymbolBinding::Local,
        elf::STB_GLOBAL => SymbolBinding::Global,
        elf::STB_WEAK => SymbolBinding::Weak,
        elf::STB_GNU_UNIQUE => SymbolBinding::Unique,
        _ => SymbolBinding::Unknown,
    }
}
