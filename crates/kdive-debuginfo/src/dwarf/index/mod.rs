//! The index: from names to the offsets of entries.
//!
//! Names are not stored but referred to, and found by their hash. [`entries`] has what it is made
//! of, and [`build`] makes it of what the [scan](super::scan) collects.

mod build;
mod entries;

use crate::column::Column;
use crate::hash::hash_name;

pub(super) use build::scan;
pub(super) use entries::{
    Entry, EntryFlags, EntryKind, EntryKinds, GREATEST_OFFSET, Group, NameRef, NameSource,
    RawEntry, Scope,
};

/// Names of one file and where their entries are.
#[derive(Default)]
pub(super) struct Index {
    /// Sorted by hash.
    pub(super) groups: Column<Group>,
    pub(super) entries: Column<Entry>,
    /// Sorted by start.
    pub(super) scopes: Column<Scope>,
}

/// Resolves names. What is damaged has an empty name, which nothing looks for.
pub(super) trait Strings: Sync {
    fn string(&self, name: NameRef) -> &[u8];
}

impl Index {
    /// The entries of `kinds` called `name`, which has no scopes, in the order of the file.
    pub(super) fn find<'a>(
        &'a self,
        strings: &'a impl Strings,
        kinds: EntryKinds,
        name: &'a str,
    ) -> impl Iterator<Item = Entry> + 'a {
        let hash = hash_name(name.as_bytes());
        let start = self.groups.partition_point(|group| group.hash < hash);
        self.groups
            .range(start..self.groups.len())
            .take_while(move |group| group.hash == hash)
            .filter(|group| strings.string(group.name()) == name.as_bytes())
            .flat_map(|group| self.entries_of(group))
            .filter(move |entry| entry.is_in(kinds))
    }

    /// All names of entries of `kinds`, with one of these entries.
    pub(super) fn names(&self, kinds: EntryKinds) -> impl Iterator<Item = (NameRef, Entry)> + '_ {
        self.groups.iter().flat_map(move |group| {
            let mut seen_global = false;
            self.entries_of(group)
                .filter(move |entry| entry.is_in(kinds))
                .filter(move |entry| {
                    let is_nested = entry
                        .flags()
                        .intersects(EntryFlags::NESTED | EntryFlags::NAMED_ELSEWHERE);
                    is_nested || !std::mem::replace(&mut seen_global, true)
                })
                .map(move |entry| (group.name(), entry))
        })
    }

    fn entries_of(&self, group: Group) -> impl Iterator<Item = Entry> + '_ {
        let first = group.first as usize;
        self.entries
            .range(first..first.saturating_add(group.count as usize))
    }

    /// The number of entries.
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// The offsets of the namespaces and types around the entry at `die`, innermost first.
    pub(super) fn scopes_of(&self, die: u64) -> impl Iterator<Item = u64> + '_ {
        let mut number = self
            .scopes
            .partition_point(|scope| scope.start < die)
            .checked_sub(1);
        std::iter::from_fn(move || {
            // The scopes around the last one that starts before the entry include all that are
            // around the entry.
            while let Some(current) = number {
                let scope = self.scopes.get(current)?;
                // A parent has a lower number, so this ends even if the index is damaged.
                number = Some(scope.parent as usize).filter(|&parent| parent < current);
                if die < scope.end {
                    return Some(scope.start);
                }
            }
            None
        })
    }
}
