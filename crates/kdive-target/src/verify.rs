//! Checking a dump: is everything there, and does it decode?

use std::ops::ControlFlow;

use rayon::prelude::*;

use crate::parallel::{with_scratch, with_threads};
use crate::target::leads_to_a_kernel;
use crate::{AddressSpace, Error, Memory, Target};

/// What checking a dump found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verification {
    /// The number of bytes that should be readable.
    pub expected_bytes: u64,
    /// The number of bytes that are.
    pub readable_bytes: u64,
    /// Memory that the dump has but that can't be read: lost, or damaged. Only the first
    /// [`Verification::MOST_DAMAGES`] pieces are listed.
    pub damages: Vec<Damage>,
    /// What else is wrong or missing, one sentence each.
    pub problems: Vec<String>,
    /// Whether memory can be read by virtual address: of kernels, whether the page tables lead to
    /// the kernel's identity; of processes, whether there is any memory.
    pub is_usable: bool,
    /// Whether the check was stopped before all was read.
    pub was_stopped: bool,
}

/// Adjoining pages that can't be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// The first address: physical ones of kernels, virtual ones of processes.
    pub address: u64,
    /// The number of bytes.
    pub size: u64,
    /// Why the first of the pages can't be read.
    pub reason: String,
}

impl Verification {
    /// The most pieces of damage that are listed.
    pub const MOST_DAMAGES: usize = 1000;

    /// Whether nothing is wrong.
    pub fn is_sound(&self) -> bool {
        self.is_usable
            && !self.was_stopped
            && self.problems.is_empty()
            && self.readable_bytes == self.expected_bytes
    }
}

/// The memory that one thread reads at a time.
const CHUNK: u64 = 1 << 20;
const CHUNKS_PER_STEP: usize = 32;
const PAGE: u64 = 4096;

/// Reads all memory of a target with all threads, and checks what it says of itself.
///
/// `progress` is called with the number of bytes done and in all every 32 MiB; it can stop the
/// check.
pub fn verify(
    target: &Target,
    mut progress: impl FnMut(u64, u64) -> ControlFlow<()>,
) -> Verification {
    let space = if target.kind.is_kernel() {
        AddressSpace::Physical
    } else {
        AddressSpace::Virtual
    };
    let ranges = readable(&target.memory, space);
    let cut_off = target.memory.cut_off(space);
    let cut_off_bytes = bytes_in(&cut_off);
    let mut found = Verification {
        expected_bytes: cut_off_bytes.saturating_add(bytes_in(&ranges)),
        problems: problems(target),
        is_usable: is_usable(target),
        ..Verification::default()
    };
    for (first, last) in cut_off {
        found.note(Damage {
            address: first,
            size: bytes_in(&[(first, last)]),
            reason: reason_at(&target.memory, space, first),
        });
    }
    let mut done = cut_off_bytes;
    let mut chunks = ranges.iter().copied().flat_map(chunks);
    loop {
        let step: Vec<(u64, u64)> = chunks.by_ref().take(CHUNKS_PER_STEP).collect();
        if step.is_empty() {
            break;
        }
        let results = step
            .par_iter()
            .map(|&(address, size)| damages_in(&target.memory, space, address, size));
        let results: Vec<Vec<Damage>> = with_threads(|| results.collect());
        let size: u64 = step.iter().map(|&(_, size)| size).sum();
        found.readable_bytes += size;
        for damage in results.into_iter().flatten() {
            found.readable_bytes -= damage.size;
            found.note(damage);
        }
        done = done.saturating_add(size);
        if progress(done, found.expected_bytes).is_break() {
            found.was_stopped = done < found.expected_bytes;
            break;
        }
    }
    found
}

impl Verification {
    fn note(&mut self, damage: Damage) {
        let has_room = self.damages.len() < Self::MOST_DAMAGES;
        match self.damages.last_mut() {
            Some(last) if last.address.checked_add(last.size) == Some(damage.address) => {
                last.size = last.size.saturating_add(damage.size);
            }
            _ if has_room => self.damages.push(damage),
            _ => {}
        }
    }
}

/// All memory that may be readable, as first and last addresses.
fn readable(memory: &Memory, space: AddressSpace) -> Vec<(u64, u64)> {
    let next = |start| memory.next_readable(space, start);
    std::iter::successors(next(0), |&(_, last)| next(last.checked_add(1)?)).collect()
}

fn bytes_in(ranges: &[(u64, u64)]) -> u64 {
    ranges.iter().fold(0, |sum: u64, (first, last)| {
        sum.saturating_add(last - first).saturating_add(1)
    })
}

/// The pieces of a range that one thread reads at a time, as address and size.
fn chunks((first, last): (u64, u64)) -> impl Iterator<Item = (u64, u64)> {
    (first / CHUNK..=last / CHUNK).map(move |number| {
        let start = (number * CHUNK).max(first);
        let end = ((number * CHUNK) | (CHUNK - 1)).min(last);
        (start, end - start + 1)
    })
}

/// Why the byte at `address` can't be read.
fn reason_at(memory: &Memory, space: AddressSpace, address: u64) -> String {
    match memory.read(space, address, &mut [0]) {
        Ok(()) => String::new(),
        Err(error) => reason_of(error),
    }
}

fn reason_of(error: Error) -> String {
    match error {
        Error::Fault { reason, .. } => reason,
        other => other.to_string(),
    }
}

fn damages_in(memory: &Memory, space: AddressSpace, address: u64, size: u64) -> Vec<Damage> {
    with_scratch(size as usize, |bytes| {
        let (bytes, _) = bytes.split_at_mut(size as usize);
        if memory.read(space, address, bytes).is_ok() {
            return Vec::new();
        }
        damages_by_page(memory, space, address, bytes)
    })
}

/// Which pages can't be read; `bytes` has room for all of them.
fn damages_by_page(
    memory: &Memory,
    space: AddressSpace,
    address: u64,
    bytes: &mut [u8],
) -> Vec<Damage> {
    let mut damages = Vec::new();
    let mut here = address;
    for page in bytes.chunks_mut(PAGE as usize) {
        let size = page.len() as u64;
        if let Err(error) = memory.read(space, here, page) {
            damages.push(Damage {
                address: here,
                size,
                reason: reason_of(error),
            });
        }
        here = here.wrapping_add(size);
    }
    damages
}

/// What is wrong with the parts of a target that are not memory.
fn problems(target: &Target) -> Vec<String> {
    let mut problems = target.remarks.clone();
    if !target.kind.is_kernel() {
        if target.threads.is_empty() {
            problems.push("the dump has no registers of any thread".to_owned());
        }
        return problems;
    }
    match &target.vmcoreinfo {
        None => problems.push("there is no VMCOREINFO, neither as a note nor in memory".to_owned()),
        Some(info) => {
            let lines = [
                ("OSRELEASE", info.os_release().is_some()),
                ("PAGESIZE", info.page_size().is_some()),
                (
                    "SYMBOL(swapper_pg_dir)",
                    info.symbol("swapper_pg_dir").is_some(),
                ),
            ];
            let missing = lines.iter().filter(|(_, is_there)| !is_there);
            problems.extend(missing.map(|(line, _)| format!("VMCOREINFO lacks a usable {line}")));
        }
    }
    if target.threads.is_empty() {
        problems.push("the dump has no registers of any CPU".to_owned());
    }
    problems.extend(target.memory.problems(AddressSpace::Physical));
    problems
}

fn is_usable(target: &Target) -> bool {
    match (&target.vmcoreinfo, target.kind.is_kernel()) {
        (Some(info), true) => leads_to_a_kernel(&target.memory, info),
        (None, true) => false,
        (_, false) => target
            .memory
            .next_readable(AddressSpace::Virtual, 0)
            .is_some(),
    }
}
