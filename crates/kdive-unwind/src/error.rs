//! The error type of this crate.

/// Why a stack or a variable could not be followed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The bytes of the target could not be read.
    #[error(transparent)]
    Target(#[from] kdive_target::Error),
    /// A section with unwind information is damaged.
    #[error("{section}: {message}")]
    Section {
        /// The section, such as `.debug_frame`.
        section: &'static str,
        /// What is wrong, and at which offset.
        message: String,
    },
    /// The bytes given as an unwind table are not one that this version of kdive wrote.
    #[error("unwind table: {0}; it must be compiled again")]
    Table(&'static str),
    /// ORC data of a version that kdive does not know.
    #[error("unknown ORC format: {0}")]
    UnknownOrc(String),
    /// A DWARF expression is invalid.
    #[error("bad DWARF expression: {0}")]
    Expression(String),
    /// Registers of a thread are too short or of another architecture.
    #[error("register note of {actual} bytes is too short: {expected} bytes are needed")]
    RegisterNote {
        /// The size that the architecture's layout needs.
        expected: usize,
        /// The size that was given.
        actual: usize,
    },
}

/// The result of this crate's functions.
pub type Result<T> = std::result::Result<T, Error>;
