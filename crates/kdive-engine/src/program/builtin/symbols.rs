//! The symbols that the kernel has of itself and of its modules.

use std::sync::Arc;

use kdive_debuginfo::kallsyms::{self, KernelImage, exports, module::ModuleSymbols};
use kdive_debuginfo::symbols::SymbolTable;
use kdive_target::{TargetKind, VmCoreInfo};

use super::super::{Program, Symbol, SymbolFinder, SymbolQuery};
use crate::Result;
use crate::module::{FileStatus, Module};

/// The symbols of the running kernel as text.
const LIST: &str = "/proc/kallsyms";

/// Asks the kernel's own tables.
pub(super) struct Kallsyms;

impl SymbolFinder for Kallsyms {
    fn find(&self, program: &Arc<Program>, query: SymbolQuery<'_>) -> Result<Vec<Symbol>> {
        let mut found = Vec::new();
        if program.uses_builtin() {
            find_without_files(program, query, &mut found);
        }
        // No file has these.
        if (found.is_empty() || !query.one)
            && let Some(table) = program.bpf_symbols()
        {
            table.find(query.name, query.address, query.one, &mut found);
        }
        Ok(found)
    }
}

/// The symbols of the kernel and of those of its modules that have no file.
fn find_without_files(program: &Arc<Program>, query: SymbolQuery<'_>, found: &mut Vec<Symbol>) {
    let main = program.main_module();
    if main.is_none_or(|module| module.debug_file().status != FileStatus::Have) {
        for table in program.kernel_symbols() {
            table.find(query.name, query.address, query.one, found);
        }
    }
    for module in program.modules().all() {
        let is_elsewhere = query
            .address
            .is_some_and(|address| !module.contains(address));
        if query.one && !found.is_empty() {
            break;
        }
        if is_elsewhere || module.debug_file().status == FileStatus::Have {
            continue;
        }
        if let Some(table) = module.symbols_in_memory() {
            table.find(query.name, query.address, query.one, found);
        }
    }
}

impl Program {
    /// The symbols of the kernel itself: kallsyms and, where that has no variables, the exported
    /// ones.
    fn kernel_symbols(&self) -> &[Arc<SymbolTable>] {
        self.builtin
            .symbols
            .get_or_init(|| self.read_kernel_symbols())
    }

    /// The address of a symbol of the kernel itself, from a file or its own tables.
    pub(super) fn kernel_symbol(&self, name: &str) -> Option<u64> {
        let loaded = self.debug_info.symbols();
        let symbol = loaded.iter().find_map(|table| table.by_name(name));
        let symbol = symbol.or_else(|| {
            self.kernel_symbols()
                .iter()
                .find_map(|table| table.by_name(name))
        });
        symbol.map(|symbol| symbol.address)
    }

    fn read_kernel_symbols(&self) -> Vec<Arc<SymbolTable>> {
        let Some(info) = self.target().and_then(|target| target.vmcoreinfo.as_ref()) else {
            return Vec::new();
        };
        let order = self.byte_order();
        let mut tables = Vec::new();
        match kallsyms::read(self.memory(), info, order) {
            Ok(Some(symbols)) => {
                // Where per-CPU symbols are offsets (x86-64 until 6.15), they start at 0.
                let per_cpu_end = match (
                    symbols.by_name("__per_cpu_start"),
                    symbols.by_name("__per_cpu_end"),
                ) {
                    (Some(start), Some(end)) if start.address == 0 => end.address,
                    _ => 0,
                };
                tables.push(Arc::new(symbols.with_offsets(0..per_cpu_end)));
            }
            Ok(None) => tables.extend(self.listed_symbols(info).map(Arc::new)),
            Err(error) => {
                let listed = self.listed_symbols(info);
                if listed.is_none() {
                    self.note_problem(format!(
                        "the kernel's own symbols can't be used: {error}; give its vmlinux"
                    ));
                }
                tables.extend(listed.map(Arc::new));
            }
        }
        // Without CONFIG_KALLSYMS_ALL the table has functions only.
        let has_variables = tables
            .iter()
            .any(|table| table.by_name(exports::LANDMARK).is_some());
        if let (false, Some(stext)) = (has_variables, info.symbol("_stext")) {
            let image = KernelImage::new(self.memory(), order, stext);
            tables.extend(exports::find(&image).map(Arc::new));
            tables.push(Arc::new(kallsyms::symbols_in_vmcoreinfo(info)));
        }
        tables
    }
}

impl Program {
    /// What the running kernel lists of its own symbols, where its table can't be read.
    fn listed_symbols(&self, info: &VmCoreInfo) -> Option<SymbolTable> {
        if self.target()?.kind != TargetKind::LiveKernel {
            return None;
        }
        let listed = std::fs::read(LIST).map_err(|error| format!("{LIST}: {error}"));
        let read = listed.and_then(|text| {
            kallsyms::listed(&text, info.symbol("_stext")).map_err(|error| error.to_string())
        });
        read.inspect_err(|problem| self.note_problem(problem.clone()))
            .ok()
    }
}

impl Module {
    /// The symbols that the kernel keeps with the module, read when they are first needed.
    fn symbols_in_memory(&self) -> Option<&SymbolTable> {
        self.symbols_in_memory
            .get_or_init(|| self.read_symbols().ok().flatten())
            .as_ref()
    }

    /// `struct module.kallsyms`, since "module: keep percpu symbols in module's symtab" and its
    /// neighbours, Linux 4.5.
    fn read_symbols(&self) -> Result<Option<SymbolTable>> {
        let Some(object) = self.object() else {
            return Ok(None);
        };
        let program = object.program().clone();
        let kallsyms = object.member("kallsyms")?;
        if !kallsyms.is_truthy()? {
            return Ok(None);
        }
        let number =
            |name: &str| -> Result<u64> { Ok(kallsyms.member(name)?.number()?.to_bits() as u64) };
        let place = ModuleSymbols {
            symbols: number("symtab")?,
            count: number("num_symtab")?,
            strings: number("strtab")?,
            has_letters: kallsyms.find_member("typetab")?.is_none(),
        };
        let is_64_bit = program.address_size()? == 8;
        Ok(Some(place.read(
            program.memory(),
            program.byte_order(),
            is_64_bit,
        )?))
    }
}
