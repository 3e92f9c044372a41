//! Stacks that a kernel log has as text, as frames of the program.

use std::sync::Arc;

use kdive_unwind::text::{self, TextFrame};
use kdive_unwind::{Architecture, End, How, Registers};

use super::StackTrace;
use crate::Result;
use crate::program::{Program, SymbolQuery};

/// A stack out of a log.
pub struct LoggedStack {
    /// The number of the line of the log where it begins, from 0.
    pub line: usize,
    /// Its frames, without registers; those that the log marks as found by chance (`?`) are left
    /// out.
    pub trace: StackTrace,
    /// The functions that could not be found, as the log writes them: their modules' symbols may
    /// not be loaded.
    pub unresolved: Vec<String>,
}

impl Program {
    /// The stacks in a kernel log (oopses, warnings, hung tasks), with functions, source lines
    /// and inlined functions of this program, which must be the kernel that wrote the log.
    pub fn stack_traces_in_log(self: &Arc<Self>, log: &str) -> Result<Vec<LoggedStack>> {
        text::stacks(log)
            .into_iter()
            .map(|stack| {
                let mut unresolved = Vec::new();
                let mut frames = Vec::new();
                for frame in stack.frames.iter().filter(|frame| frame.is_reliable) {
                    match self.address_of_text(frame)? {
                        Some(pc) => frames.push(kdive_unwind::Frame {
                            pc,
                            registers: Registers::new(),
                            cfa: None,
                            // A call can't return to the start of a function, but to what a tracer put there.
                            is_interrupted: frame.is_program_counter || frame.offset == 0,
                            how: How::Given,
                            is_guess: false,
                        }),
                        None => unresolved.push(format!("{}+{:#x}", frame.symbol, frame.offset)),
                    }
                }
                Ok(LoggedStack {
                    line: stack.line,
                    trace: StackTrace::new(
                        self,
                        Architecture::of(self.architecture()),
                        frames,
                        End::NoRegisters,
                    )?,
                    unresolved,
                })
            })
            .collect()
    }

    /// The program counter that a line means: in the only function of that name and size. Sizes
    /// in a log include the padding up to the next function, so that the closest one counts.
    fn address_of_text(self: &Arc<Self>, frame: &TextFrame<'_>) -> Result<Option<u64>> {
        let query = SymbolQuery {
            name: Some(frame.symbol),
            address: None,
            one: false,
        };
        let candidates = self.find_symbols(query)?;
        let distance = |size: u64| frame.size.map_or(0, |expected| expected.abs_diff(size));
        let closest = candidates
            .iter()
            .filter(|symbol| symbol.size == 0 || frame.offset <= symbol.size)
            .min_by_key(|symbol| distance(symbol.size));
        let Some(closest) = closest else {
            return Ok(None);
        };
        let is_ambiguous = candidates.iter().any(|other| {
            other.address != closest.address && distance(other.size) == distance(closest.size)
        });
        Ok((!is_ambiguous).then(|| closest.address.wrapping_add(frame.offset)))
    }
}
