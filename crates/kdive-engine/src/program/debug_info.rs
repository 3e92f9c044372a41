//! The debug information that was loaded, and the finders that ask it.

use std::sync::{Arc, PoisonError, RwLock};

use kdive_debuginfo::TypeSource;
use kdive_debuginfo::description::{Location, ObjectDescription, TypeKinds};
use kdive_debuginfo::symbols::SymbolTable;

use super::{ObjectFinder, ObjectKinds, Program, Symbol, SymbolFinder, SymbolQuery, TypeFinder};
use crate::Result;
use crate::module::StandardFinder;
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

    fn symbols(&self) -> Arc<[Arc<SymbolTable>]> {
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

    /// Whether any source of types was added.
    pub fn has_types(&self) -> bool {
        !self.debug_info.types().is_empty()
    }
}

/// The formats of debug information, by the names of their finders, in the order in which they
/// are asked.
const FORMATS: [&str; 3] = ["dwarf", "ctf", "btf"];

/// Asks all sources of one format.
struct FormatFinder(&'static str);

/// Asks the symbol tables of all modules.
struct ModuleSymbols;

pub(crate) fn register_finders(program: &Program) {
    for format in FORMATS {
        let finder = Arc::new(FormatFinder(format));
        // A program that has just been made has no finder of that name.
        let _ = program.types.register(format, finder.clone(), Some(-1));
        let _ = program.objects.register(format, finder, Some(-1));
    }
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
            if let Some(id) = types.source().find_types(kinds, name, file_name)?.first() {
                let ty = types.get(Some(*id))?;
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
        for types in program.debug_info.types().iter() {
            if types.source().format() != self.0 {
                continue;
            }
            let found = types.source().find_objects(kinds, name, file_name)?;
            if let Some(description) = found.into_iter().next() {
                return types.object(program, description).map(Some);
            }
        }
        Ok(None)
    }

    fn is_stable(&self) -> bool {
        true
    }
}

impl ImportedTypes {
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
            Location::Constant(value) => Self::constant(program, ty, value),
            Location::Absent(reason) => Object::absent(program, ty, reason, None),
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
            match (query.name, query.address) {
                (Some(name), _) if query.one => found.extend(table.by_name(name)),
                (Some(name), _) => found.extend(table.all_by_name(name)),
                (None, Some(address)) if query.one => found.extend(table.by_address(address)),
                (None, Some(address)) => found.extend(table.all_by_address(address)),
                (None, None) => found.extend(table.iter()),
            }
            if query.one && !found.is_empty() {
                break;
            }
        }
        Ok(found)
    }
}
