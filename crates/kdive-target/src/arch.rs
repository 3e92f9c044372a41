//! What differs between processor architectures: page tables. One file for each.

pub mod aarch64;
pub mod x86_64;

use crate::{Architecture, Memory, Result, VmCoreInfo};

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

impl Paging {
    /// Looks an address up in the tables whose first one is at the physical address `root`.
    ///
    /// Faults with `address` where it is not mapped, and with a physical address where a table
    /// is not readable.
    pub fn walk(&self, memory: &Memory, root: u64, address: u64) -> Result<Mapping> {
        match self {
            Paging::X86_64(paging) => paging.walk(memory, root, address),
            Paging::Aarch64(paging) => paging.walk(memory, root, address),
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

/// By how much the addresses of the kernel's image exceed its physical ones, if VMCOREINFO tells.
pub(crate) fn image_offset(architecture: Architecture, info: &VmCoreInfo) -> Option<u64> {
    match architecture {
        Architecture::X86_64 => x86_64::image_offset(info),
        Architecture::Aarch64 => aarch64::image_offset(info),
        _ => None,
    }
}

fn missing(line: &str) -> String {
    format!("VMCOREINFO lacks a usable {line}")
}

fn not_mapped(address: u64) -> crate::Error {
    crate::Error::Fault {
        address,
        reason: "address is not mapped".to_owned(),
    }
}
