//! Symbols, found by name and by address without looking at all of them.
//!
//! [`records`] has the lists and how they are made, [`read`] takes symbols out of ELF files, and
//! [`saved`] keeps the lists of a file in the cache.

mod read;
mod records;
mod saved;

use std::ops::Range;
use std::sync::{Arc, OnceLock};

use object::elf;

use crate::Result;
use crate::bytes::c_string_at;
use crate::cache::IndexCache;
use crate::column::Column;
use crate::elf::ElfFile;

use read::Unread;
pub(crate) use read::{from_elf_info, symbols_in_order};
pub(crate) use records::NamedSymbol;
use records::{NameIndex, Record, Records};
pub(crate) use saved::layout as saved_layout;

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

impl SymbolBinding {
    const ALL: [Self; 5] = [
        Self::Unknown,
        Self::Local,
        Self::Global,
        Self::Weak,
        Self::Unique,
    ];

    fn from_number(number: u8) -> Self {
        let found = Self::ALL.get(usize::from(number)).copied();
        found.unwrap_or(Self::Unknown)
    }
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

impl SymbolKind {
    const ALL: [Self; 8] = [
        Self::Unknown,
        Self::Object,
        Self::Function,
        Self::Section,
        Self::File,
        Self::Common,
        Self::Tls,
        Self::IndirectFunction,
    ];

    fn from_number(number: u8) -> Self {
        let found = Self::ALL.get(usize::from(number)).copied();
        found.unwrap_or(Self::Unknown)
    }
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

/// Symbols, indexed by name and by address. Unless the indexes are in the cache, symbols are read
/// and both indexes made when first needed.
#[derive(Default)]
pub struct SymbolTable {
    /// Where the records are from, if they are read when first needed.
    unread: Vec<Unread>,
    /// Where the lists are kept, if they are.
    cache: Option<IndexCache>,
    /// Why the lists that were kept can't be used.
    cache_problem: Option<String>,
    records: OnceLock<Records>,
    names: Vec<Names>,
    /// What is added to the addresses in records, but for those that nothing changes.
    bias: u64,
    /// The addresses of sections before the bias, beyond which no symbol of unknown size reaches.
    sections: Vec<Range<u64>>,
    /// Where the module is; empty if it may be anywhere.
    ranges: Vec<Range<u64>>,
    /// Addresses in records that no bias changes: they are offsets.
    fixed: Range<u64>,
    /// Numbers that are offsets, and the address of nothing.
    offsets: Range<u64>,
    by_name: OnceLock<NameIndex>,
    /// For each record the nearest one before it that ends after it; [`records::NONE`] if there is
    /// none.
    enclosing: OnceLock<Column<u32>>,
}

impl std::fmt::Debug for SymbolTable {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("SymbolTable")
            .field("len", &self.len())
            .finish_non_exhaustive()
    }
}

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
            records.push(NamedSymbol {
                name,
                address: symbol.address,
                size: symbol.size,
                binding: symbol.binding,
                kind: symbol.kind,
            });
        }
        SymbolTable::with_names(names, records)
    }

    /// Indexes symbols whose names are in `names`, each before a zero byte.
    pub(crate) fn with_names(names: Vec<u8>, symbols: Vec<NamedSymbol>) -> SymbolTable {
        let records = symbols.into_iter().map(Record::from).collect();
        SymbolTable {
            records: Records::new(records, &(0..0)).into(),
            names: vec![Names::Owned(names)],
            ..SymbolTable::default()
        }
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
        SymbolTable::from_elf_with_cache(file, bias, None)
    }

    /// The same, with the indexes taken from the cache or saved there.
    pub fn from_elf_with_cache(
        file: &Arc<ElfFile>,
        bias: u64,
        cache: Option<&IndexCache>,
    ) -> Result<SymbolTable> {
        let mut table = SymbolTable {
            bias: read::effective_bias(file, bias),
            sections: file
                .sections()
                .iter()
                .filter(|section| section.is_loaded())
                .map(|section| section.address..section.address.saturating_add(section.size))
                .collect(),
            fixed: file.fixed_addresses(),
            offsets: read::offsets(file),
            ..SymbolTable::default()
        };
        if table.add_section(file, elf::SHT_SYMTAB)? {
            table.cache = cache.cloned();
            match table.load() {
                Ok(Some(records)) => table.records = records.into(),
                Ok(None) => {}
                Err(reason) => table.cache_problem = Some(reason),
            }
            return Ok(table);
        }
        table.add_section(file, elf::SHT_DYNSYM)?;
        // If these are damaged, the others are still good.
        if let Ok(Some(stripped)) = file.mini_debug_info() {
            table.add_section(&Arc::new(stripped), elf::SHT_SYMTAB)?;
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
    fn add_section(&mut self, file: &Arc<ElfFile>, kind: elf::SectionType) -> Result<bool> {
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
        });
        Ok(true)
    }

    fn records(&self) -> &Records {
        self.records.get_or_init(|| self.make())
    }

    /// Why the indexes in the cache can't be used. They are made again, and replaced.
    pub fn cache_problem(&self) -> Option<&str> {
        self.cache_problem.as_deref()
    }

    /// Reads the symbols, and saves the lists made of them if there is a cache.
    fn make(&self) -> Records {
        let read = (0..).zip(&self.unread);
        let read = read.flat_map(|(source, unread)| read::read_symbols(unread, source));
        let records = Records::new(read.collect(), &self.fixed);
        self.save(&records);
        records
    }

    fn name_index(&self) -> &NameIndex {
        let records = self.records();
        self.by_name.get_or_init(|| self.index_names(records))
    }

    fn index_names(&self, records: &Records) -> NameIndex {
        let names: Vec<&[u8]> = self.names.iter().map(Names::bytes).collect();
        NameIndex::new(records, &names)
    }

    fn enclosing(&self) -> &Column<u32> {
        let records = self.records();
        self.enclosing.get_or_init(|| records.enclosing())
    }

    /// The number of symbols.
    pub fn len(&self) -> usize {
        self.records().list.len()
    }

    /// Whether there are no symbols.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All symbols: first those that have offsets and no addresses, then the others, each sorted.
    pub fn iter(&self) -> impl Iterator<Item = Symbol> + '_ {
        self.records().list.iter().map(|record| self.symbol(record))
    }

    /// The symbol called `name`; a global one before a weak one before a local one.
    pub fn by_name(&self, name: &str) -> Option<Symbol> {
        self.records_by_name(name)
            .next()
            .map(|(_, record)| self.symbol(record))
    }

    /// All symbols called `name`, in the order of [`SymbolTable::iter`].
    pub fn all_by_name(&self, name: &str) -> Vec<Symbol> {
        let mut found: Vec<_> = self.records_by_name(name).collect();
        found.sort_by_key(|(number, _)| *number);
        found
            .into_iter()
            .map(|(_, record)| self.symbol(record))
            .collect()
    }

    fn records_by_name<'a>(&'a self, name: &'a str) -> impl Iterator<Item = (usize, Record)> + 'a {
        let list = &self.records().list;
        self.name_index()
            .candidates(name.as_bytes())
            .filter_map(|number| Some((number, list.get(number)?)))
            .filter(move |(_, record)| self.name(record) == name.as_bytes())
    }

    /// The symbol that contains `address`: of several, the one that starts closest to it, and of
    /// those a global one before a weak one before a local one. Where none does, the closest one
    /// of unknown size in the same section.
    pub fn by_address(&self, address: u64) -> Option<Symbol> {
        if !self.may_have(address) {
            return None;
        }
        let records = self.records();
        let linked = address.wrapping_sub(self.bias);
        let mut number = records.last_at_or_before(linked);
        while let Some(record) = number.and_then(|number| records.list.get(number)) {
            if linked < record.end() {
                let best = records
                    .starting_at(record.address)
                    .find(|record| linked < record.end())?;
                return Some(self.symbol(best));
            }
            number = self.outer(number?);
        }
        self.unsized_before(linked)
            .map(|record| self.symbol(record))
    }

    /// The nearest record before one that ends after it.
    fn outer(&self, number: usize) -> Option<usize> {
        let outer = self.enclosing().get(number)? as usize;
        // Lists out of the cache may be damaged, and must not be gone through for ever.
        (outer < number).then_some(outer)
    }

    /// All symbols that contain `address`, the one that [`SymbolTable::by_address`] finds first.
    pub fn all_by_address(&self, address: u64) -> Vec<Symbol> {
        let Some(best) = self.by_address(address) else {
            return Vec::new();
        };
        let records = self.records();
        let linked = address.wrapping_sub(self.bias);
        let mut found = vec![];
        let mut number = records.last_at_or_before(linked);
        while let Some(current) = number {
            let Some(record) = records.list.get(current) else {
                break;
            };
            let is_here = record.size == 0 && record.address == linked;
            if linked < record.end() || is_here {
                let symbol = self.symbol(record);
                if symbol != best {
                    found.push(symbol);
                }
                number = records.before(current);
            } else if record.address == linked {
                number = records.before(current);
            } else {
                number = self.outer(current);
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

    fn symbol(&self, record: Record) -> Symbol {
        let address = if record.is_placed(&self.fixed) {
            record.address.wrapping_add(self.bias)
        } else {
            record.address
        };
        Symbol {
            name: String::from_utf8_lossy(self.name(&record)).into(),
            address,
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

    fn unsized_before(&self, linked: u64) -> Option<Record> {
        let records = self.records();
        let number = records.last_at_or_before(linked)?;
        let closest = records.list.get(number)?;
        // A label within a symbol reaches no farther than that, which ends before the address.
        let is_label = self.outer(number).is_some();
        if closest.size != 0 || is_label || !self.same_section(&closest, linked) {
            return None;
        }
        records
            .starting_at(closest.address)
            .filter(|record| record.size == 0)
            .find(|record| record.may_reach || record.address == linked)
    }

    /// Whether no section ends or begins between the symbol and the address.
    fn same_section(&self, record: &Record, linked: u64) -> bool {
        self.sections.is_empty()
            || self
                .sections
                .iter()
                .any(|section| section.contains(&record.address) && section.contains(&linked))
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
            symbol("within", 0x10f0, 0, SymbolBinding::Global),
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
    fn a_symbol_of_unknown_size_reaches_to_the_next_or_the_end_of_that_around_it() {
        assert_eq!(name_at(0x1210).as_deref(), Some("label"));
        assert_eq!(name_at(0x2008), None);
        assert_eq!(name_at(0x10f0).as_deref(), Some("outer"));
        assert_eq!(name_at(0x10ff).as_deref(), Some("outer"));
        assert_eq!(name_at(0x1100), None);
        assert_eq!(name_at(0x11ff), None);
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
