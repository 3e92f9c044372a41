//! BTF: the types that a Linux kernel and its modules carry with them.
//!
//! [`Btf`] is the table of records and finds a record by its ID; [`BtfSource`] answers for
//! types and objects by name. [`BtfFile`] is the table in a file; that in the memory of a target is
//! the caller's matter. The format is described in the kernel's
//! `Documentation/bpf/btf.rst`.

mod distilled;
mod files;
mod records;
mod source;

pub use crate::compiler::ArrayOrder;
pub use files::BtfFile;
pub use records::{Btf, Record};
pub use source::{BtfSource, Environment};
