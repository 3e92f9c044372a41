//! ELF notes.

use object::elf;

use super::ElfFile;

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
            find_note(file, notes, alignment, b"GNU", elf::NT_GNU_BUILD_ID.0)
        })
        .filter(|id| !id.is_empty())
}

/// The contents of the first note of `kind` from `owner`.
fn find_note<'a>(
    file: &ElfFile,
    mut notes: &'a [u8],
    alignment: u64,
    owner: &[u8],
    kind: u32,
) -> Option<&'a [u8]> {
    let alignment = if alignment == 8 { 8 } else { 4 };
    loop {
        let (header, rest) = notes.split_first_chunk::<12>()?;
        let [n0, n1, n2, n3, d0, d1, d2, d3, k0, k1, k2, k3] = *header;
        let name_size = file.u32_from([n0, n1, n2, n3]) as usize;
        let contents_size = file.u32_from([d0, d1, d2, d3]) as usize;
        let name = rest.get(..name_size)?;
        // Alignment counts from the start of the note, whose header has 12 bytes.
        let contents_at = name_size.checked_add(12)?.next_multiple_of(alignment) - 12;
        let contents = rest.get(contents_at..)?.get(..contents_size)?;
        let name = name.strip_suffix(b"\0").unwrap_or(name);
        if name == owner && file.u32_from([k0, k1, k2, k3]) == kind {
            return Some(contents);
        }
        let next = contents_at.checked_add(contents_size)?.checked_add(12)?;
        notes = rest.get(next.next_multiple_of(alignment) - 12..)?;
    }
}
