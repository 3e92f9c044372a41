//! Page tables of `AArch64`.

use super::{Entry, Geometry, missing};
use crate::VmCoreInfo;

const VALID: u64 = 1;
/// A table, or in the last level a page; without it a large page.
const TABLE: u64 = 1 << 1;
/// The bits of an address below the byte that may hold a tag.
const BELOW_TAG: u64 = u64::MAX >> 8;

/// The paging mode of an `AArch64` machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Paging {
    /// 12, 14 or 16: pages of 4, 16 or 64 KiB.
    pub page_shift: u32,
    /// The bits of a virtual address that are translated, 36 to 52.
    pub address_bits: u32,
}

/// Whether an address is translated by the kernel's tables: bit 55 decides, whatever tag is in
/// the byte above it.
pub(super) fn is_kernel_address(address: u64) -> bool {
    address >> 55 & 1 == 1
}

pub(super) fn of_kernel(info: &VmCoreInfo) -> std::result::Result<(Paging, u64), String> {
    let page_shift = info
        .page_size()
        .map(u64::trailing_zeros)
        .filter(|shift| [12, 14, 16].contains(shift))
        .ok_or_else(|| missing("PAGESIZE"))?;
    // TCR_EL1_T1SZ (Linux 5.9) tells what the machine uses where the kernel was built for more.
    // With 64 KiB pages the tables are those for 52 bits even then.
    let built_for = info.number("VA_BITS");
    let in_use = info
        .number("TCR_EL1_T1SZ")
        .and_then(|size| 64_i64.checked_sub(size));
    let address_bits = if page_shift == 16 {
        built_for.or(in_use)
    } else {
        in_use.or(built_for)
    };
    let address_bits = address_bits
        .and_then(|bits| u32::try_from(bits).ok())
        .filter(|bits| (36..=52).contains(bits))
        .ok_or_else(|| missing("NUMBER(VA_BITS) or NUMBER(TCR_EL1_T1SZ)"))?;
    let root = info
        .symbol("swapper_pg_dir")
        .ok_or_else(|| missing("SYMBOL(swapper_pg_dir)"))?;
    let image_offset = image_offset(info).ok_or_else(|| missing("NUMBER(kimage_voffset)"))?;
    let paging = Paging {
        page_shift,
        address_bits,
    };
    Ok((paging, root.wrapping_sub(image_offset)))
}

/// By how much the addresses of the kernel's image exceed its physical ones.
fn image_offset(info: &VmCoreInfo) -> Option<u64> {
    info.number("kimage_voffset").map(i64::cast_unsigned)
}

impl Paging {
    /// The physical address in a descriptor.
    fn target(self, descriptor: u64) -> u64 {
        let in_place =
            |high: u32, low: u32| descriptor & (u64::MAX >> (63 - high)) & (u64::MAX << low);
        match (self.page_shift, self.address_bits) {
            (16, _) => in_place(47, 16) | (descriptor >> 12 & 0xf) << 48,
            (shift, 52) => in_place(49, shift) | (descriptor >> 8 & 0x3) << 50,
            (shift, _) => in_place(47, shift),
        }
    }

    pub(super) fn geometry(self) -> Geometry {
        let index_bits = self.page_shift - 3;
        Geometry {
            page_shift: self.page_shift,
            index_bits,
            levels: (self.address_bits - self.page_shift).div_ceil(index_bits),
            kernel_start: u64::MAX << self.address_bits,
        }
    }

    /// Bits between the translated ones and the tag repeat bit 55.
    pub(super) fn translated(self, address: u64) -> Option<u64> {
        let translated = u64::MAX >> (64 - self.address_bits);
        let above = BELOW_TAG & !translated;
        let expected = if is_kernel_address(address) { above } else { 0 };
        (address & above == expected).then_some(address & translated)
    }

    pub(super) fn decode(self, descriptor: u64, level: u32) -> Entry {
        let is_table = descriptor & TABLE != 0;
        match (descriptor & VALID != 0, level, is_table) {
            (false, ..) | (_, 0, false) => Entry::Absent,
            (_, 0, _) | (_, _, false) => Entry::Page(self.target(descriptor)),
            _ => Entry::Table(self.target(descriptor)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{AddressSpace, Memory, arch};

    fn tables(entries: &[(u64, u64)]) -> Memory {
        let mut bytes = vec![0; 0x8_0000];
        for &(at, descriptor) in entries {
            bytes[at as usize..][..8].copy_from_slice(&u64::to_le_bytes(descriptor));
        }
        let memory = Memory::new();
        memory.add_segment(AddressSpace::Physical, 0, 0x8_0000, Arc::new(bytes));
        memory
    }

    fn walk(paging: Paging, entries: &[(u64, u64)], address: u64) -> Option<(u64, u64)> {
        let paging = arch::Paging::Aarch64(paging);
        let mapping = paging.walk(&tables(entries), 0x1_0000, address).ok()?;
        Some((mapping.physical, mapping.page_size))
    }

    #[test]
    fn walks_4k_pages_of_48_and_39_bits() {
        let paging = Paging {
            page_shift: 12,
            address_bits: 48,
        };
        let entries = [
            (0x1_0000 + 8 * 256, 0x2_0003),
            (0x2_0000, 0x3_0003),
            (0x3_0000, 0x4_0003),
            (0x3_0008, 0x1234_0020_0701),
            (0x4_0000 + 8 * 3, 0x0068_0000_4567_8f03),
        ];
        let base = 0xffff_8000_0000_0000;
        assert_eq!(
            walk(paging, &entries, base + 0x3abc),
            Some((0x4567_8abc, 0x1000))
        );
        assert_eq!(
            walk(paging, &entries, base + 0x20_0010),
            Some((0x1234_0020_0010, 0x20_0000))
        );
        assert_eq!(walk(paging, &entries, base), None);
        assert_eq!(walk(paging, &entries, 0xfffe_8000_0000_3abc), None);
        let tagged = 0xf0ff_8000_0000_3abc;
        assert_eq!(walk(paging, &entries, tagged), Some((0x4567_8abc, 0x1000)));

        let paging = Paging {
            page_shift: 12,
            address_bits: 39,
        };
        let entries = [(0x1_0000 + 8 * 256, 0x4000_0701)];
        assert_eq!(
            walk(paging, &entries, 0xffff_ffc0_0000_0123),
            Some((0x4000_0123, 0x4000_0000))
        );
    }

    #[test]
    fn walks_64k_pages_with_52_bits_of_physical_address() {
        let paging = Paging {
            page_shift: 16,
            address_bits: 52,
        };
        // A 48-bit kernel address uses the last part of a table for 52 bits.
        let entries = [
            (0x1_0000 + 8 * 0x3e0, 0x2_0003),
            (0x2_0000, 0x3_0003),
            (0x3_0000, 0x0000_1111_0001_5703),
        ];
        assert_eq!(
            walk(paging, &entries, 0xffff_8000_0000_1234),
            Some((0x5_1111_0001_1234, 0x1_0000))
        );
    }

    #[test]
    fn walks_16k_pages_and_52_bits_with_4k_pages() {
        let paging = Paging {
            page_shift: 14,
            address_bits: 47,
        };
        let entries = [
            (0x1_0000 + 8 * 0x400, 0x2_0003),
            (0x2_0000, 0x3_0003),
            (0x3_0008, 0x4000_c703),
        ];
        assert_eq!(
            walk(paging, &entries, 0xffff_c000_0000_4010),
            Some((0x4000_c010, 0x4000))
        );
        let paging = Paging {
            page_shift: 12,
            address_bits: 52,
        };
        let entries = [
            (0x1_0000 + 8 * 8, 0x2_0003),
            (0x2_0000, 0x3_0003),
            (0x3_0000, 0x4_0003),
            (0x4_0000, 0x5_0003),
            (0x5_0000, 0x3_0000_4567_8303),
        ];
        assert_eq!(
            walk(paging, &entries, 0xfff8_0000_0000_0abc),
            Some((0xf_0000_4567_8abc, 0x1000))
        );
    }

    #[test]
    fn finds_the_kernels_tables() {
        let info = VmCoreInfo::parse(
            b"PAGESIZE=4096\nNUMBER(VA_BITS)=48\nNUMBER(TCR_EL1_T1SZ)=0x10\n\
              NUMBER(kimage_voffset)=0xffff7fffc0000000\nSYMBOL(swapper_pg_dir)=ffff800082000000\n",
        );
        let expected = Paging {
            page_shift: 12,
            address_bits: 48,
        };
        assert_eq!(of_kernel(&info), Ok((expected, 0xc200_0000)));
    }

    #[test]
    fn absurd_sizes_are_not_believed() {
        let of = |lines: &str| {
            let text = format!(
                "PAGESIZE=4096\nNUMBER(kimage_voffset)=0\nSYMBOL(swapper_pg_dir)=ffff800082000000\n{lines}"
            );
            of_kernel(&VmCoreInfo::parse(text.as_bytes())).map(|(paging, _)| paging.address_bits)
        };
        assert_eq!(of("NUMBER(VA_BITS)=39"), Ok(39));
        let least = i64::MIN;
        assert_eq!(
            of(&format!("NUMBER(VA_BITS)=39\nNUMBER(TCR_EL1_T1SZ)={least}")),
            Ok(39)
        );
        assert!(of(&format!("NUMBER(TCR_EL1_T1SZ)={least}")).is_err());
        assert!(of("NUMBER(VA_BITS)=12").is_err());
    }

    #[test]
    fn tables_that_contain_themselves_end() {
        let paging = Paging {
            page_shift: 12,
            address_bits: 48,
        };
        let entries = [(0x1_0000 + 8 * 511, 0x1_0003)];
        assert_eq!(
            walk(paging, &entries, 0xffff_ffff_ffff_f123),
            Some((0x1_0123, 0x1000))
        );
    }
}
