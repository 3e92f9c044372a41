//! ELF files as they are loaded in memory, known by their first page.

use object::Endianness;
use object::elf;
use object::read::elf::{FileHeader, ProgramHeader};

const PAGE: u64 = 4096;

/// Where an ELF file is in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LoadedImage {
    /// The end of its last page, with the data that is zero at first and not in the file.
    pub end: u64,
    /// The address of its dynamic section.
    pub dynamic_section: Option<u64>,
}

/// The place of a file that is loaded from `start` on, where its first page is `bytes`. `None` if
/// that has no headers that can be.
pub fn loaded_image(bytes: &[u8], start: u64) -> Option<LoadedImage> {
    if bytes.get(4) == Some(&elf::ELFCLASS32.0) {
        image::<elf::FileHeader32<Endianness>>(bytes, start)
    } else {
        image::<elf::FileHeader64<Endianness>>(bytes, start)
    }
}

fn image<Header: FileHeader<Endian = Endianness>>(bytes: &[u8], start: u64) -> Option<LoadedImage> {
    let header = Header::parse(bytes).ok()?;
    let endian = header.endian().ok()?;
    let segments = header.program_headers(endian, bytes).ok()?;
    let of_kind = |kind| {
        segments
            .iter()
            .filter(move |segment| segment.p_type(endian) == kind)
            .map(|segment| -> (u64, u64) {
                (
                    segment.p_vaddr(endian).into(),
                    segment.p_memsz(endian).into(),
                )
            })
    };
    let first = of_kind(elf::PT_LOAD).map(|(address, _)| address).min()?;
    let bias = start.wrapping_sub(first & !(PAGE - 1));
    let end = of_kind(elf::PT_LOAD)
        .map(|(address, size)| bias.wrapping_add(address).checked_add(size))
        .max()??
        .checked_next_multiple_of(PAGE)?;
    (end > start).then(|| LoadedImage {
        end,
        dynamic_section: of_kind(elf::PT_DYNAMIC)
            .next()
            .map(|(address, _)| bias.wrapping_add(address)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The headers of a file with these program headers: kind, address, size.
    fn headers(segments: &[(u32, u64, u64)]) -> Vec<u8> {
        let mut bytes = b"\x7fELF\x02\x01\x01".to_vec();
        bytes.resize(64, 0);
        bytes[16] = 3;
        bytes[18] = 62;
        bytes[20] = 1;
        bytes[32] = 64;
        bytes[54] = 56;
        bytes[56] = segments.len() as u8;
        for (kind, address, size) in segments {
            bytes.extend((u64::from(*kind)).to_le_bytes());
            for number in [0, *address, *address, *size, *size, 0] {
                bytes.extend(number.to_le_bytes());
            }
        }
        bytes
    }

    #[test]
    fn the_place_follows_from_the_program_headers() {
        let library = headers(&[(1, 0, 0x1234), (1, 0x3000, 0x2001), (2, 0x3e40, 0x200)]);
        let expected = LoadedImage {
            end: 0x7f00_0000_6000,
            dynamic_section: Some(0x7f00_0000_3e40),
        };
        assert_eq!(loaded_image(&library, 0x7f00_0000_0000), Some(expected));
        let program = headers(&[(1, 0x40_0010, 0x20)]);
        let expected = LoadedImage {
            end: 0x40_1000,
            dynamic_section: None,
        };
        assert_eq!(loaded_image(&program, 0x40_0000), Some(expected));
    }

    #[test]
    fn damaged_headers_have_no_place() {
        let huge = headers(&[(1, 0, u64::MAX), (2, u64::MAX, 1)]);
        assert_eq!(loaded_image(&huge, 0x1000), None);
        let empty = headers(&[(1, 0x1000, 0)]);
        assert_eq!(loaded_image(&empty, 0x1000), None);
        assert_eq!(loaded_image(&headers(&[]), 0x1000), None);
        for length in 0..huge.len() {
            assert_eq!(loaded_image(&huge[..length], 0x1000), None);
        }
    }
}
