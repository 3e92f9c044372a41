//! Debug information: which types, variables, symbols and source lines a program has.
//!
//! Every format (DWARF, BTF, CTF) answers through one trait, [`TypeSource`], with shallow
//! [descriptions](description) that name other types by [`TypeId`]; the engine makes types of
//! them. Nothing here reads values or knows C semantics.

pub mod btf;
mod bytes;
pub mod cache;
pub mod code;
mod column;
mod compiler;
pub mod ctf;
pub mod description;
pub mod dwarf;
pub mod elf;
mod error;
mod hash;
pub mod kallsyms;
pub mod macros;
mod names;
pub mod progress;
pub mod search;
mod source;
mod source_path;
pub mod symbols;

pub use code::CodeSource;
pub use error::{Error, Result};
pub use macros::MacroSource;
pub use source::TypeSource;
pub use source_path::path_ends_with;
