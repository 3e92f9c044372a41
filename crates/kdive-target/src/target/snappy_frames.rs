//! Ranges of memory in the framing format of snappy, as AVML writes them.
//!
//! A stream is a sequence of chunks: a byte that says what it is, its size in three bytes, and
//! its content, which for data starts with a checksum.

use std::sync::Arc;

use rayon::prelude::*;

use crate::bytes::array_at;
use crate::page_cache::PageCache;
use crate::parallel::{with_scratch, with_threads};
use crate::range_map::{Range, RangeMap};
use crate::source::Source;
use crate::{Error, MemoryReader, Result};

const COMPRESSED: u8 = 0;
const RAW: u8 = 1;
/// Types from here on to 0x7f are reserved and end what can be read.
const FIRST_RESERVED: u8 = 2;
const FIRST_SKIPPABLE: u8 = 0x80;
const CHUNK_HEADER_SIZE: u64 = 4;
const CHECKSUM_SIZE: u64 = 4;
/// The most bytes that the content of a chunk decodes to.
const LARGEST_CHUNK: u64 = 64 << 10;
/// After the stream AVML writes its size.
const TRAILER_SIZE: u64 = 8;
/// How many times its stored size a chunk may decode to: its header, its checksum and an empty
/// stream are the least that is stored.
pub(super) const MOST_TIMES: u64 = LARGEST_CHUNK / (CHUNK_HEADER_SIZE + CHECKSUM_SIZE);
const CACHE_SIZE: usize = 16 << 20;
/// From this many chunks on a read is done by several threads and passes the cache by.
const BULK_CHUNKS: usize = 4;

/// Where a chunk of data is in the file.
#[derive(Clone, Copy)]
struct Chunk {
    offset: u64,
    stored: u64,
    is_compressed: bool,
}

/// A range of memory in a stream of chunks.
pub(super) struct SnappyFrames {
    source: Arc<dyn Source>,
    /// By the offset in the range.
    chunks: RangeMap<Chunk>,
    size: u64,
    cache: Arc<PageCache>,
}

/// A cache of decoded chunks for all ranges of an image.
pub(super) fn new_cache() -> Arc<PageCache> {
    Arc::new(PageCache::new(CACHE_SIZE, LARGEST_CHUNK as usize))
}

/// Finds the chunks of a stream that decodes to `size` bytes, and where in the file it ends.
pub(super) fn index(
    source: &Arc<dyn Source>,
    start: u64,
    size: u64,
    cache: &Arc<PageCache>,
) -> Result<(SnappyFrames, u64)> {
    let mut chunks = Vec::new();
    let mut at = start;
    let mut decoded = 0_u64;
    while decoded < size {
        // The header, the checksum, and the size that compressed data starts with.
        let header = source.read_up_to(at, 16)?;
        let (Some(&kind), Some(stored)) = (header.first(), array_at(&header, 0)) else {
            break;
        };
        let stored = u64::from(u32::from_le_bytes(stored) >> 8);
        let content = at.saturating_add(CHUNK_HEADER_SIZE);
        let next = content.saturating_add(stored);
        if (FIRST_RESERVED..FIRST_SKIPPABLE).contains(&kind) || next > source.size() {
            break;
        }
        if kind <= RAW {
            let Some(stored) = stored.checked_sub(CHECKSUM_SIZE) else {
                break;
            };
            let is_compressed = kind == COMPRESSED;
            let size_here = if is_compressed {
                let data = header.get(8..).unwrap_or_default();
                snap::raw::decompress_len(data).map_or(0, |size| size as u64)
            } else {
                stored
            };
            if size_here == 0 || size_here > LARGEST_CHUNK {
                break;
            }
            let chunk = Chunk {
                offset: content + CHECKSUM_SIZE,
                stored,
                is_compressed,
            };
            chunks.push((decoded, size_here, chunk));
            decoded += size_here;
        }
        at = next;
    }
    let frames = SnappyFrames {
        source: source.clone(),
        chunks: RangeMap::default().overlaid(chunks),
        size: decoded,
        cache: cache.clone(),
    };
    Ok((frames, at.saturating_add(TRAILER_SIZE)))
}

impl SnappyFrames {
    /// The number of bytes that there are.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Decodes a chunk into `bytes`, which are of its size, unless it is damaged.
    fn decode(&self, chunk: Chunk, bytes: &mut [u8]) -> Option<()> {
        let size = usize::try_from(chunk.stored).ok()?;
        let read = |stored: &mut [u8]| {
            let count = self.source.read_at(chunk.offset, stored).ok()?;
            (count == stored.len()).then_some(())
        };
        if !chunk.is_compressed {
            return read(bytes);
        }
        with_scratch(size, |stored| {
            let (stored, _) = stored.split_at_mut(size);
            read(stored)?;
            let count = snap::raw::Decoder::new().decompress(stored, bytes).ok()?;
            (count == bytes.len()).then_some(())
        })
    }

    /// Reads within one chunk, unless it is damaged.
    fn read_in_chunk(&self, chunk: &Range<Chunk>, at: u64, buffer: &mut [u8]) -> bool {
        let within = (at - chunk.origin) as usize;
        let number = chunk.value.offset;
        if self.cache.read(number, within, buffer) {
            return true;
        }
        let mut bytes = vec![0; (chunk.end - chunk.origin) as usize + 1].into_boxed_slice();
        if self.decode(chunk.value, &mut bytes).is_none() {
            return false;
        }
        if let Some(wanted) = bytes.get(within..within + buffer.len()) {
            buffer.copy_from_slice(wanted);
        }
        self.cache.insert(number, bytes);
        true
    }
}

impl MemoryReader for SnappyFrames {
    fn read(&self, address: u64, offset: u64, buffer: &mut [u8]) -> Result<()> {
        // Each piece ends where a chunk does.
        let mut pieces = Vec::new();
        let mut here = offset;
        let mut rest = buffer;
        let mut missing = None;
        while !rest.is_empty() {
            let Some(chunk) = self.chunks.find(here) else {
                missing = Some((
                    here,
                    "the address lies beyond the end of the truncated or damaged image",
                ));
                break;
            };
            let left = (chunk.end - here) as usize + 1;
            let (piece, later) = rest.split_at_mut(left.min(rest.len()));
            pieces.push((here, chunk, piece));
            here += left as u64;
            rest = later;
        }
        let damaged = if pieces.len() < BULK_CHUNKS {
            pieces.into_iter().find_map(|(at, chunk, piece)| {
                (!self.read_in_chunk(chunk, at, piece)).then_some(at)
            })
        } else {
            let damaged = pieces.into_par_iter().filter_map(|(at, chunk, piece)| {
                let is_whole = piece.len() as u64 == chunk.end - chunk.origin + 1;
                let is_read = if is_whole {
                    self.decode(chunk.value, piece).is_some()
                } else {
                    self.read_in_chunk(chunk, at, piece)
                };
                (!is_read).then_some(at)
            });
            with_threads(|| damaged.min())
        };
        let damaged = damaged.map(|at| (at, "this part of the image does not decode"));
        match damaged.or(missing) {
            Some((at, reason)) => Err(Error::Fault {
                address: address.wrapping_add(at - offset),
                reason: reason.to_owned(),
            }),
            None => Ok(()),
        }
    }

    fn next_readable(&self, first: u64, last: u64, offset: u64) -> Option<(u64, u64)> {
        let left = self.size.checked_sub(offset)?.checked_sub(1)?;
        Some((first, last.min(first.saturating_add(left))))
    }

    fn cut_off(&self, first: u64, last: u64, offset: u64) -> Option<(u64, u64)> {
        let present = self.size.saturating_sub(offset);
        let first = first.checked_add(present)?;
        (first <= last).then_some((first, last))
    }
}
