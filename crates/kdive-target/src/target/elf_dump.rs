//! Dumps in the form of ELF core files: of kernels and of processes.

use std::io;
use std::sync::Arc;

use super::kernel::KernelParts;
use super::{ExcludedPages, OpenOptions, Target, TargetKind, live};
use crate::elf::{ElfCore, Load};
use crate::memory::Segment;
use crate::notes::{self, Note, Notes, ProcessNotes};
use crate::source::Source;
use crate::{AddressSpace, Architecture, ByteOrder, Error, Memory, MemoryReader, Result};

pub(super) fn open(source: &Arc<dyn Source>, options: &OpenOptions) -> Result<Target> {
    let mut core = ElfCore::parse(&**source)?;
    if let Some(architecture) = options.architecture {
        core.platform.architecture = architecture;
    }
    if options.vmcoreinfo.is_some() || is_kernel(&core) {
        Ok(open_kernel(TargetKind::KernelDump, source, core, options))
    } else {
        Ok(open_process(source, core))
    }
}

/// Kernel dumps say so in their notes, by VMCOREINFO or by a hypervisor's own. Without either,
/// physical addresses tell: in core dumps of processes they are all zero.
fn is_kernel(core: &ElfCore) -> bool {
    let named = |note: Note| matches!(note.name, b"VMCOREINFO" | b"QEMU" | b"Xen");
    let of_process = |note: Note| note.is_core(Note::AUXV) || note.is_core(Note::FILE);
    core.notes.iter().any(named)
        || (!core.notes.iter().any(of_process)
            && core.loads.iter().any(|load| load.physical_address != 0))
}

fn open_kernel(
    kind: TargetKind,
    source: &Arc<dyn Source>,
    core: ElfCore,
    options: &OpenOptions,
) -> Target {
    let memory = Memory::new();
    let segment = |address, load: &Load| Segment {
        address,
        size: load.memory_size,
        reader: Arc::new(FileSegment {
            source: source.clone(),
            offset: load.offset,
            saved: load.file_size,
            unsaved: match options.excluded_pages {
                ExcludedPages::Fault => Unsaved::Fault(EXCLUDED),
                ExcludedPages::Zero => Unsaved::Zero,
            },
            cut_off: if kind.is_live() {
                "the running kernel does not let this address be read"
            } else {
                CUT_OFF
            },
        }),
    };
    let physical: Vec<Segment> = core
        .loads
        .iter()
        .filter(|load| load.physical_address != NO_PHYSICAL_ADDRESS)
        .map(|load| segment(load.physical_address, load))
        .collect();
    memory.add_segments(AddressSpace::Physical, &physical);
    let vmcoreinfo = match kind {
        TargetKind::LiveKernel if core.notes.vmcoreinfo().is_none() => {
            vmcoreinfo_in_memory(&memory, core.platform.byte_order)
        }
        _ => None,
    };
    let mut remarks = Vec::new();
    if core.is_incomplete {
        remarks.push(
            "the dump is incomplete: makedumpfile ran out of space or time, pages are missing"
                .to_owned(),
        );
    }
    let target = KernelParts {
        kind,
        platform: core.platform,
        memory,
        vmcoreinfo,
        notes: core.notes,
        path: Some(source.path().to_owned()),
        remarks,
    }
    .into_target(options);
    let virtual_loads = virtual_loads(&core.loads, &target);
    let virtual_segments: Vec<Segment> = virtual_loads
        .iter()
        .map(|load| segment(load.virtual_address, load))
        .collect();
    target
        .memory
        .add_segments(AddressSpace::Virtual, &virtual_segments);
    target
}

/// Opens `/proc/kcore`.
pub(super) fn open_kcore(source: &Arc<dyn Source>, options: &OpenOptions) -> Result<Target> {
    let mut core = ElfCore::parse(&**source)?;
    // Physical addresses are zero before "/proc/kcore: update physical address for kcore ram and
    // text" (Linux 4.11); then only virtual memory can be read.
    let is_unset = |load: &Load| load.physical_address == 0;
    if core.loads.len() > 1 && core.loads.iter().all(is_unset) {
        for load in &mut core.loads {
            load.physical_address = NO_PHYSICAL_ADDRESS;
        }
    }
    Ok(open_kernel(TargetKind::LiveKernel, source, core, options))
}

fn vmcoreinfo_in_memory(memory: &Memory, order: ByteOrder) -> Option<Vec<u8>> {
    let (address, size) = live::vmcoreinfo_place()?;
    let bytes = memory
        .read_bytes(AddressSpace::Physical, address, size)
        .ok()?;
    let mut notes = Notes::default();
    notes.add(&bytes, order);
    notes.vmcoreinfo().map(<[u8]>::to_vec)
}

/// The physical address of segments that have none, such as the vmalloc area of `/proc/kcore`.
const NO_PHYSICAL_ADDRESS: u64 = u64::MAX;

const CUT_OFF: &str = "the dump is truncated before this page";
const EXCLUDED: &str = "the page is not in the dump (excluded when the dump was made)";

/// The segments whose virtual addresses can be used.
///
/// QEMU writes zeros or physical addresses there (or, with `paging=true`, what the tables of the
/// current task say), so addresses of user space are nobody's. Kernel addresses are compared with
/// the page tables, which win where both are known: a kexec tool may have been wrong about KASLR.
fn virtual_loads<'a>(loads: &'a [Load], target: &Target) -> Vec<&'a Load> {
    const SAMPLES: usize = 64;
    let is_usable = |load: &&Load| match target.platform.architecture {
        Architecture::X86_64 | Architecture::Aarch64 => load.virtual_address >> 63 == 1,
        _ => load.virtual_address != 0,
    };
    let usable: Vec<&Load> = loads.iter().filter(is_usable).collect();
    let Some(tables) = &target.page_tables else {
        return usable;
    };
    let step = usable.len().div_ceil(SAMPLES).max(1);
    let is_wrong = |load: &&Load| {
        load.physical_address != NO_PHYSICAL_ADDRESS
            && tables
                .translate(load.virtual_address)
                .is_ok_and(|mapping| mapping.physical != load.physical_address)
    };
    if usable
        .iter()
        .copied()
        .step_by(step)
        .any(|load| is_wrong(&load))
    {
        return Vec::new();
    }
    usable
}

fn open_process(source: &Arc<dyn Source>, core: ElfCore) -> Target {
    let platform = core.platform;
    let memory = Memory::new();
    let mut unsaved = Vec::new();
    let segments: Vec<Segment> = core
        .loads
        .iter()
        .map(|load| {
            if let Some(size) = load.memory_size.checked_sub(load.file_size)
                && size > 0
            {
                unsaved.push((load.virtual_address.wrapping_add(load.file_size), size));
            }
            Segment {
                address: load.virtual_address,
                size: load.memory_size.max(load.file_size),
                reader: Arc::new(FileSegment {
                    source: source.clone(),
                    offset: load.offset,
                    saved: load.file_size,
                    unsaved: Unsaved::Fault("the memory was not saved in the core dump"),
                    cut_off: CUT_OFF,
                }),
            }
        })
        .collect();
    memory.add_segments(AddressSpace::Virtual, &segments);
    let mut remarks = Vec::new();
    let ends = core
        .loads
        .iter()
        .map(|load| load.offset.saturating_add(load.file_size));
    if let Some(missing) = ends
        .max()
        .and_then(|end| end.checked_sub(source.size()))
        .filter(|&missing| missing > 0)
    {
        remarks.push(format!(
            "the core dump is truncated: its last {missing} bytes are missing"
        ));
    }
    Target {
        kind: TargetKind::ProcessDump,
        platform,
        memory: Arc::new(memory),
        path: Some(source.path().to_owned()),
        vmcoreinfo: None,
        page_tables: None,
        threads: notes::threads(&core.notes, platform),
        qemu_cpus: Vec::new(),
        process: Some(ProcessNotes::parse(&core.notes, platform)),
        notes: core.notes,
        unsaved,
        remarks,
    }
}

/// A segment of an ELF file: bytes in the file, then some that were not saved.
pub(super) struct FileSegment {
    pub source: Arc<dyn Source>,
    pub offset: u64,
    pub saved: u64,
    pub unsaved: Unsaved,
    /// Why bytes are missing that the file should have.
    pub cut_off: &'static str,
}

/// How the part of a segment reads that the file doesn't have.
pub(super) enum Unsaved {
    Zero,
    Fault(&'static str),
}

impl MemoryReader for FileSegment {
    fn read(&self, address: u64, offset: u64, buffer: &mut [u8]) -> Result<()> {
        let fault = |done: usize, reason: String| Error::Fault {
            address: address.wrapping_add(done as u64),
            reason,
        };
        let in_file = self.saved.saturating_sub(offset);
        let in_file = usize::try_from(in_file).map_or(buffer.len(), |size| size.min(buffer.len()));
        let (saved, unsaved) = buffer.split_at_mut(in_file);
        if !saved.is_empty() {
            let at = self.offset.saturating_add(offset);
            let count = match self.source.read_at(at, saved) {
                Ok(count) => count,
                Err(error) if is_unmapped(&error) => 0,
                Err(error) => {
                    return Err(fault(0, format!("the file could not be read ({error})")));
                }
            };
            if count < in_file {
                return Err(fault(count, self.cut_off.to_owned()));
            }
        }
        if !unsaved.is_empty() {
            match self.unsaved {
                Unsaved::Zero => unsaved.fill(0),
                Unsaved::Fault(reason) => return Err(fault(in_file, reason.to_owned())),
            }
        }
        Ok(())
    }
}

/// How files of live memory say that nothing is there.
fn is_unmapped(error: &io::Error) -> bool {
    let code = error.raw_os_error();
    [libc::EIO, libc::EFAULT, libc::ENXIO, libc::EINVAL]
        .iter()
        .any(|&it| code == Some(it))
}
