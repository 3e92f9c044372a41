//! The error type of this crate.

use std::path::PathBuf;

/// Why debug information could not be had.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The bytes of a target could not be read.
    #[error(transparent)]
    Target(#[from] kdive_target::Error),
    /// A file could not be opened or read.
    #[error("{path}: {source}", path = path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The operating system's error.
        source: std::io::Error,
    },
    /// Debug information is damaged, or uses what no compiler is known to emit.
    #[error("{origin}: {message}")]
    Bad {
        /// The file or the part of the target that holds it.
        origin: String,
        /// What is wrong, and at which section and offset.
        message: String,
    },
}

/// The result of this crate's functions.
pub type Result<T> = std::result::Result<T, Error>;
