//! Relocations of RISC-V.

use object::elf::{self, RelocationType};

use super::Action;

pub(super) fn action(kind: u32) -> Option<Action> {
    Some(match RelocationType(kind) {
        elf::R_RISCV_NONE => Action::Nothing,
        elf::R_RISCV_64 | elf::R_RISCV_TLS_DTPREL64 => Action::Store(8),
        elf::R_RISCV_32 | elf::R_RISCV_SET32 | elf::R_RISCV_TLS_DTPREL32 => Action::Store(4),
        elf::R_RISCV_SET16 => Action::Store(2),
        elf::R_RISCV_SET8 => Action::Store(1),
        elf::R_RISCV_SET6 => Action::StoreSixBits,
        elf::R_RISCV_SUB6 => Action::SubtractSixBits,
        elf::R_RISCV_ADD64 => Action::Add(8),
        elf::R_RISCV_ADD32 => Action::Add(4),
        elf::R_RISCV_ADD16 => Action::Add(2),
        elf::R_RISCV_ADD8 => Action::Add(1),
        elf::R_RISCV_SUB64 => Action::Subtract(8),
        elf::R_RISCV_SUB32 => Action::Subtract(4),
        elf::R_RISCV_SUB16 => Action::Subtract(2),
        elf::R_RISCV_SUB8 => Action::Subtract(1),
        elf::R_RISCV_32_PCREL => Action::StoreRelative(4),
        elf::R_RISCV_SET_ULEB128 => Action::StoreLeb,
        elf::R_RISCV_SUB_ULEB128 => Action::SubtractLeb,
        _ => return None,
    })
}
