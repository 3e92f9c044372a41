//! CTF: the archives with the types of a kernel and its modules.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use kdive_debuginfo::ctf::{Archive, ArrayOrder, CtfSource, Environment};
use kdive_target::AddressSpace;

use super::type_files::TypeFile;
use super::{DebugInfoOptions, FileStatus, Module, ModuleKind};
use crate::program::Program;
use crate::{Error, Result};

/// The kernel's banner has a few hundred bytes.
const MAX_BANNER: u64 = 1 << 12;

/// What the kernel's own dictionary is called.
const KERNEL: &str = "vmlinux";

/// Below `/lib/modules/RELEASE`, where kernels that are built with CTF have their archive.
const ARCHIVE: &str = "kernel/vmlinux.ctfa";

impl Program {
    /// Takes the types and variables of the kernel and its modules from CTF: an archive, a single
    /// dictionary or an ELF file with a section `.ctf` at `path`, or the archive that is installed
    /// with the kernel. Addresses come from the symbols that the kernel has in its memory.
    ///
    /// Modules whose types it has need no debug file from then on.
    ///
    /// # Errors
    ///
    /// There is none, it can't be read, or VMCOREINFO says that it belongs to another kernel.
    pub fn load_ctf(self: &Arc<Self>, path: Option<&Path>) -> Result<()> {
        if !self.is_kernel() {
            return Err(Error::Value(
                "CTF archives are of Linux kernels, and this is none; a program brings its CTF \
                 with it in its own file"
                    .to_owned(),
            ));
        }
        let path = match path {
            Some(path) => path.to_owned(),
            None => self.installed_ctf()?,
        };
        // The symbols that it has no addresses without.
        self.use_builtin_debug_info();
        let source = self.open_ctf(&path)?;
        self.add_kernel_types(&path, Arc::new(source))?;
        for module in self.modules().all() {
            module.spare_debug_file();
        }
        Ok(())
    }

    /// The archive in the directories of this machine's kernels that belongs to this one.
    fn installed_ctf(&self) -> Result<PathBuf> {
        let release = self
            .target()
            .and_then(|target| target.vmcoreinfo.as_ref()?.os_release())
            .ok_or_else(|| {
                Error::Lookup(
                    "the release of this kernel is not known, so its CTF can't be looked for; \
                     give its path"
                        .to_owned(),
                )
            })?;
        let paths = ctf_paths(release, &self.debug_info_options());
        let found = paths.iter().find(|path| path.is_file());
        found.cloned().ok_or_else(|| {
            let tried: Vec<_> = paths
                .iter()
                .map(|path| path.display().to_string())
                .collect();
            Error::Lookup(format!(
                "there is no CTF of Linux {release}: tried {}; give its path",
                tried.join(", ")
            ))
        })
    }

    /// Uses the archive that is installed with the kernel, if the kernel has no better file, and
    /// notes it for modules.
    pub(super) fn find_ctf(self: &Arc<Self>, modules: &[Arc<Module>], options: &DebugInfoOptions) {
        let is_wanted = modules
            .iter()
            .any(|module| module.kind() == ModuleKind::Main && module.wants_debug_file());
        let release = self
            .target()
            .filter(|target| target.kind.is_kernel())
            .and_then(|target| target.vmcoreinfo.as_ref()?.os_release());
        if let (true, Some(release)) = (is_wanted, release) {
            for path in ctf_paths(release, options) {
                if !path.is_file() {
                    continue;
                }
                match self.load_ctf(Some(&path)) {
                    Ok(()) => break,
                    Err(error) => self
                        .modules()
                        .note_problem(format!("the kernel's CTF is not used: {error}")),
                }
            }
        }
        for module in modules {
            module.spare_debug_file();
        }
    }

    fn open_ctf(self: &Arc<Self>, path: &Path) -> Result<CtfSource> {
        let bytes = match TypeFile::open(path)? {
            TypeFile::Plain(bytes) => bytes,
            TypeFile::Elf(file) => {
                let offset = self
                    .target()
                    .and_then(|target| target.vmcoreinfo.as_ref()?.kernel_offset());
                return CtfSource::from_elf(&file, offset.unwrap_or(0))?.ok_or_else(|| {
                    Error::Value(format!(
                        "{} has no section .ctf; give a CTF archive, or a file that was compiled \
                         with -gctf",
                        path.display()
                    ))
                });
            }
        };
        let archive = Archive::parse(&path.display().to_string(), bytes.into())?;
        let environment = Environment {
            pointer_size: self.address_size()?,
            byte_order: self.byte_order(),
            arrays: self.array_order()?,
        };
        Ok(CtfSource::new(archive, environment)?)
    }

    /// How the compiler of the kernel wrote arrays; the kernel's banner names it. Where that can't
    /// be read, as all did before gcc 14: archives are older than that, more often than not.
    fn array_order(self: &Arc<Self>) -> Result<ArrayOrder> {
        let banner = match self.symbol_named("linux_banner")? {
            Some(symbol) => self
                .read_c_string(AddressSpace::Virtual, symbol.address, MAX_BANNER)
                .unwrap_or_default(),
            None => Vec::new(),
        };
        let order = ArrayOrder::of_compiler(&String::from_utf8_lossy(&banner));
        Ok(order.unwrap_or(ArrayOrder::InnermostFirst))
    }
}

impl Module {
    /// Wants no debug file any more if the kernel's CTF has the types of the module.
    fn spare_debug_file(&self) {
        if !self.wants_debug_file() {
            return;
        }
        let Some(program) = self.program().ok().filter(|program| program.is_kernel()) else {
            return;
        };
        let name = match self.kind() {
            ModuleKind::Main => KERNEL,
            ModuleKind::Relocatable { .. } => self.name(),
            _ => return,
        };
        let sources = program.type_sources();
        if sources
            .iter()
            .any(|types| types.source().has_kernel_module(name))
        {
            self.change(|state| state.debug_file.status = FileStatus::DontNeed);
        }
    }
}

fn ctf_paths(release: &str, options: &DebugInfoOptions) -> Vec<PathBuf> {
    let roots = options.kernel_directories.iter().map(|directory| {
        let root = if directory.is_empty() { "/" } else { directory };
        Path::new(root)
            .join("lib/modules")
            .join(release)
            .join(ARCHIVE)
    });
    roots.collect()
}
