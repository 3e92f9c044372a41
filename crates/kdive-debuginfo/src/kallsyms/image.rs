//! The memory where a kernel was linked to be, searched for what no symbol names.

use std::sync::Arc;

use kdive_target::search::{Pattern, Search};
use kdive_target::{AddressSpace, ByteOrder, Memory};

/// How much behind `_stext` is looked at. Kernels have some tens of megabytes.
const MAX_IMAGE: u64 = 128 << 20;
/// How often one pattern is looked at.
const MAX_MATCHES: usize = 64;

/// The kernel's code and constants.
pub struct KernelImage {
    memory: Arc<Memory>,
    byte_order: ByteOrder,
    start: u64,
}

impl KernelImage {
    /// The image whose code begins at `start`, the address of `_stext`.
    pub fn new(memory: &Arc<Memory>, byte_order: ByteOrder, start: u64) -> KernelImage {
        KernelImage {
            memory: memory.clone(),
            byte_order,
            start,
        }
    }

    pub(super) fn byte_order(&self) -> ByteOrder {
        self.byte_order
    }

    fn end(&self) -> u64 {
        self.start.saturating_add(MAX_IMAGE)
    }

    /// Where these bytes are.
    pub fn find(&self, bytes: &[u8]) -> Vec<u64> {
        let pattern = Pattern::Bytes {
            bytes: bytes.to_vec(),
            alignment: 1,
        };
        Search::new(self.memory.clone(), AddressSpace::Virtual, pattern)
            .within(self.start, self.end())
            .take(MAX_MATCHES)
            .map(|found| found.address)
            .collect()
    }

    /// The bytes at an address; none if they can't be read.
    pub fn read(&self, address: u64, size: usize) -> Option<Vec<u8>> {
        self.memory
            .read_bytes(AddressSpace::Virtual, address, size)
            .ok()
    }

    /// The readable blocks of the image, one after the other.
    pub(super) fn blocks(&self) -> impl Iterator<Item = (u64, Vec<u8>)> + '_ {
        const BLOCK: u64 = 1 << 16;
        let first = self.start / BLOCK * BLOCK;
        (first..self.end())
            .step_by(BLOCK as usize)
            .filter_map(|address| Some((address, self.read(address, BLOCK as usize)?)))
    }
}
