//! The functions that left their frames to others: those whose last call is a jump.
//!
//! The caller's debug information tells whom it called. If that is not the function of the frame
//! before, the one called may have jumped to it, through others even; where there is only one such
//! way, its functions get frames.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, PoisonError, RwLock};

use foldhash::fast::FixedState;
use kdive_debuginfo::code::CallSite;
use kdive_unwind::{Architecture, Frame, How};

use super::scopes::Located;
use crate::Result;
use crate::program::Program;

/// How many functions may have jumped to each other before one called.
const MAX_JUMPS: usize = 8;
/// How many jumps a function may have, and how many are looked at in all, before a way counts as
/// unknown. Kernels have functions that jump to each of their hundreds of system calls: to find
/// out that only one leads on would take longer than all else.
const MAX_JUMPS_OF_FUNCTION: usize = 64;
const MAX_LOOKED_AT: usize = 256;
/// How many pairs of addresses are kept before all are forgotten.
const MAX_KEPT: usize = 1 << 16;

type Known = HashMap<(u64, u64), Arc<[u64]>, FixedState>;

/// The jumps between the program counters of a caller and of the frame before.
#[derive(Default)]
pub(super) struct JumpCache(RwLock<Known>);

impl JumpCache {
    pub(super) fn clear(&self) {
        self.0
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .clear();
    }
}

/// Adds the frames that are gone.
pub(super) fn add(
    program: &Arc<Program>,
    architecture: Option<&'static Architecture>,
    physical: Vec<Frame>,
) -> Result<Vec<Frame>> {
    let Some(architecture) = architecture else {
        return Ok(physical);
    };
    let mut all = Vec::with_capacity(physical.len());
    let mut frames = physical.into_iter().peekable();
    while let Some(frame) = frames.next() {
        let cfa = frame.cfa;
        let reached = frame.lookup_pc();
        all.push(frame);
        let Some(caller) = frames.peek().filter(|caller| !caller.is_interrupted) else {
            continue;
        };
        for pc in jumps(program, caller.pc, reached)?.iter() {
            // What functions preserve is as it was at the call, and the return address is back on
            // top of the stack or in its register.
            let mut registers = caller.registers.preserved(architecture);
            registers.set(architecture.pc, *pc);
            if let Some(cfa) = cfa {
                let return_address = if architecture.link.is_some() { 0 } else { 8 };
                registers.set(architecture.sp, cfa.wrapping_sub(return_address));
            }
            all.push(Frame {
                pc: *pc,
                registers,
                cfa,
                is_interrupted: false,
                how: How::TailCall,
                is_guess: caller.is_guess,
            });
        }
    }
    Ok(all)
}

/// The addresses behind the jumps from the function that the caller called to the one that was
/// reached, the last jump first. None if it was called, or if that is not known.
fn jumps(program: &Arc<Program>, caller_pc: u64, reached: u64) -> Result<Arc<[u64]>> {
    let cache = &program.stacks().jumps.0;
    let key = (caller_pc, reached);
    if let Some(known) = cache
        .read()
        .unwrap_or_else(PoisonError::into_inner)
        .get(&key)
    {
        return Ok(known.clone());
    }
    let found: Arc<[u64]> = find(program, caller_pc, reached)?
        .unwrap_or_default()
        .into();
    let mut kept = cache.write().unwrap_or_else(PoisonError::into_inner);
    if kept.len() >= MAX_KEPT {
        kept.clear();
    }
    Ok(kept.entry(key).or_insert(found).clone())
}

fn find(program: &Arc<Program>, caller_pc: u64, reached: u64) -> Result<Option<Vec<u64>>> {
    let scopes = &program.stacks().scopes;
    let (Some(caller), Some(reached)) = (
        scopes.locate(program, caller_pc.wrapping_sub(1))?,
        scopes.locate(program, reached)?,
    ) else {
        return Ok(None);
    };
    let (Some(code), Some(function)) = (caller.code(), caller.scopes.last()) else {
        return Ok(None);
    };
    let Some(site) = code.call_site(function.entry, caller_pc)? else {
        return Ok(None);
    };
    let mut search = Search {
        program,
        wanted: reached.names()?,
        way: Vec::new(),
        found: Vec::new(),
        dead_ends: HashSet::default(),
        looked_at: 0,
    };
    if site.target_names.is_empty() || search.is_wanted(&site) {
        return Ok(None);
    }
    search.from(&site)?;
    // Of several ways nobody knows which one it was.
    Ok(match search.found.as_mut_slice() {
        [way] if search.looked_at < MAX_LOOKED_AT => {
            way.reverse();
            Some(std::mem::take(way))
        }
        _ => None,
    })
}

struct Search<'a> {
    program: &'a Arc<Program>,
    wanted: &'a [Arc<str>],
    way: Vec<u64>,
    found: Vec<Vec<u64>>,
    /// Functions that do not jump to the wanted one, by their addresses.
    dead_ends: HashSet<u64, FixedState>,
    looked_at: usize,
}

impl Search<'_> {
    fn is_wanted(&self, site: &CallSite<'_>) -> bool {
        site.target_names
            .iter()
            .any(|name| self.wanted.contains(name))
    }

    /// Follows the jumps of the function that a call leads to. Returns whether it followed all.
    fn from(&mut self, site: &CallSite<'_>) -> Result<bool> {
        let Some((address, target)) = self.definition(site)? else {
            return Ok(true);
        };
        let (Some(code), Some(function)) = (target.code(), target.scopes.last()) else {
            return Ok(true);
        };
        if self.dead_ends.contains(&address) {
            return Ok(true);
        }
        let found_before = self.found.len();
        let mut followed_all = true;
        let jumps = code.tail_calls(function.entry, MAX_JUMPS_OF_FUNCTION + 1)?;
        if jumps.len() > MAX_JUMPS_OF_FUNCTION {
            self.looked_at = MAX_LOOKED_AT;
        }
        for jump in jumps {
            if self.looked_at == MAX_LOOKED_AT || self.found.len() > 1 {
                return Ok(false);
            }
            if self.way.len() == MAX_JUMPS || self.way.contains(&jump.return_address) {
                followed_all = false;
                continue;
            }
            self.looked_at += 1;
            self.way.push(jump.return_address);
            if self.is_wanted(&jump) {
                self.found.push(self.way.clone());
            } else {
                followed_all &= self.from(&jump)?;
            }
            self.way.pop();
        }
        if followed_all && self.found.len() == found_before {
            self.dead_ends.insert(address);
        }
        Ok(followed_all)
    }

    /// The function that a call leads to: its address, and what is known of it.
    fn definition(&self, site: &CallSite<'_>) -> Result<Option<(u64, Arc<Located>)>> {
        let mut address = site.target_address;
        // As the linker knows it, if that is another name.
        if address.is_none()
            && let Some(name) = site.target_names.last()
        {
            address = self
                .program
                .symbol_named(name)?
                .map(|symbol| symbol.address);
        }
        let Some(address) = address else {
            return Ok(None);
        };
        let located = self.program.stacks().scopes.locate(self.program, address)?;
        Ok(located.map(|located| (address, located)))
    }
}
