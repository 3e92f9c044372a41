//! What differs between processor architectures: page tables. One file for each.

pub mod aarch64;
pub mod x86_64;

use crate::bytes::array_at;
use crate::{AddressSpace, Architecture, ByteOrder, Error, Memory, Result, VmCoreInfo};

/// How the page tables of an architecture are laid out on a machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Paging {
    /// Those of x86-64.
    X86_64(x86_64::Paging),
    /// Those of `AArch64`.
    Aarch64(aarch64::Paging),
}

/// Where a virtual address lies in physical memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mapping {
    /// The physical address of the virtual one.
    pub physical: u64,
    /// The size in bytes of the page, which is aligned to it.
    pub page_size: u64,
}

/// What an entry of a page table says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Entry {
    /// Nothing is mapped here.
    Absent,
    /// The table of the next level is at this physical address.
    Table(u64),
    /// A page, whose size the level tells, is at this physical address.
    Page(u64),
}

/// The shape of page tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Geometry {
    /// The logarithm of the size of the smallest pages.
    page_shift: u32,
    /// The logarithm of the number of entries of a table.
    index_bits: u32,
    /// The number of levels.
    levels: u32,
    /// The first address of the kernel's half.
    kernel_start: u64,
}

/// What looking an address up found.
enum Lookup {
    Mapped(Mapping),
    /// Nothing, nor anywhere else in the aligned block of this size (as a logarithm).
    Absent(u32),
    /// A table that is not readable, for a block of this size (as a logarithm).
    Unreadable(u32, Error),
}

impl Paging {
    /// Looks an address up in the tables whose first one is at the physical address `root`.
    ///
    /// Faults with `address` where it is not mapped, and with a physical address where a table
    /// is not readable.
    pub fn walk(&self, memory: &Memory, root: u64, address: u64) -> Result<Mapping> {
        let entry_at = |table: u64, index: u64, _level| {
            let at = table.wrapping_add(index * ENTRY_SIZE);
            memory.read_u64(AddressSpace::Physical, at, ByteOrder::Little)
        };
        match self.look_up(root, address, entry_at) {
            Lookup::Mapped(mapping) => Ok(mapping),
            Lookup::Unreadable(_, error) => Err(error),
            Lookup::Absent(_) => Err(Error::Fault {
                address,
                reason: "address is not mapped".to_owned(),
            }),
        }
    }

    /// Looks an address up in tables whose entries `entry_at` gives, by the address of the table,
    /// the index and the level.
    fn look_up(
        &self,
        root: u64,
        address: u64,
        mut entry_at: impl FnMut(u64, u64, u32) -> Result<u64>,
    ) -> Lookup {
        let geometry = self.geometry();
        let Some(translated) = self.translated(address) else {
            return Lookup::Absent(geometry.page_shift);
        };
        let mut table = root;
        for level in (0..geometry.levels).rev() {
            let shift = geometry.page_shift + geometry.index_bits * level;
            let index = (translated >> shift) & ((1 << geometry.index_bits) - 1);
            let entry = match entry_at(table, index, level) {
                Ok(entry) => entry,
                Err(error) => return Lookup::Unreadable(shift + geometry.index_bits, error),
            };
            let entry = match self {
                Paging::X86_64(paging) => paging.decode(entry, level, address),
                Paging::Aarch64(paging) => paging.decode(entry, level),
            };
            match entry {
                Entry::Absent => return Lookup::Absent(shift),
                Entry::Page(page) => {
                    let page_size = 1 << shift;
                    return Lookup::Mapped(Mapping {
                        physical: page & !(page_size - 1) | (address & (page_size - 1)),
                        page_size,
                    });
                }
                Entry::Table(next) => table = next,
            }
        }
        Lookup::Absent(geometry.page_shift)
    }

    /// The first mapped address from `start` on and the end of its page. Where tables are not
    /// readable, nothing is mapped.
    ///
    /// After a number of steps that only tables made to confuse need, the page that was reached
    /// is given instead.
    pub(crate) fn next_mapped(&self, tables: &mut WholeTables, start: u64) -> Option<(u64, u64)> {
        const MOST_STEPS: usize = 1 << 18;
        let geometry = self.geometry();
        let root = tables.root;
        let mut address = start;
        for _ in 0..MOST_STEPS {
            if self.translated(address).is_none() && address < geometry.kernel_start {
                address = geometry.kernel_start;
            }
            let entry_at =
                |table, index, level| tables.entry(table, index, level, geometry.index_bits);
            let hole = match self.look_up(root, address, entry_at) {
                Lookup::Mapped(mapping) => {
                    return Some((address, address | (mapping.page_size - 1)));
                }
                Lookup::Absent(hole) | Lookup::Unreadable(hole, _) => hole,
            };
            let in_hole = 1_u64.checked_shl(hole).map_or(u64::MAX, |size| size - 1);
            address = (address | in_hole).checked_add(1)?;
        }
        Some((address, address | ((1 << geometry.page_shift) - 1)))
    }

    /// The first address of the kernel's half.
    pub(crate) fn kernel_start(&self) -> u64 {
        self.geometry().kernel_start
    }

    fn geometry(&self) -> Geometry {
        match self {
            Paging::X86_64(paging) => paging.geometry(),
            Paging::Aarch64(paging) => paging.geometry(),
        }
    }

    /// The bits of an address that the tables translate, unless it is none that can be mapped.
    fn translated(&self, address: u64) -> Option<u64> {
        match self {
            Paging::X86_64(paging) => paging.translated(address),
            Paging::Aarch64(paging) => paging.translated(address),
        }
    }

    /// Whether an address belongs to the kernel's half.
    pub fn is_kernel_address(&self, address: u64) -> bool {
        match self {
            Paging::X86_64(_) => x86_64::is_kernel_address(address),
            Paging::Aarch64(_) => aarch64::is_kernel_address(address),
        }
    }

    /// The paging mode and the physical address of the kernel's own tables, as VMCOREINFO
    /// describes them; an error says which line is missing.
    pub(crate) fn of_kernel(
        architecture: Architecture,
        info: &VmCoreInfo,
    ) -> std::result::Result<(Self, u64), String> {
        match architecture {
            Architecture::X86_64 => {
                x86_64::of_kernel(info).map(|(paging, root)| (Paging::X86_64(paging), root))
            }
            Architecture::Aarch64 => {
                aarch64::of_kernel(info).map(|(paging, root)| (Paging::Aarch64(paging), root))
            }
            other => Err(format!("page tables of {other:?} are not known to kdive")),
        }
    }
}

/// The size of an entry of a page table in bytes.
const ENTRY_SIZE: u64 = 8;

/// Page tables of which the last one of each level is kept, for going through them in order.
pub(crate) struct WholeTables<'a> {
    memory: &'a Memory,
    root: u64,
    /// The address and content of a table for each level.
    recent: Vec<(u64, Vec<u8>)>,
}

impl<'a> WholeTables<'a> {
    pub fn new(memory: &'a Memory, root: u64) -> Self {
        const MOST_LEVELS: usize = 6;
        Self {
            memory,
            root,
            recent: vec![(0, Vec::new()); MOST_LEVELS],
        }
    }

    fn entry(&mut self, table: u64, index: u64, level: u32, index_bits: u32) -> Result<u64> {
        let read_entry = |at| {
            self.memory
                .read_u64(AddressSpace::Physical, at, ByteOrder::Little)
        };
        let at = index * ENTRY_SIZE;
        let Some((recent, bytes)) = self.recent.get_mut(level as usize) else {
            return read_entry(table.wrapping_add(at));
        };
        if *recent != table || bytes.is_empty() {
            bytes.resize((ENTRY_SIZE as usize) << index_bits, 0);
            *recent = table;
            if self
                .memory
                .read(AddressSpace::Physical, table, bytes)
                .is_err()
            {
                // The top level may be less than a page; else all of the table is missing.
                bytes.clear();
                return read_entry(table.wrapping_add(at));
            }
        }
        match array_at(bytes, at as usize) {
            Some(entry) => Ok(ByteOrder::Little.u64(entry)),
            None => read_entry(table.wrapping_add(at)),
        }
    }
}

fn missing(line: &str) -> String {
    format!("VMCOREINFO lacks a usable {line}")
}
