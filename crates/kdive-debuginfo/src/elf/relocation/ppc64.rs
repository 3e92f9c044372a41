//! Relocations of 64-bit PowerPC.

use object::elf::{self, RelocationType};

use super::Action;

pub(super) fn action(kind: u32) -> Option<Action> {
    Some(match RelocationType(kind) {
        elf::R_PPC64_NONE => Action::Nothing,
        elf::R_PPC64_ADDR64 | elf::R_PPC64_DTPREL64 => Action::Store(8),
        elf::R_PPC64_ADDR32 => Action::Store(4),
        elf::R_PPC64_REL64 => Action::StoreRelative(8),
        elf::R_PPC64_REL32 => Action::StoreRelative(4),
        _ => return None,
    })
}
