//! Finding VMCOREINFO in memory, for dumps that don't say where it is.

use std::sync::Arc;

use crate::arch::Paging;
use crate::page_tables::{Caching, PageTables, Reach};
use crate::search::{Pattern, Search};
use crate::source::Source;
use crate::{AddressSpace, Architecture, Memory, VmCoreInfo};

/// A page of physical memory that holds VMCOREINFO.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundVmCoreInfo {
    /// Its physical address.
    pub address: u64,
    /// Its content.
    pub info: VmCoreInfo,
    /// Whether the page tables that it names lead to a kernel's identity. Text left behind by a
    /// kernel that ran before does not.
    pub is_valid: bool,
}

/// Whether searching physical memory comes to an end: what is readable is at most `most` times what
/// the file has. Headers may say that all of the file belongs to every one of a million segments.
pub(super) fn ends(memory: &Memory, source: &dyn Source, most: u64) -> bool {
    let next = |start| memory.next_readable(AddressSpace::Physical, start);
    let readable = std::iter::successors(next(0), |&(_, last)| next(last.checked_add(1)?))
        .fold(0, |sum: u64, (first, last)| {
            sum.saturating_add(last - first)
        });
    readable <= source.stored().saturating_mul(most)
}

/// Searches all of physical memory for pages that hold VMCOREINFO.
///
/// More than one may be valid: the memory of a crash kernel holds those of two kernels. Where they
/// are too many to be true, only the first ones are given.
pub fn find_vmcoreinfo(memory: &Memory) -> Vec<FoundVmCoreInfo> {
    search_vmcoreinfo(memory, || false)
}

/// Like [`find_vmcoreinfo`], but gives what was found as soon as `is_interrupted` says so.
pub(super) fn search_vmcoreinfo(
    memory: &Memory,
    is_interrupted: impl Fn() -> bool,
) -> Vec<FoundVmCoreInfo> {
    const PAGE: u64 = 4096;
    const MOST: usize = 64;
    let pattern = Pattern::Bytes {
        bytes: b"OSRELEASE=".to_vec(),
        alignment: PAGE,
    };
    let mut search = Search::new(
        Arc::new(memory.share_physical()),
        AddressSpace::Physical,
        pattern,
    );
    std::iter::from_fn(|| {
        let goes_on = !is_interrupted();
        goes_on.then(|| search.step()).flatten()
    })
    .flatten()
    .filter_map(|found| {
        let page = memory.read_bytes(AddressSpace::Physical, found.address, PAGE as usize);
        let info = VmCoreInfo::parse(&page.ok()?);
        info.page_size()?;
        info.symbol("init_uts_ns")?;
        Some(FoundVmCoreInfo {
            address: found.address,
            is_valid: leads_to_a_kernel(memory, &info),
            info,
        })
    })
    .take(MOST)
    .collect()
}

/// The architecture of a kernel, by lines that only its VMCOREINFO has.
pub(super) fn architecture_of(info: &VmCoreInfo) -> Architecture {
    if info.number("kimage_voffset").is_some() || info.number("VA_BITS").is_some() {
        Architecture::Aarch64
    } else if info.number("phys_base").is_some() || info.symbol("init_top_pgt").is_some() {
        Architecture::X86_64
    } else {
        Architecture::Unknown
    }
}

/// Whether page tables that VMCOREINFO names lead to the kernel's identity: `init_uts_ns` starts,
/// after a reference count in some releases, with the name `Linux`.
pub(crate) fn leads_to_a_kernel(memory: &Memory, info: &VmCoreInfo) -> bool {
    const NEAR: usize = 16;
    let Ok((paging, root)) = Paging::of_kernel(architecture_of(info), info) else {
        return false;
    };
    let tables = PageTables::new(memory, paging, root, Reach::Kernel, Caching::Never);
    let mut start = [0; NEAR];
    info.symbol("init_uts_ns")
        .is_some_and(|address| tables.read(address, &mut start).is_ok())
        && start.windows(6).any(|bytes| bytes == b"Linux\0")
}
