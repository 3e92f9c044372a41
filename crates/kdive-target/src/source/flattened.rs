//! Flattened dumps: a stream of chunks that say where in the dump they belong.
//!
//! makedumpfile writes these with `-F` and QEMU always, so that the dump can go through a pipe.

use std::io;
use std::path::Path;
use std::sync::Arc;

use super::Source;
use crate::Result;
use crate::bytes::array_at;
use crate::range_map::RangeMap;
use crate::target::Truncation;

const SIGNATURE: &[u8] = b"makedumpfile\0\0\0\0";
const HEADER_SIZE: u64 = 4096;
const CHUNK_HEADER_SIZE: u64 = 16;
/// What nobody wrote between the chunks of a whole stream, such as padding, reads as zeros; more than
/// this is missing.
const LARGEST_GAP: u64 = 1 << 20;

/// A flattened dump, read as if it had been put in order.
pub(crate) struct FlattenedSource {
    source: Arc<dyn Source>,
    /// The chunks by their place in the dump; the values are offsets in the file.
    chunks: RangeMap<u64>,
    size: u64,
    is_complete: bool,
}

impl FlattenedSource {
    /// Whether a file starts like a flattened dump.
    pub fn recognizes(start: &[u8]) -> bool {
        start.starts_with(SIGNATURE)
    }

    /// Finds all chunks in one pass over their headers.
    pub fn open(source: Arc<dyn Source>) -> Result<Self> {
        let header = source.read_all(0, 32, "the header of the flattened dump")?;
        let number = |at| array_at(&header, at).map(i64::from_be_bytes);
        if (number(16), number(24)) != (Some(1), Some(1)) {
            return Err(
                source.damaged("flattened dumps other than of type 1, version 1 are unknown")
            );
        }
        let mut chunks = Vec::new();
        let mut at = HEADER_SIZE;
        let is_complete = loop {
            let mut header = [0; CHUNK_HEADER_SIZE as usize];
            let count = source
                .read_at(at, &mut header)
                .map_err(|error| source.failed(error))?;
            let (offset, size) = header.split_at(8);
            let offset = array_at(offset, 0).map_or(0, i64::from_be_bytes);
            let size = array_at(size, 0).map_or(0, i64::from_be_bytes);
            if (offset, size) == (-1, -1) {
                break true;
            }
            let (Ok(offset), Ok(size)) = (u64::try_from(offset), u64::try_from(size)) else {
                break false;
            };
            at = at.saturating_add(CHUNK_HEADER_SIZE);
            let available = size.min(source.size().saturating_sub(at));
            if count < header.len() || available == 0 {
                break false;
            }
            chunks.push((offset, available, at));
            at = at.saturating_add(size);
        };
        let chunks = RangeMap::default().overlaid(chunks);
        Ok(Self {
            size: chunks
                .iter()
                .last()
                .map_or(0, |last| last.end.saturating_add(1)),
            source,
            chunks,
            is_complete,
        })
    }
}

impl Source for FlattenedSource {
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let mut done = 0;
        while let Some(rest) = buffer.get_mut(done..).filter(|rest| !rest.is_empty()) {
            let Some(here) = offset
                .checked_add(done as u64)
                .filter(|&here| here < self.size)
            else {
                break;
            };
            let Some(chunk) = self.chunks.find(here) else {
                let gap = self.chunks.next_start(here).map_or(0, |next| next - here);
                if gap == 0 || gap > LARGEST_GAP || !self.is_complete {
                    break;
                }
                let count = rest.len().min(gap as usize);
                rest[..count].fill(0);
                done += count;
                continue;
            };
            let available = (chunk.end - here).saturating_add(1);
            let count = usize::try_from(available).map_or(rest.len(), |size| size.min(rest.len()));
            let within = here - chunk.origin;
            let read = self
                .source
                .read_at(chunk.value + within, &mut rest[..count])?;
            done += read;
            if read < count {
                break;
            }
        }
        Ok(done)
    }

    fn size(&self) -> u64 {
        self.size
    }

    fn stored(&self) -> u64 {
        let sizes = self.chunks.iter().map(|it| it.end - it.start);
        sizes.fold(0, u64::saturating_add)
    }

    fn path(&self) -> &Path {
        self.source.path()
    }

    fn is_mapped(&self) -> bool {
        self.source.is_mapped()
    }

    /// The chunk that ends the stream may be missing.
    fn truncation(&self) -> Option<Truncation> {
        (!self.is_complete).then(|| Truncation::without_end(self.path(), self.source.size()))
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::source::tests::MemorySource;

    /// A flattened file of these chunks.
    pub fn flatten(chunks: &[(u64, &[u8])]) -> Vec<u8> {
        let mut bytes = SIGNATURE.to_vec();
        bytes.extend(1_i64.to_be_bytes());
        bytes.extend(1_i64.to_be_bytes());
        bytes.resize(HEADER_SIZE as usize, 0);
        for &(offset, chunk) in chunks {
            bytes.extend(offset.to_be_bytes());
            bytes.extend((chunk.len() as u64).to_be_bytes());
            bytes.extend(chunk);
        }
        bytes.extend([0xff; 16]);
        bytes
    }

    fn open(bytes: Vec<u8>) -> FlattenedSource {
        FlattenedSource::open(MemorySource::shared(bytes)).unwrap()
    }

    #[test]
    fn later_chunks_win_and_gaps_are_zeros() {
        let flat = open(flatten(&[(8, b"abcdefgh"), (0, b"01234"), (10, b"XY")]));
        assert_eq!(flat.truncation(), None);
        assert_eq!(flat.size(), 16);
        let mut buffer = [9; 20];
        assert_eq!(flat.read_at(0, &mut buffer).unwrap(), 16);
        assert_eq!(&buffer[..16], b"01234\0\0\0abXYefgh");
        assert_eq!(flat.read_at(16, &mut buffer).unwrap(), 0);
    }

    #[test]
    fn gaps_of_truncated_streams_may_be_what_is_missing() {
        let whole = flatten(&[(0, b"01234567"), (12, b"abcdefgh"), (8, b"89AB")]);
        let mut buffer = [0; 20];
        assert_eq!(open(whole.clone()).read_at(0, &mut buffer).unwrap(), 20);
        assert_eq!(&buffer, b"0123456789ABabcdefgh");
        let flat = open(whole[..whole.len() - 30].to_vec());
        assert_eq!(flat.read_at(0, &mut buffer).unwrap(), 8);
        assert_eq!(flat.read_at(9, &mut buffer).unwrap(), 0);
        assert_eq!(flat.read_at(13, &mut buffer).unwrap(), 7);
    }

    #[test]
    fn truncated_streams_keep_what_is_there() {
        let whole = flatten(&[(0, b"01234567"), (8, b"abcdefgh")]);
        let flat = open(whole[..whole.len() - 20].to_vec());
        assert!(flat.truncation().is_some());
        let mut buffer = [0; 16];
        assert_eq!(flat.read_at(0, &mut buffer).unwrap(), 12);
        assert_eq!(&buffer[..12], b"01234567abcd");
        for size in 0..whole.len() {
            let truncated: Arc<dyn Source> = MemorySource::shared(whole[..size].to_vec());
            if let Ok(flat) = FlattenedSource::open(truncated) {
                assert!(flat.truncation().is_some());
                flat.read_at(0, &mut buffer).unwrap();
            }
        }
    }
}
