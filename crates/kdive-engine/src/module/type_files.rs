//! Files with types in CTF or BTF: reading them, telling whose they are, and what the files of
//! modules bring with them beside DWARF or instead of it.

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use kdive_debuginfo::TypeSource;
use kdive_debuginfo::ctf::CtfSource;
use kdive_debuginfo::description::{Shape, TypeKinds};
use kdive_debuginfo::elf::ElfFile;
use kdive_target::VmCoreInfo;

use super::{FileStatus, Module, ModuleFile};
use crate::program::Program;
use crate::{Error, Result};

/// The CTF of a kernel with thousands of modules has some tens of megabytes.
const MAX_FILE_SIZE: u64 = 1 << 30;

const ELF: &[u8] = b"\x7fELF";

/// A file with types.
pub(super) enum TypeFile {
    /// They are in a section of it.
    Elf(Arc<ElfFile>),
    /// They are all of it.
    Plain(Vec<u8>),
}

impl TypeFile {
    pub(super) fn open(path: &Path) -> Result<TypeFile> {
        // A vmlinux is much larger than its types, and is mapped.
        if read_file(path, ELF.len() as u64)? == ELF {
            return Ok(TypeFile::Elf(Arc::new(ElfFile::open(path)?)));
        }
        let bytes = read_file(path, MAX_FILE_SIZE + 1)?;
        if bytes.len() as u64 > MAX_FILE_SIZE {
            return Err(Error::Value(format!(
                "{} is larger than {MAX_FILE_SIZE} bytes, so it is no table of types",
                path.display()
            )));
        }
        Ok(TypeFile::Plain(bytes))
    }
}

impl Program {
    /// Adds types of the kernel out of a file, and finds its modules with them.
    ///
    /// # Errors
    ///
    /// VMCOREINFO says that they belong to another kernel.
    pub(super) fn add_kernel_types(
        self: &Arc<Self>,
        path: &Path,
        source: Arc<dyn TypeSource>,
    ) -> Result<()> {
        if let Some(contradiction) = self
            .target()
            .and_then(|target| target.vmcoreinfo.as_ref())
            .and_then(|info| contradiction(&*source, info))
        {
            return Err(Error::Value(format!(
                "{} belongs to another kernel: {contradiction}; give the one of this kernel",
                path.display()
            )));
        }
        self.add_type_source(source);
        if let Err(error) = self.create_loaded_modules() {
            let problem = format!("not all loaded modules could be found: {error}");
            self.modules().note_problem(problem);
        }
        Ok(())
    }
}

impl Module {
    /// Takes the types and variables that a file of the module has in CTF or BTF, beside any
    /// others that it has; whether there are any.
    pub(super) fn take_compact_types(&self, file: &Arc<ElfFile>, bias: u64) -> Result<bool> {
        if self.state().types_file.is_some() {
            return Ok(false);
        }
        let program = self.program()?;
        let mut is_any = false;
        for (format, source) in [("CTF", ctf_of(file, bias)), ("BTF", self.btf_of(file))] {
            match source {
                Ok(None) => {}
                Ok(Some(source)) => {
                    program.set_default_platform(file.platform());
                    program.add_type_source(source);
                    is_any = true;
                }
                Err(error) => {
                    let problem = format!("its {format} is not used: {error}");
                    program.modules().note_problem(problem);
                }
            }
        }
        if is_any {
            self.change(|state| {
                state.types_file = Some(ModuleFile {
                    status: FileStatus::Have,
                    path: Some(file.path().to_owned()),
                    bias: Some(bias),
                });
            });
        }
        Ok(is_any)
    }

    /// Takes a file that has CTF or BTF for the debug file, if none with DWARF was found.
    pub(super) fn settle_for_compact_types(&self) {
        if let (FileStatus::Want, Some(file)) = (self.debug_file().status, self.state().types_file)
        {
            self.change(|state| state.debug_file = file);
        }
    }
}

fn ctf_of(file: &Arc<ElfFile>, bias: u64) -> Result<Option<Arc<dyn TypeSource>>> {
    if !file.has_ctf() {
        return Ok(None);
    }
    let source = CtfSource::from_elf(file, bias)?;
    Ok(source.map(|source| Arc::new(source) as Arc<dyn TypeSource>))
}

/// The start of a file, up to so many bytes.
fn read_file(path: &Path, most: u64) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|file| file.take(most).read_to_end(&mut bytes));
    read.map_err(|source| {
        Error::DebugInfo(kdive_debuginfo::Error::Io {
            path: path.to_owned(),
            source,
        })
    })?;
    Ok(bytes)
}

/// What VMCOREINFO says of structures that types do not: then they are those of another kernel.
/// Neither CTF nor BTF has a build ID.
fn contradiction(source: &dyn TypeSource, info: &VmCoreInfo) -> Option<String> {
    for line in String::from_utf8_lossy(info.raw()).lines() {
        let Some((what, value)) = line.split_once(")=") else {
            continue;
        };
        let Some((kind, what)) = what.split_once('(') else {
            continue;
        };
        let Ok(value) = value.parse::<u64>() else {
            continue;
        };
        let (tag, member) = what.split_once('.').unwrap_or((what, ""));
        let found = source.find_types(TypeKinds::STRUCT, tag, None).ok()?;
        let Some(id) = found.first() else {
            continue;
        };
        let known = match kind {
            "SIZE" => match source.describe(*id).ok()?.shape {
                Shape::Compound { size, .. } => size,
                _ => None,
            },
            "OFFSET" => source
                .members(*id)
                .ok()?
                .iter()
                .find(|known| known.name.as_deref() == Some(member))
                .map(|known| known.bit_offset / 8),
            _ => None,
        };
        if let Some(known) = known.filter(|known| *known != value) {
            let of_what = if kind == "SIZE" {
                format!("the size of struct {tag}")
            } else {
                format!("the offset of {member} in struct {tag}")
            };
            return Some(format!(
                "{of_what} is {known} bytes, in this kernel {value}"
            ));
        }
    }
    None
}
