//! Debug information: which types, variables, symbols and source lines a program has.
//!
//! Every format (DWARF, BTF, CTF) answers through one trait, [`TypeSource`], with shallow
//! [descriptions](description) that name other types by [`TypeId`]; the engine makes types of
//! them. Nothing here reads values or knows C semantics.

pub mod description;
mod error;
mod source;

pub use error::{Error, Result};
pub use source::TypeSource;
