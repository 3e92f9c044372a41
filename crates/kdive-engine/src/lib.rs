//! Programs, types and objects with the semantics of C.
//!
//! Here the bytes of a target and the descriptions of debug information become values that
//! can be followed, computed with and printed. Nothing here knows Python or kernel policy.

mod error;
pub mod module;
pub mod object;
pub mod program;
pub mod stack;
pub mod types;

pub use error::{Error, Result};
pub use module::Module;
pub use object::{Object, Place};
pub use program::Program;
pub use stack::{StackFrame, StackTrace};
pub use types::{Type, TypeKind};
