//! Relocations of 32-bit x86.

use object::elf::{self, RelocationType};

use super::Action;

pub(super) fn action(kind: u32) -> Option<Action> {
    Some(match RelocationType(kind) {
        elf::R_386_NONE => Action::Nothing,
        elf::R_386_32 | elf::R_386_TLS_LDO_32 => Action::Store(4),
        elf::R_386_PC32 | elf::R_386_PLT32 => Action::StoreRelative(4),
        _ => return None,
    })
}
