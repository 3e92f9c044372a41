//! Targets: what is opened, and what is known of it before any debug information.

mod custom;
mod discovery;
mod elf_dump;
mod file_segment;
mod image;
mod kdump;
mod kernel;
mod live;
mod process_dump;
mod qemu;
mod snappy_frames;
mod truncation;

use std::fs::File;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use custom::custom_kernel;
pub(crate) use discovery::leads_to_a_kernel;
pub use discovery::{FoundVmCoreInfo, find_vmcoreinfo};
pub use live::{open_live_kernel, open_process};
pub use qemu::{open_qemu, open_qemu_socket};
pub use truncation::Truncation;

use crate::kdump::header::Header;
use crate::notes::{Notes, ProcessNotes, QemuCpu, ThreadStatus};
use crate::page_tables::PageTables;
use crate::source::{Access, FileSource, FlattenedSource, Source};
use crate::{Architecture, Error, Memory, Platform, Result, VmCoreInfo, elf};

/// What a target is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TargetKind {
    /// The memory of a kernel at one moment.
    KernelDump,
    /// The running kernel of this machine.
    LiveKernel,
    /// A running kernel of another machine, such as a guest.
    RemoteKernel,
    /// The memory of a process at one moment.
    ProcessDump,
    /// A running process.
    Process,
}

impl TargetKind {
    /// Whether the target is a kernel.
    pub fn is_kernel(self) -> bool {
        matches!(
            self,
            Self::KernelDump | Self::LiveKernel | Self::RemoteKernel
        )
    }

    /// Whether the target changes while it is looked at.
    pub fn is_live(self) -> bool {
        matches!(self, Self::LiveKernel | Self::RemoteKernel | Self::Process)
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
    /// Whether a page of a running target, once read, stays what it was. Every page that is
    /// looked at is kept in memory.
    pub snapshot: bool,
    /// Asked now and then while memory is searched for VMCOREINFO, which takes long where there is
    /// much; if true the search ends.
    pub is_interrupted: Option<fn() -> bool>,
    /// Whether a dump whose file ends too early is an error. Otherwise it is a remark, and what is
    /// missing faults.
    pub refuse_truncated: bool,
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
    /// those of each thread, the one that took the signal first. Empty for running targets.
    pub threads: Vec<ThreadStatus>,
    /// What QEMU says of each CPU.
    pub qemu_cpus: Vec<QemuCpu>,
    /// What a process dump, or `/proc`, says of a process.
    pub process: Option<ProcessNotes>,
    /// Ranges of a process's memory, as first address and size, that its dump leaves out; files
    /// may have their content.
    pub unsaved: Vec<(u64, u64)>,
    /// How much of the dump is missing at its end.
    pub truncation: Option<Truncation>,
    /// What is damaged, missing or was guessed, one sentence each, for those who ask.
    pub remarks: Vec<String>,
    /// What had to be found out, one sentence each; nothing is wrong with it.
    pub notices: Vec<String>,
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
    open_sources(vec![FileSource::open(path, options.access)?], options)
}

/// Opens a dump whose file is open already, for instance by a more privileged process.
pub fn open_file(file: OwnedFd, options: &OpenOptions) -> Result<Target> {
    let link = format!("/proc/self/fd/{}", file.as_raw_fd());
    let path = std::fs::read_link(&link).unwrap_or_else(|_| PathBuf::from(link));
    let source = FileSource::new(File::from(file), &path, options.access)?;
    open_sources(vec![source], options)
}

/// Opens a dump that was written as several files (`makedumpfile --split`), in any order.
pub fn open_split(paths: &[impl AsRef<Path>], options: &OpenOptions) -> Result<Target> {
    let sources: Result<Vec<FileSource>> = paths
        .iter()
        .map(|path| FileSource::open(path.as_ref(), options.access))
        .collect();
    open_sources(sources?, options)
}

fn open_sources(files: Vec<FileSource>, options: &OpenOptions) -> Result<Target> {
    let mut sources: Vec<Arc<dyn Source>> = Vec::new();
    for file in files {
        if live::is_kcore(&file) {
            return live::open_kcore(file, options);
        }
        let source: Arc<dyn Source> = Arc::new(file);
        let start = source.read_up_to(0, 16)?;
        if start.is_empty() {
            return Err(source.damaged("the file is empty"));
        }
        sources.push(if FlattenedSource::recognizes(&start) {
            Arc::new(FlattenedSource::open(source)?)
        } else {
            source
        });
    }
    let mut target = open_by_format(&sources, options)?;
    let of_a_source = sources.iter().find_map(|source| source.truncation());
    target.truncation = of_a_source.or(target.truncation);
    if let Some(truncation) = &target.truncation {
        if options.refuse_truncated {
            return Err(Error::Truncated(truncation.clone()));
        }
        let name = truncation.path.display();
        let remark = format!("{name} is truncated: {truncation}; reading what is missing faults");
        target.remarks.insert(0, remark);
    }
    Ok(target)
}

/// Whether a file starts like QEMU's own state of a guest, as it is or with libvirt's header before.
fn is_migration_stream(start: &[u8]) -> bool {
    start.starts_with(b"QEVM") || start.starts_with(b"LibvirtQemudSave")
}

fn open_by_format(sources: &[Arc<dyn Source>], options: &OpenOptions) -> Result<Target> {
    let Some(first) = sources.first() else {
        return Err(Error::Format {
            path: PathBuf::new(),
            message: "no file of the dump was given".to_owned(),
        });
    };
    let start = first.read_up_to(0, 16)?;
    if Header::recognizes(&start) {
        kdump::open(sources, options)
    } else if sources.len() > 1 {
        Err(first.damaged("only kdump-compressed dumps can be split over several files"))
    } else if elf::is_elf(&start) {
        elf_dump::open(first, options)
    } else if image::recognizes(&start) {
        image::open_ranges(first, options)
    } else if is_migration_stream(&start) {
        Err(first.damaged(
            "this is a migration stream of QEMU, which `virsh dump` without --memory-only, `virsh \
             save` and snapshots write; dump the guest with `virsh dump --memory-only`",
        ))
    } else if image::may_be_raw(&**first) {
        image::open_raw(first, options)
    } else {
        Err(first.damaged(
            "this is not a dump that kdive reads: an ELF core, a kdump-compressed file or an image \
             of physical memory is expected",
        ))
    }
}
