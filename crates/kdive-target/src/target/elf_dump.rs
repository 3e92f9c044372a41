//! Kernels as ELF core files: dumps and `/proc/kcore`.

use std::sync::Arc;

use super::file_segment::{FileSegment, Lost, Unsaved};
use super::kernel::KernelParts;
use super::{
    ExcludedPages, OpenOptions, Target, TargetKind, Truncation, discovery, live, process_dump,
};
use crate::elf::{ElfCore, Load};
use crate::memory::Segment;
use crate::notes::{Note, Notes};
use crate::page_tables::PageTables;
use crate::source::Source;
use crate::{AddressSpace, Architecture, ByteOrder, Memory, MemoryReader, Result};

pub(super) fn open(source: &Arc<dyn Source>, options: &OpenOptions) -> Result<Target> {
    let mut core = ElfCore::parse(&**source)?;
    if let Some(architecture) = options.architecture {
        core.platform.architecture = architecture;
    }
    if options.vmcoreinfo.is_some() || is_kernel(&core) {
        Ok(open_kernel(TargetKind::KernelDump, source, core, options))
    } else {
        Ok(process_dump::open(source, core))
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
                ExcludedPages::Fault => Unsaved::Fault(EXCLUDED_OR_ZERO),
                ExcludedPages::Zero => Unsaved::Zero,
            },
            lost: if kind.is_live() {
                Lost::Refused("the running kernel does not let this address be read")
            } else {
                Lost::CutOff
            },
        }),
    };
    let truncation = (!kind.is_live())
        .then(|| Truncation::of(&**source, core.size))
        .flatten();
    let mut physical: Vec<Load> = core
        .loads
        .iter()
        .filter(|load| load.physical_address != NO_PHYSICAL_ADDRESS)
        .copied()
        .collect();
    if truncation.is_some() {
        // What is in the file twice, as the kernel's image is, may be cut off once.
        let present = physical.iter().map(|load| load.present(source.size()));
        physical.extend(present.collect::<Vec<Load>>());
    }
    let physical: Vec<Segment> = physical
        .iter()
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
    let is_searchable = !kind.is_live() && discovery::ends(&memory, &**source, 2);
    let target = KernelParts {
        kind,
        platform: core.platform,
        memory: Arc::new(memory),
        vmcoreinfo,
        notes: core.notes,
        path: Some(source.path().to_owned()),
        truncation,
        remarks,
        is_searchable,
    }
    .into_target(options);
    let virtual_loads = virtual_loads(&core.loads, &target);
    let virtual_segments: Vec<Segment> = virtual_loads
        .iter()
        .map(|load| {
            let mut segment = segment(load.virtual_address, load);
            if let (NO_PHYSICAL_ADDRESS, Some(tables)) =
                (load.physical_address, &target.page_tables)
            {
                segment.reader = Arc::new(SparseSegment {
                    reader: segment.reader,
                    tables: tables.clone(),
                });
            }
            segment
        })
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

/// A segment of `/proc/kcore` that stands for a region of addresses, such as that of vmalloc, of
/// which little is mapped.
struct SparseSegment {
    reader: Arc<dyn MemoryReader>,
    tables: Arc<PageTables>,
}

impl MemoryReader for SparseSegment {
    fn read(&self, address: u64, offset: u64, buffer: &mut [u8]) -> Result<()> {
        self.reader.read(address, offset, buffer)
    }

    fn next_readable(&self, first: u64, last: u64, offset: u64) -> Option<(u64, u64)> {
        self.tables.next_readable(first, last, offset)
    }
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

/// makedumpfile leaves out pages of zeros too when it excludes others, and an ELF file doesn't say
/// which of both a page was. Not even in the kernel's image: parts of it are freed after boot and
/// excluded like other free pages.
const EXCLUDED_OR_ZERO: &str = "the page is not in the dump (excluded when the dump was made, \
    for its kind or because it was all zeros)";

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
