//! The cache of indexes on disk, for `kdive cache`.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::UNIX_EPOCH;

use kdive_debuginfo::cache::{CacheItem, CacheOutcome, IndexCache};
use kdive_debuginfo::dwarf::DwarfSource;
use kdive_debuginfo::elf::ElfFile;
use kdive_debuginfo::symbols::SymbolTable;
use pyo3::exceptions::PyLookupError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::arguments::FilePath;
use crate::errors::{IntoPython, OrRaise};

/// Path, build ID, size in bytes, and when it was last used in seconds since 1970.
type Item<'py> = (PathBuf, Bound<'py, PyBytes>, u64, f64);

fn cache() -> PyResult<IndexCache> {
    IndexCache::of_user().ok_or_else(|| PyLookupError::new_err("there is no cache"))
}

fn to_python(py: Python<'_>, items: Vec<CacheItem>) -> Vec<Item<'_>> {
    items
        .into_iter()
        .map(|item| {
            let used = item.used.duration_since(UNIX_EPOCH);
            let used_s = used.map_or(0.0, |duration| duration.as_secs_f64());
            let build_id = PyBytes::new(py, &item.build_id);
            (item.path, build_id, item.size, used_s)
        })
        .collect()
}

/// Where the cache is; none if there is no cache.
#[pyfunction]
#[pyo3(name = "_cache_directory")]
pub(crate) fn directory() -> Option<PathBuf> {
    Some(IndexCache::of_user()?.directory().to_owned())
}

/// All items of the cache, the one that was used longest ago first.
#[pyfunction]
#[pyo3(name = "_cache_items")]
pub(crate) fn items(py: Python<'_>) -> PyResult<Vec<Item<'_>>> {
    Ok(to_python(py, cache()?.items().or_raise()?))
}

/// What is wrong with each damaged item, by its path.
#[pyfunction]
#[pyo3(name = "_cache_verify")]
pub(crate) fn verify(py: Python<'_>) -> PyResult<Vec<(PathBuf, String)>> {
    let cache = cache()?;
    py.detach(|| {
        let items = cache.items()?;
        let damaged = items.into_iter().filter_map(|item| {
            let error = cache.verify(&item).err()?;
            Some((item.path, error.to_string()))
        });
        Ok(damaged.collect())
    })
    .map_err(kdive_debuginfo::Error::into_python)
}

/// Removes what was used longest ago, until the rest has at most so many bytes.
#[pyfunction]
#[pyo3(name = "_cache_prune")]
pub(crate) fn prune(py: Python<'_>, limit: u64) -> PyResult<Vec<Item<'_>>> {
    let removed = cache()?.prune(limit).or_raise()?;
    Ok(to_python(py, removed))
}

/// How many bytes of debug information were indexed, and how many are to be, in this process.
#[pyfunction]
#[pyo3(name = "_indexing_progress")]
pub(crate) fn indexing_progress() -> (u64, u64) {
    kdive_debuginfo::progress::indexing()
}

/// The build ID of a file; none if it has none.
#[pyfunction]
#[pyo3(name = "_build_id")]
pub(crate) fn build_id(py: Python<'_>, path: FilePath) -> PyResult<Option<Bound<'_, PyBytes>>> {
    let file = ElfFile::open(&path.0).map_err(kdive_debuginfo::Error::into_python)?;
    Ok(file.build_id().map(|id| PyBytes::new(py, id)))
}

/// Indexes a file and keeps the index; says whether it was there (`found`), was made (`saved`),
/// or why it could not be kept.
#[pyfunction]
#[pyo3(name = "_cache_add")]
pub(crate) fn add(py: Python<'_>, path: FilePath) -> PyResult<String> {
    let cache = cache()?;
    let outcome = py
        .detach(|| {
            let file = Arc::new(ElfFile::open(&path.0)?);
            let Some(source) = DwarfSource::open_with_cache(&file, 0, Some(&cache))? else {
                return Ok(None);
            };
            // What is saved of the symbols is saved when they are first needed.
            SymbolTable::from_elf_with_cache(&file, 0, Some(&cache))?.is_empty();
            Ok(Some(source.cache_outcome()))
        })
        .map_err(kdive_debuginfo::Error::into_python)?;
    Ok(match outcome {
        None => "it has no DWARF debugging information".to_owned(),
        Some(CacheOutcome::NotUsed) => "it has no build ID".to_owned(),
        Some(CacheOutcome::Found) => "found".to_owned(),
        Some(CacheOutcome::Saved | CacheOutcome::Replaced(_)) => "saved".to_owned(),
        Some(CacheOutcome::NotSaved(reason)) => reason,
    })
}
