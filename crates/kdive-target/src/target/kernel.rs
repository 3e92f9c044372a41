//! What all kernel targets have in common once their physical memory and notes are there.

use std::path::Path;
use std::sync::Arc;

use super::{OpenOptions, Target, TargetKind};
use crate::arch::{Paging, x86_64};
use crate::notes::{Note, Notes, QemuCpu, ThreadStatus};
use crate::page_tables::{Caching, PageTables, Reach};
use crate::{AddressSpace, Architecture, ByteOrder, Memory, Platform, VmCoreInfo};

/// Completes a kernel target: VMCOREINFO, the kernel's address space, and registers.
pub(super) fn open(
    kind: TargetKind,
    platform: Platform,
    memory: Memory,
    notes: Notes,
    path: &Path,
    options: &OpenOptions,
) -> Target {
    let mut remarks = Vec::new();
    let vmcoreinfo = options
        .vmcoreinfo
        .as_deref()
        .or_else(|| notes.vmcoreinfo())
        .map(|text| Arc::new(VmCoreInfo::parse(text)));
    let qemu_cpus: Vec<QemuCpu> = notes
        .iter()
        .filter(|note| note.name == b"QEMU")
        .filter_map(|note| QemuCpu::parse(note.description))
        .collect();
    let described = match &vmcoreinfo {
        Some(info) => Paging::of_kernel(platform.architecture, info),
        None => Err("the dump has no VMCOREINFO".to_owned()),
    };
    let tables = described.or_else(|reason| {
        let found = (platform.architecture == Architecture::X86_64)
            .then(|| tables_of_cpus(&memory, &qemu_cpus))
            .flatten();
        if found.is_some() {
            remarks.push(format!("{reason}; the page tables of a CPU are used"));
        }
        found.ok_or(reason)
    });
    let page_tables = match tables {
        Ok((paging, root)) => {
            let caching = if kind.is_live() {
                Caching::Never
            } else {
                Caching::Keep
            };
            let tables = PageTables::new(&memory, paging, root, Reach::Kernel, caching);
            Some(Arc::new(tables))
        }
        Err(reason) => {
            remarks.push(format!("virtual addresses can't be translated: {reason}"));
            None
        }
    };
    if let Some(tables) = &page_tables {
        memory.add_segment(AddressSpace::Virtual, 0, u64::MAX, tables.clone());
    }
    let threads = notes
        .iter()
        .filter(|note| note.is_core(Note::PRSTATUS))
        .filter_map(|note| ThreadStatus::parse(note.description, platform))
        .collect();
    Target {
        kind,
        platform,
        memory: Arc::new(memory),
        path: Some(path.to_owned()),
        vmcoreinfo,
        page_tables,
        notes,
        threads,
        qemu_cpus,
        process: None,
        unsaved: Vec::new(),
        remarks,
    }
}

/// The page tables that some CPU uses, when QEMU says where they are.
///
/// With page-table isolation a CPU in user space uses tables that lack most of the kernel; those
/// of the kernel are in the page before. So of both candidates of each CPU the one with most
/// entries for the kernel's half is taken.
fn tables_of_cpus(memory: &Memory, cpus: &[QemuCpu]) -> Option<(Paging, u64)> {
    const ADDRESS: u64 = 0x000f_ffff_ffff_f000;
    const FIVE_LEVELS: u64 = 1 << 12;
    let kernel_entries = |root: u64| {
        let mut half = [0; 2048];
        memory
            .read(AddressSpace::Physical, root + 2048, &mut half)
            .ok()?;
        let entries = half.chunks_exact(8).filter_map(<[u8]>::first_chunk);
        Some(
            entries
                .filter(|&&entry| ByteOrder::Little.u64(entry) & 1 == 1)
                .count(),
        )
    };
    cpus.iter()
        .flat_map(|cpu| {
            let levels = if cpu.cr[4] & FIVE_LEVELS == 0 { 4 } else { 5 };
            let root = cpu.cr[3] & ADDRESS;
            [root, root & !0x1000].map(|root| (levels, root))
        })
        .filter_map(|(levels, root)| Some((kernel_entries(root)?, levels, root)))
        .filter(|&(entries, ..)| entries > 0)
        .max_by_key(|&(entries, ..)| entries)
        .map(|(_, levels, root)| {
            let paging = x86_64::Paging {
                levels,
                encryption_mask: 0,
            };
            (Paging::X86_64(paging), root)
        })
}
