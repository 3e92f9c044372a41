//! Physical memory out of the pages of kdump-compressed files.

use std::cell::RefCell;
use std::ops::RangeInclusive;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use rayon::prelude::*;

use super::bitmap::Bitmap;
use super::codec::Codec;
use super::header::Header;
use crate::bytes::Fields;
use crate::page_cache::PageCache;
use crate::parallel::{threads, with_threads};
use crate::source::Source;
use crate::target::{ExcludedPages, Truncation};
use crate::{Error, MemoryReader, Result};

/// The memory that decoded pages may take.
const CACHE_SIZE: usize = 64 << 20;
/// From this many pages on a read is done by several threads and passes the cache by.
const BULK_PAGES: usize = 32;
/// How many pages are decoded at once when a reader goes through memory page by page: twice as
/// many each time, up to this. Fewer are not worth waking other threads for.
const READ_AHEAD: RangeInclusive<u64> = 16..=256;
/// No machine's memory is in more pieces.
const MOST_RANGES: usize = 1 << 20;
/// Where a page is stored, its size there and its codec.
pub(super) const DESCRIPTOR_SIZE: u64 = 24;

/// One file of a dump.
pub(super) struct Part {
    pub source: Arc<dyn Source>,
    pub header: Header,
    pub in_memory: Bitmap,
    pub saved: Bitmap,
    /// The number of saved pages before those of this file.
    saved_before: u64,
    /// The offset of the page descriptors in the file.
    pub descriptors: u64,
    /// The offset of what is stored after the descriptors.
    pub first_stored: u64,
    /// The page there, once it was needed. makedumpfile and QEMU store one page of zeros first,
    /// which stands for all that are.
    first_page: OnceLock<Box<[u8]>>,
}

/// The pages of a dump, out of one file or a split set.
pub(crate) struct KdumpPages {
    parts: Vec<Part>,
    page_size: u64,
    pages: u64,
    excluded: ExcludedPages,
    cache: PageCache,
    /// The page after the last one that was read or decoded ahead.
    expected: AtomicU64,
    /// How many pages to decode at once if the next one read is the expected one.
    window: AtomicU64,
}

/// Why a page is not there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Missing {
    /// It is no memory of the machine.
    NoMemory,
    /// It was left out on purpose.
    Excluded,
    /// It belongs to another file of a split dump.
    OtherPart,
    /// The dump ended before it was written.
    Lost,
    /// The file was cut off before it.
    CutOff,
    /// It can't be decoded.
    Damaged(String),
}

impl std::fmt::Display for Missing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::NoMemory => "the machine has no memory there",
            Self::Excluded => "the page is not in the dump (excluded when the dump was made)",
            Self::OtherPart => "the page is in another file of this split dump; open them together",
            Self::Lost => "the page is lost: the dump is incomplete",
            Self::CutOff => "the page lies beyond the end of the truncated file",
            Self::Damaged(how) => how,
        })
    }
}

impl Part {
    fn open(source: Arc<dyn Source>, header: Header) -> Result<Self> {
        let half = header.bitmap_bytes / 2;
        let (first, second) = if header.has_two_bitmaps() {
            (header.bitmaps, header.bitmaps.saturating_add(half))
        } else {
            (header.bitmaps, header.bitmaps)
        };
        let saved = Bitmap::counted(source.clone(), second, header.pages)?;
        let saved_before = match header.part {
            Some((start, _)) => saved.count_before(start).map_or(0, |(count, _)| count),
            None => 0,
        };
        let mut part = Self {
            in_memory: Bitmap::new(source.clone(), first, header.pages),
            saved,
            saved_before,
            descriptors: header.bitmaps.saturating_add(header.bitmap_bytes),
            first_stored: 0,
            first_page: OnceLock::new(),
            source,
            header,
        };
        part.first_stored = part.descriptor_offset(part.saved_pages());
        Ok(part)
    }

    /// The number of pages that this file has.
    fn saved_pages(&self) -> u64 {
        let (_, end) = self.header.part.unwrap_or((0, u64::MAX));
        let last = end.min(self.header.pages).saturating_sub(1);
        let saved = self.saved.count_before(last);
        let count = saved.map_or(0, |(before, is_set)| before + u64::from(is_set));
        count.saturating_sub(self.saved_before)
    }

    fn has(&self, page: u64) -> bool {
        self.header
            .part
            .is_none_or(|(start, end)| (start..end).contains(&page))
    }

    /// The first saved page of this file from `page` on, and how many follow it.
    fn next_saved(&self, page: u64) -> Option<(u64, u64)> {
        let (start, end) = self.header.part.unwrap_or((0, self.header.pages));
        let (first, count) = self.saved.next_run(page.max(start))?;
        (first < end).then(|| (first, count.min(end - first)))
    }

    /// The number of a page among the saved ones, or why it is not among them.
    fn rank(&self, page: u64) -> std::result::Result<u64, Missing> {
        self.saved.rank(page).ok_or_else(|| {
            match (self.saved.get(page), self.in_memory.get(page)) {
                (None, _) | (_, None) => Missing::CutOff,
                (_, Some(true)) => Missing::Excluded,
                (_, Some(false)) => Missing::NoMemory,
            }
        })
    }

    /// Decodes the saved page of this rank into `bytes`, which is of its size.
    fn decode(&self, rank: u64, bytes: &mut [u8]) -> std::result::Result<(), Missing> {
        let index = rank.saturating_sub(self.saved_before);
        let at = self.descriptor_offset(index);
        let mut descriptor = [0; DESCRIPTOR_SIZE as usize];
        self.fill(at, &mut descriptor)?;
        let fields = self.fields(&descriptor);
        let (Some(offset), Some(size), Some(flags)) =
            (fields.u64(0), fields.u32(8), fields.u32(12))
        else {
            return Err(Missing::Lost);
        };
        if offset == 0 {
            // Of a flattened dump the descriptors may be cut off that lie before the last ones.
            let is_cut_off = self.source.truncation().is_some();
            return Err(if is_cut_off {
                Missing::CutOff
            } else {
                Missing::Lost
            });
        }
        let damaged = |what: &str| {
            Missing::Damaged(format!(
                "the page is damaged in the dump: {what} (descriptor at offset {at:#x} of the file)"
            ))
        };
        let codec = Codec::of_flags(flags)
            .ok_or_else(|| damaged(&format!("it has the unknown flags {flags:#x}")))?;
        if u64::from(size) > 2 * self.header.block_size {
            return Err(damaged(&format!(
                "its stored size {size} is more than a page"
            )));
        }
        if offset == self.first_stored
            && let Some(page) = self.first_page.get()
            && page.len() == bytes.len()
        {
            bytes.copy_from_slice(page);
            return Ok(());
        }
        if codec == Codec::Raw && size as usize == bytes.len() {
            self.fill(offset, bytes)?;
        } else {
            STORED.with_borrow_mut(|stored| {
                stored.resize(size as usize, 0);
                self.fill(offset, stored)?;
                codec
                    .decode(stored, bytes)
                    .map_err(|_| damaged(&format!("its {codec:?} data does not decode")))
            })?;
        }
        if offset == self.first_stored {
            self.first_page.get_or_init(|| bytes.into());
        }
        Ok(())
    }

    fn descriptor_offset(&self, index: u64) -> u64 {
        self.descriptors
            .saturating_add(index.saturating_mul(DESCRIPTOR_SIZE))
    }

    /// The size that the file should have, at least: pages are stored in the order of their
    /// descriptors, so the last ones tell where the file ends.
    fn expected_size(&self) -> Result<u64> {
        const AT_ONCE: u64 = 4096;
        const MOST_STEPS: usize = 64;
        let count = self.saved_pages();
        let mut expected = self.first_stored;
        let mut next = count;
        for _ in 0..MOST_STEPS {
            let step = next.min(AT_ONCE);
            next -= step;
            let size = step * DESCRIPTOR_SIZE;
            let descriptors = self.source.read_up_to(self.descriptor_offset(next), size)?;
            let places: Vec<(u64, u64)> = descriptors
                .chunks_exact(DESCRIPTOR_SIZE as usize)
                .filter_map(|bytes| {
                    let fields = self.fields(bytes);
                    Some((fields.u64(0)?, fields.u32(8)?.into()))
                })
                .collect();
            let ends = places.iter().map(|(at, size)| at.saturating_add(*size));
            expected = expected.max(ends.max().unwrap_or(0));
            // Only descriptors that share one page (QEMU stores that of zeros once, before all
            // others) say nothing of the end.
            if next == 0 || places.windows(2).any(|pair| pair[0] != pair[1]) {
                break;
            }
        }
        Ok(expected)
    }

    pub(super) fn fields<'a>(&self, descriptor: &'a [u8]) -> Fields<'a> {
        Fields {
            bytes: descriptor,
            order: self.header.order,
            is_64_bit: true,
        }
    }

    fn fill(&self, offset: u64, buffer: &mut [u8]) -> std::result::Result<(), Missing> {
        match self.source.read_at(offset, buffer) {
            Ok(count) if count == buffer.len() => Ok(()),
            Ok(_) => Err(Missing::CutOff),
            Err(error) => Err(Missing::Damaged(format!(
                "the file could not be read: {error}"
            ))),
        }
    }
}

thread_local! {
    /// The page as it is stored, before it is decoded.
    static STORED: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

impl KdumpPages {
    /// The memory in the files of one dump; there is at least one.
    pub fn open(files: Vec<(Arc<dyn Source>, Header)>, excluded: ExcludedPages) -> Result<Self> {
        let page_size = files.first().map_or(4096, |(_, header)| header.block_size);
        let pages = files
            .iter()
            .map(|(_, header)| header.pages)
            .max()
            .unwrap_or(0);
        let parts: Result<Vec<Part>> = files
            .into_iter()
            .map(|(source, header)| Part::open(source, header))
            .collect();
        Ok(Self {
            parts: parts?,
            page_size,
            pages,
            excluded,
            cache: PageCache::new(CACHE_SIZE, page_size as usize),
            expected: AtomicU64::new(u64::MAX),
            window: AtomicU64::new(1),
        })
    }

    pub fn page_size(&self) -> u64 {
        self.page_size
    }

    /// The ranges of pages that the machine has, as first page and number. Where they are too
    /// many to be true, all that the bitmaps describe are one.
    pub fn memory_map(&self) -> Result<Vec<(u64, u64)>> {
        let all = vec![(0, self.pages)];
        let Some(part) = self.parts.first() else {
            return Ok(all);
        };
        Ok(part.in_memory.runs(MOST_RANGES)?.unwrap_or(all))
    }

    /// Which of the files ends too early.
    pub fn truncation(&self) -> Result<Option<Truncation>> {
        for part in &self.parts {
            let found = Truncation::of(&*part.source, part.expected_size()?);
            if found.is_some() {
                return Ok(found);
            }
        }
        Ok(None)
    }

    /// The file that has a page, and the page's number among the saved ones.
    fn find(&self, page: u64) -> std::result::Result<(&Part, u64), Missing> {
        let part = self.parts.iter().find(|part| part.has(page));
        let part = part.ok_or(Missing::OtherPart)?;
        Ok((part, part.rank(page)?))
    }

    /// Decodes a page, following the policy for excluded ones.
    fn decode(&self, page: u64, bytes: &mut [u8]) -> std::result::Result<(), Missing> {
        match self.find(page) {
            Ok((part, rank)) => part.decode(rank, bytes),
            Err(Missing::Excluded) if self.excluded == ExcludedPages::Zero => {
                bytes.fill(0);
                Ok(())
            }
            Err(missing) => Err(missing),
        }
    }

    /// Reads within one page.
    fn read_in_page(
        &self,
        page: u64,
        offset: usize,
        buffer: &mut [u8],
    ) -> std::result::Result<(), Missing> {
        if self.cache.read(page, offset, buffer) {
            return Ok(());
        }
        let is_expected = self.expected.swap(page.wrapping_add(1), Ordering::Relaxed) == page;
        let (part, rank) = match self.find(page) {
            Ok(place) => place,
            Err(Missing::Excluded) if self.excluded == ExcludedPages::Zero => {
                buffer.fill(0);
                return Ok(());
            }
            Err(missing) => return Err(missing),
        };
        if !is_expected {
            self.window.store(1, Ordering::Relaxed);
        } else if self.read_ahead(page) && self.cache.read(page, offset, buffer) {
            return Ok(());
        }
        let mut bytes = vec![0; self.page_size as usize].into_boxed_slice();
        part.decode(rank, &mut bytes)?;
        if let Some(wanted) = bytes.get(offset..offset + buffer.len()) {
            buffer.copy_from_slice(wanted);
        }
        self.cache.insert(page, bytes);
        Ok(())
    }

    /// Decodes the pages from `first` on with all threads, if a reader seems to want them all and
    /// there are several threads; those that can't be are left to whoever wants them.
    fn read_ahead(&self, first: u64) -> bool {
        let window = 2 * self.window.load(Ordering::Relaxed);
        let window = window.min(*READ_AHEAD.end());
        self.window.store(window, Ordering::Relaxed);
        if !READ_AHEAD.contains(&window) || threads() == 1 {
            return false;
        }
        let end = first.saturating_add(window).min(self.pages);
        let decode = |page| {
            if let Ok((part, rank)) = self.find(page)
                && !self.cache.contains(page)
            {
                let mut bytes = vec![0; self.page_size as usize].into_boxed_slice();
                if part.decode(rank, &mut bytes).is_ok() {
                    self.cache.insert(page, bytes);
                }
            }
        };
        with_threads(|| (first..end).into_par_iter().for_each(decode));
        self.expected.store(end, Ordering::Relaxed);
        true
    }

    /// Decodes whole pages from `first` on into `buffer` with all threads, and tells the first
    /// one that is missing.
    fn read_bulk(&self, first: u64, buffer: &mut [u8]) -> std::result::Result<(), (u64, Missing)> {
        let failures = buffer
            .par_chunks_exact_mut(self.page_size as usize)
            .enumerate()
            .filter_map(|(index, bytes)| {
                let page = first.saturating_add(index as u64);
                Some((page, self.decode(page, bytes).err()?))
            });
        match with_threads(|| failures.min_by_key(|&(page, _)| page)) {
            Some(failure) => Err(failure),
            None => Ok(()),
        }
    }
}

/// Segments of these pages are registered at their physical address.
impl MemoryReader for KdumpPages {
    fn read(&self, address: u64, _offset: u64, buffer: &mut [u8]) -> Result<()> {
        let page_size = self.page_size as usize;
        let mut here = address;
        let mut rest = buffer;
        while !rest.is_empty() {
            let page = here / self.page_size;
            let within = (here % self.page_size) as usize;
            let whole_pages = rest.len() / page_size;
            let count = if within == 0 && whole_pages >= BULK_PAGES {
                whole_pages * page_size
            } else {
                rest.len().min(page_size - within)
            };
            let (now, later) = rest.split_at_mut(count);
            if count > page_size {
                self.read_bulk(page, now)
            } else {
                self.read_in_page(page, within, now)
                    .map_err(|missing| (page, missing))
            }
            .map_err(|(page, missing)| Error::Fault {
                address: page.saturating_mul(self.page_size).max(address),
                reason: missing.to_string(),
            })?;
            here = here.wrapping_add(count as u64);
            rest = later;
        }
        Ok(())
    }

    fn problems(&self) -> Vec<String> {
        self.parts.iter().flat_map(Part::problems).collect()
    }

    fn read_at_hand(&self, address: u64, _offset: u64, buffer: &mut [u8]) -> bool {
        let (page, within) = (address / self.page_size, address % self.page_size);
        self.cache.read(page, within as usize, buffer)
    }

    fn next_readable(&self, first: u64, last: u64, _offset: u64) -> Option<(u64, u64)> {
        let page = first / self.page_size;
        let (page, count) = self
            .parts
            .iter()
            .filter_map(|part| part.next_saved(page))
            .min()?;
        let start = page.saturating_mul(self.page_size).max(first);
        let end = page.saturating_add(count).saturating_mul(self.page_size) - 1;
        (start <= last).then_some((start, end.min(last)))
    }
}
