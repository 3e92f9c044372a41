//! Makes an index: scans units in parallel, and sorts what was collected by the offset of the name,
//! as linkers merge equal strings.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use foldhash::fast::FixedState;
use kdive_target::parallel::with_threads;
use rayon::prelude::*;

use super::entries::{
    Entry, EntryFlags, EntryKind, EntryKinds, Group, NameRef, NameSource, RawEntry, Scope,
};
use super::{Index, Strings};
use crate::dwarf::encoding::{UnitHeader, UnitHeaders};
use crate::dwarf::scan::{Collected, Defect, Deferred, InlineNames, Named, ScanSections, Scanner};
use crate::hash::hash_name;
use crate::progress::Indexing;

/// An [`Index`] that is being made.
#[derive(Default)]
struct Builder {
    groups: Vec<Group>,
    entries: Vec<Entry>,
}

/// What one run of the scan goes over: not so little that the runs cost more than the work, not
/// so much that one thread waits for the other, or that much of the file is mapped at a time.
const RUN_LENGTH: u64 = 2 << 20;

/// Scans the units of a section in parallel. `done` is told the bytes that were finished with.
pub(in crate::dwarf) fn scan(
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
    pub(in crate::dwarf) fn build(mut collected: Vec<Collected>, strings: &impl Strings) -> Index {
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
