//! Virtual address spaces: page tables with a translation cache before them.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::arch::{Mapping, Paging, WholeTables};
use crate::{AddressSpace, Error, Memory, MemoryReader, Result};

/// An address space of the target: the kernel's, or that of a task.
///
/// Translations are kept in a cache that threads share without locks. Where page tables change
/// while they are read, as in a running kernel, it can be left out.
pub struct PageTables {
    memory: Memory,
    paging: Paging,
    root: u64,
    reach: Reach,
    cache: Option<TranslationCache>,
}

/// Which addresses are looked up at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// Both halves.
    All,
    /// The kernel's half; other addresses fault, whatever the tables say of them.
    Kernel,
}

/// Whether translations may be remembered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Caching {
    /// The target stands still.
    Keep,
    /// The target runs: look at the tables each time.
    Never,
}

impl PageTables {
    /// The address space whose first table is at the physical address `root`, in the physical
    /// memory of `memory`.
    pub fn new(memory: &Memory, paging: Paging, root: u64, reach: Reach, caching: Caching) -> Self {
        Self {
            memory: memory.share_physical(),
            paging,
            root,
            reach,
            cache: (caching == Caching::Keep).then(TranslationCache::new),
        }
    }

    /// The paging mode.
    pub fn paging(&self) -> Paging {
        self.paging
    }

    /// The physical address of the first table.
    pub fn root(&self) -> u64 {
        self.root
    }

    /// Where an address lies in physical memory.
    pub fn translate(&self, address: u64) -> Result<Mapping> {
        if let Some(mapping) = self.cache.as_ref().and_then(|cache| cache.get(address)) {
            return Ok(mapping);
        }
        if self.reach == Reach::Kernel && !self.paging.is_kernel_address(address) {
            return Err(Error::Fault {
                address,
                reason: "address belongs to user space, not to the kernel".to_owned(),
            });
        }
        let mapping = self
            .paging
            .walk(&self.memory, self.root, address)
            .map_err(|error| match error {
                Error::Fault {
                    address: table,
                    reason,
                } if table != address => Error::Fault {
                    address,
                    reason: format!(
                        "its page table at physical address {table:#x} is not readable ({reason})"
                    ),
                },
                other => other,
            })?;
        if let Some(cache) = &self.cache {
            cache.put(address, mapping);
        }
        Ok(mapping)
    }

    /// Fills `buffer` with the bytes at a virtual address.
    pub fn read(&self, address: u64, buffer: &mut [u8]) -> Result<()> {
        let mut here = address;
        let mut rest = buffer;
        while !rest.is_empty() {
            let (physical, size) = self.run(here, rest.len())?;
            let (now, later) = rest.split_at_mut(size);
            self.memory
                .read(AddressSpace::Physical, physical, now)
                .map_err(|error| at_virtual(error, here, physical))?;
            here = here.wrapping_add(size as u64);
            rest = later;
        }
        Ok(())
    }

    /// The physical address of a virtual one, and how many of the `wanted` bytes follow there.
    fn run(&self, address: u64, wanted: usize) -> Result<(u64, usize)> {
        let first = self.translate(address)?;
        let left_in = |mapping: Mapping| {
            let left = mapping.page_size - (mapping.physical & (mapping.page_size - 1));
            usize::try_from(left).unwrap_or(usize::MAX)
        };
        let mut size = left_in(first);
        while size < wanted {
            let next = address.checked_add(size as u64);
            match next.map(|next| self.translate(next)) {
                Some(Ok(mapping))
                    if Some(mapping.physical) == first.physical.checked_add(size as u64) =>
                {
                    size += left_in(mapping);
                }
                _ => break,
            }
        }
        Ok((first.physical, size.min(wanted)))
    }
}

impl MemoryReader for PageTables {
    fn read(&self, address: u64, _offset: u64, buffer: &mut [u8]) -> Result<()> {
        self.read(address, buffer)
    }

    fn read_at_hand(&self, address: u64, _offset: u64, buffer: &mut [u8]) -> bool {
        let known = self.cache.as_ref().and_then(|cache| cache.get(address));
        known.is_some_and(|mapping| {
            let left = mapping.page_size - (mapping.physical & (mapping.page_size - 1));
            left >= buffer.len() as u64
                && self
                    .memory
                    .read_at_hand(AddressSpace::Physical, mapping.physical, buffer)
        })
    }

    fn next_readable(&self, first: u64, last: u64, _offset: u64) -> Option<(u64, u64)> {
        /// Enough to read by the block; whoever wants more asks again.
        const LONGEST: u64 = 1 << 30;
        let mut tables = WholeTables::new(&self.memory, self.root);
        let mut next = |from| self.paging.next_mapped(&mut tables, from);
        let mut from = first;
        if self.reach == Reach::Kernel && !self.paging.is_kernel_address(first) {
            from = self.paging.kernel_start();
        }
        let (start, mut end) = next(from).filter(|&(start, _)| start <= last)?;
        while end < last && end - start < LONGEST {
            match end.checked_add(1).and_then(&mut next) {
                Some((address, page_end)) if address == end + 1 => end = page_end,
                _ => break,
            }
        }
        Some((start, end.min(last)))
    }
}

/// A fault in physical memory, told by the virtual address that led there.
fn at_virtual(error: Error, address: u64, physical: u64) -> Error {
    match error {
        Error::Fault {
            address: missing,
            reason,
        } => Error::Fault {
            address: address.wrapping_add(missing.wrapping_sub(physical)),
            reason: format!("{reason} (physical address {missing:#x})"),
        },
        other => other,
    }
}

/// A direct-mapped cache of translations.
///
/// An entry is two words that are written without a lock. The first is a digest of address and
/// translation, so an entry half of which is by another thread does not pass for either.
struct TranslationCache {
    entries: Box<[[AtomicU64; 2]]>,
}

impl TranslationCache {
    /// With 4 KiB pages this reaches over 16 MiB; the table itself takes 64 KiB.
    const ENTRIES: usize = 4096;
    /// Entries are for units of this size, whatever the page size.
    const UNIT_SHIFT: u32 = 12;
    /// A translation keeps the logarithm of its page size in the bits below the address.
    const SHIFT_MASK: u64 = 0x3f;

    fn new() -> Self {
        let entries = (0..Self::ENTRIES).map(|_| [AtomicU64::new(0), AtomicU64::new(0)]);
        Self {
            entries: entries.collect(),
        }
    }

    fn entry(&self, unit: u64) -> Option<&[AtomicU64; 2]> {
        // Addresses that differ by large powers of two should not meet in one entry.
        let folded = unit ^ (unit >> 12) ^ (unit >> 24);
        self.entries.get(folded as usize % Self::ENTRIES)
    }

    fn digest(unit: u64, translation: u64) -> u64 {
        unit.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ translation.wrapping_mul(0xc2b2_ae3d_27d4_eb4f)
    }

    fn get(&self, address: u64) -> Option<Mapping> {
        let unit = address >> Self::UNIT_SHIFT;
        let [digest, translation] = self.entry(unit)?;
        let translation = translation.load(Ordering::Relaxed);
        let is_hit = digest.load(Ordering::Relaxed) == Self::digest(unit, translation);
        (is_hit && translation != 0).then(|| Mapping {
            physical: translation >> Self::UNIT_SHIFT << Self::UNIT_SHIFT
                | address & ((1 << Self::UNIT_SHIFT) - 1),
            page_size: 1 << (translation & Self::SHIFT_MASK),
        })
    }

    fn put(&self, address: u64, mapping: Mapping) {
        let unit = address >> Self::UNIT_SHIFT;
        if let Some([digest, translation]) = self.entry(unit) {
            let shift = u64::from(mapping.page_size.trailing_zeros());
            let value = mapping.physical >> Self::UNIT_SHIFT << Self::UNIT_SHIFT | shift;
            translation.store(value, Ordering::Relaxed);
            digest.store(Self::digest(unit, value), Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::arch::x86_64;

    const KERNEL: u64 = 0xffff_ffff_8000_0000;

    /// Tables at 0x1000 that map 2 MiB of kernel at physical 0x8000, 0x9000, … each filled with
    /// its page number, page 3 not at all and page 5 to where no memory is.
    fn address_space(caching: Caching) -> PageTables {
        let mut bytes = vec![0; 0x20_000];
        let mut entry = |at: usize, value: u64| {
            bytes[at..at + 8].copy_from_slice(&value.to_le_bytes());
        };
        entry(0x1000 + 8 * 511, 0x2003);
        entry(0x1000, 0x2003);
        entry(0x2000 + 8 * 510, 0x3003);
        entry(0x2000, 0x3003);
        entry(0x3000, 0x4003);
        for page in (0..8).filter(|&page| page != 3) {
            entry(0x4000 + 8 * page, (0x8000 + 0x1000 * page as u64) | 3);
        }
        entry(0x4000 + 8 * 5, 0x7000_0003);
        for page in 0..8 {
            bytes[0x8000 + 0x1000 * page..][..0x1000].fill(page as u8);
        }
        let memory = Memory::new();
        memory.add_segment(AddressSpace::Physical, 0, 0x20_000, Arc::new(bytes));
        let paging = Paging::X86_64(x86_64::Paging {
            levels: 4,
            encryption_mask: 0,
        });
        PageTables::new(&memory, paging, 0x1000, Reach::Kernel, caching)
    }

    fn fault(result: Result<()>) -> (u64, String) {
        match result {
            Err(Error::Fault { address, reason }) => (address, reason),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn reads_across_pages_and_faults_at_the_virtual_address() {
        for caching in [Caching::Keep, Caching::Never] {
            let space = address_space(caching);
            for _ in 0..3 {
                let mut buffer = [0xff; 0x2001];
                space.read(KERNEL + 0xfff, &mut buffer).unwrap();
                assert_eq!((buffer[0], buffer[1], buffer[0x1001]), (0, 1, 2));
                assert_eq!(
                    fault(space.read(KERNEL + 0x2f00, &mut buffer)).0,
                    KERNEL + 0x3000
                );
                let (address, reason) = fault(space.read(KERNEL + 0x4ff0, &mut buffer[..0x20]));
                assert_eq!(address, KERNEL + 0x5000);
                assert!(reason.contains("physical address 0x70000000"), "{reason}");
            }
        }
    }

    #[test]
    fn tables_that_all_lead_back_are_gone_through_in_pieces() {
        const START: u64 = 0xffff_8000_0000_0000;
        let table = 0x1003_u64.to_le_bytes().repeat(512);
        let memory = Memory::new();
        memory.add_segment(AddressSpace::Physical, 0x1000, 0x1000, Arc::new(table));
        let paging = Paging::X86_64(x86_64::Paging {
            levels: 4,
            encryption_mask: 0,
        });
        let space = PageTables::new(&memory, paging, 0x1000, Reach::Kernel, Caching::Keep);
        let mut word = [0; 8];
        space.read(START + 0x1_2345_6008, &mut word).unwrap();
        assert_eq!(word, 0x1003_u64.to_le_bytes());
        assert_eq!(
            space.next_readable(0, u64::MAX, 0),
            Some((START, START + (1 << 30) + 0xfff))
        );
    }

    #[test]
    fn user_addresses_are_none_of_the_kernel() {
        let space = address_space(Caching::Keep);
        let (address, reason) = fault(space.read(0x10, &mut [0; 8]));
        assert_eq!(address, 0x10);
        assert!(reason.contains("user space"), "{reason}");
    }

    #[test]
    fn threads_share_the_cache() {
        let cache = TranslationCache::new();
        // Far more addresses than entries, so that every entry is fought for.
        std::thread::scope(|scope| {
            for thread in 0..4_u64 {
                let cache = &cache;
                scope.spawn(move || {
                    for round in 0..200_000_u64 {
                        let unit = (round * 7919 + thread * 131) % 20_000;
                        let address = unit << 12;
                        let expected = Mapping {
                            physical: (unit * 3 + 1) << 12 | 5,
                            page_size: 0x1000,
                        };
                        match cache.get(address | 5) {
                            Some(mapping) => assert_eq!(mapping, expected),
                            None => cache.put(address, expected),
                        }
                    }
                });
            }
        });
    }
}
