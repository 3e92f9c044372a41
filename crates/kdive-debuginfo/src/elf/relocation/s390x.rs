//! Relocations of IBM Z.

use object::elf::{self, RelocationType};

use super::Action;

pub(super) fn action(kind: u32) -> Option<Action> {
    Some(match RelocationType(kind) {
        elf::R_390_NONE => Action::Nothing,
        elf::R_390_64 | elf::R_390_TLS_LDO64 => Action::Store(8),
        elf::R_390_32 => Action::Store(4),
        elf::R_390_16 => Action::Store(2),
        elf::R_390_8 => Action::Store(1),
        elf::R_390_PC64 => Action::StoreRelative(8),
        elf::R_390_PC32 => Action::StoreRelative(4),
        _ => return None,
    })
}
