//! What was worked out about files, kept on disk between processes.
//!
//! An item is known by a kind and a build ID. It is written to a temporary name and renamed, so other
//! processes see all of it or nothing, and carries a checksum, so what a crash or a full disk
//! left of it is noticed. Nothing depends on the cache: what is not there is made again.

use std::fs::{self, File};
use std::io::Write;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use memmap2::Mmap;

use crate::{Error, Result};

/// Changes whenever the meaning of what items hold changes.
const FORMAT_VERSION: u32 = 6;
const MAGIC: &[u8; 8] = b"kdiveidx";
/// Magic, version, checksum of the contents, length of the contents, layout of their records.
const HEADER_LENGTH: usize = 8 + 4 + 4 + 8 + 8;
/// The total size beyond which the oldest items are removed, unless another one is chosen.
const DEFAULT_SIZE_LIMIT: u64 = 1 << 30;
/// An item in use is marked as used at most this often.
const MARK_INTERVAL: Duration = Duration::from_secs(24 * 60 * 60);

/// Nobody takes longer to write an item.
const LONGEST_WRITE: Duration = Duration::from_secs(60 * 60);

/// What an item of the cache holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ItemKind {
    /// The index of a file's debug information.
    Index,
    /// The table of a file's unwind information.
    Unwind,
    /// The table of the ORC that a kernel has in memory.
    Orc,
    /// The lists of a file's symbols.
    Symbols,
}

impl ItemKind {
    const ALL: [Self; 4] = [Self::Index, Self::Unwind, Self::Orc, Self::Symbols];

    /// A number that tells how the records are laid out that items are made of.
    fn layout(self) -> u32 {
        match self {
            Self::Index => crate::dwarf::saved_layout(),
            // The table says itself how it is laid out.
            Self::Unwind | Self::Orc => 0,
            Self::Symbols => crate::symbols::saved_layout(),
        }
    }

    /// How the names of its files end.
    fn extension(self) -> &'static str {
        match self {
            Self::Index => "index",
            Self::Unwind => "unwind",
            Self::Orc => "orc",
            Self::Symbols => "symbols",
        }
    }
}

/// A directory of what was worked out about files.
#[derive(Clone, Debug)]
pub struct IndexCache {
    directory: PathBuf,
    size_limit: u64,
}

/// An item of the cache.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CacheItem {
    /// The file.
    pub path: PathBuf,
    /// What it holds.
    pub kind: ItemKind,
    /// The build ID of the file that it was made from.
    pub build_id: Vec<u8>,
    /// Its size in bytes.
    pub size: u64,
    /// When it was last used, to about a day.
    pub used: SystemTime,
}

/// What became of the index of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CacheOutcome {
    /// There is no cache, or the file has no build ID.
    NotUsed,
    /// The index was in the cache.
    Found,
    /// The index was made and saved.
    Saved,
    /// The index in the cache was not usable, for this reason; it was made again and replaced.
    Replaced(String),
    /// The index was made, but could not be saved for this reason.
    NotSaved(String),
}

/// The contents of an item, mapped.
#[derive(Clone)]
pub struct Saved {
    map: Arc<Mmap>,
    range: Range<usize>,
}

impl AsRef<[u8]> for Saved {
    fn as_ref(&self) -> &[u8] {
        self.bytes()
    }
}

impl Saved {
    /// The bytes that were saved.
    pub fn bytes(&self) -> &[u8] {
        self.map.get(self.range.clone()).unwrap_or_default()
    }

    /// A part of the contents.
    pub fn part(&self, range: Range<usize>) -> Option<Saved> {
        self.bytes().get(range.clone())?;
        let start = self.range.start;
        Some(Saved {
            map: Arc::clone(&self.map),
            range: start + range.start..start + range.end,
        })
    }
}

impl IndexCache {
    /// The cache in `directory`, which is created when something is saved.
    pub fn new(directory: PathBuf) -> IndexCache {
        IndexCache {
            directory,
            size_limit: DEFAULT_SIZE_LIMIT,
        }
    }

    /// The user's cache: the directory that `$KDIVE_CACHE` names, else `kdive` in
    /// `$XDG_CACHE_HOME` or in `~/.cache`. `None` if `$KDIVE_CACHE` is `off`, or there is no home.
    pub fn of_user() -> Option<IndexCache> {
        match std::env::var_os("KDIVE_CACHE") {
            Some(value) if value == "off" => return None,
            Some(value) if !value.is_empty() => return Some(IndexCache::new(value.into())),
            _ => {}
        }
        let absolute = |name| {
            std::env::var_os(name)
                .map(PathBuf::from)
                .filter(|path| path.is_absolute())
        };
        let base = absolute("XDG_CACHE_HOME").or_else(|| Some(absolute("HOME")?.join(".cache")))?;
        Some(IndexCache::new(base.join("kdive")))
    }

    /// The same cache with another bound of its total size in bytes.
    #[must_use]
    pub fn with_size_limit(mut self, size_limit: u64) -> IndexCache {
        self.size_limit = size_limit;
        self
    }

    /// Where the cache is.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// All items, the one that was used longest ago first.
    pub fn items(&self) -> Result<Vec<CacheItem>> {
        let io_error = |source| Error::Io {
            path: self.directory.clone(),
            source,
        };
        let entries = match fs::read_dir(&self.directory) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(io_error)?,
        };
        let mut items = Vec::new();
        for entry in entries {
            let path = entry.map_err(io_error)?.path();
            // Another process may remove items at the same time.
            let (Some((kind, build_id)), Ok(metadata)) = (item_at(&path), fs::metadata(&path))
            else {
                continue;
            };
            let used = metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH);
            items.push(CacheItem {
                path,
                kind,
                build_id,
                size: metadata.len(),
                used,
            });
        }
        items.sort_by_key(|item| item.used);
        Ok(items)
    }

    /// Checks that an item is whole. The error says what is wrong with it.
    pub fn verify(&self, item: &CacheItem) -> Result<()> {
        match map(&item.path, item.kind) {
            Ok(Some(_)) => Ok(()),
            Ok(None) => Err(bad(&item.path, "the item is gone")),
            Err(reason) => Err(bad(&item.path, &reason)),
        }
    }

    /// Removes what processes left that died while they wrote.
    fn remove_leftovers(&self) {
        let entries = fs::read_dir(&self.directory).into_iter().flatten();
        for path in entries.flatten().map(|entry| entry.path()) {
            let is_unfinished = path.extension().is_some_and(|end| end == "new");
            let modified = fs::metadata(&path).and_then(|metadata| metadata.modified());
            let is_old = modified.is_ok_and(|modified| {
                modified
                    .elapsed()
                    .is_ok_and(|elapsed| elapsed > LONGEST_WRITE)
            });
            if is_unfinished && is_old {
                // Another process may have removed it.
                let _ = fs::remove_file(&path);
            }
        }
    }

    /// Removes the items that were used longest ago until the others have at most `limit` bytes
    /// together. Returns what was removed.
    pub fn prune(&self, limit: u64) -> Result<Vec<CacheItem>> {
        self.remove_leftovers();
        let items = self.items()?;
        let mut total: u64 = items.iter().map(|item| item.size).sum();
        let mut removed = Vec::new();
        for item in items {
            if total <= limit {
                break;
            }
            fs::remove_file(&item.path).map_err(|source| Error::Io {
                path: item.path.clone(),
                source,
            })?;
            total = total.saturating_sub(item.size);
            removed.push(item);
        }
        Ok(removed)
    }

    fn path(&self, kind: ItemKind, build_id: &[u8]) -> PathBuf {
        let name = hex(build_id);
        self.directory.join(name).with_extension(kind.extension())
    }

    /// The saved item of a build ID. The error says why there was one that can't be used.
    pub fn load(
        &self,
        kind: ItemKind,
        build_id: &[u8],
    ) -> std::result::Result<Option<Saved>, String> {
        let path = self.path(kind, build_id);
        match map(&path, kind) {
            Ok(Some(saved)) => {
                mark_used(&path);
                Ok(Some(saved))
            }
            Ok(None) => Ok(None),
            Err(reason) => self.refuse(kind, build_id, reason).map(|()| None),
        }
    }

    /// Removes an item that can't be used; the error is `reason`. It is none where nothing can be
    /// removed: there nothing can be replaced either, and nobody wants to be told each time.
    pub(crate) fn refuse(
        &self,
        kind: ItemKind,
        build_id: &[u8],
        reason: String,
    ) -> std::result::Result<(), String> {
        match fs::remove_file(self.path(kind, build_id)) {
            Ok(()) => Err(reason),
            Err(_) => Ok(()),
        }
    }

    /// Saves an item, and removes old ones if there are too many.
    pub fn save(&self, kind: ItemKind, build_id: &[u8], contents: &[u8]) -> Result<()> {
        static COUNTER: AtomicU64 = AtomicU64::new(0);
        let io_error = |source| Error::Io {
            path: self.directory.clone(),
            source,
        };
        fs::create_dir_all(&self.directory).map_err(io_error)?;
        let number = COUNTER.fetch_add(1, Ordering::Relaxed);
        let temporary = self
            .directory
            .join(format!(".{}-{number}.new", std::process::id()));
        let written = write(&temporary, kind, contents)
            .and_then(|()| fs::rename(&temporary, self.path(kind, build_id)));
        if let Err(source) = written {
            // It may not even exist; then there is nothing to be removed.
            let _ = fs::remove_file(&temporary);
            return Err(io_error(source));
        }
        self.prune(self.size_limit)?;
        Ok(())
    }
}

fn bad(path: &Path, message: &str) -> Error {
    Error::Bad {
        origin: path.display().to_string(),
        message: message.to_owned(),
    }
}

fn hex(build_id: &[u8]) -> String {
    build_id
        .iter()
        .fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}

fn item_at(path: &Path) -> Option<(ItemKind, Vec<u8>)> {
    let extension = path.extension()?;
    let kind = ItemKind::ALL
        .into_iter()
        .find(|kind| extension == kind.extension())?;
    let name = path.file_stem()?.to_str()?;
    if name.is_empty() || !name.len().is_multiple_of(2) {
        return None;
    }
    name.as_bytes()
        .chunks_exact(2)
        .map(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok())
        .collect::<Option<_>>()
        .map(|build_id| (kind, build_id))
}

fn write(path: &Path, kind: ItemKind, contents: &[u8]) -> std::io::Result<()> {
    let mut checksum = libdeflater::Crc::new();
    checksum.update(contents);
    let mut file = File::create_new(path)?;
    file.write_all(MAGIC)?;
    file.write_all(&FORMAT_VERSION.to_le_bytes())?;
    file.write_all(&checksum.sum().to_le_bytes())?;
    file.write_all(&(contents.len() as u64).to_le_bytes())?;
    file.write_all(&u64::from(kind.layout()).to_le_bytes())?;
    file.write_all(contents)
}

/// Maps an item. `None` if it doesn't exist; the error says why it can't be used.
fn map(path: &Path, kind: ItemKind) -> std::result::Result<Option<Saved>, String> {
    let file = match File::open(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        file => file.map_err(|error| error.to_string())?,
    };
    // SAFETY: the map is private and read-only, and items are never written to once they have
    // their name. Somebody who truncates one makes accesses fault, which breaks no memory.
    let map = unsafe { Mmap::map(&file) };
    let map = map.map_err(|error| error.to_string())?;
    let (header, contents) = map
        .split_at_checked(HEADER_LENGTH)
        .ok_or("the file is truncated")?;
    let (magic, rest) = header.split_at(MAGIC.len());
    if magic != MAGIC {
        return Err("the file is not an index of kdive".to_owned());
    }
    let number = |range: Range<usize>| {
        let bytes = rest.get(range).and_then(|bytes| bytes.first_chunk::<4>());
        bytes.map_or(0, |bytes| u32::from_le_bytes(*bytes))
    };
    if number(0..4) != FORMAT_VERSION {
        return Err(format!(
            "the file has format {}, not {FORMAT_VERSION}",
            number(0..4)
        ));
    }
    if (number(16..20), number(20..24)) != (kind.layout(), 0) {
        return Err("the file is laid out in another way than this kdive does it".to_owned());
    }
    let length = u64::from(number(8..12)) | (u64::from(number(12..16)) << 32);
    if length != contents.len() as u64 {
        return Err("the file is truncated".to_owned());
    }
    let mut checksum = libdeflater::Crc::new();
    checksum.update(contents);
    if checksum.sum() != number(4..8) {
        return Err("the file is damaged: its checksum is wrong".to_owned());
    }
    let range = HEADER_LENGTH..map.len();
    Ok(Some(Saved {
        map: Arc::new(map),
        range,
    }))
}

/// Notes that an item was used, which says only when it may be removed: failure doesn't matter,
/// and is usual in directories of others.
fn mark_used(path: &Path) {
    let Ok(file) = File::options().append(true).open(path) else {
        return;
    };
    let now = SystemTime::now();
    let modified = file.metadata().and_then(|metadata| metadata.modified());
    let is_recent = modified.is_ok_and(|modified| {
        now.duration_since(modified)
            .is_ok_and(|elapsed| elapsed < MARK_INTERVAL)
    });
    if !is_recent {
        let _ = file.set_modified(now);
    }
}
