//! Names of what a format numbers, for formats that keep no index of names themselves.

use std::sync::Arc;

use crate::description::{ConstantValue, Location, ObjectDescription, TypeId};
use crate::{Result, TypeSource};

/// Numbers of named records, sorted by name. The names stay where they are.
#[derive(Debug, Default)]
pub(crate) struct NameTable {
    numbers: Vec<u32>,
}

impl NameTable {
    pub(crate) fn new<'a>(named: impl Iterator<Item = (&'a str, u32)>) -> NameTable {
        let mut by_name: Vec<_> = named
            .map(|(name, number)| (first_bytes(name), name, number))
            .collect();
        by_name.sort_unstable();
        NameTable {
            numbers: by_name.into_iter().map(|(_, _, number)| number).collect(),
        }
    }

    /// The numbers of the records called `name`, smallest first. `name_of` must give the names
    /// that the table was made of.
    pub(crate) fn find<'a>(&self, name: &str, name_of: impl Fn(u32) -> &'a str) -> &[u32] {
        let start = self
            .numbers
            .partition_point(|number| name_of(*number) < name);
        let rest = self.numbers.get(start..).unwrap_or_default();
        let count = rest
            .iter()
            .take_while(|number| name_of(**number) == name)
            .count();
        rest.get(..count).unwrap_or_default()
    }

    /// All numbers, in the order of their names.
    pub(crate) fn numbers(&self) -> &[u32] {
        &self.numbers
    }
}

/// The first bytes of a name as a number in the same order: most names differ there already.
fn first_bytes(name: &str) -> u64 {
    let mut bytes = [0; 8];
    for (byte, of_name) in bytes.iter_mut().zip(name.bytes()) {
        *byte = of_name;
    }
    u64::from_be_bytes(bytes)
}

/// Names of enumerators with the number of the enumeration that each belongs to.
#[derive(Debug)]
pub(crate) struct EnumeratorTable {
    sorted: Vec<(Arc<str>, u32)>,
}

impl EnumeratorTable {
    pub(crate) fn new(mut named: Vec<(Arc<str>, u32)>) -> EnumeratorTable {
        named.sort_unstable();
        EnumeratorTable { sorted: named }
    }

    /// The numbers of the enumerations that have an enumerator called `name`.
    pub(crate) fn find<'a>(&'a self, name: &'a str) -> impl Iterator<Item = u32> + 'a {
        let start = self.sorted.partition_point(|(known, _)| &**known < name);
        let rest = self.sorted.get(start..).unwrap_or_default();
        rest.iter()
            .take_while(move |(known, _)| &**known == name)
            .map(|(_, number)| *number)
    }
}

/// The enumerator called `name` of each of these enumerations.
pub(crate) fn enumerators_called(
    name: &str,
    source: &dyn TypeSource,
    enumerations: impl Iterator<Item = TypeId>,
) -> Result<Vec<ObjectDescription>> {
    let mut found = Vec::new();
    for type_id in enumerations {
        let enumerators = source.enumerators(type_id)?;
        if let Some(enumerator) = enumerators.into_iter().find(|it| &*it.name == name) {
            found.push(ObjectDescription {
                type_id: Some(type_id),
                location: Location::Constant(ConstantValue::Integer(enumerator.value)),
            });
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_found_by_their_whole_name() {
        let names = ["task_struct", "task", "", "task_struct_ref", "task_struct"];
        let table = NameTable::new(names.into_iter().zip(0..));
        let find = |name| table.find(name, |number| names[number as usize]);
        assert_eq!(find("task_struct"), [0, 4]);
        assert_eq!(find("task"), [1]);
        assert_eq!(find("task_struc"), [0; 0]);
        assert_eq!(table.numbers(), [2, 1, 0, 4, 3]);
    }
}
