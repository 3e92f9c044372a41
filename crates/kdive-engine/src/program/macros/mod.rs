//! Macros as objects: those that look like objects and stand for a constant.
//!
//! Only debug information of `-g3` has them. [`tokens`] takes their text apart, [`expand`] does
//! what the preprocessor does, [`evaluate`] what the compiler does with constant expressions.
//! What stands for anything else than a constant is not found as an object.

mod evaluate;
mod expand;
mod tokens;

use std::sync::Arc;

use kdive_debuginfo::MacroSource;
use kdive_debuginfo::macros::MacroUnit;

use super::{ObjectKinds, Program};
use crate::Result;
use crate::object::Object;
use crate::types::ImportedTypes;

/// The value of a macro of one module. None if there is no such macro, or it has no constant
/// value.
pub(super) fn find(
    program: &Arc<Program>,
    types: &ImportedTypes,
    name: &str,
    kinds: ObjectKinds,
    file_name: Option<&str>,
) -> Result<Option<Object>> {
    let Some(source) = types.source().macros() else {
        return Ok(None);
    };
    if !kinds.contains(ObjectKinds::CONSTANT) {
        return Ok(None);
    }
    match source.unit_with_macro(name, file_name)? {
        Some(unit) => value(program, source, unit, name),
        None => Ok(None),
    }
}

fn value(
    program: &Arc<Program>,
    source: &dyn MacroSource,
    unit: MacroUnit,
    name: &str,
) -> Result<Option<Object>> {
    let Some(expanded) = expand::expand(source, unit, name)? else {
        return Ok(None);
    };
    // Most macros are no constants, for one reason or another.
    Ok(evaluate::evaluate(program, &expanded))
}

impl Program {
    /// How a macro is defined, as `#define` has it. None if there is no such macro.
    pub(super) fn macro_definition(&self, name: &str) -> Result<Option<String>> {
        for types in self.debug_info.types().iter() {
            if let Some(found) = definition(types, name)? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }
}

fn definition(types: &ImportedTypes, name: &str) -> Result<Option<String>> {
    let Some(source) = types.source().macros() else {
        return Ok(None);
    };
    let Some(unit) = source.unit_with_macro(name, None)? else {
        return Ok(None);
    };
    Ok(source.macro_in(unit, name)?.map(|found| {
        let parameters = found
            .parameters
            .map(|names| format!("({})", names.join(", ")));
        format!("{name}{} {}", parameters.unwrap_or_default(), found.body)
    }))
}
