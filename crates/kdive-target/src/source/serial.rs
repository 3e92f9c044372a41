//! A file that serves one read at a time.

use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use rustix::fs::{FlockOperation, MemfdFlags, fcntl_lock, memfd_create};
use rustix::io::retry_on_intr;

use super::Source;

/// `/proc/kcore`: of two reads at the same time, one may get what the other asked for.
///
/// The kernel copies what is read through a buffer that belongs to the open file, and takes no lock
/// ("fs/proc/kcore.c: Add bounce buffer for ktext data", Linux 4.8). So the threads of a process
/// have to take turns, and so have processes that were forked from each other. Each could open the
/// file for itself, but not where only sudo may.
pub(crate) struct SerialSource {
    source: Arc<dyn Source>,
    /// A file without content that a process locks while it reads. The kernel takes the lock from a
    /// process that ends.
    among_processes: OwnedFd,
    /// Locked by a thread while it reads.
    among_threads: ArcSwap<Threads>,
}

/// The threads of one process. A fork copies what is locked, but not the thread that unlocks it.
struct Threads {
    process: u32,
    turn: Mutex<()>,
}

impl Threads {
    fn of(process: u32) -> Arc<Self> {
        Arc::new(Self {
            process,
            turn: Mutex::new(()),
        })
    }
}

impl SerialSource {
    pub fn new(source: Arc<dyn Source>) -> io::Result<Self> {
        Ok(Self {
            source,
            among_processes: memfd_create("kdive-turn", MemfdFlags::CLOEXEC)?,
            among_threads: ArcSwap::new(Threads::of(std::process::id())),
        })
    }

    fn threads(&self) -> Arc<Threads> {
        let process = std::process::id();
        loop {
            let threads = self.among_threads.load();
            if threads.process == process {
                return Arc::clone(&threads);
            }
            self.among_threads
                .compare_and_swap(&*threads, Threads::of(process));
        }
    }
}

impl Source for SerialSource {
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let threads = self.threads();
        let _turn = threads.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let lock = |operation| retry_on_intr(|| fcntl_lock(&self.among_processes, operation));
        lock(FlockOperation::LockExclusive)?;
        let result = self.source.read_at(offset, buffer);
        lock(FlockOperation::Unlock)?;
        result
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
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::thread;

    use super::*;

    /// Copies through a buffer that all readers share, as the kernel does.
    struct Shared {
        buffer: Mutex<Vec<u8>>,
        overlap: AtomicBool,
        is_busy: AtomicBool,
    }

    impl Source for Shared {
        fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
            if self.is_busy.swap(true, Ordering::SeqCst) {
                self.overlap.store(true, Ordering::SeqCst);
            }
            *self.buffer.lock().unwrap() = vec![offset as u8; buffer.len()];
            thread::yield_now();
            buffer.copy_from_slice(&self.buffer.lock().unwrap());
            self.is_busy.store(false, Ordering::SeqCst);
            Ok(buffer.len())
        }

        fn size(&self) -> u64 {
            1 << 40
        }

        fn path(&self) -> &Path {
            Path::new("shared")
        }
    }

    #[test]
    fn threads_take_turns() {
        let shared = Arc::new(Shared {
            buffer: Mutex::default(),
            overlap: AtomicBool::new(false),
            is_busy: AtomicBool::new(false),
        });
        let serial = SerialSource::new(shared.clone()).unwrap();
        thread::scope(|scope| {
            for number in 0..4_u8 {
                let serial = &serial;
                scope.spawn(move || {
                    for _ in 0..2000 {
                        let mut buffer = [0; 16];
                        assert_eq!(serial.read_at(number.into(), &mut buffer).unwrap(), 16);
                        assert_eq!(buffer, [number; 16]);
                    }
                });
            }
        });
        assert!(!shared.overlap.load(Ordering::SeqCst));
    }
}
