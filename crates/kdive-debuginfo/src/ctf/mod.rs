//! CTF: the C types and variables that compilers and linkers of GNU put beside a program, and that
//! Oracle's kernels ship with as `vmlinux.ctfa`.
//!
//! An [`Archive`] holds dictionaries by name; [`CtfSource`] reads them and answers for types and
//! objects by name. Versions 2 and 3 are read, as binutils up to 2.45 and Oracle's `dwarf2ctf`
//! write them. Version 4 of the development branch of binutils is BTF with additions and is
//! refused by name. The format is described in binutils' `ctf-spec`.
//!
//! Where files are looked for, and where variables are in a running program, is decided elsewhere.

mod archive;
mod dictionary;
mod elf;
mod header;
mod objects;
mod resolve;
mod shapes;
mod sizes;
mod source;
#[cfg(test)]
mod tests;

pub use crate::compiler::ArrayOrder;
pub use archive::Archive;
pub use source::{CtfSource, Environment};
