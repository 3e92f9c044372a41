//! The unwind tables of a program's modules, each compiled when a stack first leads through it.

use std::ops::Range;
use std::sync::{Arc, OnceLock, PoisonError, RwLock, Weak};

use kdive_debuginfo::elf::{ElfFile, ElfKind, Section};
use kdive_target::AddressSpace;
use kdive_unwind::table::{OrcSections, OrcVersion, TableBuilder, UnwindTable};
use kdive_unwind::{Architecture, FindTable};

use super::kept::{KeptTable, Part};
use crate::Result;
use crate::module::ModuleKind;
use crate::object::Object;
use crate::program::{ObjectKinds, Program};

/// More entries than the largest kernels have; a longer table is damaged.
const MAX_ORC_ENTRIES: u64 = 1 << 22;

/// More probes and tracers than are in use at a time.
const MAX_TRACERS: usize = 4096;

/// More pages than any vDSO has.
const MAX_VDSO_PAGES: u64 = 16;

/// The flag of sections with code.
const SHF_EXECINSTR: u64 = 4;

/// The tables of all modules.
#[derive(Default)]
pub(crate) struct UnwindTables {
    modules: RwLock<Arc<Modules>>,
}

/// The tables as they were at one time.
#[derive(Clone, Default)]
pub(crate) struct Modules {
    /// Sorted by address.
    tables: Vec<Arc<ModuleTable>>,
    copies: Vec<CopiedCode>,
}

/// Code that the kernel copied.
#[derive(Clone)]
struct CopiedCode {
    copy: Range<u64>,
    /// The address of what it is a copy of.
    original: u64,
}

/// The table of one module.
pub(crate) struct ModuleTable {
    /// Where the module's code is in the program.
    code: Range<u64>,
    /// What was added to addresses in the file to have those in the program.
    bias: u64,
    sources: Vec<UnwindSource>,
    program: Weak<Program>,
    table: OnceLock<Option<UnwindTable>>,
}

/// Where a module's unwind information is.
#[derive(Clone)]
pub enum UnwindSource {
    /// In the sections of a file.
    File(Arc<ElfFile>),
    /// In the target's memory: the kernel's ORC, as its own unwinder uses it.
    Orc {
        /// The address of the first element of `.orc_unwind_ip`.
        ips: u64,
        /// The address of the first element of `.orc_unwind`.
        entries: u64,
        /// How many elements both have.
        count: u64,
        /// The build ID of the kernel, if it is the kernel's own and that is known.
        build_id: Option<Vec<u8>>,
    },
}

impl PartialEq for UnwindSource {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::File(file), Self::File(other)) => Arc::ptr_eq(file, other),
            (Self::Orc { ips, .. }, Self::Orc { ips: other_ips, .. }) => ips == other_ips,
            _ => false,
        }
    }
}

impl UnwindTables {
    pub(crate) fn snapshot(&self) -> Arc<Modules> {
        self.modules
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn add(&self, table: ModuleTable) {
        let mut modules = self.modules.write().unwrap_or_else(PoisonError::into_inner);
        let mut changed = Modules::clone(&modules);
        let all = &mut changed.tables;
        // Several files of one module (stripped, and with debug information) make one table.
        match all
            .iter_mut()
            .find(|other| other.code.start == table.code.start)
        {
            Some(other) => {
                let mut sources = other.sources.clone();
                for source in &table.sources {
                    if !sources.contains(source) {
                        sources.push(source.clone());
                    }
                }
                if sources.len() > other.sources.len() {
                    *other = Arc::new(ModuleTable {
                        code: table.code.start..table.code.end.max(other.code.end),
                        sources,
                        ..table
                    });
                }
            }
            None => all.push(Arc::new(table)),
        }
        all.sort_by_key(|module| module.code.start);
        *modules = Arc::new(changed);
    }

    fn set_copies(&self, copies: Vec<CopiedCode>) {
        let mut modules = self.modules.write().unwrap_or_else(PoisonError::into_inner);
        *modules = Arc::new(Modules {
            tables: modules.tables.clone(),
            copies,
        });
    }
}

impl FindTable for Modules {
    fn find_table(&self, address: u64) -> Option<(&UnwindTable, u64)> {
        let original = self.original(address);
        let module = self.at(original)?;
        let bias = module.bias.wrapping_add(address.wrapping_sub(original));
        Some((module.table()?, bias))
    }

    fn is_code(&self, address: u64) -> bool {
        self.at(self.original(address)).is_some()
    }
}

impl Modules {
    /// What the code at an address is a copy of; the address itself, if it is none.
    fn original(&self, address: u64) -> u64 {
        let mut copies = self.copies.iter();
        copies
            .find(|code| code.copy.contains(&address))
            .map_or(address, |code| {
                address
                    .wrapping_sub(code.copy.start)
                    .wrapping_add(code.original)
            })
    }

    fn at(&self, address: u64) -> Option<&ModuleTable> {
        let after = self
            .tables
            .partition_point(|module| module.code.start <= address);
        let module = self.tables.get(after.checked_sub(1)?)?;
        (address < module.code.end).then_some(&**module)
    }
}

impl ModuleTable {
    fn table(&self) -> Option<&UnwindTable> {
        self.table.get_or_init(|| self.compile()).as_ref()
    }

    /// The sources in the order in which they are believed: `.debug_frame`, `.eh_frame`, ORC.
    fn compile(&self) -> Option<UnwindTable> {
        let program = self.program.upgrade()?;
        let architecture = Architecture::of(program.architecture())?;
        let linked = self.code.start.wrapping_sub(self.bias);
        let linked_code = linked..linked.wrapping_add(self.code.end - self.code.start);
        let [debug_frame, eh_frame, orc] =
            [".debug_frame", ".eh_frame", ".orc_unwind"].map(|name| self.part(name));
        let kept = KeptTable::of([debug_frame, eh_frame, orc], &linked_code, &self.sources);
        if let Some(table) = kept.as_ref().and_then(KeptTable::load) {
            return Some(table);
        }
        let mut builder = TableBuilder::new(architecture, linked_code);
        if let Some(section) = debug_frame.and_then(Part::frame_section) {
            builder.add_debug_frame(section);
        }
        if let Some(section) = eh_frame.and_then(Part::frame_section) {
            builder.add_eh_frame(section);
        }
        if let Some(part) = orc {
            add_orc_of_file(&mut builder, part.file, &program);
        } else {
            for source in &self.sources {
                if let UnwindSource::Orc {
                    ips,
                    entries,
                    count,
                    ..
                } = source
                {
                    // Unreadable ORC is missing ORC: other sources may do.
                    let _ = self.add_orc_of_memory(&mut builder, &program, *ips, *entries, *count);
                }
            }
        }
        let table = builder.build().ok()?;
        if let Some(kept) = kept {
            kept.save(&table);
        }
        (!table.is_empty()).then_some(table)
    }

    /// The section of this name in the first file that has its contents.
    fn part(&self, name: &'static str) -> Option<Part<'_>> {
        self.sources.iter().find_map(|source| {
            let UnwindSource::File(file) = source else {
                return None;
            };
            let section = file.section(name).filter(|section| section.has_data())?;
            Some(Part { file, section })
        })
    }

    fn add_orc_of_memory(
        &self,
        builder: &mut TableBuilder,
        program: &Program,
        ips: u64,
        entries: u64,
        count: u64,
    ) -> Result<()> {
        let count = count.min(MAX_ORC_ENTRIES);
        let Some(version) = orc_version(program) else {
            return Ok(());
        };
        let read = |address, size| program.read_bytes(AddressSpace::Virtual, address, size);
        builder.add_orc(OrcSections {
            ips: &read(ips, count * 4)?,
            ips_address: ips.wrapping_sub(self.bias),
            entries: &read(entries, count * 6)?,
            version,
        });
        Ok(())
    }
}

fn add_orc_of_file(builder: &mut TableBuilder, file: &ElfFile, program: &Program) {
    let (Ok(Some(ips)), Ok(Some(entries)), Some(section)) = (
        file.section_data(".orc_unwind_ip"),
        file.section_data(".orc_unwind"),
        file.section(".orc_unwind_ip"),
    ) else {
        return;
    };
    let version = match file.section_data(".orc_header") {
        Ok(Some(header)) => OrcVersion::from_header(header).ok(),
        _ => orc_version(program),
    };
    if let Some(version) = version {
        builder.add_orc(OrcSections {
            ips,
            ips_address: section.address,
            entries,
            version,
        });
    }
}

/// The version of ORC from the kernel's release, for want of a header in memory.
fn orc_version(program: &Program) -> Option<OrcVersion> {
    let release = program.target()?.vmcoreinfo.as_ref()?.os_release()?;
    OrcVersion::from_release(release).ok()
}

impl Program {
    /// Adds unwind information for code at these addresses, which are `bias` bytes behind where
    /// it was linked.
    pub fn add_unwind_source(&self, code: Range<u64>, bias: u64, source: UnwindSource) {
        if code.is_empty() {
            return;
        }
        self.stacks().tables.add(ModuleTable {
            code,
            bias,
            sources: vec![source],
            program: self.weak(),
            table: OnceLock::new(),
        });
    }

    /// Adds the unwind information in a file of a module, which is at `ranges` in the program, if
    /// that is known, `bias` bytes behind where it was linked.
    pub fn add_unwind_file(&self, file: &Arc<ElfFile>, bias: u64, ranges: &[(u64, u64)]) {
        let source = || UnwindSource::File(file.clone());
        if file.kind() == ElfKind::Relocatable {
            // Its sections have the addresses of the running program, as far as they are loaded.
            for (start, end) in ranges {
                self.add_unwind_source(*start..*end, bias, source());
            }
            return;
        }
        let code = file
            .sections()
            .iter()
            .filter(|section| section.flags & SHF_EXECINSTR != 0)
            .map(Section::addresses)
            .reduce(|all, section| all.start.min(section.start)..all.end.max(section.end));
        if let Some(code) = code {
            let start = code.start.wrapping_add(bias);
            self.add_unwind_source(start..code.end.wrapping_add(bias), bias, source());
        }
    }

    /// Adds what the target's memory has of ORC: that of the kernel itself, unless a file of it
    /// was loaded, and those of its modules. What can't be read is left out.
    pub(super) fn add_unwind_sources_in_memory(self: &Arc<Self>) {
        if !self.is_kernel() {
            self.add_vdso();
            return;
        }
        if self.architecture() != kdive_target::Architecture::X86_64 {
            return;
        }
        let _ = self.add_kernel_orc();
        let _ = self.add_tracing_trampolines();
        // With the kernel's types its modules can be seen.
        for (module, _) in self.create_loaded_modules().unwrap_or_default() {
            if let (Some(object), Some(ranges)) = (module.object(), module.address_ranges()) {
                let _ = self.add_module_orc(&object, &ranges);
            }
        }
    }

    /// Takes the vDSO from the memory of a process, for its unwind information and symbols: there
    /// may be no file of it.
    fn add_vdso(self: &Arc<Self>) {
        for (module, _) in self.create_loaded_modules().unwrap_or_default() {
            let ranges = module.address_ranges().unwrap_or_default();
            let (ModuleKind::Vdso { .. }, Some(&(start, _))) = (module.kind(), ranges.first())
            else {
                continue;
            };
            let bytes = (1..=MAX_VDSO_PAGES)
                .rev()
                .find_map(|pages| {
                    self.read_bytes(AddressSpace::Virtual, start, pages * 4096)
                        .ok()
                })
                .unwrap_or_default();
            let path = std::path::Path::new("linux-vdso.so.1");
            if let Ok(file) = ElfFile::from_bytes(path, bytes) {
                // Stacks without it are shorter, but right.
                let _ = module.try_elf(&Arc::new(file), false);
            }
        }
    }

    /// Probes and tracers of functions are entered through copies of `ftrace_caller` or
    /// `ftrace_regs_caller` ("ftrace/x86: Add dynamic allocated trampoline for `ftrace_ops`", Linux
    /// 3.19).
    fn add_tracing_trampolines(self: &Arc<Self>) -> Result<()> {
        let symbol = |name| -> Result<Option<u64>> {
            Ok(self.symbol_named(name)?.map(|symbol| symbol.address))
        };
        let (Some(with_some), Some(with_all), Some(last)) = (
            symbol("ftrace_caller")?,
            symbol("ftrace_regs_caller")?,
            symbol("ftrace_list_end")?,
        ) else {
            return Ok(());
        };
        let saves_all = self.find_object("FTRACE_OPS_FL_SAVE_REGS", ObjectKinds::CONSTANT, None)?;
        let saves_all = super::start::integer(&saves_all)?;
        let mut operations = self
            .find_object("ftrace_ops_list", ObjectKinds::VARIABLE, None)?
            .read()?;
        let mut copies = Vec::new();
        for _ in 0..MAX_TRACERS {
            let address = super::start::integer(&operations)?;
            if address == 0 || address == last {
                break;
            }
            let number = |name| super::start::integer(&operations.member(name)?);
            let (start, size) = (number("trampoline")?, number("trampoline_size")?);
            let original = if number("flags")? & saves_all == 0 {
                with_some
            } else {
                with_all
            };
            if start != 0 {
                copies.push(CopiedCode {
                    copy: start..start.saturating_add(size),
                    original,
                });
            }
            operations = operations.member("next")?.read()?;
        }
        self.stacks().tables.set_copies(copies);
        Ok(())
    }

    fn add_kernel_orc(self: &Arc<Self>) -> Result<()> {
        let symbol = |name| -> Result<Option<u64>> {
            Ok(self.symbol_named(name)?.map(|symbol| symbol.address))
        };
        // A dump mostly tells this one, which is cheaper than all symbols of a kernel.
        let told = self
            .target()
            .and_then(|target| target.vmcoreinfo.as_ref()?.symbol("_stext"));
        if told.is_some_and(|start| self.stacks().tables.snapshot().is_code(start)) {
            return Ok(());
        }
        let (Some(start), Some(end), Some(ips), Some(ips_end), Some(entries)) = (
            symbol("_stext")?,
            symbol("_etext")?,
            symbol("__start_orc_unwind_ip")?,
            symbol("__stop_orc_unwind_ip")?,
            symbol("__start_orc_unwind")?,
        ) else {
            return Ok(());
        };
        if !self.stacks().tables.snapshot().is_code(start) {
            let information = self.target().and_then(|target| target.vmcoreinfo.as_ref());
            let source = UnwindSource::Orc {
                ips,
                entries,
                count: ips_end.saturating_sub(ips) / 4,
                build_id: information.and_then(|information| information.build_id()),
            };
            // As it was linked, the table is that of every boot.
            let bias = information.and_then(|information| information.kernel_offset());
            self.add_unwind_source(start..end, bias.unwrap_or(0), source);
        }
        Ok(())
    }

    /// The ORC that a `struct module` has in `arch`, since Linux 4.14 ("x86/unwind: Add the ORC
    /// unwinder").
    fn add_module_orc(&self, module: &Object, ranges: &[(u64, u64)]) -> Result<()> {
        let arch = module.member("arch")?;
        let number = |name| super::start::integer(&arch.member(name)?);
        let source = UnwindSource::Orc {
            ips: number("orc_unwind_ip")?,
            entries: number("orc_unwind")?,
            count: number("num_orcs")?,
            build_id: None,
        };
        for (start, end) in ranges {
            self.add_unwind_source(*start..*end, 0, source.clone());
        }
        Ok(())
    }
}
