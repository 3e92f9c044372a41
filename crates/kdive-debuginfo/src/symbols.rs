//! Symbols, found by name and by address without looking at all of them.

use std::hash::BuildHasher;
use std::ops::Range;
use std::sync::{Arc, OnceLock};

use foldhash::fast::FixedState;
use kdive_target::ByteOrder;
use object::Endianness;
use object::elf;
use object::pod::{Pod, slice_from_bytes};
use object::read::elf::Sym;

use crate::Result;
use crate::bytes::c_string_at;
use crate::elf::{ElfFile, ElfKind};

/// How a symbol is seen by other files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum SymbolBinding {
    /// Not known.
    Unknown,
    /// Only within its own object file.
    Local,
    /// Everywhere.
    Global,
    /// Everywhere, but a global one goes first.
    Weak,
    /// Everywhere, and only once in a process.
    Unique,
}

/// What a symbol names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum SymbolKind {
    /// Not known.
    Unknown,
    /// Data.
    Object,
    /// A function.
    Function,
    /// A section.
    Section,
    /// A source file.
    File,
    /// A common block that has not been placed.
    Common,
    /// Thread-local data; the address is an offset.
    Tls,
    /// A function that selects the function to call.
    IndirectFunction,
}

/// A named address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Symbol {
    /// Its name.
    pub name: Arc<str>,
    /// Its address in the running program.
    pub address: u64,
    /// Its size in bytes; 0 if unknown.
    pub size: u64,
    /// How it is seen by other files.
    pub binding: SymbolBinding,
    /// What it names.
    pub kind: SymbolKind,
}

/// A symbol whose name is at an offset of a table of names.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NamedSymbol {
    pub(crate) name: u32,
    pub(crate) address: u64,
    pub(crate) size: u64,
    pub(crate) binding: SymbolBinding,
    pub(crate) kind: SymbolKind,
}

/// A symbol with its name elsewhere.
#[derive(Clone, Copy, Debug)]
struct Record {
    address: u64,
    size: u64,
    name: u32,
    /// Which of [`SymbolTable::names`] holds the name.
    source: u8,
    binding: SymbolBinding,
    kind: SymbolKind,
    /// Whether, if its size is not known, it may name what follows in its section: it doesn't mark
    /// the section's end.
    may_reach: bool,
}

impl Record {
    /// Where the addresses that it occupies end. Thread-local symbols occupy none.
    fn end(&self) -> u64 {
        if self.kind == SymbolKind::Tls {
            return self.address;
        }
        self.address.saturating_add(self.size)
    }
}

enum Names {
    Section(Arc<ElfFile>, usize),
    Owned(Vec<u8>),
}

impl Names {
    fn bytes(&self) -> &[u8] {
        match self {
            Names::Section(file, index) => file
                .sections()
                .get(*index)
                .and_then(|section| file.data(section).ok())
                .unwrap_or_default(),
            Names::Owned(bytes) => bytes,
        }
    }
}

/// Symbols, indexed by name and by address. They are read, and both indexes made, when first
/// needed.
#[derive(Default)]
pub struct SymbolTable {
    /// Where the records are from, if they are read when first needed.
    unread: Vec<Unread>,
    /// Sorted by address.
    records: OnceLock<Vec<Record>>,
    names: Vec<Names>,
    /// The addresses of sections, beyond which no symbol of unknown size reaches.
    sections: Vec<Range<u64>>,
    /// Where the module is; empty if it may be anywhere.
    ranges: Vec<Range<u64>>,
    /// Numbers that are offsets, and the address of nothing.
    offsets: Range<u64>,
    by_name: OnceLock<NameIndex>,
    /// For each record the nearest one before it that ends after it; `u32::MAX` if there is none.
    enclosing: OnceLock<Vec<u32>>,
}

impl std::fmt::Debug for SymbolTable {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("SymbolTable")
            .field("len", &self.len())
            .finish_non_exhaustive()
    }
}

/// A symbol table in a file.
struct Unread {
    file: Arc<ElfFile>,
    section: usize,
    bias: u64,
}

/// An open-addressing table of record numbers.
struct NameIndex {
    slots: Vec<u32>,
    mask: usize,
}

const EMPTY: u32 = u32::MAX;

impl SymbolTable {
    /// Indexes symbols that are already known.
    pub fn new(symbols: impl IntoIterator<Item = Symbol>) -> SymbolTable {
        let mut names = Vec::new();
        let mut records = Vec::new();
        for symbol in symbols {
            let Ok(name) = u32::try_from(names.len()) else {
                break;
            };
            names.extend_from_slice(symbol.name.as_bytes());
            names.push(0);
            records.push(Record {
                address: symbol.address,
                size: symbol.size,
                name,
                source: 0,
                binding: symbol.binding,
                kind: symbol.kind,
                may_reach: true,
            });
        }
        SymbolTable::from_records(records, vec![Names::Owned(names)])
    }

    /// Indexes symbols whose names are in `names`, each before a zero byte.
    pub(crate) fn with_names(names: Vec<u8>, symbols: Vec<NamedSymbol>) -> SymbolTable {
        let records = symbols.into_iter().map(|symbol| Record {
            address: symbol.address,
            size: symbol.size,
            name: symbol.name,
            source: 0,
            binding: symbol.binding,
            kind: symbol.kind,
            may_reach: true,
        });
        SymbolTable::from_records(records.collect(), vec![Names::Owned(names)])
    }

    /// The same symbols, of which those in a range are offsets into each CPU's memory: they are
    /// found by name and at no address.
    #[must_use]
    pub fn with_offsets(self, offsets: Range<u64>) -> SymbolTable {
        SymbolTable { offsets, ..self }
    }

    /// Reads the symbols of `file`: those of `.symtab` or, where it was stripped, of `.dynsym` and
    /// `.gnu_debugdata`. `bias` is added to the addresses.
    pub fn from_elf(file: &Arc<ElfFile>, bias: u64) -> Result<SymbolTable> {
        let mut table = SymbolTable {
            sections: file
                .sections()
                .iter()
                .filter(|section| section.is_loaded())
                .map(|section| {
                    let start = file.loaded_address(section.address, bias);
                    start..start.saturating_add(section.size)
                })
                .collect(),
            offsets: offsets(file),
            ..SymbolTable::default()
        };
        if table.add_section(file, elf::SHT_SYMTAB, bias)? {
            return Ok(table);
        }
        table.add_section(file, elf::SHT_DYNSYM, bias)?;
        // If these are damaged, the others are still good.
        if let Ok(Some(stripped)) = file.mini_debug_info() {
            table.add_section(&Arc::new(stripped), elf::SHT_SYMTAB, bias)?;
        }
        Ok(table)
    }

    /// The same, found by address only within these ranges, where the module is: the sections that a
    /// kernel module needs once only are freed, and something else is there now.
    #[must_use]
    pub fn within(self, ranges: &[(u64, u64)]) -> SymbolTable {
        SymbolTable {
            ranges: ranges.iter().map(|(start, end)| *start..*end).collect(),
            ..self
        }
    }

    /// Whether an address may be that of a symbol.
    fn may_have(&self, address: u64) -> bool {
        !self.offsets.contains(&address)
            && (self.ranges.is_empty() || self.ranges.iter().any(|range| range.contains(&address)))
    }

    /// Adds the symbols of the first section of a kind, to be read later; whether there is one.
    fn add_section(
        &mut self,
        file: &Arc<ElfFile>,
        kind: elf::SectionType,
        bias: u64,
    ) -> Result<bool> {
        let section = file
            .sections()
            .iter()
            .find(|section| section.kind == kind.0 && section.has_data() && section.size != 0);
        let Some(section) = section else {
            return Ok(false);
        };
        // Later, nobody could be told that it is damaged.
        file.data(section)?;
        self.names
            .push(Names::Section(Arc::clone(file), section.link as usize));
        self.unread.push(Unread {
            file: Arc::clone(file),
            section: section.index,
            bias,
        });
        Ok(true)
    }

    fn from_records(mut records: Vec<Record>, names: Vec<Names>) -> SymbolTable {
        sort(&mut records);
        SymbolTable {
            records: records.into(),
            names,
            ..SymbolTable::default()
        }
    }

    fn records(&self) -> &[Record] {
        self.records.get_or_init(|| {
            let mut records: Vec<Record> = (0..)
                .zip(&self.unread)
                .flat_map(|(source, unread)| read_symbols(unread, source))
                .collect();
            sort(&mut records);
            records
        })
    }

    /// The number of symbols.
    pub fn len(&self) -> usize {
        self.records().len()
    }

    /// Whether there are no symbols.
    pub fn is_empty(&self) -> bool {
        self.records().is_empty()
    }

    /// All symbols, sorted by address.
    pub fn iter(&self) -> impl Iterator<Item = Symbol> + '_ {
        self.records().iter().map(|record| self.symbol(record))
    }

    /// The symbol called `name`; a global one before a weak one before a local one.
    pub fn by_name(&self, name: &str) -> Option<Symbol> {
        self.records_by_name(name)
            .next()
            .map(|(_, record)| self.symbol(record))
    }

    /// All symbols called `name`, sorted by address.
    pub fn all_by_name(&self, name: &str) -> Vec<Symbol> {
        let mut found: Vec<_> = self.records_by_name(name).collect();
        found.sort_by_key(|(number, _)| *number);
        found
            .into_iter()
            .map(|(_, record)| self.symbol(record))
            .collect()
    }

    /// The symbol that contains `address`: of several, the one that starts closest to it, and of
    /// those a global one before a weak one before a local one. Where none does, the closest one
    /// of unknown size in the same section.
    pub fn by_address(&self, address: u64) -> Option<Symbol> {
        if !self.may_have(address) {
            return None;
        }
        let mut number = self.last_at_or_before(address);
        let enclosing = self
            .enclosing
            .get_or_init(|| enclosing_records(self.records()));
        while let Some(record) = number.and_then(|number| self.records().get(number)) {
            if address < record.end() {
                return Some(self.symbol(self.best_with_start(record.address, address)?));
            }
            number = enclosing
                .get(number?)
                .filter(|&&outer| outer != EMPTY)
                .map(|&outer| outer as usize);
        }
        self.unsized_before(address)
            .map(|record| self.symbol(record))
    }

    /// All symbols that contain `address`, the one that [`SymbolTable::by_address`] finds first.
    pub fn all_by_address(&self, address: u64) -> Vec<Symbol> {
        let Some(best) = self.by_address(address) else {
            return Vec::new();
        };
        let enclosing = self
            .enclosing
            .get_or_init(|| enclosing_records(self.records()));
        let mut found = vec![];
        let mut number = self.last_at_or_before(address);
        while let Some(current) = number {
            let Some(record) = self.records().get(current) else {
                break;
            };
            if address < record.end() || (record.size == 0 && record.address == address) {
                let symbol = self.symbol(record);
                if symbol != best {
                    found.push(symbol);
                }
                number = current.checked_sub(1);
            } else if record.address == address {
                number = current.checked_sub(1);
            } else {
                number = enclosing
                    .get(current)
                    .filter(|&&outer| outer != EMPTY)
                    .map(|&outer| outer as usize);
            }
        }
        found.insert(0, best);
        found
    }

    /// Adds the symbols called `name`, or that contain `address`, or all, to `found`; with `one`
    /// only the best.
    pub fn find(
        &self,
        name: Option<&str>,
        address: Option<u64>,
        one: bool,
        found: &mut Vec<Symbol>,
    ) {
        match (name, address) {
            (Some(name), _) if one => found.extend(self.by_name(name)),
            (Some(name), _) => found.extend(self.all_by_name(name)),
            (None, Some(address)) if one => found.extend(self.by_address(address)),
            (None, Some(address)) => found.extend(self.all_by_address(address)),
            (None, None) => found.extend(self.iter()),
        }
    }

    fn symbol(&self, record: &Record) -> Symbol {
        Symbol {
            name: String::from_utf8_lossy(self.name(record)).into(),
            address: record.address,
            size: record.size,
            binding: record.binding,
            kind: record.kind,
        }
    }

    fn name(&self, record: &Record) -> &[u8] {
        self.names
            .get(usize::from(record.source))
            .and_then(|names| c_string_at(names.bytes(), record.name as usize))
            .unwrap_or_default()
    }

    fn records_by_name<'a>(
        &'a self,
        name: &'a str,
    ) -> impl Iterator<Item = (usize, &'a Record)> + 'a {
        let index = self.by_name.get_or_init(|| self.index_names());
        let mut slot = hash_name(name.as_bytes()) & index.mask;
        std::iter::from_fn(move || {
            let number = *index.slots.get(slot).filter(|&&number| number != EMPTY)? as usize;
            slot = (slot + 1) & index.mask;
            Some(number)
        })
        .filter_map(|number| Some((number, self.records().get(number)?)))
        .filter(move |(_, record)| self.name(record) == name.as_bytes())
    }

    fn index_names(&self) -> NameIndex {
        let size = (self.records().len().max(2) * 2).next_power_of_two();
        let mask = size - 1;
        let mut slots = vec![EMPTY; size];
        let names: Vec<&[u8]> = self.names.iter().map(Names::bytes).collect();
        // Symbols of one name are met in the order in which they were put in. Some names, such as
        // those that compilers make up, have hundreds of symbols.
        for rank in 0..=LAST_PRECEDENCE {
            let ranked = (0u32..)
                .zip(self.records())
                .filter(|(_, record)| precedence(record.binding) == rank);
            for (number, record) in ranked {
                let name = names
                    .get(usize::from(record.source))
                    .and_then(|names| c_string_at(names, record.name as usize))
                    .unwrap_or_default();
                let mut slot = hash_name(name) & mask;
                while slots[slot] != EMPTY {
                    slot = (slot + 1) & mask;
                }
                slots[slot] = number;
            }
        }
        NameIndex { slots, mask }
    }

    fn last_at_or_before(&self, address: u64) -> Option<usize> {
        self.records()
            .partition_point(|record| record.address <= address)
            .checked_sub(1)
    }

    /// The best of the symbols that start at `start` and contain `address`.
    fn best_with_start(&self, start: u64, address: u64) -> Option<&Record> {
        let first = self
            .records()
            .partition_point(|record| record.address < start);
        self.records()
            .get(first..)?
            .iter()
            .take_while(|record| record.address == start)
            .filter(|record| address < record.end())
            .min_by_key(|record| precedence(record.binding))
    }

    fn unsized_before(&self, address: u64) -> Option<&Record> {
        let closest = self.records().get(self.last_at_or_before(address)?)?;
        if closest.size != 0 || !self.same_section(closest, address) {
            return None;
        }
        let first = self
            .records()
            .partition_point(|record| record.address < closest.address);
        self.records()
            .get(first..)?
            .iter()
            .take_while(|record| record.address == closest.address)
            .filter(|record| record.size == 0 && record.kind != SymbolKind::Tls)
            .filter(|record| record.may_reach || record.address == address)
            .min_by_key(|record| precedence(record.binding))
    }

    /// Whether no section ends or begins between the symbol and the address.
    fn same_section(&self, record: &Record, address: u64) -> bool {
        self.sections.is_empty()
            || self
                .sections
                .iter()
                .any(|section| section.contains(&record.address) && section.contains(&address))
    }
}

fn sort(records: &mut Vec<Record>) {
    // 32-bit record numbers with one value to spare.
    records.truncate(u32::MAX as usize - 1);
    records.sort_by_key(|record| record.address);
}

/// The greatest result of [`precedence`].
const LAST_PRECEDENCE: u8 = 3;

/// Which binding goes first.
fn precedence(binding: SymbolBinding) -> u8 {
    match binding {
        SymbolBinding::Global | SymbolBinding::Unique => 0,
        SymbolBinding::Weak => 1,
        SymbolBinding::Local => 2,
        SymbolBinding::Unknown => 3,
    }
}

fn hash_name(name: &[u8]) -> usize {
    FixedState::default().hash_one(name) as usize
}

/// The index of the nearest record before each record that ends after it. As records are sorted
/// by start, an address that a record doesn't contain isn't contained by the skipped ones either.
fn enclosing_records(records: &[Record]) -> Vec<u32> {
    let mut open: Vec<(u32, u64)> = Vec::new();
    (0u32..)
        .zip(records)
        .map(|(number, record)| {
            while open.last().is_some_and(|&(_, end)| end <= record.end()) {
                open.pop();
            }
            let outer = open.last().map_or(EMPTY, |&(outer, _)| outer);
            open.push((number, record.end()));
            outer
        })
        .collect()
}

/// Reads the symbols that have a name and a place.
/// Numbers that look like addresses of the file's symbols and are offsets: into each CPU's memory,
/// or into sections of a relocatable file that were not loaded, or are gone again.
fn offsets(file: &ElfFile) -> Range<u64> {
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

fn read_symbols(unread: &Unread, source: u8) -> Vec<Record> {
    let Unread {
        file,
        section,
        bias,
    } = unread;
    let section = file.sections().get(*section);
    let data = section
        .and_then(|section| file.data(section).ok())
        .unwrap_or_default();
    if file.platform().is_64_bit {
        read_entries::<elf::Sym64<Endianness>>(file, data, *bias, source)
    } else {
        read_entries::<elf::Sym32<Endianness>>(file, data, *bias, source)
    }
}

fn read_entries<S>(file: &ElfFile, data: &[u8], bias: u64, source: u8) -> Vec<Record>
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
        } else if kind == SymbolKind::Tls {
            value
        } else {
            file.loaded_address(value, bias)
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
            may_reach: section.is_none_or(|section| {
                address
                    != file
                        .loaded_address(section.address, bias)
                        .wrapping_add(section.size)
            }),
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
            bias: 0,
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

#[cfg(test)]
mod tests {
    use super::*;

    fn symbol(name: &str, address: u64, size: u64, binding: SymbolBinding) -> Symbol {
        Symbol {
            name: name.into(),
            address,
            size,
            binding,
            kind: SymbolKind::Function,
        }
    }

    fn table() -> SymbolTable {
        SymbolTable::new([
            symbol("outer", 0x1000, 0x100, SymbolBinding::Global),
            symbol("inner", 0x1010, 0x10, SymbolBinding::Local),
            symbol("inner_weak", 0x1010, 0x20, SymbolBinding::Weak),
            symbol("label", 0x1200, 0, SymbolBinding::Local),
            symbol("same", 0x2000, 8, SymbolBinding::Local),
            symbol("same", 0x3000, 8, SymbolBinding::Global),
            symbol("same", 0x4000, 8, SymbolBinding::Weak),
        ])
    }

    fn name_at(address: u64) -> Option<String> {
        table()
            .by_address(address)
            .map(|symbol| symbol.name.to_string())
    }

    #[test]
    fn the_closest_containing_symbol_is_found() {
        assert_eq!(name_at(0xfff), None);
        assert_eq!(name_at(0x1000).as_deref(), Some("outer"));
        assert_eq!(name_at(0x1018).as_deref(), Some("inner_weak"));
        assert_eq!(name_at(0x1028).as_deref(), Some("inner_weak"));
        assert_eq!(name_at(0x1030).as_deref(), Some("outer"));
        assert_eq!(name_at(0x1100), None);
    }

    #[test]
    fn a_symbol_of_unknown_size_reaches_to_the_next() {
        assert_eq!(name_at(0x1210).as_deref(), Some("label"));
        assert_eq!(name_at(0x2008), None);
    }

    #[test]
    fn global_symbols_go_before_weak_and_local_ones() {
        assert_eq!(
            table().by_name("same").map(|symbol| symbol.address),
            Some(0x3000)
        );
        let addresses: Vec<u64> = table()
            .all_by_name("same")
            .iter()
            .map(|symbol| symbol.address)
            .collect();
        assert_eq!(addresses, [0x2000, 0x3000, 0x4000]);
        assert_eq!(table().by_name("missing"), None);
    }

    #[test]
    fn all_symbols_at_an_address_are_found() {
        let names: Vec<_> = table()
            .all_by_address(0x1018)
            .iter()
            .map(|symbol| symbol.name.to_string())
            .collect();
        assert_eq!(names, ["inner_weak", "inner", "outer"]);
    }
}
