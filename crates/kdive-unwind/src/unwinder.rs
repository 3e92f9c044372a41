//! Steps from a frame to the frame of its caller.
//!
//! Here the order in which sources are believed is decided, and the checks are made that keep
//! damaged stacks from being followed without end. What is done where there is no unwind
//! information lies in `fallback`.

use crate::arch::{aarch64, x86_64};
use crate::expression;
use crate::fallback;
use crate::memory::{ReadMemory, Words};
use crate::table::{CfaRule, RegisterRule, Rules, Source, UnwindTable};
use crate::{Architecture, Register, Registers};

/// Where unwind tables come from.
pub trait FindTable: Sync {
    /// The table of the module whose code is at `address`, and what must be subtracted from the
    /// address to have the one at which the module was linked.
    fn find_table(&self, address: u64) -> Option<(&UnwindTable, u64)>;

    /// Whether a module's code is at `address`, even if the module has no table.
    fn is_code(&self, address: u64) -> bool {
        self.find_table(address).is_some()
    }

    /// The return address that a tracer replaced by one of its own, to see a function return. It
    /// was at `place`: on x86-64 its address on the stack, on `AArch64` the caller's frame pointer.
    fn replaced_return_address(&self, place: u64) -> Option<u64> {
        let _ = place;
        None
    }
}

/// What an unwinder must know of the target besides its registers.
#[derive(Clone, Copy, Debug)]
pub struct UnwindOptions {
    /// Whether stacks are the kernel's; they end where user mode was entered from.
    pub is_kernel: bool,
    /// The bits of an address that hold `AArch64`'s pointer authentication code.
    pub pac_mask: u64,
    /// How many frames a stack may have.
    pub max_frames: usize,
}

impl Default for UnwindOptions {
    fn default() -> Self {
        Self {
            is_kernel: false,
            pac_mask: 0,
            max_frames: 1 << 20,
        }
    }
}

/// How a frame was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum How {
    /// It is the first: its registers were given.
    Given,
    /// By DWARF call frame information of the frame before.
    Cfi,
    /// By ORC of the frame before.
    Orc,
    /// By the frame pointer, in code without other information.
    FramePointer,
    /// By the registers that the kernel saved when it was interrupted, to which the frame pointer
    /// led.
    SavedRegisters,
    /// By debug information: the caller called this function, which left to the frame before by a
    /// jump. Unwinders do not see such frames; who knows call sites adds them.
    TailCall,
    /// By the return address at the top of the stack, because the frame before is not in any
    /// code: a call through a bad pointer.
    BadCall,
}

/// One frame of a stack.
#[derive(Clone, Debug)]
pub struct Frame {
    /// Where the frame continues.
    pub pc: u64,
    /// Its registers, as far as they are known.
    pub registers: Registers,
    /// Its canonical frame address, if it is known: the stack pointer before it was called.
    pub cfa: Option<u64>,
    /// Whether the frame was interrupted at `pc`; otherwise, `pc` is where a call will return to.
    pub is_interrupted: bool,
    /// How the frame was found.
    pub how: How,
    /// Whether this frame or one before it had to be guessed.
    pub is_guess: bool,
}

impl Frame {
    /// The address to look up symbols, lines and scopes with: within the call instruction, if
    /// `pc` is behind one.
    pub fn lookup_pc(&self) -> u64 {
        if self.is_interrupted {
            self.pc
        } else {
            self.pc.wrapping_sub(1)
        }
    }
}

/// Why a stack ends where it does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum End {
    /// The unwind information says that there is no caller, or the return address is zero.
    #[error("the stack ends here")]
    Bottom,
    /// User mode entered the kernel here, or, on a CPU that was in user mode, this is its only
    /// frame.
    #[error("the kernel was entered from user mode here")]
    UserMode,
    /// The program counter or the stack pointer is not known.
    #[error("the registers are not known")]
    NoRegisters,
    /// There is no unwind information for the code, and nothing else led to a caller.
    #[error("there is no unwind information for this code")]
    NoInformation,
    /// The caller should be in memory that can't be read.
    #[error("the stack can't be read at {0:#x}")]
    Fault(u64),
    /// The return address can't be code of the kernel.
    #[error("{0:#x} is not an address of code")]
    BadReturnAddress(u64),
    /// The stack leads back to itself.
    #[error("the stack leads back to itself")]
    Loop,
    /// The stack has more frames than allowed.
    #[error("the stack has too many frames")]
    TooManyFrames,
}

/// A stack.
#[derive(Clone, Debug)]
pub struct Stack {
    /// The frames, innermost first.
    pub frames: Vec<Frame>,
    /// Why there are no more.
    pub end: End,
}

/// Unwinds stacks of one target.
///
/// ```
/// use kdive_unwind::{Architecture, End, FindTable, Unwinder, UnwindOptions};
/// use kdive_unwind::table::UnwindTable;
///
/// struct NoTables;
/// impl FindTable for NoTables {
///     fn find_table(&self, _address: u64) -> Option<(&UnwindTable, u64)> {
///         None
///     }
/// }
///
/// let architecture = Architecture::of(kdive_target::Architecture::X86_64).unwrap();
/// let memory = kdive_target::Memory::new();
/// let unwinder = Unwinder::new(architecture, &memory, &NoTables, UnwindOptions::default());
/// let registers = architecture.inactive_task(0x401000, 0x7fff_0000, &[]);
/// let stack = unwinder.unwind(&registers, true);
/// assert_eq!(stack.frames[0].pc, 0x401000);
/// assert_eq!(stack.end, End::NoInformation);
/// ```
#[derive(Clone, Copy)]
pub struct Unwinder<'a> {
    pub(crate) architecture: &'static Architecture,
    pub(crate) memory: &'a dyn ReadMemory,
    pub(crate) tables: &'a dyn FindTable,
    pub(crate) options: UnwindOptions,
}

/// A frame as the next is found from it.
#[derive(Clone, Copy)]
pub(crate) struct FrameState {
    pub(crate) registers: Registers,
    pub(crate) pc: u64,
    pub(crate) is_interrupted: bool,
    pub(crate) how: How,
    pub(crate) is_guess: bool,
}

/// How many times a stack may continue at a lower address: on another stack.
const MAX_SWITCHES: usize = 64;

impl<'a> Unwinder<'a> {
    /// For stacks in `memory`.
    pub fn new(
        architecture: &'static Architecture,
        memory: &'a dyn ReadMemory,
        tables: &'a dyn FindTable,
        options: UnwindOptions,
    ) -> Self {
        Self {
            architecture,
            memory,
            tables,
            options,
        }
    }

    /// All frames from the one with these registers. `is_interrupted` tells whether its program
    /// counter is where it was interrupted; that of a sleeping task is a return address.
    pub fn unwind(&self, registers: &Registers, is_interrupted: bool) -> Stack {
        let mut frames = Vec::new();
        let end = self.each_frame(registers, is_interrupted, |caller, cfa| {
            frames.push(Frame {
                pc: caller.pc,
                registers: caller.registers,
                cfa,
                is_interrupted: caller.is_interrupted,
                how: caller.how,
                is_guess: caller.is_guess,
            });
        });
        Stack { frames, end }
    }

    /// The program counters alone, for many stacks: each with whether it was interrupted.
    pub fn unwind_pcs(
        &self,
        registers: &Registers,
        is_interrupted: bool,
        pcs: &mut Vec<(u64, bool)>,
    ) -> End {
        self.each_frame(registers, is_interrupted, |caller, _| {
            pcs.push((caller.pc, caller.is_interrupted));
        })
    }

    fn each_frame(
        &self,
        registers: &Registers,
        is_interrupted: bool,
        mut visit: impl FnMut(&FrameState, Option<u64>),
    ) -> End {
        let architecture = self.architecture;
        let Some(pc) = registers.get(architecture.pc) else {
            return End::NoRegisters;
        };
        let mut frame = FrameState {
            registers: *registers,
            pc,
            is_interrupted,
            how: How::Given,
            is_guess: false,
        };
        if self.options.is_kernel && self.is_user_mode(registers) == Some(true) {
            visit(&frame, None);
            return End::UserMode;
        }
        let mut words = Words::new(self.memory);
        let mut progress = Progress::new(frame.registers.get(architecture.sp));
        for _ in 0..self.options.max_frames {
            let (cfa, caller) = self.step(&mut words, &frame);
            visit(&frame, cfa);
            let mut caller = match caller {
                Ok(caller) => caller,
                Err(end) => return end,
            };
            if let Err(end) = self.check(&mut progress, &caller) {
                return end;
            }
            caller.is_guess |= frame.is_guess;
            frame = caller;
        }
        End::TooManyFrames
    }

    /// Leaves a frame: its CFA, and its caller.
    fn step(
        &self,
        words: &mut Words<'_>,
        frame: &FrameState,
    ) -> (Option<u64>, Result<FrameState, End>) {
        let address = if frame.is_interrupted {
            frame.pc
        } else {
            frame.pc.wrapping_sub(1)
        };
        let rules = self
            .tables
            .find_table(address)
            .and_then(|(table, bias)| table.lookup(address.wrapping_sub(bias)));
        let Some(rules) = rules else {
            return (None, fallback::caller(self, words, frame));
        };
        if rules.is_end_of_stack() {
            return (None, Err(End::Bottom));
        }
        let cfa = self.cfa(words, &rules, &frame.registers);
        let caller = match cfa {
            Some(cfa) => self.apply(words, &rules, &frame.registers, cfa),
            None => Err(End::NoRegisters),
        };
        let caller = caller.or_else(|end| fallback::caller(self, words, frame).map_err(|_| end));
        (cfa, caller)
    }

    fn cfa(&self, words: &mut Words<'_>, rules: &Rules<'_>, registers: &Registers) -> Option<u64> {
        match rules.cfa()? {
            CfaRule::Register { register, offset } => Some(
                registers
                    .get(register)?
                    .wrapping_add_signed(i64::from(offset)),
            ),
            CfaRule::Dereferenced {
                register,
                before,
                after,
            } => {
                let address = registers
                    .get(register)?
                    .wrapping_add_signed(i64::from(before));
                Some(words.word(address)?.wrapping_add_signed(i64::from(after)))
            }
            CfaRule::Expression(bytes) => {
                expression::of_frame_rule(self.architecture, bytes, None, registers, self.memory)
            }
        }
    }

    fn apply(
        &self,
        words: &mut Words<'_>,
        rules: &Rules<'_>,
        registers: &Registers,
        cfa: u64,
    ) -> Result<FrameState, End> {
        let architecture = self.architecture;
        let mut caller = registers.only(architecture.preserved);
        caller.set(architecture.sp, cfa);
        let return_address = rules.return_address();
        if architecture.link == Some(return_address)
            && let Some(link) = registers.get(return_address)
        {
            caller.set(return_address, link);
        }
        for (register, rule) in rules.registers() {
            let at = |words: &mut Words<'_>, address: Option<u64>| {
                address.map_or(Err(End::NoRegisters), |address| {
                    words.word(address).ok_or(End::Fault(address))
                })
            };
            let value = match rule {
                RegisterRule::Undefined => Err(End::NoRegisters),
                RegisterRule::SameValue => registers.get(register).ok_or(End::NoRegisters),
                RegisterRule::Offset(offset) => {
                    at(words, Some(cfa.wrapping_add_signed(i64::from(offset))))
                }
                RegisterRule::ValueOffset(offset) => Ok(cfa.wrapping_add_signed(i64::from(offset))),
                RegisterRule::Register(other) => registers.get(other).ok_or(End::NoRegisters),
                RegisterRule::RegisterOffset(other, offset) => {
                    let base = registers.get(other);
                    at(
                        words,
                        base.map(|base| base.wrapping_add_signed(i64::from(offset))),
                    )
                }
                RegisterRule::Constant(value) => Ok(i64::from(value) as u64),
                RegisterRule::Expression(bytes) => {
                    let address = self.rule_expression(bytes, cfa, registers);
                    at(words, address)
                }
                RegisterRule::ValueExpression(bytes) => self
                    .rule_expression(bytes, cfa, registers)
                    .ok_or(End::NoRegisters),
            };
            match value {
                Ok(value) => caller.set(register, value),
                Err(end) if register == return_address => return Err(end),
                Err(_) => caller.forget(register),
            }
        }
        let pc = caller.get(return_address).ok_or(End::NoRegisters)?;
        let how = match rules.source() {
            Source::Cfi => How::Cfi,
            Source::Orc => How::Orc,
        };
        Ok(self.caller_at(caller, pc, rules.is_signal(), how))
    }

    fn rule_expression(&self, bytes: &[u8], cfa: u64, registers: &Registers) -> Option<u64> {
        expression::of_frame_rule(self.architecture, bytes, Some(cfa), registers, self.memory)
    }

    /// A caller that continues at `pc`, which may carry a pointer authentication code.
    pub(crate) fn caller_at(
        &self,
        mut registers: Registers,
        pc: u64,
        is_interrupted: bool,
        how: How,
    ) -> FrameState {
        let place = match self.architecture.target {
            kdive_target::Architecture::Aarch64 => registers.get(self.architecture.frame_pointer),
            _ => registers
                .get(self.architecture.sp)
                .map(|sp| sp.wrapping_sub(8)),
        };
        let replaced = place
            .filter(|_| !is_interrupted)
            .and_then(|place| self.tables.replaced_return_address(place));
        let pc = aarch64::strip_pac(replaced.unwrap_or(pc), self.options.pac_mask);
        registers.set(self.architecture.pc, pc);
        FrameState {
            registers,
            pc,
            is_interrupted,
            how,
            is_guess: false,
        }
    }

    /// Whether an address is the kernel's.
    pub(crate) fn is_kernel_address(&self, address: u64) -> bool {
        match self.architecture.target {
            kdive_target::Architecture::Aarch64 => address & (1 << 55) != 0,
            _ => address & (1 << 63) != 0,
        }
    }

    /// Refuses a caller in user mode, at an impossible address, or that was there before.
    fn check(&self, progress: &mut Progress, caller: &FrameState) -> Result<(), End> {
        if self.options.is_kernel {
            if caller.is_interrupted && self.is_user_mode(&caller.registers) == Some(true) {
                return Err(End::UserMode);
            }
            if !self.is_kernel_address(caller.pc) {
                let in_kernel_mode = self.is_user_mode(&caller.registers) == Some(false);
                if !caller.is_interrupted {
                    return Err(if caller.pc == 0 {
                        End::Bottom
                    } else {
                        End::BadReturnAddress(caller.pc)
                    });
                } else if !in_kernel_mode {
                    return Err(End::UserMode);
                }
            }
        } else if caller.pc == 0 && !caller.is_interrupted {
            return Err(End::Bottom);
        }
        let position = caller
            .registers
            .get(self.architecture.sp)
            .or_else(|| caller.registers.get(self.architecture.frame_pointer));
        progress.advance(caller.pc, position)
    }

    /// Whether saved registers are those of user mode, if they tell.
    pub(crate) fn is_user_mode(&self, registers: &Registers) -> Option<bool> {
        let read = |register: Register| registers.get(register);
        match self.architecture.target {
            kdive_target::Architecture::Aarch64 => read(aarch64::PSTATE)
                .map(|pstate| pstate & aarch64::PSTATE_MODE == aarch64::PSTATE_EL0),
            _ => read(x86_64::CS).map(|cs| cs & 3 != 0),
        }
    }
}

/// Sees to it that a stack goes on: callers have higher addresses, except where the stack is
/// switched, and no switch may lead to where one led before.
struct Progress {
    position: u64,
    switches: Vec<(u64, u64)>,
}

impl Progress {
    fn new(position: Option<u64>) -> Self {
        Self {
            position: position.unwrap_or(0),
            switches: Vec::new(),
        }
    }

    fn advance(&mut self, pc: u64, position: Option<u64>) -> Result<(), End> {
        let position = position.unwrap_or(0);
        if position <= self.position {
            if self.switches.contains(&(pc, position)) || self.switches.len() == MAX_SWITCHES {
                return Err(End::Loop);
            }
            self.switches.push((pc, position));
        }
        self.position = position;
        Ok(())
    }
}
