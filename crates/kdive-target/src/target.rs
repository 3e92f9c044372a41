//! Targets: what is opened, and what is known of it before any debug information.

mod elf_dump;
mod kernel;

use std::fs::File;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::notes::{Notes, ProcessNotes, QemuCpu, ThreadStatus};
use crate::page_tables::PageTables;
use crate::source::{Access, FileSource, Source};
use crate::{Architecture, Memory, Platform, Result, VmCoreInfo, elf};

/// What a target is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TargetKind {
    /// The memory of a kernel at one moment.
    KernelDump,
    /// The running kernel.
    LiveKernel,
    /// The memory of a process at one moment.
    ProcessDump,
    /// A running process.
    Process,
}

impl TargetKind {
    /// Whether the target is a kernel.
    pub fn is_kernel(self) -> bool {
        matches!(self, Self::KernelDump | Self::LiveKernel)
    }

    /// Whether the target changes while it is looked at.
    pub fn is_live(self) -> bool {
        matches!(self, Self::LiveKernel | Self::Process)
    }
}

/// How a page reads that whoever made the dump left out on purpose.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ExcludedPages {
    /// As a fault that says so.
    #[default]
    Fault,
    /// As zeros.
    Zero,
}

/// How to open a target, where the target itself doesn't say.
#[derive(Clone, Debug, Default)]
pub struct OpenOptions {
    /// The architecture, for dumps that don't name theirs.
    pub architecture: Option<Architecture>,
    /// The text of VMCOREINFO, to be used instead of what the target has.
    pub vmcoreinfo: Option<Vec<u8>>,
    /// How excluded pages read.
    pub excluded_pages: ExcludedPages,
    /// How to reach the bytes of the file.
    pub access: Access,
}

/// An opened target.
pub struct Target {
    /// What it is.
    pub kind: TargetKind,
    /// The machine it runs or ran on.
    pub platform: Platform,
    /// Its memory.
    pub memory: Arc<Memory>,
    /// The file, or `None` if the target is none.
    pub path: Option<PathBuf>,
    /// What a kernel says of itself.
    pub vmcoreinfo: Option<Arc<VmCoreInfo>>,
    /// The kernel's address space, where its page tables are known.
    pub page_tables: Option<Arc<PageTables>>,
    /// The ELF notes of a dump.
    pub notes: Notes,
    /// In a kernel dump the registers of each CPU, in the order of the notes; in a process dump
    /// those of each thread, the one that took the signal first.
    pub threads: Vec<ThreadStatus>,
    /// What QEMU says of each CPU.
    pub qemu_cpus: Vec<QemuCpu>,
    /// What a process dump says of its process.
    pub process: Option<ProcessNotes>,
    /// Ranges of a process's memory, as first address and size, that its dump leaves out; files
    /// may have their content.
    pub unsaved: Vec<(u64, u64)>,
    /// What is damaged, missing or was guessed, one sentence each, for those who ask.
    pub remarks: Vec<String>,
}

/// Opens a dump.
///
/// ```no_run
/// use kdive_target::{AddressSpace, OpenOptions, open};
///
/// let target = open("vmcore".as_ref(), &OpenOptions::default())?;
/// let info = target.vmcoreinfo.as_ref().expect("a kernel dump");
/// let uts = info.symbol("init_uts_ns").expect("every kernel has it");
/// let order = target.platform.byte_order;
/// println!("{:#x}", target.memory.read_u64(AddressSpace::Virtual, uts, order)?);
/// # Ok::<(), kdive_target::Error>(())
/// ```
pub fn open(path: &Path, options: &OpenOptions) -> Result<Target> {
    open_source(FileSource::open(path, options.access)?, options)
}

/// Opens a dump whose file is open already, for instance by a more privileged process.
pub fn open_file(file: OwnedFd, options: &OpenOptions) -> Result<Target> {
    let link = format!("/proc/self/fd/{}", file.as_raw_fd());
    let path = std::fs::read_link(&link).unwrap_or_else(|_| PathBuf::from(link));
    open_source(
        FileSource::new(File::from(file), &path, options.access)?,
        options,
    )
}

fn open_source(file: FileSource, options: &OpenOptions) -> Result<Target> {
    let source: Arc<dyn Source> = Arc::new(file);
    let start = source.read_up_to(0, 4096)?;
    if start.is_empty() {
        return Err(source.damaged("the file is empty"));
    }
    if elf::is_elf(&start) {
        return elf_dump::open(&source, options);
    }
    Err(source.damaged(
        "this is not a dump that kdive reads: an ELF core or a kdump-compressed file is expected",
    ))
}
