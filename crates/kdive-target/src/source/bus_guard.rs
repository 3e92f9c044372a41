//! Reading mapped files that may shrink.
//!
//! Touching a mapped page that the file no longer has (or that its disk fails to give) raises
//! SIGBUS. A handler replaces the rest of such a mapping with zero pages and marks it as
//! damaged; whoever copied from it sees the mark and reads the file instead. A SIGBUS from
//! anywhere else goes to the handler that was there before.

use std::ptr::{self, NonNull};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering, compiler_fence};

/// How many mappings can be guarded at once; further files are read with `pread`.
const SLOTS: usize = 128;
const FREE: usize = 0;
const CLAIMED: usize = 1;

struct Slot {
    /// The address of the mapping, `FREE` or `CLAIMED`.
    start: AtomicUsize,
    end: AtomicUsize,
    damaged: AtomicBool,
}

static GUARDED: [Slot; SLOTS] = [const {
    Slot {
        start: AtomicUsize::new(FREE),
        end: AtomicUsize::new(0),
        damaged: AtomicBool::new(false),
    }
}; SLOTS];

static PREVIOUS: OnceLock<Option<libc::sigaction>> = OnceLock::new();

/// A mapped file whose pages may vanish.
pub(super) struct GuardedMap {
    map: memmap2::MmapRaw,
    slot: &'static Slot,
}

impl GuardedMap {
    /// Guards a mapping, or gives up when it can't.
    pub fn new(map: memmap2::MmapRaw) -> Option<Self> {
        (*PREVIOUS.get_or_init(install))?;
        let slot = GUARDED.iter().find(|slot| {
            slot.start
                .compare_exchange(FREE, CLAIMED, Ordering::Acquire, Ordering::Relaxed)
                .is_ok()
        })?;
        let start = map.as_mut_ptr().addr();
        slot.damaged.store(false, Ordering::Relaxed);
        slot.end
            .store(start.saturating_add(map.len()), Ordering::Relaxed);
        slot.start.store(start, Ordering::Release);
        Some(Self { map, slot })
    }

    pub fn len(&self) -> usize {
        self.map.len()
    }

    /// Copies bytes out of the mapping; `false` when they are not (or no more) in it.
    pub fn copy(&self, offset: usize, buffer: &mut [u8]) -> bool {
        let inside = offset
            .checked_add(buffer.len())
            .is_some_and(|end| end <= self.map.len());
        if !inside || self.slot.damaged.load(Ordering::Relaxed) {
            return false;
        }
        // SAFETY: the range lies inside the mapping, which lives as long as `self`; the buffer is
        // exclusively ours and distinct from it. Should the file shrink meanwhile, the handler
        // puts zero pages there. Writes of others to the file change bytes of no type but `u8`.
        unsafe {
            ptr::copy_nonoverlapping(
                self.map.as_ptr().add(offset),
                buffer.as_mut_ptr(),
                buffer.len(),
            );
        }
        compiler_fence(Ordering::SeqCst);
        !self.slot.damaged.load(Ordering::Relaxed)
    }
}

impl Drop for GuardedMap {
    fn drop(&mut self) {
        self.slot.start.store(FREE, Ordering::Release);
    }
}

/// Installs the handler and returns the one before it.
fn install() -> Option<libc::sigaction> {
    // SAFETY: `sigaction` is a plain structure for which all zeros is a valid value. The first
    // call only writes `previous`; the second installs a handler that does nothing but atomic
    // loads and stores and system calls, which signal handlers may do.
    unsafe {
        let mut previous: libc::sigaction = std::mem::zeroed();
        if libc::sigaction(libc::SIGBUS, ptr::null(), &raw mut previous) != 0 {
            return None;
        }
        let mut ours: libc::sigaction = std::mem::zeroed();
        ours.sa_sigaction = on_bus_error as *const () as usize;
        ours.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
        (libc::sigaction(libc::SIGBUS, &raw const ours, ptr::null_mut()) == 0).then_some(previous)
    }
}

extern "C" fn on_bus_error(
    signal: libc::c_int,
    info: *mut libc::siginfo_t,
    context: *mut libc::c_void,
) {
    // SAFETY: the kernel passes a valid `siginfo_t` to handlers installed with SA_SIGINFO.
    let address = NonNull::new(info).map_or(0, |info| unsafe { info.as_ref().si_addr() }.addr());
    for slot in &GUARDED {
        let start = slot.start.load(Ordering::Acquire);
        if start > CLAIMED
            && address >= start
            && address < slot.end.load(Ordering::Relaxed)
            && replace_with_zeros(slot, address)
        {
            return;
        }
    }
    pass_on(signal, info, context);
}

/// Puts zero pages from the page of `address` to the end of the mapping.
fn replace_with_zeros(slot: &Slot, address: usize) -> bool {
    slot.damaged.store(true, Ordering::Relaxed);
    // SAFETY: the pages belong to a mapping in our table, which nobody refers to by reference:
    // bytes are only copied out of it, and the copy is thrown away once `damaged` is set.
    unsafe {
        let page = address & !(libc::sysconf(libc::_SC_PAGESIZE) as usize - 1);
        let size = slot.end.load(Ordering::Relaxed) - page;
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED;
        let at = ptr::without_provenance_mut(page);
        libc::mmap(at, size, libc::PROT_READ, flags, -1, 0) != libc::MAP_FAILED
    }
}

/// Hands a SIGBUS that is none of ours to the handler that was installed before.
fn pass_on(signal: libc::c_int, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
    let previous = PREVIOUS.get().copied().flatten();
    // SAFETY: `previous` is what the kernel gave us, so its handler has the type its flags say.
    // Restoring it and returning repeats the faulting access under the default action.
    unsafe {
        match previous {
            Some(action)
                if action.sa_sigaction != libc::SIG_DFL && action.sa_sigaction != libc::SIG_IGN =>
            {
                if action.sa_flags & libc::SA_SIGINFO != 0 {
                    let handler: extern "C" fn(
                        libc::c_int,
                        *mut libc::siginfo_t,
                        *mut libc::c_void,
                    ) = std::mem::transmute(action.sa_sigaction);
                    handler(signal, info, context);
                } else {
                    let handler: extern "C" fn(libc::c_int) =
                        std::mem::transmute(action.sa_sigaction);
                    handler(signal);
                }
            }
            _ => {
                let mut default: libc::sigaction = std::mem::zeroed();
                default.sa_sigaction = libc::SIG_DFL;
                libc::sigaction(signal, &raw const default, ptr::null_mut());
            }
        }
    }
}
