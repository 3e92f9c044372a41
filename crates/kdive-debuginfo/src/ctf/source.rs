//! Types and objects of CTF by name.

use std::sync::Arc;

use kdive_target::ByteOrder;

use super::dictionary::kind;
use super::elf::OfElf;
use super::resolve::{Dictionaries, Place};
use super::shapes::kinds_of;
use super::{Archive, ArrayOrder};
use crate::description::{
    AbsenceReason, EnumeratorDescription, Language, Location, MemberDescription, ObjectDescription,
    ObjectKinds, TypeDescription, TypeId, TypeKinds,
};
use crate::names::enumerators_called;
use crate::symbols::SymbolKind;
use crate::{Result, TypeSource};

/// What CTF does not say of the program that it belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Environment {
    /// The size of a pointer in bytes.
    pub pointer_size: u8,
    /// The order of bytes, which may be another one than that of the dictionary: the linker writes
    /// that of the machine it runs on.
    pub byte_order: ByteOrder,
    /// In which order the compiler wrote arrays of arrays.
    pub arrays: ArrayOrder,
}

/// The types and variables of a kernel with its modules, or of a program, out of its CTF.
///
/// A dictionary is read when it is first needed. CTF has no addresses: those come from symbols,
/// which a file of a program has itself.
pub struct CtfSource {
    dictionaries: Dictionaries,
    environment: Environment,
}

impl CtfSource {
    /// The types in an archive such as `vmlinux.ctfa`.
    pub fn new(archive: Archive, environment: Environment) -> Result<CtfSource> {
        CtfSource::open(archive, environment, None)
    }

    pub(super) fn open(
        archive: Archive,
        environment: Environment,
        of_elf: Option<OfElf>,
    ) -> Result<CtfSource> {
        Ok(CtfSource {
            dictionaries: Dictionaries::open(archive, of_elf)?,
            environment,
        })
    }

    /// The names of the dictionaries: `vmlinux` and that of each module of a kernel.
    pub fn dictionaries(&self) -> impl Iterator<Item = &str> {
        self.dictionaries.names()
    }

    /// Where the object of a dictionary is.
    fn location(&self, dictionary: usize, name: &str) -> Location {
        if let Some(of_elf) = self.dictionaries.of_elf() {
            return match of_elf.symbols.by_name(name) {
                Some(symbol) if symbol.kind == SymbolKind::Tls => {
                    Location::ThreadLocal(symbol.address)
                }
                Some(symbol) => Location::Address(symbol.address),
                None => Location::Absent(AbsenceReason::Other),
            };
        }
        if dictionary == self.dictionaries.main() {
            return Location::Symbol(name.into());
        }
        Location::ModuleSymbol {
            module: self.dictionaries.name(dictionary).into(),
            name: name.into(),
        }
    }
}

impl TypeSource for CtfSource {
    fn format(&self) -> &'static str {
        "ctf"
    }

    fn find_types(
        &self,
        kinds: TypeKinds,
        name: &str,
        file_name: Option<&str>,
    ) -> Result<Vec<TypeId>> {
        let mut declared = Vec::new();
        for (dictionary, loaded) in self.dictionaries.in_order(file_name) {
            let mut found = Vec::new();
            for (number, record) in loaded.named(name) {
                if kinds_of(&record).intersects(kinds) {
                    let id = Place { dictionary, number }.id();
                    if record.kind == kind::FORWARD {
                        declared.push(id);
                    } else {
                        found.push(id);
                    }
                }
            }
            // Other dictionaries may have a different type of this name; these go first.
            if !found.is_empty() {
                found.extend(declared);
                return Ok(found);
            }
        }
        Ok(declared)
    }

    fn find_objects(
        &self,
        kinds: ObjectKinds,
        name: &str,
        file_name: Option<&str>,
    ) -> Result<Vec<ObjectDescription>> {
        for (dictionary, loaded) in self.dictionaries.in_order(file_name) {
            let mut found = Vec::new();
            for id in loaded.objects.find(name, &loaded.dictionary) {
                let place = self.dictionaries.place(dictionary, id)?;
                let is_function = match place {
                    Some(place) => self.dictionaries.record(place)?.kind == kind::FUNCTION,
                    None => false,
                };
                let kind = if is_function {
                    ObjectKinds::FUNCTION
                } else {
                    ObjectKinds::VARIABLE
                };
                if kinds.contains(kind) {
                    found.push(ObjectDescription {
                        type_id: place.map(Place::id),
                        location: self.location(dictionary, name),
                    });
                }
            }
            if kinds.contains(ObjectKinds::CONSTANT) {
                let numbers = loaded.enumerators()?.find(name);
                let ids = numbers.map(|number| Place { dictionary, number }.id());
                found.extend(enumerators_called(name, self, ids)?);
            }
            if !found.is_empty() {
                return Ok(found);
            }
        }
        Ok(Vec::new())
    }

    fn has_kernel_module(&self, name: &str) -> bool {
        // What the linker makes of a kernel's files has no dictionary of that name.
        let is_kernel_file = self.dictionaries.of_elf().is_some() && name == "vmlinux";
        is_kernel_file || self.dictionaries().any(|known| known == name)
    }

    fn describe(&self, id: TypeId) -> Result<TypeDescription> {
        Ok(TypeDescription {
            language: Language::C,
            shape: self.dictionaries.shape(Place::of(id), self.environment)?,
            alignment: None,
        })
    }

    fn members(&self, id: TypeId) -> Result<Vec<MemberDescription>> {
        self.dictionaries.members(Place::of(id))
    }

    fn enumerators(&self, id: TypeId) -> Result<Vec<EnumeratorDescription>> {
        let mut place = Place::of(id);
        if self.dictionaries.record(place)?.kind == kind::FORWARD {
            match self.dictionaries.definition(place)? {
                Some(definition) => place = definition,
                None => return Ok(Vec::new()),
            }
        }
        let dictionary = &self.dictionaries.get(place.dictionary)?.dictionary;
        let record = dictionary.record(place.number)?;
        if record.kind != kind::ENUM {
            return Ok(Vec::new());
        }
        record
            .enumerators()
            .map(|(name, value)| {
                Ok(EnumeratorDescription {
                    name: dictionary.string(name)?.into(),
                    value: i128::from(value),
                })
            })
            .collect()
    }

    fn type_names(&self, kinds: TypeKinds) -> Result<Vec<Arc<str>>> {
        let mut found: Vec<Arc<str>> = Vec::new();
        for (_, loaded) in self.dictionaries.in_order(None) {
            for number in loaded.named_numbers() {
                let record = loaded.dictionary.record(*number)?;
                if kinds_of(&record).intersects(kinds) {
                    found.push(loaded.dictionary.string(record.name)?.into());
                }
            }
        }
        found.sort_unstable();
        found.dedup();
        Ok(found)
    }
}
