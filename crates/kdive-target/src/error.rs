//! The error type of this crate.

use std::path::PathBuf;

use crate::target::Truncation;

/// Why bytes of a target could not be had.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// An address is not part of the target, not mapped, or its page is missing from the dump.
    #[error("{reason}: {address:#x}")]
    Fault {
        /// The first address that could not be read.
        address: u64,
        /// What is known of the cause, such as `address is not mapped`.
        reason: String,
    },
    /// A file could not be opened or read.
    #[error("{path}: {source}", path = path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The operating system's error.
        source: std::io::Error,
    },
    /// A file is damaged, truncated, or of a format that kdive does not read.
    #[error("{path}: {message}", path = path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// What is wrong, where in the file, and what to do next.
        message: String,
    },
    /// A file ends too early, and only a whole one was to be opened.
    #[error("{path}: the file is truncated: {0}", path = .0.path.display())]
    Truncated(Truncation),
    /// A reader provided from outside (such as a Python function) failed.
    #[error("{0}")]
    Reader(Box<dyn std::error::Error + Send + Sync>),
}

/// The result of this crate's functions.
pub type Result<T> = std::result::Result<T, Error>;
