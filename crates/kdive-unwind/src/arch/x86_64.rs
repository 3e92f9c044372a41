//! AMD64 and Intel 64.

use super::{Architecture, RegisterInfo, field, named};
use crate::{Register, RegisterField};

/// `rax`
pub const RAX: Register = Register(0);
/// `rdx`
pub const RDX: Register = Register(1);
/// `rcx`
pub const RCX: Register = Register(2);
/// `rbx`
pub const RBX: Register = Register(3);
/// `rsi`
pub const RSI: Register = Register(4);
/// `rdi`
pub const RDI: Register = Register(5);
/// The frame pointer.
pub const RBP: Register = Register(6);
/// The stack pointer.
pub const RSP: Register = Register(7);
/// `r8`
pub const R8: Register = Register(8);
/// `r9`
pub const R9: Register = Register(9);
/// `r10`
pub const R10: Register = Register(10);
/// `r11`
pub const R11: Register = Register(11);
/// `r12`
pub const R12: Register = Register(12);
/// `r13`
pub const R13: Register = Register(13);
/// `r14`
pub const R14: Register = Register(14);
/// `r15`
pub const R15: Register = Register(15);
/// The program counter; DWARF's return address column.
pub const RIP: Register = Register(16);
/// `rflags`
pub const RFLAGS: Register = Register(17);
/// `es`
pub const ES: Register = Register(18);
/// The code segment, whose lowest two bits are the privilege level.
pub const CS: Register = Register(19);
/// `ss`
pub const SS: Register = Register(20);
/// `ds`
pub const DS: Register = Register(21);
/// `fs`
pub const FS: Register = Register(22);
/// `gs`
pub const GS: Register = Register(23);
/// The base address of the segment of `fs`: thread-local storage in user mode.
pub const FS_BASE: Register = Register(24);
/// The base address of the segment of `gs`: per-CPU variables in the kernel.
pub const GS_BASE: Register = Register(25);

const REGISTERS: &[RegisterInfo] = &[
    named(&["rax"], Some(0)),
    named(&["rdx"], Some(1)),
    named(&["rcx"], Some(2)),
    named(&["rbx"], Some(3)),
    named(&["rsi"], Some(4)),
    named(&["rdi"], Some(5)),
    named(&["rbp"], Some(6)),
    named(&["rsp"], Some(7)),
    named(&["r8"], Some(8)),
    named(&["r9"], Some(9)),
    named(&["r10"], Some(10)),
    named(&["r11"], Some(11)),
    named(&["r12"], Some(12)),
    named(&["r13"], Some(13)),
    named(&["r14"], Some(14)),
    named(&["r15"], Some(15)),
    named(&["rip"], Some(16)),
    named(&["rflags"], Some(49)),
    named(&["es"], Some(50)),
    named(&["cs"], Some(51)),
    named(&["ss"], Some(52)),
    named(&["ds"], Some(53)),
    named(&["fs"], Some(54)),
    named(&["gs"], Some(55)),
    named(&["fs.base"], Some(58)),
    named(&["gs.base"], Some(59)),
];

/// A segment selector has 16 bits. With FRED (Linux 6.9, "x86/ptrace: Add FRED additional
/// information to the `pt_regs` structure"), the kernel keeps other things above them.
const fn selector(register: Register, offset: usize) -> RegisterField {
    RegisterField {
        register,
        offset,
        size: 2,
    }
}

/// The registers that `struct pt_regs`, `user_regs_struct` and `elf_prstatus` all have, in the
/// same order; `base` is where they start.
const fn common_regs(base: usize) -> [RegisterField; 20] {
    [
        field(R15, base),
        field(R14, base + 8),
        field(R13, base + 16),
        field(R12, base + 24),
        field(RBP, base + 32),
        field(RBX, base + 40),
        field(R11, base + 48),
        field(R10, base + 56),
        field(R9, base + 64),
        field(R8, base + 72),
        field(RAX, base + 80),
        field(RCX, base + 88),
        field(RDX, base + 96),
        field(RSI, base + 104),
        field(RDI, base + 112),
        field(RIP, base + 128),
        selector(CS, base + 136),
        field(RFLAGS, base + 144),
        field(RSP, base + 152),
        selector(SS, base + 160),
    ]
}

/// `user_regs_struct`, of which `struct pt_regs` is the beginning.
const fn user_regs(base: usize) -> [RegisterField; 26] {
    let common = common_regs(base);
    let mut fields = [field(RAX, 0); 26];
    let mut index = 0;
    while index < common.len() {
        fields[index] = common[index];
        index += 1;
    }
    fields[20] = field(FS_BASE, base + 168);
    fields[21] = field(GS_BASE, base + 176);
    fields[22] = selector(DS, base + 184);
    fields[23] = selector(ES, base + 192);
    fields[24] = selector(FS, base + 200);
    fields[25] = selector(GS, base + 208);
    fields
}

/// Where `pr_reg` is in `struct elf_prstatus`.
const PRSTATUS_PR_REG: usize = 112;

/// `QEMUCPUState` of QEMU's `dump-guest-memory`: two 32-bit numbers, 18 registers, and segments
/// of 24 bytes, each with its selector at 0 and its base at 16.
const QEMU_CPU_STATE: &[RegisterField] = &[
    field(RAX, 8),
    field(RBX, 16),
    field(RCX, 24),
    field(RDX, 32),
    field(RSI, 40),
    field(RDI, 48),
    field(RSP, 56),
    field(RBP, 64),
    field(R8, 72),
    field(R9, 80),
    field(R10, 88),
    field(R11, 96),
    field(R12, 104),
    field(R13, 112),
    field(R14, 120),
    field(R15, 128),
    field(RIP, 136),
    field(RFLAGS, 144),
    selector(CS, 152),
    selector(DS, 176),
    selector(ES, 200),
    selector(FS, 224),
    field(FS_BASE, 240),
    selector(GS, 248),
    field(GS_BASE, 264),
    selector(SS, 272),
];

const fn mask(registers: &[Register]) -> u64 {
    let mut mask = 0;
    let mut index = 0;
    while index < registers.len() {
        mask |= 1 << registers[index].0;
        index += 1;
    }
    mask
}

/// AMD64 and Intel 64.
pub static ARCHITECTURE: Architecture = Architecture {
    target: kdive_target::Architecture::X86_64,
    registers: REGISTERS,
    pc: RIP,
    sp: RSP,
    frame_pointer: RBP,
    link: None,
    preserved: mask(&[RBX, RBP, R12, R13, R14, R15, FS_BASE, GS_BASE]),
    pt_regs: &common_regs(0),
    pt_regs_size: 168,
    prstatus: &user_regs(PRSTATUS_PR_REG),
    user_regs: &user_regs(0),
    qemu_cpu_state: Some(QEMU_CPU_STATE),
    instruction_alignment: 1,
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pt_regs_and_prstatus_hold_the_same_registers() {
        let mut note = vec![0; 336];
        for (index, word) in note[PRSTATUS_PR_REG..PRSTATUS_PR_REG + 216]
            .chunks_mut(8)
            .enumerate()
        {
            word[0] = index as u8;
        }
        let registers = ARCHITECTURE.from_prstatus(&note).unwrap();
        assert_eq!(registers.get(R15), Some(0));
        assert_eq!(registers.get(RBP), Some(4));
        assert_eq!(registers.get(RIP), Some(16));
        assert_eq!(registers.get(RSP), Some(19));
        assert_eq!(registers.get(GS), Some(26));
        assert_eq!(registers.iter().count(), 26);
        let regs = ARCHITECTURE
            .from_pt_regs(&note[PRSTATUS_PR_REG..PRSTATUS_PR_REG + 168])
            .unwrap();
        assert_eq!(regs.get(RSP), Some(19));
        assert_eq!(regs.get(FS_BASE), None);
    }

    #[test]
    fn fred_bits_above_the_code_segment_are_left_out() {
        let mut regs = vec![0; 168];
        regs[136..144].copy_from_slice(&0x0002_0003_0000_0033_u64.to_le_bytes());
        let registers = ARCHITECTURE.from_pt_regs(&regs).unwrap();
        assert_eq!(registers.get(CS), Some(0x33));
    }
}
