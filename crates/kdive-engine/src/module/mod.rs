//! Modules: the executables, libraries and kernel modules of a program, and their files.
//!
//! What is loaded is found in the target ([`kernel`], [`process`]); files are accepted by build
//! ID ([`files`]). Where files are looked for is a matter of the debug-info finders.

mod btf;
mod ctf;
mod files;
mod kernel;
mod options;
mod process;
mod registry;
mod standard;
mod type_files;
mod unsaved;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock, PoisonError, RwLock, Weak};

pub use options::{DebugInfoOptions, KmodSearchMethod};
pub use registry::{DebugInfoFinder, LoadReport, ModuleRegistry};
pub(crate) use standard::StandardFinder;

use kdive_debuginfo::symbols::SymbolTable;

use kdive_debuginfo::elf::ElfFile;

use crate::object::Object;
use crate::program::Program;
use crate::types::ImportedTypes;
use crate::{Error, Result};

/// What a module is, and what tells it from others of the same name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ModuleKind {
    /// The kernel itself, or the executable of a process.
    Main,
    /// A shared library.
    SharedLibrary {
        /// The address of its dynamic section.
        dynamic_address: u64,
    },
    /// The virtual library that the kernel maps into processes.
    Vdso {
        /// The address of its dynamic section.
        dynamic_address: u64,
    },
    /// A relocatable object: a loadable kernel module.
    Relocatable {
        /// An address within it, by convention that of its `.text`.
        address: u64,
    },
    /// One that was added by hand.
    Extra {
        /// Any number.
        id: u64,
    },
}

/// Whether a module has a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileStatus {
    /// It does not and wants it.
    Want,
    /// It does.
    Have,
    /// It does not and shall not.
    DontWant,
    /// It does not and needs none.
    DontNeed,
    /// It has a file that wants another one to be complete.
    WantSupplementary,
}

/// A file of a module.
#[derive(Clone, Debug)]
pub struct ModuleFile {
    /// Whether the module has it.
    pub status: FileStatus,
    /// Its path, if the module has it.
    pub path: Option<PathBuf>,
    /// What is added to an address in the file to get the one in the program.
    pub bias: Option<u64>,
}

impl ModuleFile {
    const WANTED: ModuleFile = ModuleFile {
        status: FileStatus::Want,
        path: None,
        bias: None,
    };
}

/// A module.
pub struct Module {
    program: Weak<Program>,
    kind: ModuleKind,
    name: String,
    state: RwLock<State>,
    /// What the kernel keeps with a module of its own, if it has any.
    pub(crate) symbols_in_memory: OnceLock<Option<SymbolTable>>,
    pub(crate) types_in_memory: OnceLock<Option<Arc<ImportedTypes>>>,
}

#[derive(Clone)]
struct State {
    /// First addresses and the addresses after the last ones.
    address_ranges: Option<Vec<(u64, u64)>>,
    build_id: Option<Vec<u8>>,
    object: Option<Object>,
    section_addresses: BTreeMap<String, u64>,
    loaded_file: ModuleFile,
    debug_file: ModuleFile,
    /// The debug file that waits for the one that it shares contents with.
    incomplete: Option<Arc<ElfFile>>,
    supplementary_file: Option<PathBuf>,
    tried: Vec<TriedFile>,
    /// The file whose CTF was taken.
    types_file: Option<ModuleFile>,
}

/// A file that was looked at for a module and not taken, at least not for all that was wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TriedFile {
    /// Where it is, or was expected.
    pub path: PathBuf,
    /// What was wrong with it.
    pub reason: String,
}

/// What is searched for a module are some tens of places.
const MAX_TRIED: usize = 1000;

/// A file that has contents which a debug file shares with others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WantedSupplementary {
    /// The debug file.
    pub debug_file: PathBuf,
    /// The path that the debug file has for it: absolute, or relative to the debug file.
    pub path: PathBuf,
    /// The build ID or checksum that it must have.
    pub checksum: Vec<u8>,
}

impl Module {
    pub(crate) fn new(program: &Arc<Program>, kind: ModuleKind, name: &str) -> Arc<Module> {
        Arc::new(Module {
            program: Arc::downgrade(program),
            kind,
            name: name.to_owned(),
            state: RwLock::new(State {
                address_ranges: None,
                build_id: None,
                object: None,
                section_addresses: BTreeMap::new(),
                loaded_file: ModuleFile::WANTED,
                debug_file: ModuleFile::WANTED,
                incomplete: None,
                supplementary_file: None,
                tried: Vec::new(),
                types_file: None,
            }),
            symbols_in_memory: OnceLock::new(),
            types_in_memory: OnceLock::new(),
        })
    }

    fn state(&self) -> State {
        self.state
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state.write().unwrap_or_else(PoisonError::into_inner));
    }

    /// The program that it belongs to.
    pub fn program(&self) -> Result<Arc<Program>> {
        self.program
            .upgrade()
            .ok_or_else(|| Error::Value("the program is gone".to_owned()))
    }

    /// What it is.
    pub fn kind(&self) -> ModuleKind {
        self.kind
    }

    /// Its name: a path, or the name of a kernel module.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The ranges of its addresses, each the first one and the one after the last; none if they
    /// are not known.
    pub fn address_ranges(&self) -> Option<Vec<(u64, u64)>> {
        self.state().address_ranges
    }

    /// Sets the ranges of its addresses.
    pub fn set_address_ranges(&self, ranges: Option<Vec<(u64, u64)>>) {
        self.change(|state| state.address_ranges = ranges);
    }

    /// Whether an address belongs to it.
    pub fn contains(&self, address: u64) -> bool {
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        state
            .address_ranges
            .iter()
            .flatten()
            .any(|(start, end)| (*start..*end).contains(&address))
    }

    /// Its build ID, if it is known.
    pub fn build_id(&self) -> Option<Vec<u8>> {
        self.state().build_id
    }

    /// Sets its build ID.
    pub fn set_build_id(&self, build_id: Option<Vec<u8>>) {
        self.change(|state| state.build_id = build_id);
    }

    /// The object that describes it: `struct module *` for a kernel module.
    pub fn object(&self) -> Option<Object> {
        self.state().object
    }

    /// Sets the object that describes it.
    pub fn set_object(&self, object: Option<Object>) {
        self.change(|state| state.object = object);
    }

    /// The addresses of the sections of a relocatable module, by name.
    pub fn section_addresses(&self) -> BTreeMap<String, u64> {
        self.state().section_addresses
    }

    /// Sets the addresses of the sections of a relocatable module.
    pub fn set_section_addresses(&self, addresses: BTreeMap<String, u64>) {
        self.change(|state| state.section_addresses = addresses);
    }

    /// The file that was loaded.
    pub fn loaded_file(&self) -> ModuleFile {
        self.state().loaded_file
    }

    /// The file with debug information.
    pub fn debug_file(&self) -> ModuleFile {
        self.state().debug_file
    }

    /// The file that the debug file wants to be complete; none if it wants none.
    pub fn wanted_supplementary(&self) -> Option<WantedSupplementary> {
        let state = self.state();
        let file = state
            .incomplete
            .filter(|_| state.debug_file.status == FileStatus::WantSupplementary)?;
        let link = file.supplementary_link().ok()??;
        Some(WantedSupplementary {
            debug_file: file.path().to_owned(),
            path: link.path,
            checksum: link.checksum,
        })
    }

    /// The file that the debug file shares contents with, if it has it.
    pub fn supplementary_file(&self) -> Option<PathBuf> {
        self.state().supplementary_file
    }

    /// The files that were looked at and not taken, in that order.
    pub fn tried_files(&self) -> Vec<TriedFile> {
        self.state().tried
    }

    pub(super) fn note_tried(&self, path: &Path, reason: String) {
        let path = path.to_owned();
        self.change(|state| {
            let is_known = state.tried.iter().any(|tried| tried.path == path);
            if !is_known && state.tried.len() < MAX_TRIED {
                state.tried.push(TriedFile { path, reason });
            }
        });
    }

    /// Changes whether the loaded file is wanted.
    pub fn set_loaded_file_status(&self, status: FileStatus) -> Result<()> {
        let changed = change_status(&self.loaded_file(), status)?;
        self.change(|state| state.loaded_file = changed);
        Ok(())
    }

    /// Changes whether the file with debug information is wanted.
    pub fn set_debug_file_status(&self, status: FileStatus) -> Result<()> {
        let changed = change_status(&self.debug_file(), status)?;
        self.change(|state| state.debug_file = changed);
        Ok(())
    }

    /// Whether the loaded file is wanted.
    pub fn wants_loaded_file(&self) -> bool {
        self.loaded_file().status == FileStatus::Want
    }

    /// Whether a file with debug information is wanted.
    pub fn wants_debug_file(&self) -> bool {
        matches!(
            self.debug_file().status,
            FileStatus::Want | FileStatus::WantSupplementary
        )
    }
}

fn change_status(file: &ModuleFile, status: FileStatus) -> Result<ModuleFile> {
    if status == file.status {
        return Ok(file.clone());
    }
    // These say what was found, which nobody but a search can.
    if file.status == FileStatus::Have
        || matches!(status, FileStatus::Have | FileStatus::WantSupplementary)
    {
        return Err(Error::Value(format!(
            "cannot change file status from {:?} to {status:?}",
            file.status
        )));
    }
    Ok(ModuleFile {
        status,
        ..file.clone()
    })
}
