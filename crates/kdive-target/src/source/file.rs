//! A file on disk, mapped where that is possible.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use rayon::prelude::*;

use super::Source;
use super::bus_guard::GuardedMap;
use crate::parallel::with_threads;
use crate::{Error, Result};

/// How to reach the bytes of a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Access {
    /// Map regular files, read others with `pread`.
    #[default]
    Automatic,
    /// Always read with `pread`, for files on media whose failures would be frequent.
    Pread,
}

/// A file, mapped into memory or read with `pread`.
///
/// A regular file is mapped. Should it shrink while it is open, or its medium fail, the mapping
/// is given up and every later read is a `pread`, which reports what is missing: no signal
/// reaches the program. Reads of a page or more are a `pread` in any case, which is then faster than
/// taking a page fault per page.
pub struct FileSource {
    file: File,
    path: PathBuf,
    size: u64,
    map: Option<GuardedMap>,
}

impl FileSource {
    /// From this size on one `pread` costs less than the page fault that a mapping takes where it
    /// was not used before, which is several microseconds. Smaller reads come back to their page.
    const BULK: usize = 4096;
    /// From this size on several threads copy, each a piece at a time.
    const MUCH: usize = 8 << 20;
    const PIECE: usize = 1 << 20;

    /// Opens a file for reading.
    pub fn open(path: &Path, access: Access) -> Result<Self> {
        let file = File::open(path).map_err(|source| Error::Io {
            path: path.to_owned(),
            source,
        })?;
        Self::new(file, path, access)
    }

    /// Takes over a file that is open for reading; `path` is its name in messages.
    pub fn new(file: File, path: &Path, access: Access) -> Result<Self> {
        let metadata = file.metadata().map_err(|source| Error::Io {
            path: path.to_owned(),
            source,
        })?;
        if metadata.is_dir() {
            return Err(Error::Io {
                path: path.to_owned(),
                source: io::ErrorKind::IsADirectory.into(),
            });
        }
        let map = (access == Access::Automatic && metadata.is_file() && metadata.len() > 0)
            .then(|| memmap2::MmapOptions::new().map_raw_read_only(&file).ok())
            .flatten()
            .and_then(GuardedMap::new);
        Ok(Self {
            size: size_of(&file, &metadata),
            file,
            path: path.to_owned(),
            map,
        })
    }

    /// The file itself.
    pub(crate) fn file(&self) -> &File {
        &self.file
    }

    /// Like [`pread`](Self::pread), with all threads.
    fn read_in_pieces(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let pieces = buffer.par_chunks_mut(Self::PIECE).enumerate();
        let counts = pieces.map(|(index, piece)| {
            let here = offset.saturating_add((index * Self::PIECE) as u64);
            (piece.len(), self.pread(here, piece))
        });
        let counts: Vec<(usize, io::Result<usize>)> = with_threads(|| counts.collect());
        let mut done = 0;
        for (wanted, count) in counts {
            let count = match count {
                Ok(count) => count,
                Err(_) if done > 0 => break,
                Err(error) => return Err(error),
            };
            done += count;
            if count < wanted {
                break;
            }
        }
        Ok(done)
    }

    fn pread(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let mut done = 0;
        while let Some(rest) = buffer.get_mut(done..).filter(|rest| !rest.is_empty()) {
            let Some(here) = offset.checked_add(done as u64) else {
                break;
            };
            match self.file.read_at(rest, here) {
                Ok(0) => break,
                Ok(count) => done += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) if done > 0 => break,
                Err(error) => return Err(error),
            }
        }
        Ok(done)
    }
}

/// Regular files say their size; of block devices it is found by seeking to the end.
fn size_of(file: &File, metadata: &std::fs::Metadata) -> u64 {
    use std::io::{Seek, SeekFrom};
    use std::os::unix::fs::FileTypeExt;
    if metadata.file_type().is_block_device() {
        let mut file = file;
        return file.seek(SeekFrom::End(0)).unwrap_or(0);
    }
    metadata.len()
}

impl Source for FileSource {
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        if let Some(map) = &self.map
            && buffer.len() < Self::BULK
            && let Ok(start) = usize::try_from(offset)
        {
            let available = buffer.len().min(map.len().saturating_sub(start));
            if available == buffer.len() && map.copy(start, buffer) {
                return Ok(available);
            }
        }
        if self.map.is_some() && buffer.len() >= Self::MUCH {
            return self.read_in_pieces(offset, buffer);
        }
        self.pread(offset, buffer)
    }

    fn size(&self) -> u64 {
        self.size
    }

    fn is_mapped(&self) -> bool {
        self.map.is_some()
    }

    fn path(&self) -> &Path {
        &self.path
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn sample(size: usize) -> (tempfile::NamedTempFile, Vec<u8>) {
        let bytes: Vec<u8> = (0..size).map(|index| (index % 251) as u8).collect();
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(&bytes).unwrap();
        (file, bytes)
    }

    #[test]
    fn reads_the_same_mapped_and_with_pread() {
        let (file, bytes) = sample(600_000);
        for access in [Access::Automatic, Access::Pread] {
            let source = FileSource::open(file.path(), access).unwrap();
            assert_eq!(source.map.is_some(), access == Access::Automatic);
            for (offset, size) in [(0, 1), (4090, 100), (100_000, 400_000), (599_990, 10)] {
                let mut buffer = vec![0; size];
                assert_eq!(source.read_at(offset, &mut buffer).unwrap(), size);
                assert_eq!(buffer, bytes[offset as usize..][..size]);
            }
            let mut buffer = [0; 20];
            assert_eq!(source.read_at(599_990, &mut buffer).unwrap(), 10);
            assert_eq!(source.read_at(600_000, &mut buffer).unwrap(), 0);
            assert_eq!(source.read_at(u64::MAX, &mut buffer).unwrap_or(0), 0);
        }
    }

    #[test]
    fn what_is_read_by_several_threads_is_whole_and_ends_with_the_file() {
        let bytes: Vec<u8> = (0..9_500_000_u32)
            .map(|index| (index.wrapping_mul(2_654_435_761) >> 24) as u8)
            .collect();
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(&bytes).unwrap();
        let source = FileSource::open(file.path(), Access::Automatic).unwrap();
        let mut buffer = vec![0; FileSource::MUCH + 1000];
        assert_eq!(source.read_at(77, &mut buffer).unwrap(), buffer.len());
        assert!(buffer == bytes[77..][..buffer.len()]);
        let left = bytes.len() - 1_500_000;
        assert_eq!(source.read_at(1_500_000, &mut buffer).unwrap(), left);
        assert!(buffer[..left] == bytes[1_500_000..]);
        assert_eq!(source.read_at(20_000_000, &mut buffer).unwrap(), 0);
    }

    #[test]
    fn survives_a_file_that_shrinks() {
        let (file, bytes) = sample(64 * 4096);
        let source = FileSource::open(file.path(), Access::Automatic).unwrap();
        file.as_file().set_len(3 * 4096 + 10).unwrap();
        let mut buffer = [1; 64];
        assert_eq!(source.read_at(40 * 4096, &mut buffer).unwrap(), 0);
        assert_eq!(source.read_at(3 * 4096, &mut buffer).unwrap(), 10);
        assert_eq!(buffer[..10], bytes[3 * 4096..][..10]);
        assert_eq!(source.read_at(0, &mut buffer).unwrap(), 64);
        assert_eq!(buffer[..], bytes[..64]);
    }

    #[test]
    fn refuses_a_directory() {
        let directory = tempfile::tempdir().unwrap();
        assert!(matches!(
            FileSource::open(directory.path(), Access::Automatic),
            Err(Error::Io { .. })
        ));
    }
}
