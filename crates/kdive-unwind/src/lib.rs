//! Stack frames from registers.
//!
//! Here live the unwinders (CFI, ORC, frame pointers), the tables of unwind rows that they
//! search, the evaluator of DWARF expressions, and the registers of each architecture. Nothing
//! here knows names, types or Python.

pub mod arch;
mod error;
pub mod expression;
mod fallback;
mod memory;
mod registers;
pub mod table;
pub mod text;
mod unwinder;

pub use arch::Architecture;
pub use error::{Error, Result};
pub use memory::ReadMemory;
pub use registers::{Register, RegisterField, Registers};
pub use unwinder::{End, FindTable, Frame, How, Stack, UnwindOptions, Unwinder};
