//! Targets out of kdump-compressed files.

use std::sync::Arc;

use super::kernel::KernelParts;
use super::{OpenOptions, Target, TargetKind};
use crate::kdump::header::Header;
use crate::kdump::pages::KdumpPages;
use crate::memory::Segment;
use crate::notes::{Note, Notes};
use crate::source::Source;
use crate::{AddressSpace, Architecture, Memory, Platform, Result};

/// Opens the files of one dump: usually one, several of a split dump, but at least one.
pub(super) fn open(sources: &[Arc<dyn Source>], options: &OpenOptions) -> Result<Target> {
    let files: Result<Vec<(Arc<dyn Source>, Header)>> = sources
        .iter()
        .map(|source| Ok((source.clone(), Header::read(source)?)))
        .collect();
    let mut files = files?;
    files.sort_by_key(|(_, header)| header.part);
    let mut remarks = missing_parts(&files);
    if files.iter().any(|(_, header)| header.is_incomplete()) {
        remarks.push("the dump is incomplete: pages are missing".to_owned());
    }
    let mut notes = Notes::default();
    let mut vmcoreinfo = None;
    let mut platform = Platform::HOST;
    let mut path = None;
    if let Some((source, header)) = files.first() {
        if header.lacks_memory_map() {
            remarks.push("the kernel's array of struct page was left out of the dump".to_owned());
        }
        notes.add(&header.notes(&**source)?, header.order);
        let text = header.vmcoreinfo(&**source)?;
        vmcoreinfo = (!text.is_empty()).then_some(text);
        platform = Platform {
            architecture: options
                .architecture
                .or_else(|| header.architecture())
                .unwrap_or_else(|| architecture_of_notes(&notes)),
            is_64_bit: header.is_64_bit,
            byte_order: header.order,
        };
        path = Some(source.path().to_owned());
    }
    let pages = Arc::new(KdumpPages::open(files, options.excluded_pages)?);
    let page_size = pages.page_size();
    let truncation = pages.truncation()?;
    let segments: Vec<Segment> = pages
        .memory_map()?
        .into_iter()
        .map(|(first, count)| Segment {
            address: first.saturating_mul(page_size),
            size: count.saturating_mul(page_size),
            reader: pages.clone(),
        })
        .collect();
    let memory = Memory::new();
    memory.add_segments(AddressSpace::Physical, &segments);
    Ok(KernelParts {
        kind: TargetKind::KernelDump,
        platform,
        memory: Arc::new(memory),
        notes,
        vmcoreinfo,
        path,
        truncation,
        remarks,
        is_searchable: true,
    }
    .into_target(options))
}

/// What is missing of a split dump, a sentence for each gap.
fn missing_parts(files: &[(Arc<dyn Source>, Header)]) -> Vec<String> {
    let mut gaps = Vec::new();
    let mut gap = |from: u64, to: u64| {
        if from < to {
            gaps.push(format!(
                "this is a split dump and pages {from:#x} to {:#x} are in a file that was not given",
                to - 1
            ));
        }
    };
    let mut next = 0;
    for (start, end) in files.iter().filter_map(|(_, header)| header.part) {
        gap(next, start);
        next = next.max(end);
    }
    if next > 0 {
        let pages = files.iter().map(|(_, header)| header.pages).max();
        gap(next, pages.unwrap_or(0));
    }
    gaps
}

/// The architecture by the size of the registers, for headers that don't name it.
fn architecture_of_notes(notes: &Notes) -> Architecture {
    let status = notes.iter().find(|note| note.is_core(Note::PRSTATUS));
    match status.map(|note| note.description.len()) {
        Some(336) => Architecture::X86_64,
        Some(392) => Architecture::Aarch64,
        Some(376) => Architecture::Riscv64,
        _ => Architecture::Unknown,
    }
}
