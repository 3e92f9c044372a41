//! The debug information that was loaded, and the finders that ask it.

use std::sync::{Arc, PoisonError, RwLock};

use kdive_debuginfo::TypeSource;
use kdive_debuginfo::description::{Location, ObjectDescription, TypeKinds};
use kdive_debuginfo::symbols::SymbolTable;

use super::builtin::BtfFinder;
use super::macros;
use super::{ObjectFinder, ObjectKinds, Program, Symbol, SymbolFinder, SymbolQuery, TypeFinder};
use crate::Result;
use crate::module::{ModuleKind, StandardFinder};
use crate::object::expression::global_object;
use crate::object::{AbsenceReason, Object};
use crate::types::{ImportedTypes, Type};

/// What was loaded, in the order in which it is asked.
#[derive(Default)]
pub(crate) struct DebugInfo {
    types: RwLock<Arc<[Arc<ImportedTypes>]>>,
    symbols: RwLock<Arc<[Arc<SymbolTable>]>>,
}

impl DebugInfo {
    pub(crate) fn types(&self) -> Arc<[Arc<ImportedTypes>]> {
        self.types
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    pub(crate) fn symbols(&self) -> Arc<[Arc<SymbolTable>]> {
        self.symbols
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

impl Program {
    /// Adds a source of types and objects; it is asked after those added before.
    pub fn add_type_source(self: &Arc<Self>, source: Arc<dyn TypeSource>) {
        let imported = ImportedTypes::new(source, self, self.byte_order());
        let mut types = self
            .debug_info
            .types
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        *types = types.iter().cloned().chain([imported]).collect();
        drop(types);
        self.forget();
    }

    /// Adds the symbols of a module, at the addresses where it is loaded.
    pub fn add_symbols(&self, table: Arc<SymbolTable>) {
        let mut symbols = self
            .debug_info
            .symbols
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        *symbols = symbols.iter().cloned().chain([table]).collect();
        drop(symbols);
        self.forget();
    }

    /// The sources of types that were added.
    pub(crate) fn type_sources(&self) -> Arc<[Arc<ImportedTypes>]> {
        self.debug_info.types()
    }

    /// Whether types are looked for in one format before another, or not in that at all.
    pub(crate) fn asks_for_types(&self, format: &str, before: &str) -> bool {
        let enabled = self.types.enabled();
        let place = |wanted: &str| enabled.iter().position(|name| name == wanted);
        match (place(format), place(before)) {
            (Some(place), Some(other)) => place < other,
            (place, None) => place.is_some(),
            (None, _) => false,
        }
    }

    /// The symbol of a kernel module, or of the kernel itself if the module is built in.
    fn symbol_of_module(self: &Arc<Self>, module: &str, name: &str) -> Result<Option<Symbol>> {
        let query = SymbolQuery {
            name: Some(name),
            address: None,
            one: false,
        };
        let found = self.find_symbols(query)?;
        let loaded = self.module_named(module);
        let belongs = |symbol: &&Symbol| match &loaded {
            Some(module) => module.contains(symbol.address),
            None => self
                .module_at(symbol.address)
                .is_none_or(|module| module.kind() == ModuleKind::Main),
        };
        // Per-CPU variables of modules are not where their other data is.
        let only = found.first().filter(|_| found.len() == 1);
        Ok(found.iter().find(belongs).or(only).cloned())
    }

    /// Whether any source of types was added.
    pub fn has_types(&self) -> bool {
        !self.debug_info.types().is_empty()
    }
}

/// Asks all sources of one format that were loaded.
pub(super) struct FormatFinder(pub(super) &'static str);

/// Asks the symbol tables of all modules.
struct ModuleSymbols;

pub(crate) fn register_finders(program: &Program) {
    // A program that has just been made has no finder of these names.
    for format in ["dwarf", "ctf"] {
        let finder = Arc::new(FormatFinder(format));
        let _ = program.types.register(format, finder.clone(), Some(-1));
        let _ = program.objects.register(format, finder, Some(-1));
    }
    let finder = Arc::new(BtfFinder);
    let _ = program.types.register("btf", finder.clone(), Some(-1));
    let _ = program.objects.register("btf", finder, Some(-1));
    let _ = program
        .symbols
        .register("elf", Arc::new(ModuleSymbols), Some(-1));
    let finders = program.modules().finders();
    let _ = finders.register("standard", Arc::new(StandardFinder), Some(-1));
}

impl TypeFinder for FormatFinder {
    fn find(
        &self,
        program: &Arc<Program>,
        kinds: TypeKinds,
        name: &str,
        file_name: Option<&str>,
    ) -> Result<Option<Type>> {
        let mut declared = None;
        for types in program.debug_info.types().iter() {
            if types.source().format() != self.0 {
                continue;
            }
            if let Some(ty) = types.find(kinds, name, file_name)? {
                if ty.is_complete()? || ty.unaliased_kind()? == crate::TypeKind::Void {
                    return Ok(Some(ty));
                }
                declared.get_or_insert(ty);
            }
        }
        Ok(declared)
    }

    fn is_stable(&self) -> bool {
        true
    }
}

impl ObjectFinder for FormatFinder {
    fn find(
        &self,
        program: &Arc<Program>,
        name: &str,
        kinds: ObjectKinds,
        file_name: Option<&str>,
    ) -> Result<Option<Object>> {
        // A function that one module has only inlined may be called in another.
        let mut absent = None;
        for types in program.debug_info.types().iter() {
            if types.source().format() != self.0 {
                continue;
            }
            match types.find_object(program, name, kinds, file_name)? {
                Some(found) if found.absence_reason().is_none() => return Ok(Some(found)),
                found => absent = absent.or(found),
            }
        }
        if absent.is_some() {
            return Ok(absent);
        }
        // Names of macros are not in the index, so they come last.
        for types in program.debug_info.types().iter() {
            if types.source().format() == self.0
                && let Some(found) = macros::find(program, types, name, kinds, file_name)?
            {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    fn is_stable(&self) -> bool {
        true
    }
}

impl ImportedTypes {
    /// The first type of one of `kinds` called `name`.
    pub(crate) fn find(
        &self,
        kinds: TypeKinds,
        name: &str,
        file_name: Option<&str>,
    ) -> Result<Option<Type>> {
        match self.source().find_types(kinds, name, file_name)?.first() {
            Some(id) => self.get(Some(*id)).map(Some),
            None => Ok(None),
        }
    }

    /// The first object of one of `kinds` called `name`.
    pub(crate) fn find_object(
        &self,
        program: &Arc<Program>,
        name: &str,
        kinds: ObjectKinds,
        file_name: Option<&str>,
    ) -> Result<Option<Object>> {
        let found = self.source().find_objects(kinds, name, file_name)?;
        match found.into_iter().next() {
            Some(description) => self.object(program, description).map(Some),
            None => Ok(None),
        }
    }

    /// The complete type of one of `kinds` with this tag; none if there is none.
    pub(crate) fn find_complete(&self, kinds: TypeKinds, tag: &str) -> Result<Option<Type>> {
        for id in self.source().find_types(kinds, tag, None)? {
            if self.is_defined(id)? {
                return self.get(Some(id)).map(Some);
            }
        }
        Ok(None)
    }

    pub(crate) fn object(
        &self,
        program: &Arc<Program>,
        description: ObjectDescription,
    ) -> Result<Object> {
        let ty = self.get(description.type_id)?;
        match description.location {
            Location::Address(address) => Object::reference(program, ty, address, 0, None),
            Location::Symbol(name) => match program.symbol_named(&name)? {
                Some(symbol) => Object::reference(program, ty, symbol.address, 0, None),
                None => Object::absent(program, ty, AbsenceReason::Other, None),
            },
            Location::ModuleSymbol { module, name } => {
                match program.symbol_of_module(&module, &name)? {
                    Some(symbol) => Object::reference(program, ty, symbol.address, 0, None),
                    None => Object::absent(program, ty, AbsenceReason::Other, None),
                }
            }
            Location::PerCpu(offset) => match program.symbol_named("__per_cpu_start")? {
                Some(start) => {
                    let address = start.address.wrapping_add(offset);
                    Object::reference(program, ty, address, 0, None)
                }
                None => Object::absent(program, ty, AbsenceReason::Other, None),
            },
            Location::Constant(value) => Self::constant(program, ty, value),
            Location::Absent(reason) => Object::absent(program, ty, reason, None),
            Location::Expression { entry, operations } => match self.source().code() {
                Some(code) => global_object(program, ty, code, entry, &operations),
                None => Object::absent(program, ty, AbsenceReason::NotImplemented, None),
            },
            Location::ThreadLocal(_) => {
                Object::absent(program, ty, AbsenceReason::NotImplemented, None)
            }
        }
    }
}

impl SymbolFinder for ModuleSymbols {
    fn find(&self, program: &Arc<Program>, query: SymbolQuery<'_>) -> Result<Vec<Symbol>> {
        let mut found = Vec::new();
        for table in program.debug_info.symbols().iter() {
            table.find(query.name, query.address, query.one, &mut found);
            if query.one && !found.is_empty() {
                break;
            }
        }
        Ok(found)
    }
}
