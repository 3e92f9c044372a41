//! The variables and functions of a dictionary by name: its variable section, and the sections
//! that go with the symbols of an ELF file.

use super::dictionary::Dictionary;
use crate::Result;
use crate::names::NameTable;

/// The names of symbols in the order of their table, as references to strings.
#[derive(Clone, Debug, Default)]
pub(super) struct SymbolOrder {
    pub(super) objects: Vec<u32>,
    pub(super) functions: Vec<u32>,
}

/// Variables and functions with their types.
pub(super) struct Objects {
    entries: Vec<Entry>,
    names: NameTable,
}

#[derive(Clone, Copy)]
struct Entry {
    name: u32,
    type_id: u32,
}

impl Objects {
    /// Reads what a dictionary has of them. `order` is that of the symbols of the ELF file, for
    /// dictionaries that leave the names of objects to it.
    pub(super) fn read(dictionary: &Dictionary, order: &SymbolOrder) -> Result<Objects> {
        let header = &dictionary.header;
        let mut entries = Vec::new();
        for (types, names, order) in [
            (&header.objects, &header.object_names, &order.objects),
            (&header.functions, &header.function_names, &order.functions),
        ] {
            let types = dictionary.words(types.clone());
            let own_names: Vec<u32> = dictionary.words(names.clone()).collect();
            let names = if own_names.is_empty() {
                order
            } else {
                &own_names
            };
            entries.extend(
                names
                    .iter()
                    .zip(types)
                    .map(|(name, type_id)| Entry {
                        name: *name,
                        type_id,
                    })
                    // Symbols without a type have their place kept by a zero.
                    .filter(|entry| entry.type_id != 0),
            );
        }
        let mut variables = dictionary.words(header.variables.clone());
        while let (Some(name), Some(type_id)) = (variables.next(), variables.next()) {
            entries.push(Entry { name, type_id });
        }
        let mut named = Vec::with_capacity(entries.len());
        for (number, entry) in (0..).zip(&entries) {
            named.push((dictionary.string(entry.name)?, number));
        }
        Ok(Objects {
            names: NameTable::new(named.into_iter()),
            entries,
        })
    }

    /// The IDs of the types of the objects called `name`.
    pub(super) fn find<'a>(
        &'a self,
        name: &str,
        dictionary: &'a Dictionary,
    ) -> impl Iterator<Item = u32> + 'a {
        let entry = |number: u32| self.entries.get(number as usize);
        let name_of = |number| {
            entry(number)
                .and_then(|entry| dictionary.string(entry.name).ok())
                .unwrap_or_default()
        };
        self.names
            .find(name, name_of)
            .iter()
            .filter_map(move |number| Some(entry(*number)?.type_id))
    }
}
