//! 64-bit Arm.

use super::{Architecture, RegisterInfo, field, named};
use crate::{Register, RegisterField};

/// The frame pointer, `x29`.
pub const FP: Register = Register(29);
/// The link register, `x30`.
pub const LR: Register = Register(30);
/// The stack pointer.
pub const SP: Register = Register(31);
/// The program counter.
pub const PC: Register = Register(32);
/// The processor's state.
pub const PSTATE: Register = Register(33);
/// The base address of thread-local storage in user mode.
pub const TPIDR: Register = Register(34);

/// The exception level and stack pointer selection in [`PSTATE`].
pub const PSTATE_MODE: u64 = 0xf;
/// User mode in [`PSTATE_MODE`].
pub const PSTATE_EL0: u64 = 0;

const REGISTERS: &[RegisterInfo] = &[
    named(&["x0"], Some(0)),
    named(&["x1"], Some(1)),
    named(&["x2"], Some(2)),
    named(&["x3"], Some(3)),
    named(&["x4"], Some(4)),
    named(&["x5"], Some(5)),
    named(&["x6"], Some(6)),
    named(&["x7"], Some(7)),
    named(&["x8"], Some(8)),
    named(&["x9"], Some(9)),
    named(&["x10"], Some(10)),
    named(&["x11"], Some(11)),
    named(&["x12"], Some(12)),
    named(&["x13"], Some(13)),
    named(&["x14"], Some(14)),
    named(&["x15"], Some(15)),
    named(&["x16"], Some(16)),
    named(&["x17"], Some(17)),
    named(&["x18"], Some(18)),
    named(&["x19"], Some(19)),
    named(&["x20"], Some(20)),
    named(&["x21"], Some(21)),
    named(&["x22"], Some(22)),
    named(&["x23"], Some(23)),
    named(&["x24"], Some(24)),
    named(&["x25"], Some(25)),
    named(&["x26"], Some(26)),
    named(&["x27"], Some(27)),
    named(&["x28"], Some(28)),
    named(&["x29", "fp"], Some(29)),
    named(&["x30", "lr"], Some(30)),
    named(&["sp"], Some(31)),
    named(&["pc"], Some(32)),
    named(&["pstate"], None),
    named(&["tpidr"], Some(36)),
];

/// `struct user_pt_regs`, with which `struct pt_regs` begins: `x0` to `x30`, `sp`, `pc`,
/// `pstate`.
const fn user_pt_regs(base: usize) -> [RegisterField; 34] {
    let mut fields = [field(PC, 0); 34];
    let mut index = 0;
    while index < fields.len() {
        fields[index] = field(Register(index as u8), base + 8 * index);
        index += 1;
    }
    fields
}

/// Where `pr_reg` is in `struct elf_prstatus`.
const PRSTATUS_PR_REG: usize = 112;

/// Where `struct pt_regs` keeps the frame record that links the interrupted function into the
/// chain of frame pointers (`stackframe`), in two places: since Linux 6.13 ("arm64: stacktrace:
/// unwind exception boundaries"), it is at 296 with its type behind it; before, at 304.
pub const PT_REGS_STACKFRAME: [u64; 2] = [296, 304];

/// What a frame record of zeroes means since Linux 6.13: the end of the stack
/// (`FRAME_META_TYPE_FINAL`).
pub const FRAME_META_TYPE_FINAL: u64 = 1;
/// What a frame record of zeroes means since Linux 6.13: registers of an interrupted function
/// (`FRAME_META_TYPE_PT_REGS`).
pub const FRAME_META_TYPE_PT_REGS: u64 = 2;

/// 64-bit Arm.
pub static ARCHITECTURE: Architecture = Architecture {
    target: kdive_target::Architecture::Aarch64,
    registers: REGISTERS,
    pc: PC,
    sp: SP,
    frame_pointer: FP,
    link: Some(LR),
    // x19 to x29 and, outside of programs that use it as a scratch register, the platform
    // register x18, which is the kernel's shadow stack pointer.
    preserved: (0xfff << 18) | (1 << 34),
    pt_regs: &user_pt_regs(0),
    pt_regs_size: 272,
    prstatus: &user_pt_regs(PRSTATUS_PR_REG),
    user_regs: &user_pt_regs(0),
    qemu_cpu_state: None,
    instruction_alignment: 4,
};

/// An address without its pointer authentication code. `mask` has the bits of the code
/// (`KERNELPACMASK` of VMCOREINFO); bit 55 tells kernel addresses, whose upper bits are ones.
pub fn strip_pac(address: u64, mask: u64) -> u64 {
    if address & (1 << 55) == 0 {
        address & !mask
    } else {
        address | mask
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn authentication_codes_are_stripped() {
        let mask = 0xff7f_0000_0000_0000;
        assert_eq!(
            strip_pac(0x00aa_8000_1008_1234, mask),
            0xffff_8000_1008_1234
        );
        assert_eq!(
            strip_pac(0x0055_aaaa_1008_1234, mask),
            0x0000_aaaa_1008_1234
        );
        assert_eq!(strip_pac(0xffff_8000_1008_1234, 0), 0xffff_8000_1008_1234);
    }

    #[test]
    fn pt_regs_are_in_order() {
        let bytes: Vec<u8> = (0..34_u64).flat_map(u64::to_le_bytes).collect();
        let registers = ARCHITECTURE.from_pt_regs(&bytes).unwrap();
        assert_eq!(registers.get(LR), Some(30));
        assert_eq!(registers.get(SP), Some(31));
        assert_eq!(registers.get(PC), Some(32));
        assert_eq!(registers.get(PSTATE), Some(33));
    }
}
