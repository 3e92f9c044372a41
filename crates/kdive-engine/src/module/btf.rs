//! BTF in files: that of a kernel and its modules, and what files of programs bring with them.

use std::path::Path;
use std::sync::Arc;

use kdive_debuginfo::TypeSource;
use kdive_debuginfo::btf::{BtfFile, BtfSource, Environment};
use kdive_debuginfo::elf::ElfFile;

use super::type_files::TypeFile;
use super::{Module, ModuleKind};
use crate::program::Program;
use crate::{Error, Result};

impl Program {
    /// Takes types from the BTF in a file: an ELF file with a section `.BTF`, or a table by itself
    /// as in `/sys/kernel/btf`. That of a kernel module is put onto the types of the kernel: those
    /// that were loaded from a file first, or those that the kernel has in its memory.
    ///
    /// # Errors
    ///
    /// The file can't be read, it has no BTF, the types that it goes on from are not known, or they
    /// are those of another kernel.
    pub fn load_btf(self: &Arc<Self>, path: &Path) -> Result<()> {
        // The symbols that it has no addresses without.
        self.use_builtin_debug_info();
        let file = match TypeFile::open(path)? {
            TypeFile::Plain(bytes) => BtfFile::raw(path, bytes),
            TypeFile::Elf(file) => {
                self.set_default_platform(file.platform());
                BtfFile::of_elf(&file).ok_or_else(|| {
                    Error::Value(format!(
                        "{} has no section .BTF; give a file that has one, or a table of types by \
                         itself",
                        path.display()
                    ))
                })?
            }
        };
        let is_of_module = file.is_of_module();
        let kernel = is_of_module.then(|| self.btf_to_go_on_from()).flatten();
        let arrays = file.arrays();
        let btf = Arc::new(file.parse(kernel.as_ref())?);
        let environment = Environment {
            pointer_size: self.address_size()?,
            char_is_signed: self.char_is_signed()?,
            arrays,
            module: is_of_module.then(|| module_name(path)),
        };
        let source = Arc::new(BtfSource::new(btf.clone(), environment)?);
        if !self.is_kernel() {
            self.add_type_source(source);
            return Ok(());
        }
        self.add_kernel_types(path, source)?;
        if !is_of_module {
            self.note_loaded_btf(btf);
        }
        Ok(())
    }
}

impl Module {
    /// The types in BTF that a file of the module has, where nothing better is known of them.
    pub(super) fn btf_of(&self, file: &ElfFile) -> Result<Option<Arc<dyn TypeSource>>> {
        let program = self.program()?;
        // A kernel has the BTF of its modules in its memory.
        let is_kernel_module = program.is_kernel() && self.kind() != ModuleKind::Main;
        let has_better =
            file.section(".debug_info").is_some() && !program.asks_for_types("btf", "dwarf");
        if is_kernel_module || has_better || !file.has_btf() {
            return Ok(None);
        }
        let Some(table) = BtfFile::of_elf(file) else {
            return Ok(None);
        };
        program.set_default_platform(file.platform());
        let environment = Environment {
            pointer_size: program.address_size()?,
            char_is_signed: program.char_is_signed()?,
            arrays: table.arrays(),
            module: None,
        };
        let btf = Arc::new(table.parse(None)?);
        let source = BtfSource::new(btf.clone(), environment)?;
        if program.is_kernel() {
            program.note_loaded_btf(btf);
        }
        Ok(Some(Arc::new(source)))
    }
}

/// The name of the kernel module whose types are in a file: as `/sys/kernel/btf` and modules' files
/// are called.
fn module_name(path: &Path) -> Arc<str> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let stem = name.split('.').next().unwrap_or_default();
    stem.replace('-', "_").into()
}
