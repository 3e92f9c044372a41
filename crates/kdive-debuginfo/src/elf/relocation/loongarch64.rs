//! Relocations of `LoongArch`.

use object::elf::{self, RelocationType};

use super::Action;

pub(super) fn action(kind: u32) -> Option<Action> {
    Some(match RelocationType(kind) {
        elf::R_LARCH_NONE => Action::Nothing,
        elf::R_LARCH_64 => Action::Store(8),
        elf::R_LARCH_32 => Action::Store(4),
        elf::R_LARCH_ADD64 => Action::Add(8),
        elf::R_LARCH_ADD32 => Action::Add(4),
        elf::R_LARCH_ADD16 => Action::Add(2),
        elf::R_LARCH_ADD8 => Action::Add(1),
        elf::R_LARCH_SUB64 => Action::Subtract(8),
        elf::R_LARCH_SUB32 => Action::Subtract(4),
        elf::R_LARCH_SUB16 => Action::Subtract(2),
        elf::R_LARCH_SUB8 => Action::Subtract(1),
        elf::R_LARCH_32_PCREL => Action::StoreRelative(4),
        elf::R_LARCH_64_PCREL => Action::StoreRelative(8),
        _ => return None,
    })
}
