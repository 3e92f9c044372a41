//! The finder of debug information in the standard places of this machine.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use kdive_debuginfo::elf::{ElfFile, SupplementaryLink};
use kdive_debuginfo::search::{
    KernelDirectory, SearchDirectories, WantedKind, WantedModule, debug_file_paths, module_path,
    supplementary_paths,
};

use kdive_target::{AddressSpace, TargetKind};

use super::{DebugInfoFinder, DebugInfoOptions, KmodSearchMethod, Module, ModuleKind};
use crate::Result;
use crate::program::Program;

/// Below `/lib/modules/RELEASE`, kernel modules are not nested deeper than this.
const MAX_DEPTH: usize = 16;

/// A vDSO has a few pages.
const MAX_VDSO: usize = 1 << 17;
const PAGE: u64 = 4096;

/// Looks where distributions install debug information.
pub(crate) struct StandardFinder;

impl DebugInfoFinder for StandardFinder {
    fn find(&self, program: &Arc<Program>, modules: &[Arc<Module>]) -> Result<()> {
        program.find_standard_debug_info(modules, &program.debug_info_options())
    }
}

impl Program {
    /// Looks for the files that modules want in the standard places.
    pub fn find_standard_debug_info(
        self: &Arc<Self>,
        modules: &[Arc<Module>],
        options: &DebugInfoOptions,
    ) -> Result<()> {
        let release = self
            .target()
            .and_then(|target| target.vmcoreinfo.as_ref()?.os_release().map(str::to_owned));
        let roots: Vec<Root> = options
            .kernel_directories
            .iter()
            .map(|directory| Root::new(directory, release.as_deref(), options))
            .collect();
        for module in modules {
            module.find_in_program(self, options);
            for root in &roots {
                for path in candidates(module, root, release.as_deref(), options) {
                    if !module.wants_debug_file() && !module.wants_loaded_file() {
                        break;
                    }
                    // A file that is absent or not the right one leaves the module as it was.
                    if path.is_file() {
                        let _ = module.try_file(&path, false);
                    } else {
                        module.note_tried(&path, "there is no such file".to_owned());
                    }
                }
            }
            module.reuse_files(options);
            module.find_supplementary(options);
        }
        self.find_ctf(modules, options);
        Ok(())
    }
}

impl Module {
    /// Takes the files of a live process and the vDSO from where the process has them.
    fn find_in_program(self: &Arc<Self>, program: &Program, options: &DebugInfoOptions) {
        let wants_any = || self.wants_debug_file() || self.wants_loaded_file();
        let live = program
            .target()
            .filter(|target| target.kind == TargetKind::Process);
        let pid = live.and_then(|target| target.process.as_ref()?.pid);
        if options.try_procfs
            && let Some(pid) = pid
        {
            for place in procfs_places(pid, self) {
                if wants_any() && place.exists() {
                    let _ = self.try_file_at(Path::new(self.name()), &place, false);
                }
            }
        }
        if options.try_embedded_vdso
            && matches!(self.kind(), ModuleKind::Vdso { .. })
            && let Some(&(start, _)) = self.address_ranges().unwrap_or_default().first()
            && wants_any()
            && let Ok(file) = embedded_file(program, start, self.name())
        {
            let _ = self.try_elf(&Arc::new(file), false);
        }
    }

    /// Tries the file that was loaded as the debug file, and the reverse.
    fn reuse_files(self: &Arc<Self>, options: &DebugInfoOptions) {
        let wanted = match (self.wants_loaded_file(), self.wants_debug_file()) {
            (false, true) => self.loaded_file().path,
            (true, false) => self.debug_file().path,
            _ => None,
        };
        if let Some(path) = wanted.filter(|_| options.try_reuse) {
            let _ = self.try_file(&path, false);
        }
    }

    /// Looks for the file that the debug file shares contents with.
    pub(super) fn find_supplementary(self: &Arc<Self>, options: &DebugInfoOptions) {
        let Some(wanted) = self
            .wanted_supplementary()
            .filter(|_| options.try_supplementary)
        else {
            return;
        };
        let link = SupplementaryLink {
            path: wanted.path,
            checksum: wanted.checksum,
        };
        let directories: Vec<PathBuf> = options.directories.iter().map(PathBuf::from).collect();
        for path in supplementary_paths(&wanted.debug_file, &link, &directories) {
            if self.wanted_supplementary().is_some() && path.is_file() {
                let _ = self.try_file(&path, false);
            }
        }
    }
}

/// The file that is in memory as a whole from `start` on.
fn embedded_file(program: &Program, start: u64, name: &str) -> Result<ElfFile> {
    let mut image = Vec::new();
    while image.len() < MAX_VDSO {
        let next = start.wrapping_add(image.len() as u64);
        match program.read_bytes(AddressSpace::Virtual, next, PAGE) {
            Ok(page) => image.extend(page),
            Err(_) => break,
        }
    }
    Ok(ElfFile::from_bytes(Path::new(name), image)?)
}

/// Where a live process has the file of a module: what it mapped, which may be deleted by now, or
/// be another file in its own file system than in ours.
fn procfs_places(pid: u32, module: &Module) -> Vec<PathBuf> {
    let process = PathBuf::from(format!("/proc/{pid}"));
    let mut places = Vec::new();
    if module.kind() == ModuleKind::Main {
        places.push(process.join("exe"));
    }
    let name = Path::new(module.name());
    if let Ok(below_root) = name.strip_prefix("/") {
        places.push(process.join("root").join(below_root));
    }
    places
}

/// A directory with a kernel, and what kernel modules are in it.
struct Root {
    directory: KernelDirectory,
    modules_dep: Option<String>,
    walked: Vec<PathBuf>,
}

impl Root {
    /// The empty path stands for this machine.
    fn new(path: &str, release: Option<&str>, options: &DebugInfoOptions) -> Self {
        let directory = match path {
            "" => {
                let debug = options.directories.iter().map(PathBuf::from).collect();
                KernelDirectory::of_machine(release.unwrap_or_default(), debug)
            }
            path => given_directory(Path::new(path), release),
        };
        let mut root = Self {
            directory,
            modules_dep: None,
            walked: Vec::new(),
        };
        let Some(release) = release else {
            return root;
        };
        let method = options.try_kmod;
        if !matches!(method, KmodSearchMethod::None | KmodSearchMethod::Walk) {
            let list = root.directory.modules.join("modules.dep");
            root.modules_dep = std::fs::read_to_string(list).ok();
        }
        let walks = match method {
            KmodSearchMethod::None | KmodSearchMethod::Depmod => false,
            KmodSearchMethod::DepmodOrWalk => root.modules_dep.is_none(),
            KmodSearchMethod::Walk | KmodSearchMethod::DepmodAndWalk => true,
        };
        if walks {
            for directory in root.directory.module_directories(release) {
                walk(&directory, 0, &mut root.walked);
            }
        }
        root
    }

    /// The path of a kernel module below the directory of modules, as depmod listed it.
    fn listed(&self, name: &str) -> Option<&Path> {
        module_path(self.modules_dep.as_deref()?, name)
    }

    /// The files with the name of a kernel module.
    fn walked(&self, name: &str) -> impl Iterator<Item = &PathBuf> {
        let wanted = name.replace('-', "_");
        self.walked.iter().filter(move |path| {
            let file = path
                .file_name()
                .and_then(|file| file.to_str())
                .unwrap_or_default();
            file.split_once(".ko")
                .is_some_and(|(stem, _)| stem.replace('-', "_") == wanted)
        })
    }
}

/// A directory that was named: it has modules as the root directory has them or, as
/// `/lib/modules/RELEASE` and one that a kernel was built in, anywhere.
fn given_directory(path: &Path, release: Option<&str>) -> KernelDirectory {
    let installed = release.and_then(|release| {
        ["lib/modules", "usr/lib/modules"]
            .map(|modules| path.join(modules).join(release))
            .into_iter()
            .find(|modules| modules.is_dir())
    });
    KernelDirectory {
        root: path.to_owned(),
        debug: vec![path.join("usr/lib/debug")],
        modules: installed.unwrap_or_else(|| path.to_owned()),
    }
}

/// The files below `directory`. What can't be read is passed over.
fn walk(directory: &Path, depth: usize, found: &mut Vec<PathBuf>) {
    let Ok(entries) = std::fs::read_dir(directory) else {
        return;
    };
    for entry in entries.flatten() {
        let path = entry.path();
        match entry.file_type() {
            // Links (`build`, `source`) are not followed.
            Ok(kind) if kind.is_dir() && depth < MAX_DEPTH => walk(&path, depth + 1, found),
            Ok(kind) if kind.is_file() => found.push(path),
            _ => {}
        }
    }
}

/// The paths where the files of a module may be.
fn candidates(
    module: &Module,
    root: &Root,
    release: Option<&str>,
    options: &DebugInfoOptions,
) -> Vec<PathBuf> {
    let loaded = module.loaded_file().path;
    let link = loaded.filter(|_| options.try_debug_link).and_then(|path| {
        let link = ElfFile::open(&path).ok()?.debug_link().ok()??;
        Some((path, link))
    });
    let name = PathBuf::from(module.name());
    let listed = root.listed(module.name());
    let kind = match (module.kind(), release) {
        (ModuleKind::Main, Some(release)) => WantedKind::Kernel { release },
        (ModuleKind::Relocatable { .. }, Some(release)) => WantedKind::KernelModule {
            release,
            path: listed,
        },
        _ => WantedKind::Program { path: &name },
    };
    let build_id = module.build_id();
    let wanted = WantedModule {
        kind,
        build_id: build_id.as_deref().filter(|_| options.try_build_id),
        debug_link: link.as_ref().map(|(path, link)| (path.as_path(), link)),
    };
    let directories = SearchDirectories {
        debug: options.directories.iter().map(PathBuf::from).collect(),
        debug_link: options.debug_link_directories.clone(),
        kernel: root.directory.clone(),
    };
    let mut paths = debug_file_paths(&wanted, &directories);
    if listed.is_none() && matches!(module.kind(), ModuleKind::Relocatable { .. }) {
        paths.extend(root.walked(module.name()).cloned());
    }
    if !options.try_module_name {
        paths.retain(|path| *path != name);
    }
    paths
}
