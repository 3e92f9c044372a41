//! Taking files for modules.

use std::sync::Arc;

use kdive_debuginfo::cache::{CacheOutcome, IndexCache};
use kdive_debuginfo::dwarf::DwarfSource;
use kdive_debuginfo::elf::{ElfFile, ElfKind};
use kdive_debuginfo::symbols::SymbolTable;

use super::{FileStatus, Module, ModuleFile, ModuleKind, unsaved};
use crate::Result;
use crate::program::Program;

impl Module {
    /// Takes what is wanted of an ELF file that belongs to the module; whether anything was.
    pub(crate) fn try_elf(self: &Arc<Self>, file: &Arc<ElfFile>, force: bool) -> Result<bool> {
        if self.complete_debug_file(file, force)? {
            return Ok(true);
        }
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
        let wants_any = self.wants_debug_file() || self.wants_loaded_file();
        let has_types = wants_any && self.take_compact_types(file, bias)?;
        let mut is_used = false;
        if self.wants_debug_file() {
            let has_debug_info = file.section(".debug_info").is_some();
            if has_debug_info && file.supplementary_link()?.is_some() {
                self.change(|state| {
                    state.debug_file.status = FileStatus::WantSupplementary;
                    state.incomplete = Some(Arc::clone(file));
                });
                is_used = true;
            } else {
                is_used = self.take_debug_file(file, None)?;
            }
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
                program.add_symbols(Arc::new(self.symbols(&program, file, bias)?));
            }
            is_used = true;
        }
        is_used |= has_types;
        if is_used {
            if self.address_ranges().is_none() && is_placed_by_dynamic_section(self.kind()) {
                self.set_address_ranges(loaded_range(file, bias).map(|range| vec![range]));
            }
            let ranges = self.address_ranges().unwrap_or_default();
            program.add_unwind_file(file, bias, &ranges);
        }
        Ok(is_used)
    }

    /// Takes the file that the debug file shares contents with, if this is it and it is wanted.
    fn complete_debug_file(self: &Arc<Self>, file: &Arc<ElfFile>, force: bool) -> Result<bool> {
        let state = self.state();
        let Some(incomplete) = state.incomplete else {
            return Ok(false);
        };
        if state.debug_file.status != FileStatus::WantSupplementary {
            return Ok(false);
        }
        let Some(link) = incomplete.supplementary_link()? else {
            return Ok(false);
        };
        let is_other_debug_file = file.supplementary_link()?.is_some();
        if is_other_debug_file || !(force || file.is_supplementary(&link)?) {
            return Ok(false);
        }
        if !self.take_debug_file(&incomplete, Some(file))? {
            return Ok(false);
        }
        self.change(|state| {
            state.incomplete = None;
            state.supplementary_file = Some(file.path().to_owned());
        });
        Ok(true)
    }

    /// Takes the types, variables and symbols of a file; whether it has any types.
    fn take_debug_file(
        self: &Arc<Self>,
        file: &Arc<ElfFile>,
        supplementary: Option<&Arc<ElfFile>>,
    ) -> Result<bool> {
        let program = self.program()?;
        let bias = self.bias(file);
        let cache = IndexCache::of_user();
        let dwarf =
            DwarfSource::open_with_supplementary(file, bias, cache.as_ref(), supplementary)?;
        let Some(dwarf) = dwarf else {
            return Ok(false);
        };
        if let CacheOutcome::Replaced(reason) = dwarf.cache_outcome() {
            program.modules().note_replaced(file.path(), &reason);
        }
        if let [first, others @ ..] = dwarf.missing_files() {
            program.modules().note_problem(format!(
                "{}: {} of its split debug information can't be used, such as {}: {}",
                file.path().display(),
                match others.len() {
                    0 => "a file".to_owned(),
                    more => format!("{} files", more + 1),
                },
                first.path.display(),
                first.reason,
            ));
        }
        program.set_default_platform(file.platform());
        self.change(|state| {
            state.debug_file = ModuleFile {
                status: FileStatus::Have,
                path: Some(file.path().to_owned()),
                bias: Some(bias),
            };
        });
        program.take_language_of_main(&dwarf);
        program.add_type_source(Arc::new(dwarf));
        program.add_symbols(Arc::new(self.symbols(&program, file, bias)?));
        Ok(true)
    }

    /// The symbols of a file of this module.
    fn symbols(&self, program: &Program, file: &Arc<ElfFile>, bias: u64) -> Result<SymbolTable> {
        let cache = IndexCache::of_user();
        let symbols = SymbolTable::from_elf_with_cache(file, bias, cache.as_ref())?;
        if let Some(reason) = symbols.cache_problem() {
            program.modules().note_replaced(file.path(), reason);
        }
        Ok(match (self.kind(), self.address_ranges()) {
            (ModuleKind::Relocatable { .. }, Some(ranges)) if !ranges.is_empty() => {
                symbols.within(&ranges)
            }
            _ => symbols,
        })
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
        if file.kind() == ElfKind::Relocatable {
            return 0;
        }
        let start = self
            .address_ranges()
            .and_then(|ranges| ranges.first().map(|(start, _)| *start));
        // No file begins with its dynamic section: with that of a file whose headers can't be read,
        // its start stands for it.
        if let ModuleKind::SharedLibrary { dynamic_address } | ModuleKind::Vdso { dynamic_address } =
            self.kind()
            && start != Some(dynamic_address)
            && let Some(dynamic) = file.segments().iter().find(|segment| segment.is_dynamic())
        {
            return dynamic_address.wrapping_sub(dynamic.address);
        }
        if let ModuleKind::Relocatable { .. } = self.kind() {
            return 0;
        }
        let Some(start) = start else {
            return 0;
        };
        let first = file
            .segments()
            .iter()
            .filter(|segment| segment.is_load())
            .map(|segment| segment.address / 4096 * 4096)
            .min();
        start.wrapping_sub(first.unwrap_or(0))
    }
}

fn is_placed_by_dynamic_section(kind: ModuleKind) -> bool {
    matches!(
        kind,
        ModuleKind::SharedLibrary { .. } | ModuleKind::Vdso { .. }
    )
}

/// The addresses that the segments of a file have in the program.
fn loaded_range(file: &ElfFile, bias: u64) -> Option<(u64, u64)> {
    let loaded = || file.segments().iter().filter(|segment| segment.is_load());
    let start = loaded().map(|segment| segment.address).min()?;
    let ends = loaded().map(|segment| segment.address.saturating_add(segment.memory_size));
    let (start, end) = (start.wrapping_add(bias), ends.max()?.wrapping_add(bias));
    (start < end).then_some((start, end))
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
