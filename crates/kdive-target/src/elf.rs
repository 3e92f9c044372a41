//! ELF core files: header, program headers and notes.

use crate::bytes::{Fields, array_at};
use crate::notes::Notes;
use crate::source::Source;
use crate::{Architecture, ByteOrder, Platform, Result};

/// The size of the header of a 64-bit file; that of a 32-bit file is smaller.
const HEADER_SIZE: u64 = 64;
const PT_LOAD: u32 = 1;
const PT_NOTE: u32 = 4;
/// The number of program headers when it is too large for its field.
const PN_XNUM: u16 = 0xffff;
/// `e_flags` of an ELF dump that makedumpfile could not finish.
const INCOMPLETE: u32 = 1;

/// The parts of an ELF core file.
pub(crate) struct ElfCore {
    pub platform: Platform,
    pub loads: Vec<Load>,
    pub notes: Notes,
    /// The size that the file should have, at least.
    pub size: u64,
    /// Whether makedumpfile says that the file is incomplete.
    pub is_incomplete: bool,
}

/// A `PT_LOAD` segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Load {
    pub offset: u64,
    pub virtual_address: u64,
    pub physical_address: u64,
    pub file_size: u64,
    pub memory_size: u64,
}

impl Load {
    /// The part that is in the first `size` bytes of the file.
    pub fn present(self, size: u64) -> Self {
        let present = self.file_size.min(size.saturating_sub(self.offset));
        Self {
            file_size: present,
            memory_size: present,
            ..self
        }
    }
}

/// Whether a file starts like an ELF file.
pub(crate) fn is_elf(start: &[u8]) -> bool {
    start.starts_with(b"\x7fELF")
}

impl ElfCore {
    /// Reads the headers and notes of a core file.
    pub fn parse(source: &dyn Source) -> Result<Self> {
        const ET_CORE: u16 = 4;
        let header = source.read_up_to(0, HEADER_SIZE)?;
        let unusable = || {
            source.damaged(if (header.len() as u64) < HEADER_SIZE {
                format!(
                    "the file ends within the ELF header: {} bytes are there",
                    header.len()
                )
            } else {
                "the ELF header is damaged".to_owned()
            })
        };
        let platform = platform_of(&header).ok_or_else(unusable)?;
        let fields = fields(&header, platform);
        if fields.u16(16) != Some(ET_CORE) {
            return Err(source.damaged(
                "this ELF file is not a core dump; give a program or vmlinux with -s instead",
            ));
        }
        let read = || {
            let [phoff, shoff, flags, phentsize, phnum, shentsize, shnum] = if platform.is_64_bit {
                [32, 40, 48, 54, 56, 58, 60]
            } else {
                [28, 32, 36, 42, 44, 46, 48]
            };
            Some(Header {
                table: fields.word(phoff)?,
                sections: fields.word(shoff)?,
                flags: fields.u32(flags)?,
                entry_size: fields.u16(phentsize)?,
                count: fields.u16(phnum)?,
                section_size: fields.u16(shentsize)?,
                section_count: fields.u16(shnum)?,
            })
        };
        let header = read().ok_or_else(unusable)?;
        let count = header.segment_count(source, platform)?;
        let mut core = Self {
            platform,
            loads: Vec::new(),
            notes: Notes::default(),
            size: header.sections_end(source, platform)?,
            is_incomplete: header.flags & INCOMPLETE != 0,
        };
        core.add_segments(source, &header, count)?;
        Ok(core)
    }

    fn add_segments(&mut self, source: &dyn Source, header: &Header, count: u64) -> Result<()> {
        let platform = self.platform;
        let size = count.saturating_mul(u64::from(header.entry_size));
        let table = source.read_all(header.table, size, "the program headers")?;
        for entry in table.chunks_exact(usize::from(header.entry_size)) {
            let fields = fields(entry, platform);
            let (kind, load) = program_header(fields)
                .ok_or_else(|| source.damaged("the program headers are damaged"))?;
            if load.file_size > 0 {
                self.size = self.size.max(load.offset.saturating_add(load.file_size));
            }
            match kind {
                PT_LOAD => self.loads.push(load),
                PT_NOTE => {
                    let size = load.file_size.min(self.notes.room());
                    let notes = source.read_up_to(load.offset, size)?;
                    self.notes.add(&notes, platform.byte_order);
                }
                _ => {}
            }
        }
        Ok(())
    }
}

struct Header {
    table: u64,
    sections: u64,
    flags: u32,
    entry_size: u16,
    count: u16,
    section_size: u16,
    section_count: u16,
}

impl Header {
    /// Where the sections end, their table and the content of the first ones: gdb writes the table
    /// after all memory, QEMU a section.
    fn sections_end(&self, source: &dyn Source, platform: Platform) -> Result<u64> {
        const NULL: u32 = 0;
        const NO_BITS: u32 = 8;
        const MOST: u16 = 64;
        let [kind, offset, size] = if platform.is_64_bit {
            [4, 24, 32]
        } else {
            [4, 16, 20]
        };
        if self.sections == 0 || self.section_size == 0 {
            return Ok(0);
        }
        let size_of = |count: u16| u64::from(count) * u64::from(self.section_size);
        let table = source.read_up_to(self.sections, size_of(self.section_count.min(MOST)))?;
        let end = |entry| {
            let fields = fields(entry, platform);
            let has_content = !matches!(fields.u32(kind)?, NULL | NO_BITS);
            has_content.then_some(fields.word(offset)?.saturating_add(fields.word(size)?))
        };
        let ends = table.chunks_exact(self.section_size.into()).filter_map(end);
        let table_end = self.sections.saturating_add(size_of(self.section_count));
        Ok(ends.fold(table_end, u64::max))
    }

    fn segment_count(&self, source: &dyn Source, platform: Platform) -> Result<u64> {
        let smallest = if platform.is_64_bit { 56 } else { 32 };
        if self.entry_size < smallest {
            let size = self.entry_size;
            return Err(source.damaged(format!("program headers of {size} bytes are too small")));
        }
        if self.count != PN_XNUM {
            return Ok(u64::from(self.count));
        }
        // More segments than the field can say: section 0 has the number in sh_info.
        let info = if platform.is_64_bit { 44 } else { 28 };
        let what = "section header 0, which has the number of segments";
        let section = source.read_all(self.sections, info + 4, what)?;
        let fields = fields(&section, platform);
        Ok(u64::from(fields.u32(info as usize).unwrap_or(0)))
    }
}

fn program_header(fields: Fields) -> Option<(u32, Load)> {
    let [
        offset,
        virtual_address,
        physical_address,
        file_size,
        memory_size,
    ] = if fields.is_64_bit {
        [8, 16, 24, 32, 40]
    } else {
        [4, 8, 12, 16, 20]
    };
    let load = Load {
        offset: fields.word(offset)?,
        virtual_address: fields.word(virtual_address)?,
        physical_address: fields.word(physical_address)?,
        file_size: fields.word(file_size)?,
        memory_size: fields.word(memory_size)?,
    };
    Some((fields.u32(0)?, load))
}

fn fields(bytes: &[u8], platform: Platform) -> Fields<'_> {
    Fields {
        bytes,
        order: platform.byte_order,
        is_64_bit: platform.is_64_bit,
    }
}

/// The platform that the header of an ELF file names.
pub(crate) fn platform_of(header: &[u8]) -> Option<Platform> {
    if !is_elf(header) {
        return None;
    }
    let is_64_bit = match header.get(4)? {
        1 => false,
        2 => true,
        _ => return None,
    };
    let byte_order = match header.get(5)? {
        1 => ByteOrder::Little,
        2 => ByteOrder::Big,
        _ => return None,
    };
    let machine = byte_order.u16(array_at(header, 18)?);
    Some(Platform {
        architecture: architecture_of(machine, is_64_bit),
        is_64_bit,
        byte_order,
    })
}

/// The architecture of an ELF machine number.
fn architecture_of(machine: u16, is_64_bit: bool) -> Architecture {
    match machine {
        3 => Architecture::I386,
        21 => Architecture::Ppc64,
        22 if is_64_bit => Architecture::S390x,
        22 => Architecture::S390,
        40 => Architecture::Arm,
        62 => Architecture::X86_64,
        183 => Architecture::Aarch64,
        243 if is_64_bit => Architecture::Riscv64,
        243 => Architecture::Riscv32,
        258 => Architecture::LoongArch64,
        _ => Architecture::Unknown,
    }
}
