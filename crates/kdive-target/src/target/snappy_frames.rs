//! Ranges of memory in the framing format of snappy, as AVML writes them.
//!
//! A stream is a sequence of chunks: a byte that says what it is, its size in three bytes, and
//! its content, which for data starts with a checksum.

use std::sync::Arc;

use crate::bytes::array_at;
use crate::page_cache::PageCache;
use crate::range_map::RangeMap;
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
const CACHE_SIZE: usize = 16 << 20;

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
    cache: PageCache,
}

/// Finds the chunks of a stream that decodes to `size` bytes, and where in the file it ends.
pub(super) fn index(
    source: &Arc<dyn Source>,
    start: u64,
    size: u64,
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
        cache: PageCache::new(CACHE_SIZE, LARGEST_CHUNK as usize),
    };
    Ok((frames, at.saturating_add(TRAILER_SIZE)))
}

impl SnappyFrames {
    /// The number of bytes that there are.
    pub fn size(&self) -> u64 {
        self.size
    }

    fn decode(&self, chunk: Chunk, size: usize) -> Option<Box<[u8]>> {
        let mut stored = vec![0; usize::try_from(chunk.stored).ok()?];
        let count = self.source.read_at(chunk.offset, &mut stored).ok()?;
        if count < stored.len() {
            return None;
        }
        if chunk.is_compressed {
            let mut bytes = vec![0; size];
            let count = snap::raw::Decoder::new().decompress(&stored, &mut bytes);
            stored = bytes;
            count.ok().filter(|&count| count == size)?;
        }
        Some(stored.into())
    }
}

impl MemoryReader for SnappyFrames {
    fn read(&self, address: u64, offset: u64, buffer: &mut [u8]) -> Result<()> {
        let mut done = 0;
        while let Some(rest) = buffer.get_mut(done..).filter(|rest| !rest.is_empty()) {
            let here = offset.saturating_add(done as u64);
            let fault = |reason: &str| Error::Fault {
                address: address.wrapping_add(done as u64),
                reason: reason.to_owned(),
            };
            let chunk = self.chunks.find(here).ok_or_else(|| {
                fault("the address lies beyond the end of the truncated or damaged image")
            })?;
            let size = (chunk.end - chunk.origin) as usize + 1;
            let within = (here - chunk.origin) as usize;
            let count = rest.len().min(size - within);
            let (now, _) = rest.split_at_mut(count);
            if !self.cache.read(chunk.origin, within, now) {
                let bytes = self
                    .decode(chunk.value, size)
                    .ok_or_else(|| fault("this part of the image does not decode"))?;
                if let Some(wanted) = bytes.get(within..within + count) {
                    now.copy_from_slice(wanted);
                }
                self.cache.insert(chunk.origin, bytes);
            }
            done += count;
        }
        Ok(())
    }
}
