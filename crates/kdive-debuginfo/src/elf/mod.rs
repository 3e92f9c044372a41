//! ELF files: their sections and what is in them.
//!
//! [`headers`] reads the headers, [`note`] the notes, [`links`] what leads to other files of the same
//! module; [`compression`] and [`relocation`] prepare the bytes of sections.
//!
//! Symbols and debug information are read from here, not here.

mod compression;
mod headers;
mod links;
mod loaded;
mod note;
mod relocation;

pub(crate) use compression::inflate;

pub use links::{DebugLink, SupplementaryLink};
pub use loaded::{LoadedImage, loaded_image};
pub use note::{build_id_in_memory, build_id_in_notes};

use std::fs::File;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use kdive_target::Platform;
use memmap2::Mmap;
use object::Endianness;
use object::elf;

use crate::bytes::u32_from;
use crate::{Error, Result};
use headers::{Headers, note_prepared, read_headers};

/// What an ELF file is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ElfKind {
    /// `ET_REL`: an object file or a kernel module; its sections have no addresses of their own.
    Relocatable,
    /// `ET_EXEC`: a program at fixed addresses.
    Executable,
    /// `ET_DYN`: a shared library or a position-independent program.
    Shared,
    /// `ET_CORE`: a dump.
    Core,
    /// Anything else.
    Other,
}

/// A section of an ELF file.
#[derive(Clone, Debug)]
pub struct Section {
    /// Its index in the section table.
    pub index: usize,
    /// Its name; `.zdebug_x` is called `.debug_x`.
    pub name: String,
    /// `sh_type`.
    pub kind: u32,
    /// `sh_flags`.
    pub flags: u64,
    /// `sh_addr`: its address as linked.
    pub address: u64,
    /// `sh_size`: its size in bytes, in memory if it is loaded; compressed if it is compressed.
    pub size: u64,
    /// `sh_link`.
    pub link: u32,
    /// `sh_info`.
    pub info: u32,
    /// `sh_entsize`.
    pub entry_size: u64,
    /// `sh_addralign`.
    pub alignment: u64,
    file_range: Range<usize>,
    compression: compression::Compression,
    /// Whether its bytes are other ones than those in the file.
    is_prepared: bool,
    /// The indexes of the other sections of the same name, in relocatable files: compilers put
    /// each type unit into a section of its own, of which the linker keeps one.
    continued: Vec<usize>,
}

impl Section {
    /// Whether the section occupies memory when the file is loaded (`SHF_ALLOC`).
    pub fn is_loaded(&self) -> bool {
        self.flags & elf::SHF_ALLOC.0 != 0
    }

    /// Whether the section has bytes in the file (it is not `SHT_NOBITS`).
    pub fn has_data(&self) -> bool {
        self.kind != elf::SHT_NOBITS.0 && self.kind != elf::SHT_NULL.0
    }

    fn is_relocation_table(&self) -> bool {
        matches!(elf::SectionType(self.kind), elf::SHT_RELA | elf::SHT_REL)
    }

    /// A table can't be the target of another one, lest they refer to each other.
    fn can_be_relocated(&self) -> bool {
        let is_table = matches!(
            elf::SectionType(self.kind),
            elf::SHT_RELA | elf::SHT_REL | elf::SHT_SYMTAB | elf::SHT_STRTAB
        );
        self.has_data() && !is_table
    }

    /// The addresses that the section occupies as linked.
    pub fn addresses(&self) -> Range<u64> {
        self.address..self.address.saturating_add(self.size)
    }
}

/// A program header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segment {
    /// `p_type`.
    pub kind: u32,
    /// `p_flags`.
    pub flags: u32,
    /// `p_offset`.
    pub offset: u64,
    /// `p_vaddr`.
    pub address: u64,
    /// `p_paddr`.
    pub physical_address: u64,
    /// `p_filesz`.
    pub file_size: u64,
    /// `p_memsz`.
    pub memory_size: u64,
    /// `p_align`.
    pub alignment: u64,
}

impl Segment {
    /// Whether the segment is loaded (`PT_LOAD`).
    pub fn is_load(&self) -> bool {
        self.kind == elf::PT_LOAD.0
    }

    /// Whether the segment is the dynamic section (`PT_DYNAMIC`).
    pub fn is_dynamic(&self) -> bool {
        self.kind == elf::PT_DYNAMIC.0
    }
}

enum Content {
    Mapped(Mmap),
    Owned(Vec<u8>),
}

impl Content {
    fn bytes(&self) -> &[u8] {
        match self {
            Content::Mapped(map) => map,
            Content::Owned(bytes) => bytes,
        }
    }
}

/// An ELF file that is mapped or in memory.
///
/// The headers are read when it is opened; sections are decompressed when they are asked for, once.
pub struct ElfFile {
    path: PathBuf,
    content: Content,
    kind: ElfKind,
    platform: Platform,
    entry: u64,
    sections: Vec<Section>,
    segments: Vec<Segment>,
    /// Addresses that stay what they are wherever the file is loaded.
    fixed_addresses: Range<u64>,
    /// The bytes of sections that differ from those in the file.
    prepared: Vec<OnceLock<std::result::Result<Vec<u8>, String>>>,
}

impl std::fmt::Debug for ElfFile {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("ElfFile")
            .field("path", &self.path)
            .field("kind", &self.kind)
            .field("platform", &self.platform)
            .finish_non_exhaustive()
    }
}

impl ElfFile {
    /// Maps the file at `path` and reads its headers. One that is compressed as a whole (`.ko.xz`,
    /// `.ko.gz`, `.ko.zst`) is decompressed into memory.
    pub fn open(path: &Path) -> Result<ElfFile> {
        ElfFile::open_as(path, path)
    }

    /// The same for a file that is at `place` now, such as a descriptor below `/proc/self/fd`, and
    /// known as `path`.
    pub fn open_as(path: &Path, place: &Path) -> Result<ElfFile> {
        let io_error = |source| Error::Io {
            path: path.to_owned(),
            source,
        };
        let file = File::open(place).map_err(io_error)?;
        let length = file.metadata().map_err(io_error)?.len();
        if length == 0 {
            return Err(bad(path, "the file is empty"));
        }
        // SAFETY: the map is private and read-only. Somebody who truncates the file while it is
        // mapped makes accesses fault, which ends the process but breaks no memory; debug files
        // are installed under new names, not rewritten.
        let map = unsafe { Mmap::map(&file) }.map_err(io_error)?;
        match compression::decompress_file(&map) {
            Some(bytes) => {
                let bytes = bytes.map_err(|message| bad(path, &message))?;
                ElfFile::parse(path.to_owned(), Content::Owned(bytes))
            }
            None => ElfFile::parse(path.to_owned(), Content::Mapped(map)),
        }
    }

    /// Reads an ELF file that is in memory; `path` says where it is from, for messages.
    pub fn from_bytes(path: &Path, bytes: Vec<u8>) -> Result<ElfFile> {
        ElfFile::parse(path.to_owned(), Content::Owned(bytes))
    }

    /// Places the sections of a relocatable file where the running program has them, as `address`
    /// tells by their names, so that symbols and debug information have the addresses of the
    /// running program. Sections without an address stay at 0.
    #[must_use]
    pub fn with_section_addresses(mut self, address: impl Fn(&str) -> Option<u64>) -> ElfFile {
        for section in self
            .sections
            .iter_mut()
            .filter(|section| section.is_loaded())
        {
            if let Some(address) = address(&section.name) {
                section.address = address;
            }
        }
        // What was relocated before was so for other addresses.
        self.prepared = self.sections.iter().map(|_| OnceLock::new()).collect();
        self
    }

    fn parse(path: PathBuf, content: Content) -> Result<ElfFile> {
        let bytes = content.bytes();
        let ident = bytes
            .get(..16)
            .filter(|ident| ident.starts_with(&elf::ELFMAG));
        let headers = match ident.and_then(|ident| ident.get(4)) {
            Some(&class) if class == elf::ELFCLASS32.0 => {
                read_headers::<elf::FileHeader32<Endianness>>(bytes)
            }
            Some(&class) if class == elf::ELFCLASS64.0 => {
                read_headers::<elf::FileHeader64<Endianness>>(bytes)
            }
            Some(class) => return Err(bad(&path, &format!("unknown ELF class {class}"))),
            None => return Err(bad(&path, "not an ELF file")),
        };
        let Headers {
            kind,
            platform,
            entry,
            mut sections,
            segments,
        } = headers.map_err(|message| bad(&path, &message))?;
        note_prepared(&mut sections, kind);
        let prepared = sections.iter().map(|_| OnceLock::new()).collect();
        let fixed_addresses = sections
            .iter()
            .find(|section| section.name == ".data..percpu" && section.address == 0)
            .filter(|_| kind == ElfKind::Executable)
            .map_or(0..0, Section::addresses);
        Ok(ElfFile {
            path,
            content,
            kind,
            platform,
            entry,
            sections,
            segments,
            fixed_addresses,
            prepared,
        })
    }

    /// Where the file is from.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The bytes of the file.
    pub fn bytes(&self) -> &[u8] {
        self.content.bytes()
    }

    /// What the file is for.
    pub fn kind(&self) -> ElfKind {
        self.kind
    }

    /// The machine that the file is for.
    pub fn platform(&self) -> Platform {
        self.platform
    }

    /// `e_entry`: the address where the program starts, as linked.
    pub fn entry(&self) -> u64 {
        self.entry
    }

    /// The section table, the null section included.
    pub fn sections(&self) -> &[Section] {
        &self.sections
    }

    /// The program headers.
    pub fn segments(&self) -> &[Segment] {
        &self.segments
    }

    /// The first section called `name`.
    pub fn section(&self, name: &str) -> Option<&Section> {
        self.sections.iter().find(|section| section.name == name)
    }

    /// The loaded section that contains `address` as linked.
    pub fn section_at(&self, address: u64) -> Option<&Section> {
        self.sections
            .iter()
            .find(|section| section.is_loaded() && section.addresses().contains(&address))
    }

    /// The bytes of a section of this file, decompressed, and relocated if the file is
    /// relocatable; empty if it has none in the file. The first of several sections of debug
    /// information with one name has the bytes of all.
    pub fn data(&self, section: &Section) -> Result<&[u8]> {
        let raw = self
            .bytes()
            .get(section.file_range.clone())
            .unwrap_or_default();
        let (true, Some(cell)) = (section.is_prepared, self.prepared.get(section.index)) else {
            return Ok(raw);
        };
        match cell.get_or_init(|| self.prepare(section, raw)) {
            Ok(bytes) => Ok(bytes),
            Err(message) => Err(bad(&self.path, &format!("{}: {message}", section.name))),
        }
    }

    fn prepare(&self, section: &Section, raw: &[u8]) -> std::result::Result<Vec<u8>, String> {
        let mut bytes = section.compression.decompress(raw)?;
        for table in self.relocations_of(section) {
            relocation::apply(self, section, table, &mut bytes)?;
        }
        for part in &section.continued {
            let Some(part) = self.sections.get(*part) else {
                continue;
            };
            let raw = self.bytes().get(part.file_range.clone());
            bytes.extend(self.prepare(part, raw.unwrap_or_default())?);
        }
        Ok(bytes)
    }

    /// The tables of relocations that must be applied to a section.
    fn relocations_of(&self, section: &Section) -> impl Iterator<Item = &Section> {
        let target = section.index as u32;
        let is_target = self.kind == ElfKind::Relocatable && section.can_be_relocated();
        self.sections
            .iter()
            .filter(move |table| is_target && table.info == target && table.is_relocation_table())
    }

    /// The bytes of the first section called `name` that has any, decompressed.
    pub fn section_data(&self, name: &str) -> Result<Option<&[u8]>> {
        let section = self
            .sections
            .iter()
            .find(|section| section.name == name && section.has_data());
        section.map(|section| self.data(section)).transpose()
    }

    /// The bytes of a section as they are in the file, if there is one with data: not relocated.
    pub fn section_in_file(&self, name: &str) -> Option<&[u8]> {
        let section = self.section(name).filter(|section| section.has_data())?;
        self.bytes().get(section.file_range.clone())
    }

    /// Tells the kernel that the given bytes of [`ElfFile::bytes`] won't be needed soon, so that
    /// they count no longer as this process's memory.
    pub(crate) fn forget(&self, bytes: &[u8]) {
        let Content::Mapped(map) = &self.content else {
            return;
        };
        let Some(offset) = (bytes.as_ptr() as usize).checked_sub(map.as_ptr() as usize) else {
            return;
        };
        if offset.saturating_add(bytes.len()) > map.len() {
            return;
        }
        // SAFETY: the pages are of a private mapping of a file that is never written to, so
        // dropping them only means that the next access reads them from the file again.
        let dropped = unsafe {
            map.unchecked_advise_range(memmap2::UncheckedAdvice::DontNeed, offset, bytes.len())
        };
        // Nothing depends on it: a kernel that refuses keeps the pages.
        drop(dropped);
    }

    /// The GNU build ID.
    pub fn build_id(&self) -> Option<&[u8]> {
        note::build_id(self)
    }

    /// The address at which something linked at `address` is loaded when the file is moved by
    /// `bias`.
    ///
    /// x86-64 kernels before 6.15 link per-CPU variables from address 0, and relocate the kernel
    /// without them ("x86/percpu/64: Use relative percpu offsets" made it otherwise): their
    /// addresses are offsets, which no bias changes.
    pub fn loaded_address(&self, address: u64, bias: u64) -> u64 {
        if self.fixed_addresses.contains(&address) {
            address
        } else {
            address.wrapping_add(bias)
        }
    }

    fn u32_from(&self, bytes: [u8; 4]) -> u32 {
        u32_from(self.platform.byte_order, bytes)
    }

    /// Addresses that stay what they are wherever the file is loaded: offsets into each CPU's
    /// memory. Empty in most files.
    pub(crate) fn fixed_addresses(&self) -> Range<u64> {
        self.fixed_addresses.clone()
    }

    /// An [`Error::Bad`] about this file.
    pub(crate) fn bad(&self, message: &str) -> Error {
        bad(&self.path, message)
    }
}

fn bad(path: &Path, message: &str) -> Error {
    Error::Bad {
        origin: path.display().to_string(),
        message: message.to_owned(),
    }
}
