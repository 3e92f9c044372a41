//! Dumps whose file ends too early.

use std::fmt;
use std::path::{Path, PathBuf};

use crate::source::Source;

/// How much there is of a file that should be longer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Truncation {
    /// The file.
    pub path: PathBuf,
    /// The number of bytes that are there.
    pub present: u64,
    /// The number of bytes that should be, at least, as far as the file tells.
    pub expected: Option<u64>,
}

impl Truncation {
    /// Compares a file with the size that its headers lead to.
    pub(crate) fn of(source: &dyn Source, expected: u64) -> Option<Self> {
        let present = source.size();
        (present < expected).then(|| Self {
            path: source.path().to_owned(),
            present,
            expected: Some(expected),
        })
    }

    /// A file that lacks the mark that ends it.
    pub(crate) fn without_end(path: &Path, present: u64) -> Self {
        Self {
            path: path.to_owned(),
            present,
            expected: None,
        }
    }
}

/// A clause such as `only 512 of 4096 bytes are there`.
impl fmt::Display for Truncation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let present = self.present;
        match self.expected {
            Some(expected) => write!(f, "only {present} of {expected} bytes are there"),
            None => write!(f, "its end is missing after {present} bytes"),
        }
    }
}
