//! Relocations of x86-64.

use object::elf::{self, RelocationType};

use super::Action;

pub(super) fn action(kind: u32) -> Option<Action> {
    Some(match RelocationType(kind) {
        elf::R_X86_64_NONE => Action::Nothing,
        elf::R_X86_64_64 | elf::R_X86_64_DTPOFF64 => Action::Store(8),
        elf::R_X86_64_32 | elf::R_X86_64_32S | elf::R_X86_64_DTPOFF32 => Action::Store(4),
        elf::R_X86_64_16 => Action::Store(2),
        elf::R_X86_64_8 => Action::Store(1),
        elf::R_X86_64_PC64 => Action::StoreRelative(8),
        elf::R_X86_64_PC32 | elf::R_X86_64_PLT32 => Action::StoreRelative(4),
        _ => return None,
    })
}
