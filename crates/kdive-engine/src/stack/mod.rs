//! Stacks: the frames of threads, tasks and saved registers, with their functions, source lines
//! and variables.
//!
//! [`kdive_unwind`] steps from frame to frame; here its frames get registers to start from
//! ([`start`], [`crash_notes`]), tables ([`tables`], [`kept`] on disk), what tracers took away
//! ([`replaced`]), inlined functions ([`scopes`]), the functions that left by jumps
//! ([`tail_calls`]), and variables ([`variables`]; those of threads are in [`thread_storage`],
//! those behind implicit pointers in [`implicit`]), and are written as text ([`text`]).
//! [`threads`] knows whose stacks there are.

mod crash_notes;
mod implicit;
mod kept;
mod log;
mod replaced;
mod scopes;
mod start;
mod tables;
mod tail_calls;
mod text;
mod thread_storage;
mod threads;
mod variables;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use kdive_debuginfo::code::SourceLine;
use kdive_target::ThreadStatus;
use kdive_unwind::{Architecture, Register, Registers, UnwindOptions, Unwinder};
pub use kdive_unwind::{End, How};

use crate::object::Object;
use crate::program::{Program, Symbol};
use crate::{Error, Result};
pub use log::LoggedStack;
use replaced::{Replaced, TracedTables};
use scopes::{Located, ScopeCache};
pub use tables::UnwindSource;
pub(crate) use tables::UnwindTables;
use tail_calls::JumpCache;
pub use threads::Thread;

/// Where kdive stops: far beyond what kernels have, and as deep as programs recurse.
const MAX_KERNEL_FRAMES: usize = 1024;
const MAX_FRAMES: usize = 1 << 20;

/// What a program keeps for its stacks.
#[derive(Default)]
pub(crate) struct Stacks {
    pub(crate) tables: UnwindTables,
    scopes: ScopeCache,
    jumps: JumpCache,
    places: implicit::Places,
    /// Whether what is in the target's memory was looked for since debug information changed.
    is_memory_searched: AtomicBool,
    /// Held while that is done: other stacks wait for what it finds.
    searching: Mutex<()>,
}

impl Stacks {
    /// Forgets what debug information said.
    pub(crate) fn forget(&self) {
        self.scopes.clear();
        self.jumps.clear();
        self.is_memory_searched.store(false, Ordering::Release);
    }
}

/// The frames of a stack, innermost first.
#[derive(Clone)]
pub struct StackTrace {
    inner: Arc<Inner>,
}

struct Inner {
    program: Arc<Program>,
    architecture: Option<&'static Architecture>,
    /// The frames that have registers.
    physical: Vec<kdive_unwind::Frame>,
    /// All frames, with those of inlined functions.
    frames: Vec<FrameIndex>,
    end: Ending,
}

/// Why there are no more frames.
enum Ending {
    Unwound(End),
    /// There are none at all.
    Failed(Error),
}

/// A frame: a physical one, and one of the functions whose code it is in.
struct FrameIndex {
    physical: usize,
    /// Which of the scopes it is, innermost first.
    scope: usize,
    located: Option<Arc<Located>>,
}

/// What has a stack.
#[derive(Clone)]
pub enum StackOf {
    /// A task or saved registers, as [`Program::stack_trace_of`] takes them.
    Object(Object),
    /// A thread.
    Thread(Thread),
}

/// A call of a function, also of an inlined one.
#[derive(Clone)]
pub struct StackFrame {
    trace: StackTrace,
    number: usize,
}

impl StackTrace {
    fn new(
        program: &Arc<Program>,
        architecture: Option<&'static Architecture>,
        physical: Vec<kdive_unwind::Frame>,
        end: End,
    ) -> Result<Self> {
        let physical = tail_calls::add(program, architecture, physical)?;
        let mut frames = Vec::with_capacity(physical.len());
        for (number, frame) in physical.iter().enumerate() {
            let located = program.stacks().scopes.locate(program, frame.lookup_pc())?;
            let count = located
                .as_ref()
                .map_or(1, |located| located.scopes.len().max(1));
            for scope in 0..count {
                frames.push(FrameIndex {
                    physical: number,
                    scope,
                    located: located.clone(),
                });
            }
        }
        Ok(Self {
            inner: Arc::new(Inner {
                program: program.clone(),
                architecture,
                physical,
                frames,
                end: Ending::Unwound(end),
            }),
        })
    }

    /// A stack of which no frame is known, for this reason.
    pub fn failed(program: &Arc<Program>, error: Error) -> Self {
        Self {
            inner: Arc::new(Inner {
                program: program.clone(),
                architecture: None,
                physical: Vec::new(),
                frames: Vec::new(),
                end: Ending::Failed(error),
            }),
        }
    }

    /// The program that it belongs to.
    pub fn program(&self) -> &Arc<Program> {
        &self.inner.program
    }

    /// The number of frames.
    pub fn len(&self) -> usize {
        self.inner.frames.len()
    }

    /// Whether there are no frames.
    pub fn is_empty(&self) -> bool {
        self.inner.frames.is_empty()
    }

    /// A frame by its number, 0 being the innermost.
    pub fn frame(&self, number: usize) -> Option<StackFrame> {
        (number < self.len()).then(|| StackFrame {
            trace: self.clone(),
            number,
        })
    }

    /// All frames, innermost first.
    pub fn frames(&self) -> impl Iterator<Item = StackFrame> + '_ {
        (0..self.len()).filter_map(|number| self.frame(number))
    }

    /// Why unwinding ended; none if it could not begin.
    pub fn end(&self) -> Option<End> {
        match self.inner.end {
            Ending::Unwound(end) => Some(end),
            Ending::Failed(_) => None,
        }
    }

    /// Why there are no more frames, in words.
    pub fn end_reason(&self) -> String {
        match &self.inner.end {
            Ending::Unwound(end) => end.to_string(),
            Ending::Failed(error) => error.to_string(),
        }
    }
}

impl StackFrame {
    fn inner(&self) -> &Inner {
        &self.trace.inner
    }

    fn index(&self) -> Option<&FrameIndex> {
        self.inner().frames.get(self.number)
    }

    fn physical(&self) -> Option<&kdive_unwind::Frame> {
        self.inner().physical.get(self.index()?.physical)
    }

    fn located(&self) -> Option<&Arc<Located>> {
        self.index()?.located.as_ref()
    }

    fn scope(&self) -> Option<&kdive_debuginfo::code::FunctionScope> {
        self.located()?.scopes.get(self.index()?.scope)
    }

    /// The trace that the frame is in.
    pub fn trace(&self) -> &StackTrace {
        &self.trace
    }

    /// Its number in the trace.
    pub fn number(&self) -> usize {
        self.number
    }

    /// The function's name, else that of its symbol, else the program counter.
    pub fn name(&self) -> Result<String> {
        if let Some(name) = self.function_name() {
            return Ok(name.to_owned());
        }
        Ok(match self.symbol()? {
            Some(symbol) => symbol.name.to_string(),
            None => format!("{:#x}", self.pc()),
        })
    }

    /// The name of the function, if debug information tells it.
    pub fn function_name(&self) -> Option<&str> {
        self.scope()?.name.as_deref()
    }

    /// Whether the function was inlined: it shares the registers of its caller.
    pub fn is_inline(&self) -> bool {
        self.scope().is_some_and(|scope| scope.is_inline)
    }

    /// Whether the frame was interrupted at its program counter, which otherwise is where a call
    /// returns to.
    pub fn is_interrupted(&self) -> bool {
        self.physical().is_some_and(|frame| frame.is_interrupted)
    }

    /// Whether the frame, or one before it, had to be guessed.
    pub fn is_guess(&self) -> bool {
        self.physical().is_some_and(|frame| frame.is_guess)
    }

    /// Whether the function left to the one before by a jump: its frame is gone, and known from
    /// debug information alone.
    pub fn is_tail_call(&self) -> bool {
        self.how() == How::TailCall
    }

    /// How the frame was found.
    pub fn how(&self) -> How {
        self.physical().map_or(How::Given, |frame| frame.how)
    }

    /// The program counter.
    pub fn pc(&self) -> u64 {
        self.physical().map_or(0, |frame| frame.pc)
    }

    /// The address to look up what the frame's code is.
    fn lookup_pc(&self) -> u64 {
        self.physical().map_or(0, kdive_unwind::Frame::lookup_pc)
    }

    /// The stack pointer, if it is known.
    pub fn sp(&self) -> Option<u64> {
        let sp = self.inner().architecture?.sp;
        self.physical()?.registers.get(sp)
    }

    /// The canonical frame address, if it is known: the stack pointer before the function was
    /// called.
    pub fn cfa(&self) -> Option<u64> {
        self.physical()?.cfa
    }

    /// The symbol of the frame's code.
    pub fn symbol(&self) -> Result<Option<Symbol>> {
        self.trace.program().symbol_at(self.lookup_pc())
    }

    /// Where the frame is in the source code: for the caller of an inlined function, where that
    /// was inlined.
    pub fn source(&self) -> Result<Option<SourceLine>> {
        let (Some(index), Some(located)) = (self.index(), self.located()) else {
            return Ok(None);
        };
        match index.scope.checked_sub(1) {
            Some(inner) => Ok(located
                .scopes
                .get(inner)
                .and_then(|scope| scope.inlined_at.clone())),
            None => Ok(located.line()?.cloned()),
        }
    }

    /// The value of a register; none if it is not known.
    ///
    /// # Errors
    ///
    /// [`Error::Value`] if the architecture has no such register.
    pub fn register(&self, name: &str) -> Result<Option<u64>> {
        let register = self.register_named(name)?;
        Ok(self
            .physical()
            .and_then(|frame| frame.registers.get(register)))
    }

    fn register_named(&self, name: &str) -> Result<Register> {
        self.inner()
            .architecture
            .and_then(|architecture| architecture.by_name(name))
            .ok_or_else(|| Error::Value(format!("unknown register '{name}'")))
    }

    /// All registers whose values are known, by their names.
    pub fn registers(&self) -> Vec<(&'static str, u64)> {
        match (self.inner().architecture, self.physical()) {
            (Some(architecture), Some(frame)) => frame.registers.named(architecture).collect(),
            _ => Vec::new(),
        }
    }
}

impl Program {
    fn unwind_options(&self) -> UnwindOptions {
        let is_kernel = self.is_kernel();
        let told = self.target().and_then(|target| {
            let kernel = target.vmcoreinfo.as_ref();
            let mut threads = target.threads.iter();
            kernel
                .map(|information| information.pointer_authentication_mask())
                .or_else(|| threads.find_map(ThreadStatus::pointer_authentication_mask))
        });
        UnwindOptions {
            is_kernel,
            pac_mask: match told {
                Some(mask) => mask,
                // Programs have 48 bits of addresses, and tags above the codes.
                None if self.architecture() == kdive_target::Architecture::Aarch64 => {
                    0x007f_0000_0000_0000
                }
                None => 0,
            },
            max_frames: if is_kernel {
                MAX_KERNEL_FRAMES
            } else {
                MAX_FRAMES
            },
        }
    }

    fn stack_architecture(&self) -> Result<&'static Architecture> {
        Architecture::of(self.architecture()).ok_or_else(|| {
            Error::Unsupported(format!(
                "stacks can't be unwound on {:?} yet",
                self.architecture()
            ))
        })
    }

    /// The stack from the frame with these registers. `is_interrupted` tells whether its program
    /// counter is where it was interrupted.
    pub fn stack_trace_from_registers(
        self: &Arc<Self>,
        registers: &Registers,
        is_interrupted: bool,
    ) -> Result<StackTrace> {
        self.unwind(registers, is_interrupted, &Replaced::default())
    }

    fn unwind(
        self: &Arc<Self>,
        registers: &Registers,
        is_interrupted: bool,
        replaced: &Replaced,
    ) -> Result<StackTrace> {
        let architecture = self.stack_architecture()?;
        self.search_memory_once();
        let tables = TracedTables {
            modules: &self.stacks().tables.snapshot(),
            replaced,
        };
        let unwinder = Unwinder::new(
            architecture,
            &**self.memory(),
            &tables,
            self.unwind_options(),
        );
        let stack = unwinder.unwind(registers, is_interrupted);
        StackTrace::new(self, Some(architecture), stack.frames, stack.end)
    }

    fn search_memory_once(self: &Arc<Self>) {
        let is_searched = &self.stacks().is_memory_searched;
        if is_searched.load(Ordering::Acquire) {
            return;
        }
        let searching = self.stacks().searching.lock();
        let _searching = searching.unwrap_or_else(PoisonError::into_inner);
        if !is_searched.load(Ordering::Acquire) {
            self.add_unwind_sources_in_memory();
            is_searched.store(true, Ordering::Release);
        }
    }

    /// A stack of program counters, innermost first, without registers. As in traces that kernels
    /// save, all are where calls return to.
    pub fn stack_trace_from_pcs(self: &Arc<Self>, pcs: &[u64]) -> Result<StackTrace> {
        let frames = pcs
            .iter()
            .map(|pc| kdive_unwind::Frame {
                pc: *pc,
                registers: Registers::new(),
                cfa: None,
                is_interrupted: false,
                how: How::Given,
                is_guess: false,
            })
            .collect();
        StackTrace::new(
            self,
            Architecture::of(self.architecture()),
            frames,
            End::NoRegisters,
        )
    }

    /// The stack of a task (`struct task_struct` or a pointer to it) or from saved registers
    /// (`struct pt_regs` or a pointer to it).
    pub fn stack_trace_of(self: &Arc<Self>, object: &Object) -> Result<StackTrace> {
        let start = start::of_object(self, object)?;
        self.unwind(&start.registers, start.is_interrupted, &start.replaced)
    }

    /// Many stacks, unwound by all processors at once, in the same order.
    pub fn stack_traces_of(self: &Arc<Self>, stacks: &[StackOf]) -> Vec<Result<StackTrace>> {
        in_parallel(stacks, |stack| match stack {
            StackOf::Object(object) => self.stack_trace_of(object),
            StackOf::Thread(thread) => thread.stack_trace(),
        })
    }
}

/// What `unwind` gives for each item, in their order.
fn in_parallel<T: Sync>(
    items: &[T],
    unwind: impl Fn(&T) -> Result<StackTrace> + Sync,
) -> Vec<Result<StackTrace>> {
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    let share = items.len().div_ceil(workers).max(1);
    let unwind = &unwind;
    std::thread::scope(|scope| {
        let handles: Vec<_> = items
            .chunks(share)
            .map(|chunk| {
                let work = move || chunk.iter().map(unwind).collect::<Vec<_>>();
                (chunk.len(), scope.spawn(work))
            })
            .collect();
        handles
            .into_iter()
            .flat_map(|(count, handle)| {
                handle.join().unwrap_or_else(|_| {
                    let failed = || Err(Error::Lookup("unwinding this stack failed".to_owned()));
                    (0..count).map(|_| failed()).collect()
                })
            })
            .collect()
    })
}
