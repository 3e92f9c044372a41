//! Relocations of 64-bit Arm.

use object::elf::{self, RelocationType};

use super::Action;

pub(super) fn action(kind: u32) -> Option<Action> {
    Some(match RelocationType(kind) {
        elf::R_AARCH64_NONE => Action::Nothing,
        elf::R_AARCH64_ABS64 | elf::R_AARCH64_TLS_DTPREL => Action::Store(8),
        elf::R_AARCH64_ABS32 => Action::Store(4),
        elf::R_AARCH64_ABS16 => Action::Store(2),
        elf::R_AARCH64_PREL64 => Action::StoreRelative(8),
        elf::R_AARCH64_PREL32 => Action::StoreRelative(4),
        elf::R_AARCH64_PREL16 => Action::StoreRelative(2),
        _ => return None,
    })
}
