//! The index: from names to the offsets of entries.
//!
//! Names are not stored but referred to, and found by their hash. It is made by sorting what the
//! [scan](super::scan) collected by the offset of the name, as linkers merge equal strings.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use foldhash::fast::FixedState;
use kdive_target::parallel::with_threads;
use rayon::prelude::*;

use super::encoding::{UnitHeader, UnitHeaders};
use super::identity::Fingerprint;
use super::scan::{Collected, Defect, Deferred, InlineNames, Named, ScanSections, Scanner};
use crate::column::{Column, Fields, Record};
use crate::description::{ObjectKinds, TypeKinds};
use crate::hash::hash_name;
use crate::progress::Indexing;

/// What an entry is kept as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum EntryKind {
    Struct,
    Union,
    Class,
    Enum,
    Typedef,
    Base,
    Enumerator,
    Function,
    Variable,
    Namespace,
}

impl EntryKind {
    const ALL: [EntryKind; 10] = [
        EntryKind::Struct,
        EntryKind::Union,
        EntryKind::Class,
        EntryKind::Enum,
        EntryKind::Typedef,
        EntryKind::Base,
        EntryKind::Enumerator,
        EntryKind::Function,
        EntryKind::Variable,
        EntryKind::Namespace,
    ];

    fn from_number(number: u8) -> Option<EntryKind> {
        EntryKind::ALL.get(usize::from(number)).copied()
    }

    pub(super) fn is_type(self) -> bool {
        (self as u8) <= EntryKind::Base as u8
    }
}

bitflags::bitflags! {
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub(super) struct EntryFlags: u8 {
        /// Only a declaration.
        const DECLARATION = 1;
        /// In a namespace or type.
        const NESTED = 2;
        /// The name, and so the scope, is that of another entry, which this one completes.
        const NAMED_ELSEWHERE = 4;
    }
}

bitflags::bitflags! {
    /// A set of [`EntryKind`]s.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub(super) struct EntryKinds: u16 {
        const STRUCT = 1 << EntryKind::Struct as u8;
        const UNION = 1 << EntryKind::Union as u8;
        const CLASS = 1 << EntryKind::Class as u8;
        const ENUM = 1 << EntryKind::Enum as u8;
        const TYPEDEF = 1 << EntryKind::Typedef as u8;
        const BASE = 1 << EntryKind::Base as u8;
        const ENUMERATOR = 1 << EntryKind::Enumerator as u8;
        const FUNCTION = 1 << EntryKind::Function as u8;
        const VARIABLE = 1 << EntryKind::Variable as u8;
    }
}

impl From<TypeKinds> for EntryKinds {
    fn from(kinds: TypeKinds) -> EntryKinds {
        let mut result = EntryKinds::empty();
        result.set(EntryKinds::STRUCT, kinds.contains(TypeKinds::STRUCT));
        result.set(EntryKinds::UNION, kinds.contains(TypeKinds::UNION));
        result.set(EntryKinds::CLASS, kinds.contains(TypeKinds::CLASS));
        result.set(EntryKinds::ENUM, kinds.contains(TypeKinds::ENUM));
        result.set(EntryKinds::TYPEDEF, kinds.contains(TypeKinds::TYPEDEF));
        let base = TypeKinds::INT | TypeKinds::BOOL | TypeKinds::FLOAT;
        result.set(EntryKinds::BASE, kinds.intersects(base));
        result
    }
}

impl From<ObjectKinds> for EntryKinds {
    fn from(kinds: ObjectKinds) -> EntryKinds {
        let mut result = EntryKinds::empty();
        result.set(
            EntryKinds::ENUMERATOR,
            kinds.contains(ObjectKinds::CONSTANT),
        );
        result.set(EntryKinds::FUNCTION, kinds.contains(ObjectKinds::FUNCTION));
        result.set(EntryKinds::VARIABLE, kinds.contains(ObjectKinds::VARIABLE));
        result
    }
}

/// Where a name is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum NameSource {
    /// `.debug_str`
    Str,
    /// `.debug_info` or `.debug_types`
    Inline,
    /// `.debug_line_str`
    LineStr,
    /// `.debug_str` of the supplementary file
    Supplementary,
    /// `.debug_info` of the supplementary file
    SupplementaryInline,
}

impl NameSource {
    pub(super) const COUNT: usize = 5;
    const ALL: [NameSource; NameSource::COUNT] = [
        NameSource::Str,
        NameSource::Inline,
        NameSource::LineStr,
        NameSource::Supplementary,
        NameSource::SupplementaryInline,
    ];
}

/// A name, as the place where it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NameRef {
    pub(super) source: NameSource,
    pub(super) offset: u64,
}

/// Sections may have this many bytes: offsets are kept in 40 bits.
pub(super) const GREATEST_OFFSET: u64 = (1 << 40) - 1;

/// A collected entry: two 40-bit offsets, a kind, flags and a fingerprint in 16 bytes. There may
/// be millions.
#[derive(Clone, Copy, Debug)]
pub(super) struct RawEntry {
    name_low: u32,
    die_low: u32,
    /// Kind, flags, high byte of the name's offset, high byte of the entry's.
    rest: u32,
    /// [`Fingerprint::short`], or 0 if it is not known.
    fingerprint: u32,
}

impl RawEntry {
    #[inline]
    pub(super) fn new(
        die: u64,
        kind: EntryKind,
        flags: EntryFlags,
        fingerprint: Option<Fingerprint>,
    ) -> RawEntry {
        let high = (die >> 32) as u32 & 0xff;
        RawEntry {
            name_low: 0,
            die_low: die as u32,
            rest: high | (u32::from(flags.bits()) << 16) | ((kind as u32) << 24),
            fingerprint: fingerprint.map_or(0, Fingerprint::short),
        }
    }

    fn name(self) -> u64 {
        (u64::from((self.rest >> 8) & 0xff) << 32) | u64::from(self.name_low)
    }

    #[inline]
    pub(super) fn with_name(self, name: u64) -> RawEntry {
        let high = (name >> 32) as u32 & 0xff;
        let rest = (self.rest & !0xff00) | (high << 8);
        RawEntry {
            name_low: name as u32,
            rest,
            ..self
        }
    }

    fn entry(self) -> Entry {
        let die = (u64::from(self.rest & 0xff) << 32) | u64::from(self.die_low);
        Entry(die | (u64::from(self.rest >> 16) << 40))
    }
}

/// An entry of the index: its offset in 40 bits, its flags and its kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entry(u64);

impl Entry {
    pub(super) fn die(self) -> u64 {
        self.0 & GREATEST_OFFSET
    }

    pub(super) fn flags(self) -> EntryFlags {
        EntryFlags::from_bits_truncate((self.0 >> 40) as u8)
    }

    pub(super) fn kind(self) -> Option<EntryKind> {
        EntryKind::from_number((self.0 >> 48) as u8)
    }

    /// Its kind as a set.
    fn kinds(self) -> EntryKinds {
        EntryKinds::from_bits_truncate(1u16.checked_shl((self.0 >> 48) as u32).unwrap_or(0))
    }

    fn is_in(self, kinds: EntryKinds) -> bool {
        kinds.intersects(self.kinds())
    }
}

/// A namespace or type that holds names: the offsets from its own entry to the end of its children.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Scope {
    pub(super) start: u64,
    pub(super) end: u64,
    /// The number of the scope around this one; [`Scope::NONE`] if there is none.
    parent: u32,
}

impl Scope {
    const NONE: u32 = u32::MAX;

    /// A scope that starts at `start`, and whose end is not known yet.
    pub(super) fn starting_at(start: u64) -> Scope {
        Scope {
            start,
            end: start,
            parent: Scope::NONE,
        }
    }
}

/// All entries with one name.
#[derive(Clone, Copy, Debug)]
pub(super) struct Group {
    hash: u32,
    /// The number of entries.
    count: u32,
    /// The first one in [`Index::entries`].
    first: u64,
    /// The name's offset, and its source from bit 40 on.
    name: u64,
}

impl Group {
    fn name(&self) -> NameRef {
        let source = NameSource::ALL[(self.name >> 40) as usize % NameSource::COUNT];
        NameRef {
            source,
            offset: self.name & GREATEST_OFFSET,
        }
    }
}

/// Names of one file and where their entries are.
#[derive(Default)]
pub(super) struct Index {
    /// Sorted by hash.
    pub(super) groups: Column<Group>,
    pub(super) entries: Column<Entry>,
    /// Sorted by start.
    pub(super) scopes: Column<Scope>,
}

/// An [`Index`] that is being made.
#[derive(Default)]
struct Builder {
    groups: Vec<Group>,
    entries: Vec<Entry>,
}

impl Record for Group {
    const SIZE: usize = 24;

    fn read(bytes: &[u8]) -> Group {
        let mut fields = Fields(bytes);
        Group {
            hash: fields.u32(),
            count: fields.u32(),
            first: fields.u64(),
            name: fields.u64(),
        }
    }

    fn write(self, bytes: &mut Vec<u8>) {
        bytes.extend_from_slice(&self.hash.to_le_bytes());
        bytes.extend_from_slice(&self.count.to_le_bytes());
        bytes.extend_from_slice(&self.first.to_le_bytes());
        bytes.extend_from_slice(&self.name.to_le_bytes());
    }

    fn example() -> Group {
        let name = 4 | ((NameSource::SupplementaryInline as u64) << 40);
        Group {
            hash: 1,
            count: 2,
            first: 3,
            name,
        }
    }
}

impl Record for Entry {
    const SIZE: usize = 8;

    fn read(bytes: &[u8]) -> Entry {
        Entry(Fields(bytes).u64())
    }

    fn write(self, bytes: &mut Vec<u8>) {
        self.0.write(bytes);
    }

    fn example() -> Entry {
        RawEntry::new(1, EntryKind::Namespace, EntryFlags::NAMED_ELSEWHERE, None).entry()
    }
}

impl Record for Scope {
    const SIZE: usize = 20;

    fn read(bytes: &[u8]) -> Scope {
        let mut fields = Fields(bytes);
        Scope {
            start: fields.u64(),
            end: fields.u64(),
            parent: fields.u32(),
        }
    }

    fn write(self, bytes: &mut Vec<u8>) {
        bytes.extend_from_slice(&self.start.to_le_bytes());
        bytes.extend_from_slice(&self.end.to_le_bytes());
        bytes.extend_from_slice(&self.parent.to_le_bytes());
    }

    fn example() -> Scope {
        Scope {
            start: 1,
            end: 2,
            parent: 3,
        }
    }
}

/// Resolves names. What is damaged has an empty name, which nothing looks for.
pub(super) trait Strings: Sync {
    fn string(&self, name: NameRef) -> &[u8];
}

/// What one run of the scan goes over: not so little that the runs cost more than the work, not
/// so much that one thread waits for the other, or that much of the file is mapped at a time.
const RUN_LENGTH: u64 = 2 << 20;

/// Scans the units of a section in parallel. `done` is told the bytes that were finished with.
pub(super) fn scan(
    sections: ScanSections<'_>,
    headers: UnitHeaders<'_>,
    done: impl Fn(&[u8]) + Sync,
) -> Result<(Vec<UnitHeader>, Vec<Collected>), Defect> {
    let headers = Mutex::new(headers);
    let progress = Indexing::start(sections.entries.len() as u64);
    // Each thread takes runs in the order of the file. So what it leaves out because it met it
    // before is never the first of its kind in the file, and the result is always the same.
    let next_run = || -> Result<Vec<UnitHeader>, Defect> {
        let mut run: Vec<UnitHeader> = Vec::new();
        let mut headers = headers.lock().unwrap_or_else(PoisonError::into_inner);
        while run
            .first()
            .is_none_or(|first| headers.position() - first.offset < RUN_LENGTH)
        {
            let Some(header) = headers.next()? else { break };
            run.push(header);
        }
        Ok(run)
    };
    let scan_runs = |_| -> Result<(Vec<UnitHeader>, Collected), Defect> {
        let mut scanner = Scanner::new(sections);
        let mut units = Vec::new();
        loop {
            let run = next_run()?;
            let (Some(first), Some(last)) = (run.first(), run.last()) else {
                return Ok((units, scanner.collected));
            };
            for unit in &run {
                scanner.scan(unit)?;
            }
            if let Some(bytes) = sections
                .entries
                .get(first.offset as usize..last.end as usize)
            {
                done(bytes);
                progress.advance(bytes.len() as u64);
            }
            units.extend(run);
        }
    };
    let per_thread: Vec<_> = with_threads(|| {
        (0..rayon::current_num_threads())
            .into_par_iter()
            .with_max_len(1)
            .map(scan_runs)
            .collect::<Result<_, Defect>>()
    })?;
    let (units, mut collected): (Vec<_>, Vec<_>) = per_thread.into_iter().unzip();
    let mut units = units.concat();
    units.sort_unstable_by_key(|unit| unit.offset);
    let deferred = resolve_deferred(sections, &units, &mut collected)?;
    collected.push(deferred);
    Ok((units, collected))
}

/// Finds the names that entries have in other units.
fn resolve_deferred(
    sections: ScanSections<'_>,
    units: &[UnitHeader],
    collected: &mut [Collected],
) -> Result<Collected, Defect> {
    let mut deferred: Vec<_> = collected
        .iter_mut()
        .flat_map(|run| std::mem::take(&mut run.deferred))
        .collect();
    // In this order, each unit's abbreviations are compiled once.
    deferred.sort_by_key(|deferred| deferred.target);
    let mut scanner = Scanner::new(sections);
    for item in deferred {
        let mut target = item.target;
        for _ in 0..8 {
            let number = units.partition_point(|unit| unit.offset <= target);
            let Some(unit) = number.checked_sub(1).and_then(|number| units.get(number)) else {
                break;
            };
            match scanner.name_of(unit, target)? {
                Some(Named::Name(name)) => {
                    scanner.push_named(name, item.entry);
                    break;
                }
                Some(Named::Elsewhere(next)) if next != target => target = next,
                Some(Named::Supplementary(target)) => {
                    let entry = item.entry;
                    let deferred = Deferred { target, entry };
                    scanner.collected.supplementary.push(deferred);
                    break;
                }
                _ => break,
            }
        }
    }
    Ok(scanner.collected)
}

impl Index {
    /// Sorts what was collected.
    pub(super) fn build(mut collected: Vec<Collected>, strings: &impl Strings) -> Index {
        let mut scopes = Vec::new();
        for run in &mut collected {
            scopes.append(&mut run.scopes);
        }
        link_scopes(&mut scopes);
        let inline_hashes = merge_inline_names(&mut collected);
        let mut builder = Builder::default();
        for source in NameSource::ALL {
            let runs: Vec<Vec<RawEntry>> = collected
                .iter_mut()
                .map(|run| std::mem::take(&mut run.entries[source as usize]))
                .collect();
            builder.add_source(source, runs, |offset| match source {
                // Reading these again would touch all of .debug_info.
                NameSource::Inline => inline_hashes.get(&offset).copied().unwrap_or_default(),
                _ => hash_name(strings.string(NameRef { source, offset })),
            });
        }
        let Builder {
            mut groups,
            entries,
        } = builder;
        radix_sort(&mut groups, &mut Vec::new(), |group| u64::from(group.hash));
        Index {
            groups: groups.into(),
            entries: entries.into(),
            scopes: scopes.into(),
        }
    }

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

impl Builder {
    fn add_source(
        &mut self,
        source: NameSource,
        runs: Vec<Vec<RawEntry>>,
        hash: impl Fn(u64) -> u32,
    ) {
        let mut sorted = Vec::with_capacity(runs.iter().map(Vec::len).sum());
        for run in runs {
            sorted.extend_from_slice(&run);
        }
        radix_sort(&mut sorted, &mut Vec::new(), |entry| entry.name());
        for group in sorted.chunk_by_mut(|a, b| a.name_low == b.name_low && a.name() == b.name()) {
            self.add_group(source, group, &hash);
        }
    }

    /// Adds the entries with one name, which are in no order.
    fn add_group(
        &mut self,
        source: NameSource,
        group: &mut [RawEntry],
        hash: &impl Fn(u64) -> u32,
    ) {
        let Some(offset) = group.first().map(|entry| entry.name()) else {
            return;
        };
        let first = self.entries.len();
        // Of equal entries the first one in the file is kept, and of a type that is defined, the
        // definitions.
        group.sort_unstable_by_key(|raw| (raw.fingerprint, raw.entry().die()));
        let mut defined = EntryKinds::empty();
        let mut last = 0;
        for raw in group.iter() {
            let entry = raw.entry();
            if raw.fingerprint != 0 && std::mem::replace(&mut last, raw.fingerprint) == last {
                continue;
            }
            if !entry.flags().contains(EntryFlags::DECLARATION) {
                defined |= entry.kinds();
            }
            self.entries.push(entry);
        }
        let added = self.entries.get_mut(first..).unwrap_or_default();
        added.sort_unstable_by_key(|entry| entry.die());
        let mut kept = first;
        for number in first..self.entries.len() {
            let entry = self.entries[number];
            let is_superfluous = entry.flags().contains(EntryFlags::DECLARATION)
                && !entry.flags().contains(EntryFlags::NESTED)
                && entry.kind().is_some_and(EntryKind::is_type)
                && entry.is_in(defined);
            if !is_superfluous {
                self.entries[kept] = entry;
                kept += 1;
            }
        }
        self.entries.truncate(kept);
        self.groups.push(Group {
            hash: hash(offset),
            count: (kept - first) as u32,
            first: first as u64,
            name: offset | ((source as u64) << 40),
        });
    }
}

/// Sorts scopes, and links each to the one around it.
fn link_scopes(scopes: &mut Vec<Scope>) {
    scopes.truncate(Scope::NONE as usize);
    scopes.sort_unstable_by_key(|scope| scope.start);
    let mut open: Vec<(u32, u64)> = Vec::new();
    for (number, scope) in (0u32..).zip(scopes) {
        while open.last().is_some_and(|&(_, end)| end <= scope.start) {
            open.pop();
        }
        scope.parent = open.last().map_or(Scope::NONE, |&(parent, _)| parent);
        open.push((number, scope.end));
    }
}

/// Gives equal names in entries the same offset, the least one, in all that was collected.
/// Returns the hash of the name at each such offset.
fn merge_inline_names(collected: &mut [Collected]) -> HashMap<u64, u32, FixedState> {
    let mut merged = InlineNames::default();
    for run in &*collected {
        for (name, &offset) in &run.inline_names {
            let first = merged.entry(name.clone()).or_insert(offset);
            *first = offset.min(*first);
        }
    }
    for run in collected {
        let mut replacements: HashMap<u64, u64, FixedState> = HashMap::default();
        for (name, offset) in std::mem::take(&mut run.inline_names) {
            if let Some(&first) = merged.get(&name) {
                replacements.insert(offset, first);
            }
        }
        for entry in &mut run.entries[NameSource::Inline as usize] {
            if let Some(&first) = replacements.get(&entry.name()) {
                *entry = entry.with_name(first);
            }
        }
    }
    merged
        .into_iter()
        .map(|(name, offset)| (offset, hash_name(&name)))
        .collect()
}

/// Sorts by a number, keeping the order of equal ones.
fn radix_sort<T: Copy>(items: &mut Vec<T>, scratch: &mut Vec<T>, key: impl Fn(&T) -> u64) {
    const BITS: u32 = 11;
    const BUCKETS: usize = 1 << BITS;
    let Some(&first) = items.first() else { return };
    let varying = items
        .iter()
        .fold(0, |bits, item| bits | (key(item) ^ key(&first)));
    scratch.clear();
    scratch.resize(items.len(), first);
    let mut shift = 0;
    while shift < u64::BITS && varying >> shift != 0 {
        let digit = |item: &T| (key(item) >> shift) as usize % BUCKETS;
        if !((varying >> shift) as usize).is_multiple_of(BUCKETS) {
            let mut next = [0usize; BUCKETS];
            for item in items.iter() {
                next[digit(item)] += 1;
            }
            let mut total = 0;
            for count in &mut next {
                total += std::mem::replace(count, total);
            }
            for item in items.iter() {
                let place = &mut next[digit(item)];
                scratch[*place] = *item;
                *place += 1;
            }
            std::mem::swap(items, scratch);
        }
        shift += BITS;
    }
}
