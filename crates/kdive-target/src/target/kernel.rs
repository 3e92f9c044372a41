//! What all kernel targets have in common once their physical memory and notes are there.

use std::path::PathBuf;
use std::sync::Arc;

use super::{OpenOptions, Target, TargetKind, Truncation, discovery};
use crate::arch::{Paging, x86_64};
use crate::notes::{Note, Notes, QemuCpu, ThreadStatus};
use crate::page_tables::{Caching, PageTables, Reach};
use crate::{AddressSpace, Architecture, ByteOrder, Memory, Platform, VmCoreInfo};

/// A kernel target as far as its format tells.
pub(super) struct KernelParts {
    pub kind: TargetKind,
    pub platform: Platform,
    pub memory: Arc<Memory>,
    pub notes: Notes,
    /// The text of VMCOREINFO, where it is not a note.
    pub vmcoreinfo: Option<Vec<u8>>,
    pub path: Option<PathBuf>,
    pub truncation: Option<Truncation>,
    pub remarks: Vec<String>,
    /// Whether VMCOREINFO may be searched for in memory.
    pub is_searchable: bool,
}

impl KernelParts {
    /// Completes the target: VMCOREINFO, the kernel's address space, and registers.
    pub fn into_target(mut self, options: &OpenOptions) -> Target {
        let mut notices = Vec::new();
        let vmcoreinfo = options
            .vmcoreinfo
            .as_deref()
            .or(self.vmcoreinfo.as_deref())
            .or_else(|| self.notes.vmcoreinfo())
            .map(VmCoreInfo::parse)
            .or_else(|| self.discover(&mut notices, options))
            .map(Arc::new);
        if let (Architecture::Unknown, Some(info)) = (self.platform.architecture, &vmcoreinfo) {
            self.platform.architecture = discovery::architecture_of(info);
        }
        let qemu_cpus: Vec<QemuCpu> = self
            .notes
            .iter()
            .filter(|note| note.name == b"QEMU")
            .filter_map(|note| QemuCpu::parse(note.description))
            .collect();
        let page_tables = self.page_tables(vmcoreinfo.as_deref(), &qemu_cpus);
        if let Some(tables) = &page_tables {
            for (first, last) in self.memory.gaps(AddressSpace::Virtual) {
                let size = (last - first).saturating_add(1);
                self.memory
                    .add_segment(AddressSpace::Virtual, first, size, tables.clone());
            }
        }
        let threads = self
            .notes
            .iter()
            .filter(|note| note.is_core(Note::PRSTATUS))
            .filter_map(|note| ThreadStatus::parse(note.description, self.platform))
            .collect();
        Target {
            kind: self.kind,
            platform: self.platform,
            memory: self.memory,
            path: self.path,
            vmcoreinfo,
            page_tables,
            notes: self.notes,
            threads,
            qemu_cpus,
            process: None,
            unsaved: Vec::new(),
            truncation: self.truncation,
            remarks: self.remarks,
            notices,
        }
    }

    /// VMCOREINFO out of the memory of a dump that doesn't give it.
    fn discover(&mut self, notices: &mut Vec<String>, options: &OpenOptions) -> Option<VmCoreInfo> {
        if !self.is_searchable {
            if !self.kind.is_live() {
                self.remarks.push(
                    "memory was not searched for VMCOREINFO: by the headers, which are damaged, it \
                     is far more than the file has"
                        .to_owned(),
                );
            }
            return None;
        }
        let is_interrupted = options.is_interrupted.unwrap_or(|| false);
        let found = discovery::search_vmcoreinfo(&self.memory, is_interrupted);
        let (valid, others): (Vec<_>, Vec<_>) = found.into_iter().partition(|it| it.is_valid);
        let chosen = valid.first().or(others.first())?;
        let address = chosen.address;
        notices.push(format!(
            "VMCOREINFO was found in memory, at physical address {address:#x}"
        ));
        for other in valid
            .iter()
            .chain(&others)
            .filter(|it| it.address != address)
        {
            let release = other.info.os_release().unwrap_or_default();
            let state = if other.is_valid {
                "a running"
            } else {
                "no running"
            };
            self.remarks.push(format!(
                "there is another one, of release {release} and {state} kernel, at physical \
                 address {:#x}; give its text as VMCOREINFO to use it",
                other.address
            ));
        }
        Some(chosen.info.clone())
    }

    fn page_tables(
        &mut self,
        vmcoreinfo: Option<&VmCoreInfo>,
        cpus: &[QemuCpu],
    ) -> Option<Arc<PageTables>> {
        let architecture = self.platform.architecture;
        let described = match vmcoreinfo {
            Some(info) => Paging::of_kernel(architecture, info),
            None => Err("the target has no VMCOREINFO".to_owned()),
        };
        let (paging, root) = match described {
            Ok(found) => found,
            Err(reason) => {
                let found = (architecture == Architecture::X86_64)
                    .then(|| tables_of_cpus(&self.memory, cpus))
                    .flatten();
                self.remarks.push(match found {
                    Some(_) => format!("{reason}; the page tables of a CPU are used"),
                    None => format!("virtual addresses can't be translated: {reason}"),
                });
                found?
            }
        };
        let caching = if self.kind.is_live() {
            Caching::Never
        } else {
            Caching::Keep
        };
        let tables = PageTables::new(&self.memory, paging, root, Reach::Kernel, caching);
        Some(Arc::new(tables))
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
