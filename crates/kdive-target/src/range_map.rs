//! Ranges of numbers that belong to something, where later ones hide earlier ones.

use std::collections::BTreeMap;

/// A range of addresses or file offsets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Range<T> {
    pub start: u64,
    /// The last number, so that a range may end with all of them.
    pub end: u64,
    /// Where the range began before others hid its start.
    pub origin: u64,
    pub value: T,
}

/// Ranges that do not overlap, in ascending order.
#[derive(Clone, Debug)]
pub(crate) struct RangeMap<T> {
    ranges: Vec<Range<T>>,
}

impl<T> Default for RangeMap<T> {
    fn default() -> Self {
        Self { ranges: Vec::new() }
    }
}

impl<T> RangeMap<T> {
    /// The range that contains `number`.
    pub fn find(&self, number: u64) -> Option<&Range<T>> {
        let after = self.ranges.partition_point(|range| range.start <= number);
        let range = self.ranges.get(after.checked_sub(1)?)?;
        (range.end >= number).then_some(range)
    }

    /// Where the first range after `number` starts.
    pub fn next_start(&self, number: u64) -> Option<u64> {
        let after = self.ranges.partition_point(|range| range.start <= number);
        self.ranges.get(after).map(|range| range.start)
    }

    /// The range that contains `number` and those after it.
    pub fn from(&self, number: u64) -> std::slice::Iter<'_, Range<T>> {
        let before = self.ranges.partition_point(|range| range.end < number);
        self.ranges.get(before..).unwrap_or_default().iter()
    }

    pub fn iter(&self) -> std::slice::Iter<'_, Range<T>> {
        self.ranges.iter()
    }
}

impl<T: Clone> RangeMap<T> {
    /// These ranges under new ones, given as start, size and value; each hides what came before.
    #[must_use]
    pub fn overlaid(&self, new: impl IntoIterator<Item = (u64, u64, T)>) -> Self {
        let mut new: Vec<Range<T>> = new
            .into_iter()
            .filter_map(|(start, size, value)| {
                Some(Range {
                    start,
                    end: start.saturating_add(size.checked_sub(1)?),
                    origin: start,
                    value,
                })
            })
            .collect();
        if self.ranges.is_empty() && !overlap_when_sorted(&new) {
            new.sort_unstable_by_key(|range| range.start);
            return Self { ranges: new };
        }
        let old = self.ranges.iter().cloned();
        let mut map: BTreeMap<u64, Range<T>> = old.map(|range| (range.start, range)).collect();
        for range in new {
            overlay(&mut map, range);
        }
        Self {
            ranges: map.into_values().collect(),
        }
    }
}

fn overlap_when_sorted<T>(ranges: &[Range<T>]) -> bool {
    let mut bounds: Vec<(u64, u64)> = ranges
        .iter()
        .map(|range| (range.start, range.end))
        .collect();
    bounds.sort_unstable();
    bounds.windows(2).any(|pair| pair[0].1 >= pair[1].0)
}

/// Puts a range over those that are there.
fn overlay<T: Clone>(map: &mut BTreeMap<u64, Range<T>>, range: Range<T>) {
    let Range { start, end, .. } = range;
    if let Some((_, before)) = map.range_mut(..start).next_back() {
        let hidden_end = before.end;
        let tail = Range {
            start: end.wrapping_add(1),
            ..before.clone()
        };
        if hidden_end >= start {
            before.end = start - 1;
        }
        if hidden_end > end {
            map.insert(tail.start, tail);
        }
    }
    while let Some(hidden) = map.range(start..=end).next().map(|(&key, _)| key) {
        if let Some(range) = map.remove(&hidden)
            && range.end > end
        {
            let start = end + 1;
            map.insert(start, Range { start, ..range });
        }
    }
    map.insert(start, range);
}
