//! Searching memory for bytes, numbers and regular expressions.

use std::collections::VecDeque;
use std::sync::Arc;

use memchr::memmem;
use rayon::prelude::*;

use crate::parallel::{with_scratch, with_threads};
use crate::{AddressSpace, ByteOrder, Error, Memory};

/// What to search for.
#[derive(Clone, Debug)]
pub enum Pattern {
    /// These bytes, at addresses that are multiples of the alignment.
    Bytes {
        /// What to find; an empty pattern is found nowhere.
        bytes: Vec<u8>,
        /// A number that addresses of matches are multiples of.
        alignment: u64,
    },
    /// Unsigned numbers, at multiples of their size.
    Numbers {
        /// Their size in bytes: 1, 2, 4 or 8.
        size: usize,
        /// Their byte order.
        order: ByteOrder,
        /// Which ones, as least and greatest.
        ranges: Vec<(u64, u64)>,
        /// Bits that are taken as zero, in memory and in the ranges.
        ignore_mask: u64,
    },
    /// A regular expression. Matches don't overlap and are shorter than 64 KiB.
    Regex(regex::bytes::Regex),
}

/// A place in memory that matches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Match {
    /// Where it starts.
    pub address: u64,
    /// What is there.
    pub bytes: Vec<u8>,
}

impl Match {
    /// The number that was found.
    pub fn number(&self, order: ByteOrder) -> u64 {
        let mut bytes = [0; 8];
        let size = self.bytes.len().min(8);
        let place = match order {
            ByteOrder::Little => 0..size,
            ByteOrder::Big => 8 - size..8,
        };
        bytes[place].copy_from_slice(&self.bytes[..size]);
        order.u64(bytes)
    }
}

/// A search through memory, from low to high addresses, by all threads at once.
///
/// What is not readable is passed over. An iteration ends at the next match, however far that is;
/// [`Search::step`] comes back after a bounded amount of memory, so that a caller can look for
/// a request to stop.
///
/// ```
/// use std::sync::Arc;
/// use kdive_target::{AddressSpace, Memory, search::{Pattern, Search}};
///
/// let memory = Arc::new(Memory::new());
/// let bytes = b"a needle in a haystack".to_vec();
/// memory.add_segment(AddressSpace::Virtual, 0x1000, bytes.len() as u64, Arc::new(bytes));
/// let pattern = Pattern::Bytes { bytes: b"hay".to_vec(), alignment: 1 };
/// let found: Vec<u64> = Search::new(memory, AddressSpace::Virtual, pattern)
///     .map(|it| it.address)
///     .collect();
/// assert_eq!(found, [0x100e]);
/// ```
pub struct Search {
    memory: Arc<Memory>,
    space: AddressSpace,
    pattern: Pattern,
    /// Finds the bytes of a pattern of bytes.
    finder: memmem::Finder<'static>,
    /// The address to go on from, unless all is done.
    next: Option<u64>,
    last: u64,
    /// No match may start before this one.
    free_from: u64,
    found: VecDeque<Match>,
}

/// From this alignment on it is quicker to look at each aligned place.
const SPARSE: u64 = 64;

/// A part of memory that one thread searches.
#[derive(Clone, Copy)]
struct Chunk {
    first: u64,
    last: u64,
    /// Matches start in the chunk but may extend to here.
    reach: u64,
}

/// Bytes that are contiguous in memory, with room for those of a chunk.
struct Run<'a> {
    bytes: &'a mut [u8],
    size: usize,
}

impl Run<'_> {
    fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.size).unwrap_or_default()
    }
}

impl Search {
    /// The memory that one thread searches before results are put together.
    const CHUNK: u64 = 256 << 10;
    const CHUNKS_PER_STEP: usize = 32;
    const PAGE: u64 = 4096;
    const LONGEST_REGEX_MATCH: u64 = 64 << 10;

    /// A search through all of an address space.
    pub fn new(memory: Arc<Memory>, space: AddressSpace, pattern: Pattern) -> Self {
        let is_empty = match &pattern {
            Pattern::Bytes { bytes, .. } => bytes.is_empty(),
            Pattern::Numbers { size, ranges, .. } => {
                ranges.is_empty() || ![1, 2, 4, 8].contains(size)
            }
            Pattern::Regex(_) => false,
        };
        let bytes = match &pattern {
            Pattern::Bytes { bytes, .. } => bytes.as_slice(),
            _ => &[],
        };
        Self {
            memory,
            space,
            finder: memmem::Finder::new(bytes).into_owned(),
            pattern,
            next: (!is_empty).then_some(0),
            last: u64::MAX,
            free_from: 0,
            found: VecDeque::new(),
        }
    }

    /// Restricts the search to the addresses from `first` to `last`; matches lie wholly therein.
    #[must_use]
    pub fn within(mut self, first: u64, last: u64) -> Self {
        if first > last {
            self.next = None;
        }
        self.next = self.next.map(|_| first);
        self.last = last;
        self
    }

    /// Searches the next few MiB and returns what was found, or `None` when all is searched.
    pub fn step(&mut self) -> Option<Vec<Match>> {
        let chunks = self.next_chunks();
        if chunks.is_empty() {
            return None;
        }
        let found = chunks
            .par_iter()
            .map(|chunk| self.search_chunk(*chunk, chunk.first));
        let found: Vec<Vec<Match>> = with_threads(|| found.collect());
        if !matches!(self.pattern, Pattern::Regex(_)) {
            return Some(found.into_iter().flatten().collect());
        }
        // Chunks were searched without knowledge of those before; where a match extends into the
        // next chunk, that one is searched again from the end of the match.
        let mut all: Vec<Match> = Vec::new();
        for (chunk, mut found) in chunks.into_iter().zip(found) {
            if found
                .first()
                .is_some_and(|first| first.address < self.free_from)
            {
                found = self.search_chunk(chunk, self.free_from);
            }
            if let Some(last) = found.last() {
                self.free_from = last.address.saturating_add(last.bytes.len() as u64);
            }
            all.append(&mut found);
        }
        Some(all)
    }

    fn next_chunks(&mut self) -> Vec<Chunk> {
        let mut chunks = Vec::new();
        while let Some(start) = self.next {
            let readable = self.memory.next_readable(self.space, start);
            let Some((first, last)) = readable.filter(|&(first, _)| first <= self.last) else {
                self.next = None;
                break;
            };
            let range_end = last.min(self.last);
            let mut first = first;
            loop {
                if chunks.len() == Self::CHUNKS_PER_STEP {
                    self.next = Some(first);
                    return chunks;
                }
                let last = (first | (Self::CHUNK - 1)).min(range_end);
                let overlap = match &self.pattern {
                    Pattern::Bytes { bytes, .. } => bytes.len() as u64 - 1,
                    Pattern::Numbers { size, .. } => *size as u64 - 1,
                    Pattern::Regex(_) => Self::LONGEST_REGEX_MATCH,
                };
                chunks.push(Chunk {
                    first,
                    last,
                    reach: last.saturating_add(overlap).min(self.last),
                });
                self.next = last.checked_add(1);
                if last == range_end {
                    break;
                }
                first = last + 1;
            }
        }
        chunks
    }

    /// The matches that start in a chunk, from `start` on.
    fn search_chunk(&self, chunk: Chunk, start: u64) -> Vec<Match> {
        let mut found = Vec::new();
        with_scratch((chunk.reach - chunk.first) as usize + 1, |bytes| {
            self.search_in(chunk, start, &mut Run { bytes, size: 0 }, &mut found);
        });
        found
    }

    fn search_in(&self, chunk: Chunk, start: u64, run: &mut Run, found: &mut Vec<Match>) {
        if start > chunk.last {
            return;
        }
        // Mostly all of it is there, or all of the chunk itself; if not it is read page by page.
        if self.append(run, start, chunk.reach) || run.size as u64 > chunk.last - start {
            self.search_run(run.bytes(), start, chunk.last, found);
            return;
        }
        run.size = 0;
        let mut run_start = start;
        let mut page_start = start;
        while page_start <= chunk.reach {
            // A range may end within a page, so what is beyond the chunk is read by itself.
            let limit = if page_start <= chunk.last {
                chunk.last
            } else {
                chunk.reach
            };
            let page_end = (page_start | (Self::PAGE - 1)).min(limit);
            if !self.append(run, page_start, page_end) {
                self.search_run(run.bytes(), run_start, chunk.last, found);
                run.size = 0;
                if page_end >= chunk.last {
                    return;
                }
                run_start = page_end + 1;
            }
            let Some(next) = page_end.checked_add(1) else {
                break;
            };
            page_start = next;
        }
        self.search_run(run.bytes(), run_start, chunk.last, found);
    }

    /// Adds the bytes from `first` to `last` to a run, or those before the first missing one.
    fn append(&self, run: &mut Run, first: u64, last: u64) -> bool {
        let mut size = (last - first) as usize + 1;
        loop {
            let Some(bytes) = run.bytes.get_mut(run.size..run.size + size) else {
                return false;
            };
            match self.memory.read(self.space, first, bytes) {
                Ok(()) => {
                    run.size += size;
                    return first + (size as u64 - 1) == last;
                }
                Err(Error::Fault { address, .. })
                    if address > first && address - first < size as u64 =>
                {
                    size = (address - first) as usize;
                }
                Err(_) => return false,
            }
        }
    }

    /// The matches in bytes that are contiguous in memory and start at `start`.
    fn search_run(&self, run: &[u8], start: u64, last: u64, found: &mut Vec<Match>) {
        let mut add = |at: usize, size: usize| {
            let address = start.saturating_add(at as u64);
            let is_in_chunk = address <= last;
            if is_in_chunk && let Some(bytes) = run.get(at..at + size) {
                let bytes = bytes.to_vec();
                found.push(Match { address, bytes });
            }
            is_in_chunk
        };
        match &self.pattern {
            Pattern::Bytes { bytes, alignment } => {
                let alignment = (*alignment).max(1);
                if alignment >= SPARSE {
                    let first = (start.wrapping_neg() % alignment) as usize;
                    (first..run.len())
                        .step_by(usize::try_from(alignment).unwrap_or(usize::MAX))
                        .filter(|&at| run.get(at..).is_some_and(|rest| rest.starts_with(bytes)))
                        .for_each(|at| {
                            add(at, bytes.len());
                        });
                    return;
                }
                let mut from = 0;
                while let Some(rest) = run.get(from..)
                    && let Some(at) = self.finder.find(rest)
                {
                    let at = from + at;
                    if start.wrapping_add(at as u64).is_multiple_of(alignment) {
                        add(at, bytes.len());
                    }
                    from = at + 1;
                }
            }
            Pattern::Numbers {
                size,
                order,
                ranges,
                ignore_mask,
            } => {
                let first = (start.wrapping_neg() % *size as u64) as usize;
                let numbers = run.get(first..).unwrap_or_default();
                let matcher = Numbers {
                    keep: !ignore_mask,
                    ranges,
                };
                let add = |index: usize| add(first + index * size, *size);
                match (size, order) {
                    (1, _) => matcher.search(numbers, |[byte]: [u8; 1]| byte.into(), add),
                    (2, order) => matcher.search(numbers, |it| order.u16(it).into(), add),
                    (4, order) => matcher.search(numbers, |it| order.u32(it).into(), add),
                    (_, ByteOrder::Little) => matcher.search(numbers, u64::from_le_bytes, add),
                    (_, ByteOrder::Big) => matcher.search(numbers, u64::from_be_bytes, add),
                }
            }
            Pattern::Regex(regex) => {
                for found in regex.find_iter(run) {
                    if !add(found.start(), found.len()) {
                        break;
                    }
                }
            }
        }
    }
}

/// The numbers that are searched for.
struct Numbers<'a> {
    /// The bits that are compared.
    keep: u64,
    ranges: &'a [(u64, u64)],
}

impl Numbers<'_> {
    /// Calls `add` with the index of each number that is in a range.
    fn search<const N: usize>(
        &self,
        bytes: &[u8],
        number: impl Fn([u8; N]) -> u64,
        mut add: impl FnMut(usize) -> bool,
    ) {
        const BLOCK: usize = 64;
        let (numbers, _) = bytes.as_chunks::<N>();
        for (block_index, block) in numbers.chunks(BLOCK).enumerate() {
            let is_in = |bytes: &[u8; N], (least, greatest): (u64, u64)| {
                let number = number(*bytes) & self.keep;
                number >= least & self.keep && number <= greatest & self.keep
            };
            // Most blocks have nothing, which a loop without branches finds out fastest.
            let is_hit = self.ranges.iter().any(|range| {
                block
                    .iter()
                    .fold(false, |hit, bytes| hit | is_in(bytes, *range))
            });
            if is_hit {
                for (index, bytes) in block.iter().enumerate() {
                    if self.ranges.iter().any(|range| is_in(bytes, *range)) {
                        add(block_index * BLOCK + index);
                    }
                }
            }
        }
    }
}

impl Iterator for Search {
    type Item = Match;

    fn next(&mut self) -> Option<Match> {
        loop {
            if let Some(found) = self.found.pop_front() {
                return Some(found);
            }
            self.found = self.step()?.into();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: usize = 3 << 20;
    const BASE: u64 = 0x1234_5000;

    /// Memory of zeros with bytes at some offsets, and without the page at 1 MiB.
    fn memory(content: &[(usize, &[u8])]) -> Arc<Memory> {
        let mut bytes = vec![0; SIZE];
        for &(offset, content) in content {
            bytes[offset..offset + content.len()].copy_from_slice(content);
        }
        let memory = Memory::new();
        let hole = 1 << 20;
        let after = bytes.split_off(hole + 4096);
        bytes.truncate(hole);
        let (first, second) = (BASE, BASE + hole as u64 + 4096);
        let space = AddressSpace::Virtual;
        memory.add_segment(space, first, bytes.len() as u64, Arc::new(bytes));
        memory.add_segment(space, second, after.len() as u64, Arc::new(after));
        Arc::new(memory)
    }

    fn offsets(search: Search) -> Vec<usize> {
        search.map(|it| (it.address - BASE) as usize).collect()
    }

    fn bytes(memory: &Arc<Memory>, bytes: &[u8], alignment: u64) -> Search {
        let pattern = Pattern::Bytes {
            bytes: bytes.to_vec(),
            alignment,
        };
        Search::new(memory.clone(), AddressSpace::Virtual, pattern)
    }

    #[test]
    fn finds_bytes_across_chunks_and_pages() {
        let chunk = Search::CHUNK as usize - (BASE % Search::CHUNK) as usize;
        let places = [0, 4094, chunk - 1, chunk + 9, (2 << 20) + 1, SIZE - 3];
        let content: Vec<(usize, &[u8])> = places.iter().map(|&at| (at, &b"abc"[..])).collect();
        let memory = memory(&content);
        assert_eq!(offsets(bytes(&memory, b"abc", 1)), places);
        for alignment in [2, 256] {
            let is_aligned = |&at: &usize| (BASE + at as u64).is_multiple_of(alignment);
            let aligned: Vec<usize> = places.into_iter().filter(is_aligned).collect();
            assert!(!aligned.is_empty());
            assert_eq!(offsets(bytes(&memory, b"abc", alignment)), aligned);
        }
        let last = BASE + 4094;
        assert_eq!(
            offsets(bytes(&memory, b"abc", 1).within(BASE + 1, last + 2)),
            [4094]
        );
        assert_eq!(
            offsets(bytes(&memory, b"abc", 1).within(BASE + 1, last + 1)),
            [0; 0]
        );
        assert_eq!(offsets(bytes(&memory, b"", 1)), [0; 0]);
    }

    #[test]
    fn what_is_missing_separates() {
        let hole = 1 << 20;
        let memory = memory(&[(hole - 2, b"ab"), (hole + 4096, b"cd")]);
        assert_eq!(offsets(bytes(&memory, b"abcd", 1)), [0; 0]);
        assert_eq!(offsets(bytes(&memory, b"ab", 1)), [hole - 2]);
        assert_eq!(offsets(bytes(&memory, b"cd", 1)), [hole + 4096]);
    }

    #[test]
    fn the_last_bytes_are_found_once() {
        let memory = Arc::new(Memory::new());
        let space = AddressSpace::Virtual;
        memory.add_segment(space, u64::MAX - 7, 8, Arc::new(b"12345678".to_vec()));
        let found: Vec<u64> = bytes(&memory, b"78", 1).map(|it| it.address).collect();
        assert_eq!(found, [u64::MAX - 1]);
    }

    #[test]
    fn segments_need_not_be_aligned() {
        let memory = memory(&[]);
        let space = AddressSpace::Virtual;
        for (at, content) in [(0x1ff0, &b"..abc"[..]), (0x1ff5, b"de"), (0x3003, b"abc")] {
            let size = content.len() as u64;
            memory.add_segment(space, at, size, Arc::new(content.to_vec()));
        }
        let found = |text: &[u8]| {
            let found = bytes(&memory, text, 1).map(|it| it.address);
            found.collect::<Vec<u64>>()
        };
        assert_eq!(found(b"abc"), [0x1ff2, 0x3003]);
        assert_eq!(found(b"bcde"), [0x1ff3]);
        assert_eq!(found(b"abcdefg"), [0; 0]);
    }

    #[test]
    fn finds_numbers_in_ranges_with_ignored_bits() {
        let memory = memory(&[
            (16, &0xdead_beef_u64.to_le_bytes()),
            (4096 + 4, &0xdead_beef_u64.to_le_bytes()),
            (8192, &0xdead_be00_u64.to_le_bytes()),
        ]);
        let search = |size, ranges: &[(u64, u64)], ignore_mask| {
            let pattern = Pattern::Numbers {
                size,
                order: ByteOrder::Little,
                ranges: ranges.to_vec(),
                ignore_mask,
            };
            Search::new(memory.clone(), AddressSpace::Virtual, pattern)
        };
        let exact = [(0xdead_beef, 0xdead_beef)];
        assert_eq!(offsets(search(8, &exact, 0)), [16]);
        assert_eq!(offsets(search(4, &exact, 0)), [16, 4100]);
        assert_eq!(offsets(search(8, &exact, 0xff)), [16, 8192]);
        let ranges = [(1, 5), (0xdead_be00, 0xdead_be10)];
        let found: Vec<Match> = search(8, &ranges, 0).collect();
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].number(ByteOrder::Little), 0xdead_be00);
        assert_eq!(offsets(search(2, &[(0xdead, 0xdead)], 0)), [18, 4102, 8194]);
    }

    #[test]
    fn expressions_match_once_across_chunks() {
        let chunk = Search::CHUNK as usize - (BASE % Search::CHUNK) as usize;
        let memory = memory(&[
            (100, b"key=17;"),
            (chunk - 3, b"aaaaaaaaaa"),
            (SIZE - 6, b"key=99"),
        ]);
        let search = |expression| {
            let regex = regex::bytes::Regex::new(expression).unwrap();
            let search = Search::new(memory.clone(), AddressSpace::Virtual, Pattern::Regex(regex));
            search
                .map(|it| (it.address - BASE, String::from_utf8(it.bytes).unwrap()))
                .collect::<Vec<_>>()
        };
        let keys = [
            (100, "key=17".to_owned()),
            (SIZE as u64 - 6, "key=99".to_owned()),
        ];
        assert_eq!(search("key=[0-9]+"), keys);
        assert_eq!(search("a+"), [(chunk as u64 - 3, "aaaaaaaaaa".to_owned())]);
        let pairs = search("aaa");
        let starts: Vec<u64> = pairs.iter().map(|(at, _)| at + 3 - chunk as u64).collect();
        assert_eq!(starts, [0, 3, 6]);
    }
}
