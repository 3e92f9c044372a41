//! Files as numbered bytes.
//!
//! Here live the ways to reach the bytes of a file: mapped or with `pread` ([`file`]), and through
//! the chunks of a flattened dump ([`flattened`]). What the bytes mean is the business of others.

mod bus_guard;
mod file;

use std::io;
use std::path::Path;

pub use file::{Access, FileSource};

use crate::{Error, Result};

/// Bytes that can be read at any offset, by several threads at once.
pub trait Source: Send + Sync {
    /// Reads as many bytes as there are at `offset`, at most `buffer.len()`; fewer only where the
    /// file ends.
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize>;

    /// The number of bytes, as far as it is known.
    fn size(&self) -> u64;

    /// The name of the file, for messages.
    fn path(&self) -> &Path;
}

impl dyn Source + '_ {
    /// An error of this file.
    pub(crate) fn damaged(&self, message: impl Into<String>) -> Error {
        Error::Format {
            path: self.path().to_owned(),
            message: message.into(),
        }
    }

    pub(crate) fn failed(&self, source: io::Error) -> Error {
        Error::Io {
            path: self.path().to_owned(),
            source,
        }
    }

    /// The bytes at `offset`, fewer than `size` where the file ends. The memory for them is only
    /// asked for as far as the file reaches.
    pub(crate) fn read_up_to(&self, offset: u64, size: u64) -> Result<Vec<u8>> {
        let size = size.min(self.size().saturating_sub(offset));
        let size = usize::try_from(size).map_err(|_| {
            self.damaged(format!("{size} bytes at offset {offset:#x} are too many"))
        })?;
        let mut bytes = Vec::new();
        bytes
            .try_reserve_exact(size)
            .map_err(|_| self.damaged(format!("no memory for {size} bytes at {offset:#x}")))?;
        bytes.resize(size, 0);
        let count = self
            .read_at(offset, &mut bytes)
            .map_err(|error| self.failed(error))?;
        bytes.truncate(count);
        Ok(bytes)
    }

    /// The `size` bytes at `offset`; `what` they are is said when the file ends before them.
    pub(crate) fn read_all(&self, offset: u64, size: u64, what: &str) -> Result<Vec<u8>> {
        let bytes = self.read_up_to(offset, size)?;
        if bytes.len() as u64 == size {
            Ok(bytes)
        } else {
            Err(self.damaged(format!(
                "the file ends within {what}: {size} bytes are needed at offset {offset:#x}, {} are there",
                bytes.len()
            )))
        }
    }
}
