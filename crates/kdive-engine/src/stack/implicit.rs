//! Places for variables that are not in memory, so that pointers to them can be followed.
//!
//! Compilers take a variable out of memory though there are pointers to it, where they know all of
//! them; debug information then tells what such a pointer points to instead of its value. Here the
//! variable gets an address of its own, which no program has.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use foldhash::fast::FixedState;
use kdive_target::AddressSpace;

use crate::program::Program;

/// Beyond what programs map, and below what `AArch64` takes for addresses of the kernel.
const FIRST_ADDRESS: u64 = 0x0070_0000_0000_0000;
/// Places begin at multiples of this, with a gap behind each.
const ALIGNMENT: usize = 16;
/// How many variables get a place, and how large they may be.
const MAX_PLACES: usize = 4096;
const MAX_SIZE: usize = 1 << 20;

/// The places of a program.
#[derive(Default)]
pub(super) struct Places(Mutex<Taken>);

#[derive(Default)]
struct Taken {
    /// By the variable's DIE and what it holds: it may hold something else in another frame.
    addresses: HashMap<(u64, Box<[u8]>), u64, FixedState>,
    bytes: u64,
}

impl Places {
    /// The address of a variable that holds these bytes; none if there are too many.
    pub(super) fn address(&self, program: &Program, die: u64, bytes: Vec<u8>) -> Option<u64> {
        let mut taken = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (die, bytes.into_boxed_slice());
        if let Some(address) = taken.addresses.get(&key) {
            return Some(*address);
        }
        let size = key.1.len();
        if size == 0 || size > MAX_SIZE || taken.addresses.len() == MAX_PLACES {
            return None;
        }
        let address = FIRST_ADDRESS + taken.bytes;
        taken.bytes += (size + ALIGNMENT).next_multiple_of(ALIGNMENT) as u64;
        program.add_memory_segment(
            AddressSpace::Virtual,
            address,
            size as u64,
            Arc::new(key.1.to_vec()),
        );
        taken.addresses.insert(key, address);
        Some(address)
    }
}
