//! What an unwinder must know of each processor architecture.
//!
//! Here live the tables; [`Unwinder`](crate::Unwinder) steps over frames. One
//! file per architecture, with the same names in each.

pub mod aarch64;
pub mod x86_64;

use crate::{Register, RegisterField, Registers, Result};

/// The registers of an architecture and where kernels and dumps save them.
#[derive(Debug)]
pub struct Architecture {
    /// The architecture as the target knows it.
    pub target: kdive_target::Architecture,
    /// Its registers, by [`Register`].
    pub registers: &'static [RegisterInfo],
    /// The program counter.
    pub pc: Register,
    /// The stack pointer.
    pub sp: Register,
    /// The frame pointer of the calling convention.
    pub frame_pointer: Register,
    /// The register that holds the return address at the start of a function, if one does.
    pub link: Option<Register>,
    /// Registers that a function must preserve: a mask of bits by [`Register`].
    pub(crate) preserved: u64,
    /// The kernel's `struct pt_regs`.
    pub pt_regs: &'static [RegisterField],
    /// The size of the registers at the start of `struct pt_regs`, in bytes.
    pub pt_regs_size: usize,
    /// `struct elf_prstatus`, the contents of an `NT_PRSTATUS` note.
    pub prstatus: &'static [RegisterField],
    /// The registers alone, as ptrace and `NT_PRSTATUS` order them (`user_regs_struct`).
    pub user_regs: &'static [RegisterField],
    /// The contents of the note that QEMU writes for each processor (`QEMUCPUState`).
    pub qemu_cpu_state: Option<&'static [RegisterField]>,
    /// Instructions are at multiples of this.
    pub instruction_alignment: u64,
}

/// One register.
#[derive(Debug)]
pub struct RegisterInfo {
    /// Its names, the usual one first.
    pub names: &'static [&'static str],
    /// Its number in DWARF, if it has one.
    pub dwarf: Option<u16>,
}

impl Architecture {
    /// The architecture, if kdive can unwind its stacks.
    pub fn of(target: kdive_target::Architecture) -> Option<&'static Self> {
        match target {
            kdive_target::Architecture::X86_64 => Some(&x86_64::ARCHITECTURE),
            kdive_target::Architecture::Aarch64 => Some(&aarch64::ARCHITECTURE),
            _ => None,
        }
    }

    /// The usual name of a register.
    pub fn name(&self, register: Register) -> Option<&'static str> {
        self.registers
            .get(usize::from(register.0))?
            .names
            .first()
            .copied()
    }

    /// The register of a name.
    pub fn by_name(&self, name: &str) -> Option<Register> {
        let index = self
            .registers
            .iter()
            .position(|info| info.names.contains(&name))?;
        u8::try_from(index).ok().map(Register)
    }

    /// The register of a DWARF number.
    pub fn by_dwarf(&self, number: u16) -> Option<Register> {
        // The first registers have their DWARF numbers.
        if let Some(info) = self.registers.get(usize::from(number))
            && info.dwarf == Some(number)
        {
            return u8::try_from(number).ok().map(Register);
        }
        let index = self
            .registers
            .iter()
            .position(|info| info.dwarf == Some(number))?;
        u8::try_from(index).ok().map(Register)
    }

    /// The registers in a `struct pt_regs`.
    pub fn from_pt_regs(&self, bytes: &[u8]) -> Result<Registers> {
        Registers::from_fields(self.pt_regs, bytes)
    }

    /// The registers in an `NT_PRSTATUS` note.
    pub fn from_prstatus(&self, note: &[u8]) -> Result<Registers> {
        Registers::from_fields(self.prstatus, note)
    }

    /// The registers as ptrace gives them (`NT_PRSTATUS` register set).
    pub fn from_user_regs(&self, bytes: &[u8]) -> Result<Registers> {
        Registers::from_fields(self.user_regs, bytes)
    }

    /// The registers in QEMU's note for a processor; none if QEMU writes no such note for this
    /// architecture.
    pub fn from_qemu_cpu_state(&self, note: &[u8]) -> Option<Result<Registers>> {
        self.qemu_cpu_state
            .map(|fields| Registers::from_fields(fields, note))
    }

    /// Where a thread has the executable's thread-local variables, a block of this size and
    /// alignment, as the ELF specification for thread-local storage places it.
    pub fn executable_thread_block(
        &self,
        registers: &Registers,
        size: u64,
        alignment: u64,
    ) -> Option<u64> {
        let alignment = alignment.max(1);
        if self.target == kdive_target::Architecture::Aarch64 {
            // Variant I: behind the two words that the thread's pointer points to.
            let pointer = registers.get(aarch64::TPIDR)?;
            Some(pointer.wrapping_add(16_u64.checked_next_multiple_of(alignment)?))
        } else {
            // Variant II: before what the thread's pointer points to.
            let pointer = registers.get(x86_64::FS_BASE)?;
            Some(pointer.wrapping_sub(size.checked_next_multiple_of(alignment)?))
        }
    }

    /// Where a thread has the address of its vector of thread-local storage, as the C libraries
    /// that follow that specification place it.
    pub fn thread_vector(&self, registers: &Registers) -> Option<u64> {
        if self.target == kdive_target::Architecture::Aarch64 {
            registers.get(aarch64::TPIDR)
        } else {
            Some(registers.get(x86_64::FS_BASE)?.wrapping_add(8))
        }
    }

    /// The registers of a task that is not running: it continues at `pc` with the stack pointer
    /// `sp`. `saved` are the registers that the kernel keeps elsewhere: on x86-64 the members of
    /// `struct inactive_task_frame` (which begins at `thread.sp`; `pc` is its `ret_addr`, and `sp`
    /// the address behind it), on `AArch64` those of `thread.cpu_context`.
    pub fn inactive_task(&self, pc: u64, sp: u64, saved: &[(Register, u64)]) -> Registers {
        let mut registers: Registers = saved.iter().copied().collect();
        registers.set(self.pc, pc);
        registers.set(self.sp, sp);
        registers
    }
}

/// A field of 8 bytes.
const fn field(register: Register, offset: usize) -> RegisterField {
    RegisterField {
        register,
        offset,
        size: 8,
    }
}

/// A register of one name.
const fn named(names: &'static [&'static str], dwarf: Option<u16>) -> RegisterInfo {
    RegisterInfo { names, dwarf }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_dwarf_numbers_lead_back() {
        for architecture in [&x86_64::ARCHITECTURE, &aarch64::ARCHITECTURE] {
            assert!(architecture.registers.len() <= Registers::CAPACITY);
            for (index, info) in architecture.registers.iter().enumerate() {
                let register = Register(index as u8);
                for name in info.names {
                    assert_eq!(architecture.by_name(name), Some(register));
                }
                if let Some(number) = info.dwarf {
                    assert_eq!(architecture.by_dwarf(number), Some(register));
                }
            }
            assert_eq!(architecture.by_name("r99"), None);
            assert_eq!(architecture.by_dwarf(999), None);
        }
    }
}
