//! The modules of a program, and loading debug information for them.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use kdive_debuginfo::elf::{ElfFile, ElfKind};

use super::{DebugInfoOptions, Module, ModuleKind, kernel, process};
use crate::program::{FinderRegistry, Program};
use crate::{Error, Result};

/// Finds files for modules, and offers them with [`Module::try_file`].
pub trait DebugInfoFinder: Send + Sync {
    /// Looks for the files that these modules want.
    fn find(&self, program: &Arc<Program>, modules: &[Arc<Module>]) -> Result<()>;
}

/// All modules of a program.
pub struct ModuleRegistry {
    modules: RwLock<Vec<Arc<Module>>>,
    /// Held while modules are made of what is loaded, so that each is made once.
    creating: Mutex<()>,
    finders: FinderRegistry<dyn DebugInfoFinder>,
    options: RwLock<DebugInfoOptions>,
    /// What was wrong with files that were taken all the same.
    problems: Mutex<Problems>,
}

/// What is to be told to users about files.
#[derive(Default)]
struct Problems {
    of_files: Vec<String>,
    /// The files of which what is kept in the cache could not be used, and why.
    replaced: Vec<(PathBuf, String)>,
}

/// What came of loading debug information.
#[derive(Default)]
pub struct LoadReport {
    /// Given files that belong to no module, with the reason.
    pub unused: Vec<(PathBuf, String)>,
    /// Modules that still want a file.
    pub missing: Vec<Arc<Module>>,
    /// Why there may be modules that were not found.
    pub unreadable: Option<Error>,
    /// What is wrong with files that were used, and with the symbols and types in the kernel's
    /// own memory.
    pub problems: Vec<String>,
}

/// Modules, each with whether it was made now, and what kept others from being found.
pub(super) type Loaded = (Vec<(Arc<Module>, bool)>, Option<Error>);

impl Default for ModuleRegistry {
    fn default() -> Self {
        Self {
            modules: RwLock::default(),
            creating: Mutex::default(),
            finders: FinderRegistry::new("module debug info finder"),
            options: RwLock::default(),
            problems: Mutex::default(),
        }
    }
}

impl ModuleRegistry {
    /// All modules made so far.
    pub fn all(&self) -> Vec<Arc<Module>> {
        self.modules
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// The finders of files.
    pub fn finders(&self) -> &FinderRegistry<dyn DebugInfoFinder> {
        &self.finders
    }

    /// Notes what is wrong with a file that is taken all the same.
    pub(super) fn note_problem(&self, problem: String) {
        self.problems().of_files.push(problem);
    }

    /// Notes that what is kept in the cache of a file is made again.
    pub(super) fn note_replaced(&self, path: &Path, reason: &str) {
        let replaced = &mut self.problems().replaced;
        if replaced.iter().all(|(known, _)| known != path) {
            replaced.push((path.to_owned(), reason.to_owned()));
        }
    }

    /// What is wrong with files that were taken since this was last asked for.
    pub fn take_problems(&self) -> Vec<String> {
        let Problems {
            mut of_files,
            replaced,
        } = std::mem::take(&mut *self.problems());
        // After an update of kdive these are all that were ever used: one sentence is enough.
        if let [(path, reason), others @ ..] = &*replaced {
            let path = path.display();
            of_files.push(match others.len() {
                0 => format!("the saved index of {path} was made again: {reason}"),
                more => format!(
                    "the saved indexes of {} files were made again, such as that of {path}: {reason}",
                    more + 1
                ),
            });
        }
        of_files
    }

    fn problems(&self) -> MutexGuard<'_, Problems> {
        self.problems.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn find(&self, matches: impl Fn(&Module) -> bool) -> Option<Arc<Module>> {
        let modules = self.modules.read().unwrap_or_else(PoisonError::into_inner);
        modules.iter().find(|module| matches(module)).cloned()
    }
}

impl Program {
    /// How the files of modules are searched for.
    pub fn debug_info_options(&self) -> DebugInfoOptions {
        self.modules
            .options
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Sets how the files of modules are searched for.
    pub fn set_debug_info_options(&self, options: DebugInfoOptions) {
        *self
            .modules
            .options
            .write()
            .unwrap_or_else(PoisonError::into_inner) = options;
    }

    /// The modules of the program.
    pub fn modules(&self) -> &ModuleRegistry {
        &self.modules
    }

    /// The main module, if it was made.
    pub fn main_module(&self) -> Option<Arc<Module>> {
        self.modules
            .find(|module| module.kind() == ModuleKind::Main)
    }

    /// The module that contains an address.
    pub fn module_at(&self, address: u64) -> Option<Arc<Module>> {
        self.modules.find(|module| module.contains(address))
    }

    /// The first module with this name.
    pub fn module_named(&self, name: &str) -> Option<Arc<Module>> {
        self.modules.find(|module| module.name() == name)
    }

    /// The module of this kind and name, and whether it was made now.
    pub fn get_or_create_module(
        self: &Arc<Self>,
        kind: ModuleKind,
        name: &str,
    ) -> Result<(Arc<Module>, bool)> {
        let mut modules = self
            .modules
            .modules
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        let known = modules.iter().find(|module| {
            module.kind() == kind && (module.name() == name || kind == ModuleKind::Main)
        });
        if let Some(module) = known {
            if module.name() != name {
                let message = "main module already exists with different name";
                return Err(Error::Lookup(message.to_owned()));
            }
            return Ok((module.clone(), false));
        }
        let module = Module::new(self, kind, name);
        modules.push(module.clone());
        Ok((module, true))
    }

    /// Makes modules of what is loaded in the target. Gives each module and whether it was made
    /// now.
    pub fn create_loaded_modules(self: &Arc<Self>) -> Result<Vec<(Arc<Module>, bool)>> {
        match self.find_loaded_modules()? {
            (found, None) => Ok(found),
            (_, Some(error)) => Err(error),
        }
    }

    fn find_loaded_modules(self: &Arc<Self>) -> Result<Loaded> {
        let _creating = self
            .modules
            .creating
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        match self.target() {
            None => Ok((Vec::new(), None)),
            Some(target) if target.kind.is_kernel() => kernel::loaded_modules(self),
            Some(target) => Ok((process::loaded_modules(self, target)?, None)),
        }
    }

    /// Loads debug information from the given files, and, if `default` or `main`, for all
    /// loaded modules or the main one from wherever the finders find it.
    pub fn load_debug_info(
        self: &Arc<Self>,
        paths: &[PathBuf],
        default: bool,
        main: bool,
    ) -> Result<LoadReport> {
        let mut report = LoadReport::default();
        // The kernel's own file has the types with which its loaded modules are found, so files
        // are offered to the main module first.
        let mut left = Vec::new();
        let mut loaded;
        (loaded, report.unreadable) = self.find_loaded_modules()?;
        for path in paths {
            match ElfFile::open(path) {
                Ok(file) => left.push(Arc::new(file)),
                Err(error) => report.unused.push((path.clone(), error.to_string())),
            }
        }
        for round in 0..2 {
            let mut unmatched = Vec::new();
            for file in left {
                if !self.offer(&file)? {
                    unmatched.push(file);
                }
            }
            left = unmatched;
            if round == 0 {
                (loaded, report.unreadable) = self.find_loaded_modules()?;
            }
        }
        let options = self.debug_info_options();
        for module in self.modules.all() {
            module.find_supplementary(&options);
        }
        if !default && !main {
            for module in self.modules.all() {
                module.settle_for_compact_types();
            }
        }
        for file in left {
            let reason = self.why_unused(&file);
            report.unused.push((file.path().to_owned(), reason));
        }
        let wanted: Vec<Arc<Module>> = loaded
            .into_iter()
            .map(|(module, _)| module)
            .filter(|module| default || main && module.kind() == ModuleKind::Main)
            .collect();
        self.load_module_debug_info(&wanted)?;
        if default || main {
            self.use_builtin_debug_info();
        }
        if wanted
            .iter()
            .any(|module| module.kind() == ModuleKind::Main)
        {
            // With the kernel's types its modules can be seen.
            let more;
            (more, report.unreadable) = self.find_loaded_modules()?;
            let more: Vec<_> = more
                .into_iter()
                .filter_map(|(module, is_new)| (is_new && default).then_some(module))
                .collect();
            self.load_module_debug_info(&more)?;
        }
        report.problems = self.modules.take_problems();
        report.problems.extend(self.take_builtin_problems());
        report.missing = self
            .modules
            .all()
            .into_iter()
            .filter(|module| {
                (default || main && module.kind() == ModuleKind::Main) && module.wants_debug_file()
            })
            .collect();
        Ok(report)
    }

    /// Asks the finders for the files that these modules want.
    pub fn load_module_debug_info(self: &Arc<Self>, modules: &[Arc<Module>]) -> Result<()> {
        let wanting: Vec<_> = modules
            .iter()
            .filter(|module| module.wants_debug_file() || module.wants_loaded_file())
            .cloned()
            .collect();
        for finder in self.modules.finders.asked().iter() {
            if !wanting
                .iter()
                .any(|module| module.wants_debug_file() || module.wants_loaded_file())
            {
                break;
            }
            finder.find(self, &wanting)?;
        }
        for module in &wanting {
            module.settle_for_compact_types();
        }
        Ok(())
    }

    /// Offers a file to the modules with its build ID; whether one took it.
    fn offer(self: &Arc<Self>, file: &Arc<ElfFile>) -> Result<bool> {
        let mut is_used = false;
        for module in self.modules.all() {
            let is_same =
                module.build_id().is_some() && module.build_id().as_deref() == file.build_id();
            if is_same || module.loaded_file().path.as_deref() == Some(file.path()) {
                is_used |= if file.kind() == ElfKind::Relocatable {
                    // Opened again, with its sections where this module has them.
                    module.try_file(file.path(), false)?
                } else {
                    module.try_elf(file, false)?
                };
            }
        }
        Ok(is_used)
    }

    fn why_unused(&self, file: &ElfFile) -> String {
        let Some(own) = file.build_id() else {
            return "it has no build ID that tells what it belongs to".to_owned();
        };
        let modules = self.modules.all();
        let same = |module: &&Arc<Module>| module.build_id().as_deref() == Some(own);
        if let Some(module) = modules.iter().find(same) {
            return format!("nothing in it is missing for {}", module.name());
        }
        let own = format!("its build ID {} belongs to no loaded module", hex(own));
        let named = file_stem(file.path());
        let of_name = |module: &&Arc<Module>| file_stem(Path::new(module.name())) == named;
        let (name, id) = match (modules.iter().find(of_name), self.main_module()) {
            (Some(module), _) => (module.name().to_owned(), module.build_id()),
            (None, Some(main)) if self.is_kernel() => ("the kernel".to_owned(), main.build_id()),
            (None, Some(main)) => ("the executable".to_owned(), main.build_id()),
            (None, None) => return own,
        };
        match id {
            Some(id) => format!("{own}; that of {name} is {}", hex(&id)),
            None => own,
        }
    }
}

/// What the file of a module is called: without its folder, and `.ko` and what follows it, with
/// underscores as the kernel has them in names.
fn file_stem(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let stem = name.split_once(".ko").map_or(&*name, |(stem, _)| stem);
    let stem = stem.strip_suffix(".debug").unwrap_or(stem);
    stem.replace('-', "_")
}

impl Module {
    /// Offers a file to the module: it is taken if it is wanted and has the module's build ID,
    /// or if `force`. Whether it was taken.
    pub fn try_file(self: &Arc<Self>, path: &Path, force: bool) -> Result<bool> {
        self.try_file_at(path, path, force)
    }

    /// The same for a file that is at `place` now, such as a descriptor below `/proc/self/fd`, and
    /// known as `path`.
    pub fn try_file_at(self: &Arc<Self>, path: &Path, place: &Path, force: bool) -> Result<bool> {
        let wanted = self.wants_debug_file();
        let taken = self.try_file_quietly(path, place, force);
        match &taken {
            Err(error) => self.note_tried(path, error.to_string()),
            Ok((_, Some(reason))) if wanted && self.wants_debug_file() => {
                self.note_tried(path, reason.clone());
            }
            Ok(_) => {}
        }
        Ok(taken?.0)
    }

    /// Whether the file was taken, and why it does not serve as the debug file if it doesn't.
    fn try_file_quietly(
        self: &Arc<Self>,
        path: &Path,
        place: &Path,
        force: bool,
    ) -> Result<(bool, Option<String>)> {
        let mut file = ElfFile::open_as(path, place)?;
        if file.kind() == ElfKind::Relocatable {
            let addresses = self.section_addresses();
            file = file.with_section_addresses(|name| addresses.get(name).copied());
        }
        let file = Arc::new(file);
        let taken = self.try_elf(&file, force)?;
        Ok((taken, self.why_no_debug_file(&file)))
    }

    fn why_no_debug_file(&self, file: &ElfFile) -> Option<String> {
        if self.wanted_supplementary().is_some() {
            return None;
        }
        let wanted = self.build_id();
        Some(match (file.build_id(), wanted) {
            (Some(own), Some(wanted)) if own != wanted => {
                format!("its build ID is {}, not {}", hex(own), hex(&wanted))
            }
            (None, Some(_)) => "it has no build ID".to_owned(),
            _ => "it has no debugging information".to_owned(),
        })
    }
}

/// The bytes of a build ID as two digits each.
fn hex(id: &[u8]) -> String {
    id.iter().fold(String::new(), |mut text, byte| {
        // Writing to a string can't fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
