//! How far this process is with indexing, for who waits for it.

use std::sync::atomic::{AtomicU64, Ordering};

static DONE: AtomicU64 = AtomicU64::new(0);
static TOTAL: AtomicU64 = AtomicU64::new(0);

/// How many bytes of debug information were gone through, and how many are to be, in all files
/// that were indexed or are being indexed. Both only grow; they are equal when nothing goes on.
pub fn indexing() -> (u64, u64) {
    // What is done was announced before, so this order never gives more than all.
    let done = DONE.load(Ordering::Acquire);
    (done, TOTAL.load(Ordering::Acquire))
}

/// Bytes that are about to be indexed. Those that are not, because of an error, count as done in
/// the end.
pub(crate) struct Indexing {
    left: AtomicU64,
}

impl Indexing {
    pub(crate) fn start(length: u64) -> Indexing {
        TOTAL.fetch_add(length, Ordering::Release);
        Indexing {
            left: AtomicU64::new(length),
        }
    }

    pub(crate) fn advance(&self, length: u64) {
        let take = |left: u64| Some(left - length.min(left));
        if let Ok(left) = self
            .left
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, take)
        {
            DONE.fetch_add(length.min(left), Ordering::Release);
        }
    }
}

impl Drop for Indexing {
    fn drop(&mut self) {
        DONE.fetch_add(*self.left.get_mut(), Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_is_done_in_the_end() {
        let (done, total) = indexing();
        let first = Indexing::start(100);
        first.advance(30);
        assert_eq!(indexing(), (done + 30, total + 100));
        drop(first);
        assert_eq!(indexing(), (done + 100, total + 100));
        let second = Indexing::start(10);
        second.advance(50);
        assert_eq!(indexing(), (done + 110, total + 110));
    }
}
