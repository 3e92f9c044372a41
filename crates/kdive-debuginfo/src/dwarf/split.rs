//! Finds the files of split DWARF: a package beside the program, or what the compiler wrote.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use kdive_target::parallel::with_threads;
use rayon::prelude::*;

use super::file::{Companions, DwarfFile, Skeletons};
use crate::Result;
use crate::elf::ElfFile;

/// A file of split DWARF that could not be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MissingFile {
    /// Where the program says that it is.
    pub path: PathBuf,
    /// Why it could not be used.
    pub reason: String,
}

/// The files that the units of a program were split off into.
#[derive(Default)]
pub(super) struct SplitFiles {
    pub(super) files: Vec<DwarfFile>,
    pub(super) missing: Vec<MissingFile>,
}

/// A unit whose entries are in another file.
struct Wanted {
    skeleton: usize,
    id: u64,
    /// `DW_AT_dwo_name`, in `DW_AT_comp_dir`.
    path: PathBuf,
}

/// Opens the files of all units of a program.
pub(super) fn open(program: &Arc<DwarfFile>) -> Result<SplitFiles> {
    let skeletons: Vec<_> = program.skeletons().collect();
    if skeletons.is_empty() {
        return Ok(SplitFiles::default());
    }
    let by_id: HashMap<u64, usize> = skeletons.iter().map(|&(unit, id)| (id, unit)).collect();
    let open_file = |path: &Path| -> Result<Option<DwarfFile>> {
        let companions = Companions {
            supplementary: None,
            skeletons: Some(Skeletons {
                file: Arc::clone(program),
                by_id: by_id.clone(),
            }),
        };
        DwarfFile::open(&Arc::new(ElfFile::open(path)?), None, companions)
    };
    let mut split = SplitFiles::default();
    let mut packed = Vec::new();
    let package = package_path(program.elf().path());
    if package.is_file()
        && let Some(file) = open_file(&package)?
    {
        packed.extend(file.split_units().map(|(_, id)| id));
        split.files.push(file);
    }
    packed.sort_unstable();
    let mut wanted = Vec::new();
    for (skeleton, id) in skeletons {
        if packed.binary_search(&id).is_err() {
            let path = program.split_path(skeleton)?;
            wanted.push(Wanted { skeleton, id, path });
        }
    }
    let opened: Vec<_> = with_threads(|| {
        let wanted = wanted.into_par_iter();
        wanted
            .map(|wanted| find(program, &wanted, |path| open_file(path)))
            .collect()
    });
    for found in opened {
        match found {
            Ok(file) => split.files.push(file),
            Err(missing) => split.missing.push(missing),
        }
    }
    Ok(split)
}

/// `PROGRAM.dwp`, as gdb and lldb look for it.
fn package_path(program: &Path) -> PathBuf {
    let mut name = program.as_os_str().to_owned();
    name.push(".dwp");
    name.into()
}

/// The paths where a file may be: where the compiler wrote it, or, if it was moved with the
/// program, beside that.
fn candidates(program: &Path, path: &Path) -> Vec<PathBuf> {
    let mut paths = vec![path.to_owned()];
    if let (Some(directory), Some(name)) = (program.parent(), path.file_name()) {
        paths.push(directory.join(name));
    }
    paths
}

fn find(
    program: &DwarfFile,
    wanted: &Wanted,
    open: impl Fn(&Path) -> Result<Option<DwarfFile>>,
) -> std::result::Result<DwarfFile, MissingFile> {
    let mut reason = "there is no such file".to_owned();
    for path in candidates(program.elf().path(), &wanted.path) {
        if !path.is_file() {
            continue;
        }
        match open(&path) {
            Ok(Some(file)) => {
                if file.split_units().any(|(_, id)| id == wanted.id) {
                    return Ok(file);
                }
                let found: Vec<String> = file
                    .split_units()
                    .map(|(_, id)| format!("{id:#018x}"))
                    .collect();
                reason = format!(
                    "{} has the ID {}, not {:#018x} as unit {}: it was compiled again",
                    path.display(),
                    found.join(", "),
                    wanted.id,
                    wanted.skeleton,
                );
            }
            Ok(None) => reason = format!("{} has no debug information", path.display()),
            Err(error) => reason = error.to_string(),
        }
    }
    Err(MissingFile {
        path: wanted.path.clone(),
        reason,
    })
}

impl DwarfFile {
    /// Where the compiler wrote what was split off from a unit.
    fn split_path(&self, skeleton: usize) -> Result<PathBuf> {
        let view = self.unit(skeleton)?;
        let failed = |error: gimli::Error| self.bad_entry(view.offset, &error.to_string());
        let mut entries = view.unit.entries();
        entries.next_dfs().map_err(failed)?;
        let root = entries.current();
        let string = |attribute| {
            let value = root.and_then(|root| root.attr_value(attribute))?;
            let bytes = view.dwarf.attr_string(&view.unit, value).ok()?;
            Some(PathBuf::from(bytes.to_string_lossy().into_owned()))
        };
        let name = string(gimli::DW_AT_dwo_name)
            .or_else(|| string(gimli::DW_AT_GNU_dwo_name))
            .unwrap_or_default();
        Ok(string(gimli::DW_AT_comp_dir).unwrap_or_default().join(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_looked_for_where_they_were_written_and_beside_the_program() {
        let paths = candidates(Path::new("/opt/app/bin"), Path::new("/build/src/a.dwo"));
        assert_eq!(
            paths,
            [Path::new("/build/src/a.dwo"), Path::new("/opt/app/a.dwo")]
        );
        assert_eq!(
            package_path(Path::new("/opt/app/bin")),
            Path::new("/opt/app/bin.dwp")
        );
    }
}
