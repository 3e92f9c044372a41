//! Stack frames from registers.
//!
//! Here live the unwinders (CFI, ORC, frame pointers), the tables of unwind rows that they
//! search, the evaluator of DWARF expressions, and the registers of each architecture. Nothing
//! here knows names, types or Python.

pub mod arch;
mod error;
mod registers;
pub mod table;

pub use arch::Architecture;
pub use error::{Error, Result};
pub use registers::{Register, RegisterField, Registers};
