//! The functions and lines of program counters, kept for the next stack that has them.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock, PoisonError, RwLock};

use foldhash::fast::FixedState;
use kdive_debuginfo::CodeSource;
use kdive_debuginfo::code::{FunctionScope, SourceLine, VariableDescription, VariableValue};
use kdive_debuginfo::description::{ConstantValue, TypeId};

use crate::Result;
use crate::program::Program;
use crate::types::ImportedTypes;

/// How many addresses are kept before all are forgotten.
const MAX_KEPT: usize = 1 << 16;

/// What debug information says of an address.
pub(crate) struct Located {
    pub(crate) types: Arc<ImportedTypes>,
    pub(crate) line: Option<SourceLine>,
    /// Innermost first; empty if only the line is known.
    pub(crate) scopes: Arc<[FunctionScope]>,
    address: u64,
    /// Of each scope, when somebody asked.
    variables: Box<[OnceLock<Box<[Variable]>>]>,
}

/// A parameter or a variable, as it is at the address.
pub(crate) struct Variable {
    pub(crate) entry: TypeId,
    pub(crate) name: Arc<str>,
    pub(crate) type_id: Option<TypeId>,
    pub(crate) value: Value,
}

/// How the value of a variable is found.
pub(crate) enum Value {
    Expression(Box<[u8]>),
    Constant(ConstantValue),
    OptimizedOut,
}

impl From<VariableDescription<'_>> for Variable {
    fn from(description: VariableDescription<'_>) -> Self {
        Self {
            entry: description.entry,
            name: description.name,
            type_id: description.type_id,
            value: match description.value {
                VariableValue::Expression(bytes) => Value::Expression(bytes.into()),
                VariableValue::Constant(value) => Value::Constant(value),
                VariableValue::OptimizedOut => Value::OptimizedOut,
            },
        }
    }
}

impl Located {
    pub(crate) fn code(&self) -> Option<&dyn CodeSource> {
        self.types.source().code()
    }

    /// The variables of one of the scopes, those of the outermost block first.
    pub(crate) fn variables(&self, scope: usize) -> Result<&[Variable]> {
        let (Some(kept), Some(scope), Some(code)) = (
            self.variables.get(scope),
            self.scopes.get(scope),
            self.code(),
        ) else {
            return Ok(&[]);
        };
        if let Some(variables) = kept.get() {
            return Ok(variables);
        }
        let mut variables = Vec::new();
        for block in &scope.blocks {
            variables.extend(
                code.variables(*block, self.address)?
                    .into_iter()
                    .map(Variable::from),
            );
        }
        Ok(kept.get_or_init(|| variables.into()))
    }
}

type Known = HashMap<u64, Option<Arc<Located>>, FixedState>;

/// What was found for addresses.
#[derive(Default)]
pub(crate) struct ScopeCache(RwLock<Known>);

impl ScopeCache {
    pub(crate) fn clear(&self) {
        self.0
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .clear();
    }

    /// What debug information says of an address; none if it says nothing.
    pub(crate) fn locate(&self, program: &Program, address: u64) -> Result<Option<Arc<Located>>> {
        let kept = self.0.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(located) = kept.get(&address) {
            return Ok(located.clone());
        }
        drop(kept);
        let located = find(program, address)?.map(Arc::new);
        let mut kept = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= MAX_KEPT {
            kept.clear();
        }
        Ok(kept.entry(address).or_insert(located).clone())
    }
}

fn find(program: &Program, address: u64) -> Result<Option<Located>> {
    for types in program.imported_types().iter() {
        let Some(code) = types.source().code() else {
            continue;
        };
        let scopes = code.scopes_at(address)?;
        let line = code.source_line(address)?;
        if line.is_some() || !scopes.is_empty() {
            return Ok(Some(Located {
                types: types.clone(),
                line,
                address,
                variables: scopes.iter().map(|_| OnceLock::new()).collect(),
                scopes,
            }));
        }
    }
    Ok(None)
}
