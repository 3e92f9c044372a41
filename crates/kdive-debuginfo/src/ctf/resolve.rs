//! The dictionaries of an archive together: which are asked first, and how types refer to those of
//! other dictionaries.

use std::sync::OnceLock;

use super::Archive;
use super::dictionary::{Dictionary, Record, kind};
use super::elf::OfElf;
use super::objects::Objects;
use crate::description::TypeId;
use crate::names::{EnumeratorTable, NameTable};
use crate::{Error, Result, path_ends_with};

/// A record: the place of its dictionary in the archive, and its number there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Place {
    pub(super) dictionary: usize,
    pub(super) number: u32,
}

impl Place {
    pub(super) fn id(self) -> TypeId {
        TypeId((self.dictionary as u64) << 32 | u64::from(self.number))
    }

    pub(super) fn of(id: TypeId) -> Place {
        Place {
            dictionary: (id.0 >> 32) as usize,
            number: id.0 as u32,
        }
    }
}

/// A dictionary that was read.
pub(super) struct Loaded {
    pub(super) dictionary: Dictionary,
    pub(super) objects: Objects,
    names: NameTable,
    enumerators: OnceLock<EnumeratorTable>,
    /// The place of the dictionary that it goes on from.
    parent: Option<usize>,
}

/// All dictionaries of an archive, each read when it is first needed.
pub(super) struct Dictionaries {
    archive: Archive,
    of_elf: Option<OfElf>,
    /// The message of those that can't be read.
    loaded: Vec<OnceLock<std::result::Result<Loaded, String>>>,
    /// The place of the one that is asked first.
    main: usize,
}

/// The dictionaries that are asked first: that of a kernel, and that of a program.
const MAIN: [&str; 2] = ["vmlinux", ".ctf"];

impl Dictionaries {
    /// Reads the first dictionary and the one that it goes on from.
    pub(super) fn open(archive: Archive, of_elf: Option<OfElf>) -> Result<Dictionaries> {
        let main = MAIN.iter().find_map(|name| archive.position(name));
        let loaded = archive.names().map(|_| OnceLock::new()).collect();
        let dictionaries = Dictionaries {
            main: main.unwrap_or(0),
            archive,
            of_elf,
            loaded,
        };
        if let Some(parent) = dictionaries.get(dictionaries.main)?.parent {
            dictionaries.get(parent)?;
        }
        Ok(dictionaries)
    }

    /// The dictionary at a place of the archive.
    pub(super) fn get(&self, index: usize) -> Result<&Loaded> {
        let missing = || Error::Bad {
            origin: "CTF".to_owned(),
            message: format!("there is no dictionary {index}"),
        };
        let cell = self.loaded.get(index).ok_or_else(missing)?;
        let loaded = cell.get_or_init(|| self.read(index).map_err(|error| error.to_string()));
        loaded.as_ref().map_err(|message| {
            let (origin, message) = message.split_once(": ").unwrap_or(("CTF", message));
            Error::Bad {
                origin: origin.to_owned(),
                message: message.to_owned(),
            }
        })
    }

    fn read(&self, index: usize) -> Result<Loaded> {
        let (origin, bytes) = self.archive.member(index).unwrap_or_default();
        let mut order = super::objects::SymbolOrder::default();
        let dictionary = Dictionary::parse(&origin, bytes, |is_dynamic| match &self.of_elf {
            Some(of_elf) => {
                let (names, of_symbols) = of_elf.names(is_dynamic);
                order = of_symbols;
                names
            }
            None => Vec::new(),
        })?;
        let parent = if dictionary.has_parent() {
            let name = dictionary.string(dictionary.header.parent)?;
            let parent = self.archive.position(name).ok_or_else(|| {
                dictionary.bad(format!(
                    "it goes on from the dictionary {name}, which the archive lacks"
                ))
            })?;
            Some(parent)
        } else {
            None
        };
        let mut named = Vec::with_capacity(dictionary.numbers().end().saturating_add(1) as usize);
        for number in dictionary.numbers() {
            let record = dictionary.record(number)?;
            if record.name != 0 && record.is_visible && record.kind != kind::SLICE {
                named.push((dictionary.string(record.name)?, number));
            }
        }
        Ok(Loaded {
            names: NameTable::new(named.into_iter()),
            objects: Objects::read(&dictionary, &order)?,
            enumerators: OnceLock::new(),
            parent,
            dictionary,
        })
    }

    /// The place of the dictionary that is asked first.
    pub(super) fn main(&self) -> usize {
        self.main
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.archive.names()
    }

    /// The name of a dictionary.
    pub(super) fn name(&self, index: usize) -> &str {
        self.archive.names().nth(index).unwrap_or_default()
    }

    /// What the dictionaries of an ELF file leave to it.
    pub(super) fn of_elf(&self) -> Option<&OfElf> {
        self.of_elf.as_ref()
    }

    /// The dictionaries that may know what belongs to a file, or all, the main one and its parent
    /// first. Those that can't be read are left out: they must not hide what others know.
    ///
    /// Few dictionaries know their source file, but most of those of a kernel are each of a module,
    /// and so the name of a file without its extension stands for the module of that name. A file
    /// that is none of these may belong to any dictionary that doesn't name its own.
    pub(super) fn in_order<'a>(
        &'a self,
        file_name: Option<&'a str>,
    ) -> Box<dyn Iterator<Item = (usize, &'a Loaded)> + 'a> {
        let all = |first: usize| {
            let parent = self.get(first).ok().and_then(|main| main.parent);
            [Some(first), parent].into_iter().flatten()
        };
        let readable = |index| Some((index, self.get(index).ok()?));
        let Some(file_name) = file_name else {
            let first = all(self.main);
            let others =
                (0..self.loaded.len()).filter(move |index| !first.clone().any(|it| it == *index));
            return Box::new(all(self.main).chain(others).filter_map(readable));
        };
        if let Some(module) = self.archive.position(&module_name(file_name)) {
            return Box::new(all(module).filter_map(readable));
        }
        let is_path = file_name.contains(['.', '/']);
        let everything = self.in_order(None);
        Box::new(everything.filter(move |(_, loaded)| match loaded.unit() {
            "" => is_path,
            unit => path_ends_with(unit, file_name),
        }))
    }

    /// What an ID in one dictionary means; none is `void`.
    pub(super) fn place(&self, dictionary: usize, id: u32) -> Result<Option<Place>> {
        if id == 0 {
            return Ok(None);
        }
        let loaded = self.get(dictionary)?;
        if let Some(number) = loaded.dictionary.own_number(id) {
            return Ok(Some(Place { dictionary, number }));
        }
        let parent = loaded.parent.unwrap_or(dictionary);
        match self.get(parent)?.dictionary.own_number(id) {
            Some(number) => Ok(Some(Place {
                dictionary: parent,
                number,
            })),
            None => Err(loaded.dictionary.bad(format!(
                "CTF type {id:#x} belongs to a dictionary that {} goes on from, which can't be",
                self.name(parent)
            ))),
        }
    }

    pub(super) fn record(&self, place: Place) -> Result<Record<'_>> {
        self.get(place.dictionary)?.dictionary.record(place.number)
    }

    /// The definition of a structure, union or enumeration that is only declared: that of its own
    /// dictionary, else of any.
    pub(super) fn definition(&self, place: Place) -> Result<Option<Place>> {
        let loaded = self.get(place.dictionary)?;
        let record = loaded.dictionary.record(place.number)?;
        let wanted = forwarded_kind(&record);
        let name = loaded.dictionary.string(record.name)?;
        if name.is_empty() {
            return Ok(None);
        }
        let own = std::iter::once((place.dictionary, loaded));
        let found = own
            .chain(self.in_order(None))
            .find_map(|(dictionary, loaded)| {
                let mut named = loaded.named(name);
                let (number, _) = named.find(|(_, record)| record.kind == wanted)?;
                Some(Place { dictionary, number })
            });
        Ok(found)
    }
}

impl Loaded {
    /// The records that are found by this name, with their numbers.
    pub(super) fn named<'a>(
        &'a self,
        name: &str,
    ) -> impl Iterator<Item = (u32, Record<'a>)> + use<'a> {
        let dictionary = &self.dictionary;
        let name_of = |number| {
            let record = dictionary.record(number);
            record
                .and_then(|record| dictionary.string(record.name))
                .unwrap_or_default()
        };
        let numbers = self.names.find(name, name_of);
        numbers
            .iter()
            .filter_map(|number| Some((*number, dictionary.record(*number).ok()?)))
    }

    /// The numbers of all records that have names, in the order of these.
    pub(super) fn named_numbers(&self) -> &[u32] {
        self.names.numbers()
    }

    /// The file that was compiled; empty if there were several.
    fn unit(&self) -> &str {
        let unit = self.dictionary.string(self.dictionary.header.unit);
        unit.unwrap_or_default()
    }

    pub(super) fn enumerators(&self) -> Result<&EnumeratorTable> {
        if let Some(table) = self.enumerators.get() {
            return Ok(table);
        }
        let mut named = Vec::new();
        for number in self.dictionary.numbers() {
            let record = self.dictionary.record(number)?;
            if record.kind == kind::ENUM && record.is_visible {
                for (name, _) in record.enumerators() {
                    named.push((self.dictionary.string(name)?.into(), number));
                }
            }
        }
        Ok(self.enumerators.get_or_init(|| EnumeratorTable::new(named)))
    }
}

/// The kind of the type that a record only declares.
pub(super) fn forwarded_kind(record: &Record<'_>) -> u32 {
    match record.reference {
        kind @ (kind::UNION | kind::ENUM) => kind,
        // Writers of old left it out where a structure is meant.
        _ => kind::STRUCT,
    }
}

/// `nf_tables` for `net/netfilter/nf-tables.c`.
fn module_name(file_name: &str) -> String {
    let last = file_name.rsplit('/').next().unwrap_or_default();
    let stem = last.split_once('.').map_or(last, |(stem, _)| stem);
    stem.replace('-', "_")
}
