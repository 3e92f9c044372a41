//! Reads the headers of ELF files: what the file is for, its sections and its segments.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use kdive_target::{Architecture, ByteOrder, Platform};
use object::Endianness;
use object::elf;
use object::read::elf::{FileHeader, ProgramHeader, SectionHeader};

use super::compression;
use super::{ElfKind, Section, Segment};

pub(super) struct Headers {
    pub(super) kind: ElfKind,
    pub(super) platform: Platform,
    pub(super) entry: u64,
    pub(super) sections: Vec<Section>,
    pub(super) segments: Vec<Segment>,
}

pub(super) fn read_headers<H: FileHeader<Endian = Endianness>>(
    bytes: &[u8],
) -> std::result::Result<Headers, String> {
    let describe = |error: object::read::Error| format!("ELF header: {error}");
    let header = H::parse(bytes).map_err(describe)?;
    let endian = header.endian().map_err(describe)?;
    let kind = match header.e_type(endian) {
        elf::ET_REL => ElfKind::Relocatable,
        elf::ET_EXEC => ElfKind::Executable,
        elf::ET_DYN => ElfKind::Shared,
        elf::ET_CORE => ElfKind::Core,
        _ => ElfKind::Other,
    };
    let is_64_bit = header.is_class_64();
    let platform = Platform {
        architecture: architecture(header.e_machine(endian), is_64_bit),
        is_64_bit,
        byte_order: byte_order(endian),
    };
    let table = header.sections(endian, bytes).map_err(describe)?;
    let mut sections = Vec::with_capacity(table.len());
    for (index, section) in table.iter().enumerate() {
        sections.push(read_section(
            index, section, &table, endian, bytes, is_64_bit,
        )?);
    }
    let segments = header
        .program_headers(endian, bytes)
        .map_err(describe)?
        .iter()
        .map(|segment| Segment {
            kind: segment.p_type(endian).0,
            flags: segment.p_flags(endian).0,
            offset: segment.p_offset(endian).into(),
            address: segment.p_vaddr(endian).into(),
            physical_address: segment.p_paddr(endian).into(),
            file_size: segment.p_filesz(endian).into(),
            memory_size: segment.p_memsz(endian).into(),
            alignment: segment.p_align(endian).into(),
        })
        .collect();
    Ok(Headers {
        kind,
        platform,
        entry: header.e_entry(endian).into(),
        sections,
        segments,
    })
}

fn read_section<H: FileHeader<Endian = Endianness>>(
    index: usize,
    section: &H::SectionHeader,
    table: &object::read::elf::SectionTable<'_, H>,
    endian: Endianness,
    bytes: &[u8],
    is_64_bit: bool,
) -> std::result::Result<Section, String> {
    let name = table
        .section_name(endian, section)
        .map_err(|error| format!("section {index}: name: {error}"))?;
    let mut name = String::from_utf8_lossy(name).into_owned();
    let has_data = section.file_range(endian).is_some();
    let mut file_range = 0..0;
    if let Some((offset, size)) = section.file_range(endian).filter(|&(_, size)| size != 0) {
        let end = offset
            .checked_add(size)
            .filter(|&end| end <= bytes.len() as u64);
        let Some(end) = end else {
            return Err(format!(
                "section {index} ({name}) ends beyond the end of the file: the file is truncated"
            ));
        };
        file_range = offset as usize..end as usize;
    }
    let flags: u64 = section.sh_flags(endian).0;
    let mut compression = compression::Compression::None;
    if has_data && flags & elf::SHF_COMPRESSED.0 != 0 {
        compression = compression::Compression::from_header(is_64_bit, byte_order(endian));
    } else if let Some(rest) = name.strip_prefix(".zdebug_") {
        name = format!(".debug_{rest}");
        compression = compression::Compression::Gnu;
    }
    Ok(Section {
        index,
        name,
        kind: section.sh_type(endian).0,
        flags,
        address: section.sh_addr(endian).into(),
        size: section.sh_size(endian).into(),
        link: section.sh_link(endian),
        info: section.sh_info(endian),
        entry_size: section.sh_entsize(endian).into(),
        alignment: section.sh_addralign(endian).into(),
        file_range,
        compression,
        is_prepared: false,
        continued: Vec::new(),
    })
}

fn architecture(machine: elf::Machine, is_64_bit: bool) -> Architecture {
    match (machine, is_64_bit) {
        (elf::EM_X86_64, _) => Architecture::X86_64,
        (elf::EM_386, _) => Architecture::I386,
        (elf::EM_AARCH64, _) => Architecture::Aarch64,
        (elf::EM_ARM, _) => Architecture::Arm,
        (elf::EM_PPC64, _) => Architecture::Ppc64,
        (elf::EM_RISCV, true) => Architecture::Riscv64,
        (elf::EM_RISCV, false) => Architecture::Riscv32,
        (elf::EM_S390, true) => Architecture::S390x,
        (elf::EM_S390, false) => Architecture::S390,
        (elf::EM_LOONGARCH, true) => Architecture::LoongArch64,
        _ => Architecture::Unknown,
    }
}

fn byte_order(endian: Endianness) -> ByteOrder {
    match endian {
        Endianness::Little => ByteOrder::Little,
        Endianness::Big => ByteOrder::Big,
    }
}

/// Notes which sections have other bytes than those in the file.
pub(super) fn note_prepared(sections: &mut [Section], kind: ElfKind) {
    let mut is_relocated = vec![false; sections.len()];
    let mut first_of_name: HashMap<String, usize> = HashMap::new();
    let mut continuations = Vec::new();
    if kind == ElfKind::Relocatable {
        for section in sections.iter() {
            if section.is_relocation_table()
                && let Some(flag) = is_relocated.get_mut(section.info as usize)
            {
                *flag = true;
            }
            if section.name.starts_with(".debug_") && section.has_data() {
                match first_of_name.entry(section.name.clone()) {
                    Entry::Vacant(entry) => _ = entry.insert(section.index),
                    Entry::Occupied(entry) => continuations.push((*entry.get(), section.index)),
                }
            }
        }
    }
    for (first, continuation) in continuations {
        if let Some(first) = sections.get_mut(first) {
            first.continued.push(continuation);
        }
    }
    for (section, is_relocated) in sections.iter_mut().zip(is_relocated) {
        section.is_prepared = section.compression != compression::Compression::None
            || is_relocated && section.can_be_relocated()
            || !section.continued.is_empty();
    }
}
