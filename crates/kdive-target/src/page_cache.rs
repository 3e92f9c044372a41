//! Decoded pages, kept for as long as there is room.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// A bounded cache of pages that threads share.
///
/// A page can be in one of few places, its set, each with its own lock, so threads rarely meet.
/// The least recently used page of the set gives way.
pub(crate) struct PageCache {
    sets: Box<[Mutex<Set>]>,
}

#[derive(Default)]
struct Set {
    entries: [Entry; PageCache::WAYS],
    /// Counts uses, to tell which entry was used last.
    clock: u64,
}

#[derive(Default)]
struct Entry {
    number: u64,
    last_use: u64,
    /// Empty while the entry is free.
    bytes: Box<[u8]>,
}

impl PageCache {
    const WAYS: usize = 8;

    /// A cache for about `capacity` bytes in pages of `page_size`.
    pub fn new(capacity: usize, page_size: usize) -> Self {
        let pages = capacity / page_size.max(1);
        let sets = (pages / Self::WAYS).max(1);
        Self {
            sets: (0..sets).map(|_| Mutex::default()).collect(),
        }
    }

    fn set(&self, number: u64) -> Option<MutexGuard<'_, Set>> {
        let index = number ^ (number >> 17);
        let set = self.sets.get(index as usize % self.sets.len())?;
        Some(set.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Copies bytes of a page from `offset` on, if the page is here.
    pub fn read(&self, number: u64, offset: usize, buffer: &mut [u8]) -> bool {
        let Some(mut set) = self.set(number) else {
            return false;
        };
        set.clock += 1;
        let now = set.clock;
        let mut entries = set.entries.iter_mut();
        let Some(entry) = entries.find(|e| e.number == number && !e.bytes.is_empty()) else {
            return false;
        };
        entry.last_use = now;
        let bytes = offset
            .checked_add(buffer.len())
            .and_then(|end| entry.bytes.get(offset..end));
        bytes.is_some_and(|bytes| {
            buffer.copy_from_slice(bytes);
            true
        })
    }

    pub fn contains(&self, number: u64) -> bool {
        self.read(number, 0, &mut [])
    }

    /// Keeps a page.
    pub fn insert(&self, number: u64, bytes: Box<[u8]>) {
        let Some(mut set) = self.set(number) else {
            return;
        };
        set.clock += 1;
        let last_use = set.clock;
        let entry = Entry {
            number,
            last_use,
            bytes,
        };
        let is_here = |e: &Entry| e.number == number && !e.bytes.is_empty();
        let place = match set.entries.iter().position(is_here) {
            Some(index) => set.entries.get_mut(index),
            None => set.entries.iter_mut().min_by_key(|entry| entry.last_use),
        };
        if let Some(place) = place {
            *place = entry;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_the_pages_used_last() {
        let cache = PageCache::new(PageCache::WAYS * 16, 16);
        for number in 0..PageCache::WAYS as u64 {
            cache.insert(number, vec![number as u8; 16].into());
        }
        assert!(cache.contains(0));
        cache.insert(100, vec![100; 16].into());
        assert!(cache.contains(0) && cache.contains(100));
        assert!(!cache.contains(1));
        let mut buffer = [0; 4];
        assert!(cache.read(100, 12, &mut buffer));
        assert_eq!(buffer, [100; 4]);
        assert!(!cache.read(100, 13, &mut buffer));
    }

    #[test]
    fn threads_see_whole_pages() {
        let cache = PageCache::new(64 * 4096, 4096);
        std::thread::scope(|scope| {
            for thread in 0..4_u64 {
                let cache = &cache;
                scope.spawn(move || {
                    let mut buffer = [0; 4096];
                    for round in 0..20_000_u64 {
                        let number = (round * 31 + thread * 7) % 150;
                        if cache.read(number, 0, &mut buffer) {
                            assert!(buffer.iter().all(|&byte| byte == number as u8));
                        } else {
                            cache.insert(number, vec![number as u8; 4096].into());
                        }
                    }
                });
            }
        });
    }
}
