//! Files as numbered bytes.
//!
//! Here live the ways to reach the bytes of a file: mapped or with `pread` ([`file`]), through the
//! chunks of a flattened dump ([`flattened`]), one read at a time ([`serial`]), or kept as they were
//! ([`snapshot`]). What the bytes mean is the business of others.

mod bus_guard;
mod file;
mod flattened;
mod serial;
mod snapshot;

use std::io;
use std::path::Path;

pub use file::{Access, FileSource};
pub(crate) use flattened::FlattenedSource;
pub(crate) use serial::SerialSource;
pub(crate) use snapshot::SnapshotSource;

use crate::target::Truncation;
use crate::{Error, Result};

/// Bytes that can be read at any offset, by several threads at once.
pub trait Source: Send + Sync {
    /// Reads as many bytes as there are at `offset`, at most `buffer.len()`; fewer only where the
    /// file ends.
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize>;

    /// The number of bytes, as far as it is known.
    fn size(&self) -> u64;

    /// The number of bytes that there are, which is less than the size where pieces are missing.
    fn stored(&self) -> u64 {
        self.size()
    }

    /// The name of the file, for messages.
    fn path(&self) -> &Path;

    /// Whether reading a few bytes only copies them from mapped memory.
    fn is_mapped(&self) -> bool {
        false
    }

    /// How much of the file is missing, where its form tells that without its content.
    fn truncation(&self) -> Option<Truncation> {
        None
    }
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

    /// The bytes at `offset`, fewer than `size` where the file ends. Memory is only asked for as
    /// bytes are found, whatever the size.
    pub(crate) fn read_up_to(&self, offset: u64, size: u64) -> Result<Vec<u8>> {
        const STEP: u64 = 16 << 20;
        let mut bytes = Vec::new();
        loop {
            let done = bytes.len();
            let step = STEP.min(size - done as u64) as usize;
            let Some(at) = offset.checked_add(done as u64).filter(|_| step > 0) else {
                return Ok(bytes);
            };
            bytes.resize(done + step, 0);
            let count = self
                .read_at(at, bytes.get_mut(done..).unwrap_or_default())
                .map_err(|error| self.failed(error))?;
            bytes.truncate(done + count);
            if count < step {
                return Ok(bytes);
            }
        }
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

#[cfg(test)]
pub(crate) mod tests {
    use std::sync::Arc;

    use super::*;

    /// A file that is only in memory.
    pub struct MemorySource(Vec<u8>);

    impl MemorySource {
        pub fn shared(bytes: Vec<u8>) -> Arc<dyn Source> {
            Arc::new(Self(bytes))
        }
    }

    impl Source for MemorySource {
        fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
            let start = usize::try_from(offset).unwrap_or(usize::MAX);
            let available = self.0.get(start..).unwrap_or_default();
            let count = available.len().min(buffer.len());
            buffer[..count].copy_from_slice(&available[..count]);
            Ok(count)
        }

        fn size(&self) -> u64 {
            self.0.len() as u64
        }

        fn path(&self) -> &Path {
            Path::new("memory")
        }
    }
}
