//! Types, objects and symbols by name and by address.

use std::fmt::Write as _;
use std::sync::Arc;

use kdive_debuginfo::TypeSource;

use super::cache::FoundObject;
use super::{ObjectFinder, ObjectKinds, Program, Symbol, SymbolQuery};
use crate::object::{Object, Place};
use crate::types::{PrimitiveType, Type, TypeKinds, parse_type_name};
use crate::{Error, Result};

/// What a finder finds must be of one of the kinds that it was asked for.
pub(super) fn check_kind(ty: &Type, kinds: TypeKinds) -> Result<()> {
    if kinds.contains(ty.kind().as_set()) {
        Ok(())
    } else {
        let message = "type find callback returned wrong kind of type";
        Err(Error::Type(message.to_owned()))
    }
}

fn is_only_declared(ty: &Type) -> Result<bool> {
    let declarable = TypeKinds::STRUCT | TypeKinds::UNION | TypeKinds::CLASS | TypeKinds::ENUM;
    Ok(declarable.contains(ty.kind().as_set()) && !ty.is_complete()?)
}

impl Program {
    /// The type that a name was found to mean before; nobody is asked and nothing is read.
    pub fn known_type(&self, name: &str) -> Option<Type> {
        self.cache.ty(name)
    }

    /// The object that a name was found to mean before; nobody is asked and nothing is read.
    pub fn known_object(self: &Arc<Self>, name: &str) -> Option<Object> {
        let FoundObject { ty, place } = self.cache.object(name)?;
        Some(Object {
            program: self.clone(),
            ty,
            bit_field_size: None,
            place,
        })
    }

    /// The type that a C or C++ type name means, such as `struct list_head *`.
    /// `file_name`, if given, must match the end of the path of the file that declares it.
    pub fn find_type(self: &Arc<Self>, name: &str, file_name: Option<&str>) -> Result<Type> {
        if file_name.is_none()
            && let Some(ty) = self.known_type(name)
        {
            return Ok(ty);
        }
        let ty = parse_type_name(self, name, file_name)?;
        let is_stable = self.types.asked().iter().all(|finder| finder.is_stable());
        // Scripts ask for a type to learn whether the kernel has it, and headers declare those that
        // it was built without. Behind a pointer, a declaration will do.
        if is_stable && is_only_declared(&ty)? {
            return Err(Error::NotFound {
                name: name.to_owned(),
                message: format!("could not find '{name}': it is only declared"),
            });
        }
        if file_name.is_none() && is_stable {
            self.cache.keep_type(name, &ty);
        }
        Ok(ty)
    }

    /// The type of one of `kinds` with this name or tag, as the parser of type names asks for
    /// it; C's own types are found even without debug information.
    pub fn find_named_type(
        self: &Arc<Self>,
        kinds: TypeKinds,
        name: &str,
        file_name: Option<&str>,
    ) -> Result<Type> {
        if file_name.is_none()
            && kinds
                .intersects(TypeKinds::VOID | TypeKinds::INT | TypeKinds::BOOL | TypeKinds::FLOAT)
            && let Some(primitive) = PrimitiveType::from_spelling(name)
        {
            return self.primitive_type(primitive);
        }
        for finder in self.types.asked().iter() {
            if let Some(ty) = finder.find(self, kinds, name, file_name)? {
                check_kind(&ty, kinds)?;
                return Ok(ty);
            }
        }
        if kinds.contains(TypeKinds::TYPEDEF)
            && let Some(primitive @ (PrimitiveType::SizeT | PrimitiveType::PtrdiffT)) =
                PrimitiveType::from_spelling(name)
        {
            return self.primitive_type(primitive);
        }
        let keyword = match kinds {
            TypeKinds::STRUCT => "struct ",
            TypeKinds::UNION => "union ",
            TypeKinds::CLASS => "class ",
            TypeKinds::ENUM => "enum ",
            TypeKinds::TYPEDEF => "typedef ",
            _ => "",
        };
        let place = file_name
            .map(|file| format!(" in '{file}'"))
            .unwrap_or_default();
        Err(Error::NotFound {
            name: name.to_owned(),
            message: format!("could not find '{keyword}{name}'{place}"),
        })
    }

    /// The complete type for a declaration in `origin`: from any other source of debug
    /// information, if exactly one is to be found there.
    pub(crate) fn find_complete_type(
        self: &Arc<Self>,
        kinds: TypeKinds,
        tag: &str,
        origin: &Arc<dyn TypeSource>,
    ) -> Result<Option<Type>> {
        let loaded = self.debug_info.types();
        for types in loaded.iter().chain(self.builtin_types()) {
            if Arc::ptr_eq(types.source(), origin) {
                continue;
            }
            if let Some(ty) = types.find_complete(kinds, tag)? {
                return Ok(Some(ty));
            }
        }
        Ok(None)
    }

    /// The variable, function or constant with this name.
    pub fn find_object(
        self: &Arc<Self>,
        name: &str,
        kinds: ObjectKinds,
        file_name: Option<&str>,
    ) -> Result<Object> {
        if let Some(object) = self.find_object_if_any(name, kinds, file_name)? {
            return Ok(object);
        }
        let what = match kinds {
            ObjectKinds::CONSTANT => "constant ",
            ObjectKinds::FUNCTION => "function ",
            ObjectKinds::VARIABLE => "variable ",
            _ => "",
        };
        let place = file_name
            .map(|file| format!(" in '{file}'"))
            .unwrap_or_default();
        let mut message = format!("could not find {what}'{name}'{place}");
        if self.is_kernel()
            && file_name.is_none()
            && kinds.intersects(ObjectKinds::VARIABLE | ObjectKinds::FUNCTION)
            && let Some(symbol) = self.symbol_named(name)?
        {
            let _ = write!(
                message,
                ": the symbol is at {:#x}, but no debug information has its type; \
                 give the type with Object(prog, TYPE, address={:#x}), or load DWARF",
                symbol.address, symbol.address
            );
        }
        if file_name.is_none()
            && kinds.contains(ObjectKinds::CONSTANT)
            && let Some(definition) = self.macro_definition(name)?
        {
            let _ = write!(
                message,
                ": the macro has no constant value (#define {definition})"
            );
        }
        Err(Error::NotFound {
            name: name.to_owned(),
            message,
        })
    }

    /// Like [`Program::find_object`]; none if there is none.
    pub fn find_object_if_any(
        self: &Arc<Self>,
        name: &str,
        kinds: ObjectKinds,
        file_name: Option<&str>,
    ) -> Result<Option<Object>> {
        if file_name.is_none()
            && kinds == ObjectKinds::all()
            && let Some(object) = self.known_object(name)
        {
            return Ok(Some(object));
        }
        let mut all_stable = true;
        for finder in self.objects.asked().iter() {
            all_stable &= finder.is_stable();
            let Some(object) = finder.find(self, name, kinds, file_name)? else {
                continue;
            };
            if all_stable
                && file_name.is_none()
                && kinds == ObjectKinds::all()
                && object.bit_field_size.is_none()
                && !object.is_reference()?
                && self.stays_the_same(&**finder, name, &object)?
            {
                let found = FoundObject {
                    ty: object.ty.clone(),
                    place: object.place.clone(),
                };
                self.cache.keep_object(name, found);
            }
            return object.in_expression().map(Some);
        }
        Ok(None)
    }

    /// Whether an object that a finder found needn't be looked for again: it is in the target's
    /// memory, or a constant. The value of a variable may have been put together from memory.
    fn stays_the_same(
        self: &Arc<Self>,
        finder: &dyn ObjectFinder,
        name: &str,
        object: &Object,
    ) -> Result<bool> {
        Ok(match object.place {
            Place::Reference { .. } => true,
            Place::Value(_) => finder
                .find(self, name, ObjectKinds::VARIABLE, None)?
                .is_none(),
            Place::Partial(_) | Place::Absent(_) => false,
        })
    }

    /// The symbols that match, from the first finder that has any (from all if all are wanted).
    pub fn find_symbols(self: &Arc<Self>, query: SymbolQuery<'_>) -> Result<Vec<Symbol>> {
        let mut found = Vec::new();
        for finder in self.symbols.asked().iter() {
            found.extend(finder.find(self, query)?);
            if query.one && !found.is_empty() {
                break;
            }
        }
        Ok(found)
    }

    /// The symbol that contains an address; the closest one if there are several.
    pub fn symbol_at(self: &Arc<Self>, address: u64) -> Result<Option<Symbol>> {
        let query = SymbolQuery {
            name: None,
            address: Some(address),
            one: true,
        };
        Ok(self.find_symbols(query)?.into_iter().next())
    }

    /// The symbol with this name; a global one goes before a weak or local one.
    pub fn symbol_named(self: &Arc<Self>, name: &str) -> Result<Option<Symbol>> {
        let query = SymbolQuery {
            name: Some(name),
            address: None,
            one: true,
        };
        Ok(self.find_symbols(query)?.into_iter().next())
    }
}
