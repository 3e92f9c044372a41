//! Snapshots of sources that change.

use std::collections::HashMap;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use super::Source;

/// A source whose pages stay what they were when they were first read.
///
/// Every page that is read is kept, so memory grows with what has been looked at.
pub(crate) struct SnapshotSource {
    source: Arc<dyn Source>,
    shards: [Mutex<HashMap<u64, Box<[u8]>>>; Self::SHARDS],
}

impl SnapshotSource {
    const PAGE: usize = 4096;
    const SHARDS: usize = 64;

    pub fn new(source: Arc<dyn Source>) -> Self {
        Self {
            source,
            shards: std::array::from_fn(|_| Mutex::default()),
        }
    }

    /// Copies what there is of a page from `within` on.
    fn read_in_page(&self, page: u64, within: usize, buffer: &mut [u8]) -> io::Result<usize> {
        let shard = self.shards.get(page as usize % Self::SHARDS);
        let lock = || shard.map(|shard| shard.lock().unwrap_or_else(PoisonError::into_inner));
        let copy = |bytes: &[u8], buffer: &mut [u8]| {
            let bytes = bytes.get(within..).unwrap_or_default();
            let count = bytes.len().min(buffer.len());
            let (bytes, _) = bytes.split_at(count);
            buffer.split_at_mut(count).0.copy_from_slice(bytes);
            count
        };
        if let Some(bytes) = lock().and_then(|pages| pages.get(&page).map(|b| copy(b, buffer))) {
            return Ok(bytes);
        }
        let mut bytes = vec![0; Self::PAGE];
        let count = self.source.read_at(page * Self::PAGE as u64, &mut bytes)?;
        bytes.truncate(count);
        let Some(mut pages) = lock() else {
            return Ok(copy(&bytes, buffer));
        };
        // Another thread may have been first; all must see the same.
        Ok(copy(pages.entry(page).or_insert(bytes.into()), buffer))
    }
}

impl Source for SnapshotSource {
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let mut done = 0;
        while let Some(rest) = buffer.get_mut(done..).filter(|rest| !rest.is_empty()) {
            let Some(here) = offset.checked_add(done as u64) else {
                break;
            };
            let within = (here % Self::PAGE as u64) as usize;
            let (now, _) = rest.split_at_mut(rest.len().min(Self::PAGE - within));
            match self.read_in_page(here / Self::PAGE as u64, within, now) {
                Ok(count) => {
                    done += count;
                    if count < now.len() {
                        break;
                    }
                }
                Err(_) if done > 0 => break,
                Err(error) => return Err(error),
            }
        }
        Ok(done)
    }

    fn size(&self) -> u64 {
        self.source.size()
    }

    fn path(&self) -> &Path {
        self.source.path()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU8, Ordering};

    use super::*;

    /// 10,000 bytes that all change with each read.
    struct Changing(AtomicU8);

    impl Source for Changing {
        fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
            let count = buffer
                .len()
                .min(10_000_usize.saturating_sub(offset as usize));
            buffer[..count].fill(self.0.fetch_add(1, Ordering::Relaxed));
            Ok(count)
        }

        fn size(&self) -> u64 {
            10_000
        }

        fn path(&self) -> &Path {
            Path::new("changing")
        }
    }

    #[test]
    fn pages_once_read_stay() {
        let snapshot = SnapshotSource::new(Arc::new(Changing(AtomicU8::new(1))));
        let read = |offset, size| {
            let mut buffer = vec![0; size];
            let count = snapshot.read_at(offset, &mut buffer).unwrap();
            buffer.truncate(count);
            buffer
        };
        assert_eq!(read(100, 4), [1; 4]);
        assert_eq!(read(4094, 4), [1, 1, 2, 2]);
        assert_eq!(read(0, 4096), [1; 4096]);
        assert_eq!(read(9_996, 100), [3; 4]);
        assert_eq!(read(9_000, 1000), [3; 1000]);
    }
}
