//! The error type of this crate.

/// Why a question about a program has no answer.
///
/// Each variant is one exception in Python.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The bytes of the target could not be read.
    #[error(transparent)]
    Target(#[from] kdive_target::Error),
    /// Debug information could not be read.
    #[error(transparent)]
    DebugInfo(#[from] kdive_debuginfo::Error),
    /// No type, variable, function or constant has this name.
    #[error("{message}")]
    NotFound {
        /// The name that was looked for.
        name: String,
        /// What was looked for, and what could be done.
        message: String,
    },
    /// A lookup by something else than a name (an address, a thread ID) found nothing.
    #[error("{0}")]
    Lookup(String),
    /// An operation does not fit the types of its operands.
    #[error("{0}")]
    Type(String),
    /// An argument has the right type and a wrong value.
    #[error("{0}")]
    Value(String),
    /// A member that a type does not have.
    #[error("{0}")]
    NoMember(String),
    /// A type name that can't be parsed; the message points at the character.
    #[error("{0}")]
    Syntax(String),
    /// A number is too large for its type or for the target's addresses.
    #[error("{0}")]
    Overflow(String),
    /// A division by zero.
    #[error("division by zero")]
    DivisionByZero,
    /// A subobject lies outside of the object that holds it.
    #[error("{0}")]
    OutOfBounds(String),
    /// The value of an absent object was needed.
    #[error("{0}")]
    Absent(String),
    /// kdive can't do this (yet, or on this platform).
    #[error("{0}")]
    Unsupported(String),
    /// Types are nested too deeply to be real.
    #[error("{0}")]
    Recursion(String),
    /// A finder, a lazy member or another function provided from outside failed.
    #[error("{0}")]
    Callback(Box<dyn std::error::Error + Send + Sync>),
}

/// The result of this crate's functions.
pub type Result<T> = std::result::Result<T, Error>;
