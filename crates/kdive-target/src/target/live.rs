//! Targets that run: processes and the kernel of this machine.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::elf_dump;
use super::file_segment::{FileSegment, Lost, Unsaved};
use super::{OpenOptions, Target, TargetKind};
use crate::notes::Notes;
use crate::process;
use crate::source::{Access, FileSource, SerialSource, SnapshotSource, Source};
use crate::{AddressSpace, Error, Memory, MemoryReader, Result};

/// Opens a running process, which goes on running.
///
/// Reads its memory from `/proc/PID/mem`; this takes the permission to trace it.
pub fn open_process(pid: u32, options: &OpenOptions) -> Result<Target> {
    let path = PathBuf::from(format!("/proc/{pid}/mem"));
    let file = FileSource::open(&path, Access::Pread).map_err(|error| match error {
        Error::Io { path, source } => process::error_of(pid, &path, source),
        other => other,
    })?;
    let platform = process::platform(pid);
    let memory = Memory::new();
    let reader = ProcessMemory {
        pid,
        segment: FileSegment {
            source: changing(Arc::new(file), options),
            offset: 0,
            saved: u64::MAX,
            unsaved: Unsaved::Zero,
            lost: Lost::Refused("address is not mapped"),
        },
    };
    let size = platform.address_mask();
    memory.add_segment(AddressSpace::Virtual, 0, size, Arc::new(reader));
    Ok(Target {
        kind: TargetKind::Process,
        platform,
        memory: Arc::new(memory),
        path: None,
        vmcoreinfo: None,
        page_tables: None,
        notes: Notes::default(),
        threads: Vec::new(),
        qemu_cpus: Vec::new(),
        process: Some(process::describe(pid, platform)?),
        unsaved: Vec::new(),
        truncation: None,
        remarks: Vec::new(),
        notices: Vec::new(),
    })
}

/// The address space of a running process: `/proc/PID/mem`, where addresses are offsets.
struct ProcessMemory {
    pid: u32,
    segment: FileSegment,
}

impl MemoryReader for ProcessMemory {
    fn read(&self, address: u64, offset: u64, buffer: &mut [u8]) -> Result<()> {
        self.segment.read(address, offset, buffer)
    }

    fn next_readable(&self, first: u64, last: u64, _offset: u64) -> Option<(u64, u64)> {
        let (start, end) = process::next_readable(self.pid, first)?;
        (start <= last).then_some((start, end.min(last)))
    }
}

/// Opens the running kernel, through `/proc/kcore`.
pub fn open_live_kernel(options: &OpenOptions) -> Result<Target> {
    super::open(Path::new(KCORE), options)
}

const KCORE: &str = "/proc/kcore";

/// Whether a file is the memory of the running kernel: no other file in procfs is an ELF core.
pub(super) fn is_kcore(source: &FileSource) -> bool {
    const PROC_SUPER_MAGIC: i64 = 0x9fa0;
    rustix::fs::fstatfs(source.file()).is_ok_and(|it| it.f_type == PROC_SUPER_MAGIC)
}

/// Opens `/proc/kcore`, whatever its name is.
pub(super) fn open_kcore(source: FileSource, options: &OpenOptions) -> Result<Target> {
    let path = source.path().to_owned();
    let serial =
        SerialSource::new(Arc::new(source)).map_err(|source| Error::Io { path, source })?;
    elf_dump::open_kcore(&changing(Arc::new(serial), options), options)
}

/// A source that changes, or the snapshot of it that was asked for.
pub(super) fn changing(source: Arc<dyn Source>, options: &OpenOptions) -> Arc<dyn Source> {
    if options.snapshot {
        Arc::new(SnapshotSource::new(source))
    } else {
        source
    }
}

/// Where the running kernel keeps its VMCOREINFO note: physical address and size.
///
/// `/proc/kcore` has the note itself since "proc/kcore: add vmcoreinfo note to /proc/kcore" (Linux
/// 4.19).
pub(super) fn vmcoreinfo_place() -> Option<(u64, usize)> {
    const LARGEST: usize = 1 << 20;
    let text = std::fs::read_to_string("/sys/kernel/vmcoreinfo").ok()?;
    let (address, size) = text.trim().split_once(' ')?;
    let hex = |text: &str| u64::from_str_radix(text.trim_start_matches("0x"), 16).ok();
    let size = usize::try_from(hex(size)?).ok()?;
    Some((hex(address)?, size.min(LARGEST)))
}
