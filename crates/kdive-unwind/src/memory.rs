//! Reading the memory that stacks are in.

use kdive_target::{AddressSpace, Memory};

/// The virtual memory that addresses in registers mean.
///
/// Closures implement it, so that other address spaces (a task's user stack in a kernel dump)
/// can be unwound.
pub trait ReadMemory: Sync {
    /// Fills `buffer` from `address`.
    fn read(&self, address: u64, buffer: &mut [u8]) -> kdive_target::Result<()>;
}

impl ReadMemory for Memory {
    fn read(&self, address: u64, buffer: &mut [u8]) -> kdive_target::Result<()> {
        Memory::read(self, AddressSpace::Virtual, address, buffer)
    }
}

impl<F: Fn(u64, &mut [u8]) -> kdive_target::Result<()> + Sync> ReadMemory for F {
    fn read(&self, address: u64, buffer: &mut [u8]) -> kdive_target::Result<()> {
        self(address, buffer)
    }
}

const BLOCK: usize = 1024;

/// Words of memory, read by the block: a stack is read from bottom to top, and most of its words
/// lie close together.
pub(crate) struct Words<'a> {
    memory: &'a dyn ReadMemory,
    start: u64,
    block: [u8; BLOCK],
    is_filled: bool,
}

impl<'a> Words<'a> {
    pub(crate) fn new(memory: &'a dyn ReadMemory) -> Self {
        Self {
            memory,
            start: 0,
            block: [0; BLOCK],
            is_filled: false,
        }
    }

    pub(crate) fn memory(&self) -> &'a dyn ReadMemory {
        self.memory
    }

    /// The little-endian number of 8 bytes at `address`.
    pub(crate) fn word(&mut self, address: u64) -> Option<u64> {
        let start = address & !(BLOCK as u64 - 1);
        let offset = (address - start) as usize;
        if offset > BLOCK - 8 {
            return self.read_word(address);
        }
        if !self.is_filled || self.start != start {
            self.is_filled = self.memory.read(start, &mut self.block).is_ok();
            self.start = start;
            if !self.is_filled {
                return self.read_word(address);
            }
        }
        let bytes = self.block.get(offset..offset + 8)?;
        Some(u64::from_le_bytes(bytes.try_into().ok()?))
    }

    fn read_word(&self, address: u64) -> Option<u64> {
        let mut bytes = [0; 8];
        self.memory.read(address, &mut bytes).ok()?;
        Some(u64::from_le_bytes(bytes))
    }

    /// `size` bytes at `address`.
    pub(crate) fn bytes(&self, address: u64, size: usize) -> Option<Vec<u8>> {
        let mut bytes = vec![0; size];
        self.memory.read(address, &mut bytes).ok()?;
        Some(bytes)
    }
}
