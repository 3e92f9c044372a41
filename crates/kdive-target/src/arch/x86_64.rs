//! Page tables of x86-64.

use super::{Entry, Geometry, missing};
use crate::VmCoreInfo;

const PRESENT: u64 = 1;
/// The entry maps a large page (in the tables that may).
const PAGE_SIZE: u64 = 1 << 7;
/// Not present, but a page nevertheless: one without access rights.
const PROT_NONE: u64 = 1 << 8;
const ADDRESS: u64 = 0x000f_ffff_ffff_f000;
/// Where the kernel's image is linked to, `__START_KERNEL_map`.
const KERNEL_MAP: u64 = 0xffff_ffff_8000_0000;

/// The paging mode of an x86-64 machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Paging {
    /// 4 or 5 levels of tables.
    pub levels: u32,
    /// The bit that marks encrypted memory (SME, SEV) and is not part of the address, or 0.
    pub encryption_mask: u64,
}

/// Whether an address belongs to the kernel's half.
pub(super) fn is_kernel_address(address: u64) -> bool {
    address >> 63 == 1
}

pub(super) fn of_kernel(info: &VmCoreInfo) -> std::result::Result<(Paging, u64), String> {
    let five_levels = info.number("pgtable_l5_enabled").unwrap_or(0) != 0;
    let paging = Paging {
        levels: if five_levels { 5 } else { 4 },
        encryption_mask: info.number("sme_mask").unwrap_or(0).cast_unsigned(),
    };
    // "kexec: export the value of phys_base instead of symbol address" gave the number in Linux
    // 4.10; kernels before run at the address they are linked to unless CONFIG_RELOCATABLE moves
    // them, which the dump then doesn't say.
    let image_offset = image_offset(info).unwrap_or(KERNEL_MAP);
    let root = info
        .symbol("swapper_pg_dir")
        .or_else(|| info.symbol("init_level4_pgt"))
        .filter(|&address| address >= KERNEL_MAP)
        .ok_or_else(|| missing("SYMBOL(swapper_pg_dir)"))?;
    Ok((paging, root.wrapping_sub(image_offset) & ADDRESS))
}

/// By how much the addresses of the kernel's image exceed its physical ones.
fn image_offset(info: &VmCoreInfo) -> Option<u64> {
    let physical_base = info.number("phys_base")?;
    Some(KERNEL_MAP.wrapping_sub(physical_base.cast_unsigned()))
}

impl Paging {
    pub(super) fn geometry(self) -> Geometry {
        Geometry {
            page_shift: 12,
            index_bits: 9,
            levels: self.levels,
            kernel_start: u64::MAX << (11 + 9 * self.levels),
        }
    }

    /// The bits above those that are translated repeat the highest of them.
    pub(super) fn translated(self, address: u64) -> Option<u64> {
        let unused = 64 - 12 - 9 * self.levels;
        let is_canonical = (address << unused).cast_signed() >> unused == address.cast_signed();
        is_canonical.then_some(address << unused >> unused)
    }

    pub(super) fn decode(self, entry: u64, level: u32, address: u64) -> Entry {
        let Some(target) = target(entry, address) else {
            return Entry::Absent;
        };
        let target = target & ADDRESS & !self.encryption_mask;
        if level == 0 || (level <= 2 && entry & PAGE_SIZE != 0) {
            Entry::Page(target)
        } else {
            Entry::Table(target)
        }
    }
}

/// What an entry points to, if to anything.
///
/// Pages of user space without access rights (those of `mprotect`, and those that NUMA balancing
/// watches) are there although the processor must not know. Their address is inverted, which its
/// highest bit shows, since `x86/speculation/l1tf: Protect PROT_NONE PTEs against speculation`
/// (Linux 4.19 and stable branches).
fn target(entry: u64, address: u64) -> Option<u64> {
    if entry & PRESENT != 0 {
        Some(entry)
    } else if entry & PROT_NONE != 0 && !is_kernel_address(address) {
        let inverted = entry & (1 << 51) != 0;
        Some(if inverted { entry ^ ADDRESS } else { entry })
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{AddressSpace, Error, Memory, arch};

    /// Tables at 0x1000 (root), 0x2000, … each filled by `(table, index, entry)`.
    fn tables(entries: &[(u64, u64, u64)]) -> Memory {
        let mut bytes = vec![0; 0x8000];
        for &(table, index, entry) in entries {
            let at = (table + index * 8) as usize;
            bytes[at..at + 8].copy_from_slice(&entry.to_le_bytes());
        }
        let memory = Memory::new();
        memory.add_segment(AddressSpace::Physical, 0, 0x8000, Arc::new(bytes));
        memory
    }

    const FOUR: Paging = Paging {
        levels: 4,
        encryption_mask: 0,
    };

    fn walk(paging: Paging, entries: &[(u64, u64, u64)], address: u64) -> Option<(u64, u64)> {
        match arch::Paging::X86_64(paging).walk(&tables(entries), 0x1000, address) {
            Ok(mapping) => Some((mapping.physical, mapping.page_size)),
            Err(Error::Fault { address: fault, .. }) => {
                assert_eq!(fault, address);
                None
            }
            Err(error) => panic!("{error}"),
        }
    }

    #[test]
    fn walks_four_levels_to_pages_of_each_size() {
        let entries = [
            (0x1000, 511, 0x2003),
            (0x2000, 510, 0x3003),
            (0x2000, 511, 0x4000_0083),
            (0x3000, 0, 0x4003),
            (0x3000, 1, 0x0060_0083),
            (0x4000, 5, 0x8000_0000_0012_3003),
        ];
        let kernel = 0xffff_ffff_8000_0000;
        assert_eq!(
            walk(FOUR, &entries, kernel + 0x5678),
            Some((0x12_3678, 0x1000))
        );
        assert_eq!(walk(FOUR, &entries, kernel + 0x6000), None);
        assert_eq!(
            walk(FOUR, &entries, kernel + 0x20_1234),
            Some((0x60_1234, 0x20_0000))
        );
        assert_eq!(
            walk(FOUR, &entries, 0xffff_ffff_c123_4567),
            Some((0x4123_4567, 0x4000_0000))
        );
        assert_eq!(walk(FOUR, &entries, 0), None);
        assert_eq!(walk(FOUR, &entries, 0x8000_0000_0000), None);
    }

    #[test]
    fn walks_five_levels_and_masks_encryption() {
        let paging = Paging {
            levels: 5,
            encryption_mask: 1 << 47,
        };
        let entries = [
            (0x1000, 511, 0x8000_0000_2003),
            (0x2000, 511, 0x8000_0000_3003),
            (0x3000, 510, 0x8000_0000_4003),
            (0x4000, 0, 0x8000_0060_0083),
        ];
        assert_eq!(
            walk(paging, &entries, 0xffff_ffff_8000_1234),
            Some((0x60_1234, 0x20_0000))
        );
    }

    #[test]
    fn pages_without_rights_are_there_for_user_space_only() {
        let inverted = (0x5000 ^ ADDRESS) | PROT_NONE;
        let entries = [
            (0x1000, 0, 0x2007),
            (0x1000, 511, 0x2007),
            (0x2000, 0, 0x3007),
            (0x2000, 511, 0x3007),
            (0x3000, 0, 0x4007),
            (0x3000, 511, 0x4007),
            (0x4000, 1, 0x6000 | PROT_NONE),
            (0x4000, 2, inverted),
        ];
        assert_eq!(walk(FOUR, &entries, 0x1000), Some((0x6000, 0x1000)));
        assert_eq!(walk(FOUR, &entries, 0x2010), Some((0x5010, 0x1000)));
        assert_eq!(walk(FOUR, &entries, 0xffff_ffff_ffe0_1000), None);
    }

    #[test]
    fn tables_that_contain_themselves_end() {
        assert_eq!(
            walk(FOUR, &[(0x1000, 0, 0x1003)], 0x123),
            Some((0x1123, 0x1000))
        );
    }

    #[test]
    fn finds_the_kernels_tables() {
        let info = VmCoreInfo::parse(
            b"SYMBOL(swapper_pg_dir)=ffffffff8a20a000\nNUMBER(phys_base)=12582912\n\
              NUMBER(pgtable_l5_enabled)=0\nNUMBER(sme_mask)=140737488355328\n",
        );
        let expected = Paging {
            levels: 4,
            encryption_mask: 1 << 47,
        };
        assert_eq!(of_kernel(&info), Ok((expected, 0xae0_a000)));
        assert!(of_kernel(&VmCoreInfo::default()).is_err());
    }
}
