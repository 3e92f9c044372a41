//! The header of a kdump-compressed file.

use std::sync::Arc;

use crate::bytes::{Fields, until_nul};
use crate::notes::Notes;
use crate::source::Source;
use crate::{Architecture, ByteOrder, Result};

/// The dump was not finished (`DUMP_DH_COMPRESSED_INCOMPLETE`).
const INCOMPLETE: u32 = 0x8;
/// The array of `struct page` was left out (`DUMP_DH_EXCLUDED_VMEMMAP`).
const EXCLUDED_VMEMMAP: u32 = 0x10;

/// What the header and sub-header say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub version: i32,
    pub order: ByteOrder,
    pub is_64_bit: bool,
    /// As in `utsname`; QEMU fills in nothing else of it.
    pub machine: Vec<u8>,
    pub status: u32,
    pub block_size: u64,
    /// The offset of the bitmaps in the file.
    pub bitmaps: u64,
    pub bitmap_bytes: u64,
    /// The number of pages that the bitmaps describe.
    pub pages: u64,
    /// The pages that this file of a split dump has: first and one after last.
    pub part: Option<(u64, u64)>,
    vmcoreinfo: (u64, u64),
    notes: (u64, u64),
}

impl Header {
    /// Whether a file starts like a kdump-compressed one.
    pub fn recognizes(start: &[u8]) -> bool {
        start.starts_with(b"KDUMP   ") || start.starts_with(b"DISKDUMP")
    }

    /// Reads the headers, whatever the byte order and word size of the machine they come from.
    pub fn read(source: &Arc<dyn Source>) -> Result<Self> {
        let start = source.read_up_to(0, 4096)?;
        let mut layouts = [ByteOrder::Little, ByteOrder::Big]
            .into_iter()
            .flat_map(|order| [true, false].map(|is_64_bit| (order, is_64_bit)));
        layouts
            .find_map(|(order, is_64_bit)| {
                Self::parse(&start, order, is_64_bit).filter(Self::is_plausible)
            })
            .ok_or_else(|| source.damaged("the header of the kdump file is damaged"))?
            .with_sub_header(source)
    }

    fn parse(start: &[u8], order: ByteOrder, is_64_bit: bool) -> Option<Self> {
        const UTSNAME: usize = 12;
        const UTSNAME_FIELD: usize = 65;
        let fields = Fields {
            bytes: start,
            order,
            is_64_bit,
        };
        let status = if is_64_bit { 424 } else { 412 };
        let number = |index: usize| fields.u32(status + 4 * index);
        let machine = UTSNAME + 4 * UTSNAME_FIELD;
        let block_size = u64::from(number(1)?);
        Some(Self {
            version: fields.u32(8)?.cast_signed(),
            order,
            is_64_bit,
            machine: until_nul(start.get(machine..machine + UTSNAME_FIELD)?).to_vec(),
            status: number(0)?,
            block_size,
            bitmaps: (1 + u64::from(number(2)?)).checked_mul(block_size)?,
            bitmap_bytes: u64::from(number(3)?).checked_mul(block_size)?,
            pages: u64::from(number(4)?),
            part: None,
            vmcoreinfo: (0, 0),
            notes: (0, 0),
        })
    }

    fn is_plausible(&self) -> bool {
        (0..=16).contains(&self.version)
            && self.block_size.is_power_of_two()
            && (1024..=1 << 20).contains(&self.block_size)
            && self.bitmap_bytes > 0
            && architecture_of(&self.machine)
                .is_none_or(|(_, is_64_bit)| is_64_bit == self.is_64_bit)
    }

    fn with_sub_header(mut self, source: &Arc<dyn Source>) -> Result<Self> {
        let bytes = source.read_up_to(self.block_size, 256)?;
        let fields = Fields {
            bytes: &bytes,
            order: self.order,
            is_64_bit: self.is_64_bit,
        };
        let layout = if self.is_64_bit {
            SubHeader::ON_64_BIT
        } else if architecture_of(&self.machine).is_none_or(|(it, _)| it == Architecture::I386) {
            SubHeader::ON_I386
        } else {
            SubHeader::ON_32_BIT
        };
        let word = |offset| fields.word(offset).unwrap_or(0);
        let long = |offset| fields.u64(offset).unwrap_or(0);
        let (mut start, mut end) = (word(layout.start_pfn), word(layout.end_pfn));
        if self.version >= 3 {
            self.vmcoreinfo = (long(layout.vmcoreinfo), word(layout.vmcoreinfo_size));
        }
        if self.version >= 4 {
            self.notes = (long(layout.notes), word(layout.notes_size));
        }
        if self.version >= 6 {
            (start, end) = (long(layout.start_pfn_64), long(layout.start_pfn_64 + 8));
            self.pages = long(layout.start_pfn_64 + 16).max(self.pages);
        }
        let is_split = self.version >= 2 && fields.u32(layout.split) == Some(1);
        self.part = (is_split && start < end).then_some((start, end));
        self.pages = self.pages.min(self.bitmap_bytes.saturating_mul(8));
        Ok(self)
    }

    /// Whether both bitmaps are there; very old files have only that of the saved pages.
    pub fn has_two_bitmaps(&self) -> bool {
        self.pages.div_ceil(8) <= self.bitmap_bytes / 2
    }

    pub fn is_incomplete(&self) -> bool {
        self.status & INCOMPLETE != 0
    }

    pub fn lacks_memory_map(&self) -> bool {
        self.status & EXCLUDED_VMEMMAP != 0
    }

    /// The architecture, if the header names one that is known.
    pub fn architecture(&self) -> Option<Architecture> {
        architecture_of(&self.machine).map(|(architecture, _)| architecture)
    }

    /// The ELF notes, empty where there are none.
    pub fn notes(&self, source: &dyn Source) -> Result<Vec<u8>> {
        let (offset, size) = self.notes;
        source.read_up_to(
            offset,
            if offset == 0 {
                0
            } else {
                size.min(Notes::MOST)
            },
        )
    }

    /// The text of VMCOREINFO, empty where there is none.
    pub fn vmcoreinfo(&self, source: &dyn Source) -> Result<Vec<u8>> {
        let (offset, size) = self.vmcoreinfo;
        source.read_up_to(
            offset,
            if offset == 0 {
                0
            } else {
                size.min(Notes::MOST)
            },
        )
    }
}

/// Where the fields of `kdump_sub_header` are. Its first ones are `long`s, and offsets in files
/// have 64 bits everywhere, which i386 doesn't align.
struct SubHeader {
    split: usize,
    start_pfn: usize,
    end_pfn: usize,
    vmcoreinfo: usize,
    vmcoreinfo_size: usize,
    notes: usize,
    notes_size: usize,
    start_pfn_64: usize,
}

impl SubHeader {
    const ON_64_BIT: Self = Self {
        split: 12,
        start_pfn: 16,
        end_pfn: 24,
        vmcoreinfo: 32,
        vmcoreinfo_size: 40,
        notes: 48,
        notes_size: 56,
        start_pfn_64: 80,
    };
    const ON_I386: Self = Self {
        split: 8,
        start_pfn: 12,
        end_pfn: 16,
        vmcoreinfo: 20,
        vmcoreinfo_size: 28,
        notes: 32,
        notes_size: 40,
        start_pfn_64: 56,
    };
    const ON_32_BIT: Self = Self {
        split: 8,
        start_pfn: 12,
        end_pfn: 16,
        vmcoreinfo: 24,
        vmcoreinfo_size: 32,
        notes: 40,
        notes_size: 48,
        start_pfn_64: 72,
    };
}

/// The architecture of a `utsname.machine`, and whether it has 64 bits.
fn architecture_of(machine: &[u8]) -> Option<(Architecture, bool)> {
    match machine {
        b"x86_64" => Some((Architecture::X86_64, true)),
        b"aarch64" => Some((Architecture::Aarch64, true)),
        b"ppc64" | b"ppc64le" => Some((Architecture::Ppc64, true)),
        b"s390x" => Some((Architecture::S390x, true)),
        b"riscv64" => Some((Architecture::Riscv64, true)),
        b"riscv32" => Some((Architecture::Riscv32, false)),
        b"loongarch64" => Some((Architecture::LoongArch64, true)),
        [b'i', b'3'..=b'6', b'8', b'6'] => Some((Architecture::I386, false)),
        [b'a', b'r', b'm', ..] => Some((Architecture::Arm, false)),
        _ => None,
    }
}
