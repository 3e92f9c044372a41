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
    let chunks = chunks(&target.memory, space);
    let mut found = Verification {
        expected_bytes: chunks.iter().map(|&(_, size)| size).sum(),
        problems: problems(target),
        is_usable: is_usable(target),
        ..Verification::default()
    };
    let mut done = 0;
    for step in chunks.chunks(CHUNKS_PER_STEP) {
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
        done += size;
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
                last.size += damage.size;
            }
            _ if has_room => self.damages.push(damage),
            _ => {}
        }
    }
}

/// All memory that may be readable, in pieces of address and size.
fn chunks(memory: &Memory, space: AddressSpace) -> Vec<(u64, u64)> {
    let mut chunks = Vec::new();
    let mut next = Some(0);
    while let Some((first, last)) = next.and_then(|start| memory.next_readable(space, start)) {
        let mut start = first;
        loop {
            let end = (start | (CHUNK - 1)).min(last);
            chunks.push((start, end - start + 1));
            if end == last {
                break;
            }
            start = end + 1;
        }
        next = last.checked_add(1);
    }
    chunks
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
            let reason = match error {
                Error::Fault { reason, .. } => reason,
                other => other.to_string(),
            };
            damages.push(Damage {
                address: here,
                size,
                reason,
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
