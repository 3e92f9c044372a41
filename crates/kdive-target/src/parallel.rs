//! Threads for work on many pieces at once.
//!
//! A process that has been forked holds none of its parent's threads, and work given to rayon's global pool would wait
//! for them for ever. Diagnoses run in forked processes, so whatever may run there gets its threads here.

use std::process;
use std::sync::{Arc, Mutex, PoisonError};

use rayon::{ThreadPool, ThreadPoolBuilder};

/// The threads, and the process that they belong to.
static POOL: Mutex<Option<(u32, Arc<ThreadPool>)>> = Mutex::new(None);

/// Runs `work` so that its parallel iterators use the threads of this process.
pub fn with_threads<R: Send>(work: impl FnOnce() -> R + Send) -> R {
    match pool() {
        Some(pool) => pool.install(work),
        None => work(),
    }
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

#[cfg(test)]
mod tests {
    use rayon::prelude::*;

    use super::with_threads;

    #[test]
    fn work_is_done_by_the_same_threads_each_time() {
        let sum = || with_threads(|| (0..1000_u64).into_par_iter().sum::<u64>());
        assert_eq!(sum(), 499_500);
        assert_eq!(with_threads(sum), 499_500);
    }
}
