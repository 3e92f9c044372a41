//! Images of physical memory: raw ones, and those of `LiME` and AVML.

use std::sync::Arc;

use super::file_segment::{FileSegment, Lost, Unsaved};
use super::kernel::KernelParts;
use super::snappy_frames;
use super::{ExcludedPages, OpenOptions, Target, TargetKind, Truncation, discovery};
use crate::bytes::array_at;
use crate::memory::Segment;
use crate::notes::Notes;
use crate::source::Source;
use crate::{AddressSpace, Architecture, ByteOrder, Memory, Platform, Result};

const LIME: &[u8] = b"EMiL";
const AVML: &[u8] = b"AVML";
const HEADER_SIZE: u64 = 32;
const PAGE: u64 = 4096;

/// Whether a file starts like an image of `LiME` or AVML.
pub(super) fn recognizes(start: &[u8]) -> bool {
    start.starts_with(LIME) || start.starts_with(AVML)
}

/// Whether a file may be a raw image, which has nothing to be recognized by.
pub(super) fn may_be_raw(source: &dyn Source) -> bool {
    const SMALLEST: u64 = 1 << 20;
    source.size() >= SMALLEST
}

/// Opens a raw image: each byte of physical memory at the offset that is its address. One that ends
/// within a page was cut off; of others nobody can tell.
pub(super) fn open_raw(source: &Arc<dyn Source>, options: &OpenOptions) -> Result<Target> {
    let memory = Memory::new();
    let reader = saved(source, 0, source.size());
    memory.add_segment(AddressSpace::Physical, 0, source.size(), Arc::new(reader));
    let is_searchable = discovery::ends(&memory, &**source, 2);
    let mut target = into_target(source, memory, Vec::new(), is_searchable, options);
    if !source.size().is_multiple_of(PAGE) {
        target.truncation = Some(Truncation::without_end(source.path(), source.size()));
    }
    if target.vmcoreinfo.is_none() && options.architecture.is_none() {
        return Err(source.damaged(
            "this is not a dump that kdive reads, nor a raw image of memory with VMCOREINFO in it; \
             if it is a raw image, give VMCOREINFO or the architecture",
        ));
    }
    Ok(target)
}

/// Opens an image of ranges that each have a header.
pub(super) fn open_ranges(source: &Arc<dyn Source>, options: &OpenOptions) -> Result<Target> {
    let mut segments = Vec::new();
    let mut remarks = Vec::new();
    let mut truncation = None;
    let mut end_of_compressed = 0;
    let decoded = snappy_frames::new_cache();
    let mut at = 0;
    while at < source.size() {
        let header = source.read_up_to(at, HEADER_SIZE)?;
        let Some(range) = RangeHeader::parse(&header) else {
            if (header.len() as u64) < HEADER_SIZE {
                truncation = Some(Truncation::without_end(source.path(), source.size()));
                break;
            }
            if segments.is_empty() {
                return Err(source.damaged("the header of the image's first range is damaged"));
            }
            remarks.push(format!(
                "the image is damaged or truncated: there is no header of a range at offset {at:#x}"
            ));
            break;
        };
        let content = at.saturating_add(HEADER_SIZE);
        at = if range.is_compressed {
            let (frames, end) = snappy_frames::index(source, content, range.size, &decoded)?;
            if frames.size() < range.size {
                truncation = Some(Truncation::without_end(source.path(), source.size()));
            }
            end_of_compressed = end_of_compressed.max(range.start.saturating_add(range.size));
            segments.push(Segment {
                address: range.start,
                size: range.size,
                reader: Arc::new(frames) as Arc<_>,
            });
            end
        } else {
            segments.push(Segment {
                address: range.start,
                size: range.size,
                reader: Arc::new(saved(source, content, range.size)),
            });
            content.saturating_add(range.size)
        };
    }
    let memory = Memory::new();
    if let Some(left_out) = left_out(source, end_of_compressed, options) {
        memory.add_segments(AddressSpace::Physical, &[left_out]);
    }
    memory.add_segments(AddressSpace::Physical, &segments);
    let most = if end_of_compressed > 0 {
        snappy_frames::MOST_TIMES
    } else {
        2
    };
    let is_searchable = discovery::ends(&memory, &**source, most);
    let mut target = into_target(source, memory, remarks, is_searchable, options);
    target.truncation = truncation.or_else(|| Truncation::of(&**source, at));
    Ok(target)
}

/// AVML leaves out blocks of 16 MiB that are all zeros, and doesn't say which of what is between its
/// ranges were such blocks and what is no memory. All that is below the last range's end.
fn left_out(source: &Arc<dyn Source>, size: u64, options: &OpenOptions) -> Option<Segment> {
    let reader = FileSegment {
        unsaved: match options.excluded_pages {
            ExcludedPages::Fault => Unsaved::Fault(
                "the page is not in the image (AVML leaves out what is all zeros or no memory)",
            ),
            ExcludedPages::Zero => Unsaved::Zero,
        },
        ..saved(source, 0, 0)
    };
    (size > 0).then(|| Segment {
        address: 0,
        size,
        reader: Arc::new(reader),
    })
}

fn saved(source: &Arc<dyn Source>, offset: u64, size: u64) -> FileSegment {
    FileSegment {
        source: source.clone(),
        offset,
        saved: size,
        unsaved: Unsaved::Zero,
        lost: Lost::CutOff,
    }
}

fn into_target(
    source: &Arc<dyn Source>,
    memory: Memory,
    remarks: Vec<String>,
    is_searchable: bool,
    options: &OpenOptions,
) -> Target {
    KernelParts {
        kind: TargetKind::KernelDump,
        // Images don't say what they are of; VMCOREINFO in memory may tell the architecture.
        platform: Platform {
            architecture: options.architecture.unwrap_or(Architecture::Unknown),
            is_64_bit: true,
            byte_order: ByteOrder::Little,
        },
        memory: Arc::new(memory),
        notes: Notes::default(),
        vmcoreinfo: None,
        path: Some(source.path().to_owned()),
        truncation: None,
        remarks,
        is_searchable,
    }
    .into_target(options)
}

/// The header of a range, the same in `LiME` and AVML but for its first words.
struct RangeHeader {
    is_compressed: bool,
    start: u64,
    size: u64,
}

impl RangeHeader {
    fn parse(header: &[u8]) -> Option<Self> {
        let version = array_at(header, 4).map(u32::from_le_bytes)?;
        let is_compressed = match (header.get(..4)?, version) {
            (LIME, 1) => false,
            (AVML, 2) => true,
            _ => return None,
        };
        let start = array_at(header, 8).map(u64::from_le_bytes)?;
        let last = array_at(header, 16).map(u64::from_le_bytes)?;
        let size = last.checked_sub(start)?.checked_add(1)?;
        Some(Self {
            is_compressed,
            start,
            size,
        })
    }
}
