//! Taking files for modules.

use std::sync::Arc;

use kdive_debuginfo::cache::IndexCache;
use kdive_debuginfo::dwarf::DwarfSource;
use kdive_debuginfo::elf::{ElfFile, ElfKind};
use kdive_debuginfo::symbols::SymbolTable;

use super::{FileStatus, Module, ModuleFile, ModuleKind, unsaved};
use crate::Result;

impl Module {
    /// Takes what is wanted of an ELF file that belongs to the module; whether anything was.
    pub(crate) fn try_elf(self: &Arc<Self>, file: &Arc<ElfFile>, force: bool) -> Result<bool> {
        if !force
            && let Some(build_id) = self.build_id()
            && file.build_id() != Some(&build_id)
        {
            return Ok(false);
        }
        let program = self.program()?;
        let is_known = self.build_id().is_some();
        let bias = self.bias(file);
        let taken = ModuleFile {
            status: FileStatus::Have,
            path: Some(file.path().to_owned()),
            bias: Some(bias),
        };
        let mut is_used = false;
        if self.wants_debug_file()
            && let Some(dwarf) =
                DwarfSource::open_with_cache(file, bias, IndexCache::of_user().as_ref())?
        {
            program.set_default_platform(file.platform());
            self.change(|state| state.debug_file = taken.clone());
            program.add_type_source(Arc::new(dwarf));
            program.add_symbols(Arc::new(SymbolTable::from_elf(file, bias)?));
            is_used = true;
        }
        if self.wants_loaded_file() && has_code(file) {
            program.set_default_platform(file.platform());
            self.change(|state| {
                state.loaded_file = taken;
                if state.build_id.is_none() {
                    state.build_id = file.build_id().map(<[u8]>::to_vec);
                }
            });
            if let (true, Some(target)) = (is_known, program.target()) {
                unsaved::supply(&program, target, file, bias);
            }
            if !is_used && self.debug_file().status != FileStatus::Have {
                program.add_symbols(Arc::new(SymbolTable::from_elf(file, bias)?));
            }
            is_used = true;
        }
        if is_used {
            let ranges = self.address_ranges().unwrap_or_default();
            program.add_unwind_file(file, bias, &ranges);
        }
        Ok(is_used)
    }

    /// What is added to an address in the file to get the one in the program.
    fn bias(&self, file: &ElfFile) -> u64 {
        if let (ModuleKind::Main, Some(info)) = (
            self.kind(),
            self.program()
                .ok()
                .and_then(|program| program.target()?.vmcoreinfo.clone()),
        ) {
            return info.kernel_offset().unwrap_or(0);
        }
        let Some(start) = self
            .address_ranges()
            .and_then(|ranges| ranges.first().map(|(start, _)| *start))
        else {
            return 0;
        };
        if file.kind() == ElfKind::Relocatable {
            return 0;
        }
        let first = file
            .segments()
            .iter()
            .filter(|segment| segment.is_load())
            .map(|segment| segment.address / 4096 * 4096)
            .min();
        start.wrapping_sub(first.unwrap_or(0))
    }
}

/// Whether a file holds what was loaded, and not only its debug information.
fn has_code(file: &ElfFile) -> bool {
    file.sections()
        .iter()
        .any(|section| section.is_loaded() && section.has_data() && section.name == ".text")
        || file.section(".text").is_none()
            && file
                .segments()
                .iter()
                .any(|segment| segment.is_load() && segment.file_size > 0)
}
