//! ELF notes.

use kdive_target::ByteOrder;
use object::Endianness;
use object::elf;
use object::read::elf::{FileHeader, ProgramHeader};

use super::ElfFile;
use crate::bytes::u32_from;

/// The GNU build ID in a list of notes that are aligned to 4 bytes, such as a kernel module's in
/// memory.
pub fn build_id_in_notes(notes: &[u8], byte_order: ByteOrder) -> Option<Vec<u8>> {
    find_note(byte_order, notes, 4, b"GNU", elf::NT_GNU_BUILD_ID.0)
        .filter(|id| !id.is_empty())
        .map(<[u8]>::to_vec)
}

/// The GNU build ID of a file whose first page, as it is loaded, is `bytes`.
pub fn build_id_in_memory(bytes: &[u8]) -> Option<Vec<u8>> {
    if bytes.get(4) == Some(&elf::ELFCLASS32.0) {
        build_id_in_image::<elf::FileHeader32<Endianness>>(bytes)
    } else {
        build_id_in_image::<elf::FileHeader64<Endianness>>(bytes)
    }
}

fn build_id_in_image<Header: FileHeader<Endian = Endianness>>(bytes: &[u8]) -> Option<Vec<u8>> {
    let header = Header::parse(bytes).ok()?;
    let endian = header.endian().ok()?;
    let byte_order = match endian {
        Endianness::Little => ByteOrder::Little,
        Endianness::Big => ByteOrder::Big,
    };
    let segments = header.program_headers(endian, bytes).ok()?;
    segments
        .iter()
        .filter(|segment| segment.p_type(endian) == elf::PT_NOTE)
        .find_map(|segment| {
            // The first page is loaded as it is in the file.
            let start: u64 = segment.p_offset(endian).into();
            let size: u64 = segment.p_filesz(endian).into();
            let start = usize::try_from(start).ok()?;
            let end = start.checked_add(usize::try_from(size).ok()?)?;
            let alignment: u64 = segment.p_align(endian).into();
            let notes = bytes.get(start..end)?;
            find_note(byte_order, notes, alignment, b"GNU", elf::NT_GNU_BUILD_ID.0)
        })
        .filter(|id| !id.is_empty())
        .map(<[u8]>::to_vec)
}

/// The GNU build ID from the note sections or, in files without sections, the note segments.
pub(super) fn build_id(file: &ElfFile) -> Option<&[u8]> {
    let sections = file
        .sections()
        .iter()
        .filter(|section| section.kind == elf::SHT_NOTE.0)
        .filter_map(|section| Some((file.data(section).ok()?, section.alignment)));
    let segments = file
        .segments()
        .iter()
        .filter(|segment| segment.kind == elf::PT_NOTE.0)
        .filter_map(|segment| {
            let start = usize::try_from(segment.offset).ok()?;
            let end = start.checked_add(usize::try_from(segment.file_size).ok()?)?;
            Some((file.bytes().get(start..end)?, segment.alignment))
        });
    sections
        .chain(segments)
        .find_map(|(notes, alignment)| {
            find_note(
                file.platform().byte_order,
                notes,
                alignment,
                b"GNU",
                elf::NT_GNU_BUILD_ID.0,
            )
        })
        .filter(|id| !id.is_empty())
}

/// The contents of the first note of `kind` from `owner`.
fn find_note<'a>(
    byte_order: ByteOrder,
    mut notes: &'a [u8],
    alignment: u64,
    owner: &[u8],
    kind: u32,
) -> Option<&'a [u8]> {
    let alignment = if alignment == 8 { 8 } else { 4 };
    loop {
        let (header, rest) = notes.split_first_chunk::<12>()?;
        let [n0, n1, n2, n3, d0, d1, d2, d3, k0, k1, k2, k3] = *header;
        let name_size = u32_from(byte_order, [n0, n1, n2, n3]) as usize;
        let contents_size = u32_from(byte_order, [d0, d1, d2, d3]) as usize;
        let name = rest.get(..name_size)?;
        // Alignment counts from the start of the note, whose header has 12 bytes.
        let contents_at = name_size.checked_add(12)?.next_multiple_of(alignment) - 12;
        let contents = rest.get(contents_at..)?.get(..contents_size)?;
        let name = name.strip_suffix(b"\0").unwrap_or(name);
        if name == owner && u32_from(byte_order, [k0, k1, k2, k3]) == kind {
            return Some(contents);
        }
        let next = contents_at.checked_add(contents_size)?.checked_add(12)?;
        notes = rest.get(next.next_multiple_of(alignment) - 12..)?;
    }
}
