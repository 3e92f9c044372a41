//! Relocations of 32-bit Arm.

use object::elf::{self, RelocationType};

use super::Action;

pub(super) fn action(kind: u32) -> Option<Action> {
    Some(match RelocationType(kind) {
        elf::R_ARM_NONE => Action::Nothing,
        elf::R_ARM_ABS32 | elf::R_ARM_TARGET1 | elf::R_ARM_TLS_LDO32 => Action::Store(4),
        elf::R_ARM_REL32 => Action::StoreRelative(4),
        _ => return None,
    })
}
