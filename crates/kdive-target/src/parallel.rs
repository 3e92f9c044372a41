//! Threads for work on many pieces at once.
//!
//! A process that has been forked holds none of its parent's threads, and work given to rayon's global pool would wait
//! for them for ever. Diagnoses run in forked processes, so whatever may run there gets its threads here.

use std::cell::Cell;
use std::process;
use std::sync::{Arc, Mutex, PoisonError};

use rayon::prelude::*;
use rayon::{ThreadPool, ThreadPoolBuilder};
use rustix::mm::Advice;

/// The threads, and the process that they belong to.
static POOL: Mutex<Option<(u32, Arc<ThreadPool>)>> = Mutex::new(None);

/// Runs `work` so that its parallel iterators use the threads of this process.
pub fn with_threads<R: Send>(work: impl FnOnce() -> R + Send) -> R {
    match pool() {
        Some(pool) => pool.install(work),
        None => work(),
    }
}

/// Has the system find room for `bytes`, with all threads, if they are new to the process and hold
/// none as yet. They keep their content.
///
/// Else it finds room page by page as each is first written to, which takes as long as decompressing
/// what goes there.
pub fn populate(bytes: &mut [u8]) {
    const PAGE: usize = 4096;
    const PIECE: usize = 512 << 10;
    let start = bytes.as_ptr().align_offset(PAGE).min(bytes.len());
    let whole = (bytes.len() - start) / PAGE * PAGE;
    let pages = bytes.get_mut(start..start + whole).unwrap_or_default();
    let populate = |piece: &mut [u8]| {
        let place = piece.as_mut_ptr().cast();
        // SAFETY: the range is that of an exclusive reference, and its content does not change.
        // Kernels before 5.14 don't know of it, and pages are found later then.
        let _ = unsafe { rustix::mm::madvise(place, piece.len(), Advice::LinuxPopulateWrite) };
    };
    with_threads(|| pages.par_chunks_mut(PIECE).for_each(populate));
}

/// The number of threads that [`with_threads`] gives.
pub(crate) fn threads() -> usize {
    pool().map_or(1, |pool| pool.current_num_threads())
}

/// The threads of this process; `None` if the system gives it no more.
fn pool() -> Option<Arc<ThreadPool>> {
    let owner = process::id();
    let mut known = POOL.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((_, pool)) = known.as_ref().filter(|(process, _)| *process == owner) {
        return Some(Arc::clone(pool));
    }
    let pool = Arc::new(ThreadPoolBuilder::new().build().ok()?);
    if let Some((_, threads_of_parent)) = known.replace((owner, Arc::clone(&pool))) {
        // They can't be told to end, for they are not here.
        std::mem::forget(threads_of_parent);
    }
    Some(pool)
}

thread_local! {
    static SCRATCH: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// The most memory that a thread keeps for the next time.
const MOST_KEPT: usize = 4 << 20;

/// Where scratch memory starts: the system copies to places that are not aligned a fifth slower.
const ALIGNMENT: usize = 64;

/// Gives `work` at least `size` bytes, of any content, to read something into.
///
/// A thread gets the same ones each time: memory that is new to the process costs more than what is
/// usually done with it, for the system has to find and clear it.
pub(crate) fn with_scratch<R>(size: usize, work: impl FnOnce(&mut [u8]) -> R) -> R {
    SCRATCH.with(|scratch| {
        let mut bytes = scratch.take();
        if bytes.len() < size + ALIGNMENT {
            bytes.resize(size + ALIGNMENT, 0);
        }
        let start = bytes.as_ptr().align_offset(ALIGNMENT);
        let result = work(bytes.get_mut(start..).unwrap_or_default());
        if bytes.len() <= MOST_KEPT {
            scratch.set(bytes);
        }
        result
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_is_done_by_the_same_threads_each_time() {
        let sum = || with_threads(|| (0..1000_u64).into_par_iter().sum::<u64>());
        assert_eq!(sum(), 499_500);
        assert_eq!(with_threads(sum), 499_500);
    }

    #[test]
    fn scratch_is_as_large_as_asked_and_none_is_given_twice_at_once() {
        with_scratch(100, |outer| {
            assert!(outer.len() >= 100);
            outer.fill(1);
            with_scratch(200, |inner| {
                assert!(inner.len() >= 200);
                inner.fill(2);
            });
            assert!(outer.iter().all(|&byte| byte == 1));
        });
        assert!(with_scratch(300, |bytes| bytes.len()) >= 300);
    }

    #[test]
    fn populating_leaves_bytes_as_they_are() {
        for (start, size) in [(0, 0), (1, 100), (4095, 2), (7, 3 << 20), (0, 1 << 20)] {
            let mut bytes: Vec<u8> = (0..start + size).map(|index| (index % 251) as u8).collect();
            populate(&mut bytes[start..]);
            let mut numbers = (0..start + size).map(|index| (index % 251) as u8);
            assert!(bytes.iter().all(|&byte| numbers.next() == Some(byte)));
        }
    }
}
