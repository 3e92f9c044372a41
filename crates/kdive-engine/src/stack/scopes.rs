//! The functions and lines of program counters, kept for the next stack that has them.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock, PoisonError, RwLock};

use foldhash::fast::FixedState;
use kdive_debuginfo::CodeSource;
use kdive_debuginfo::code::{
    CallParameter, CallSite, ExpressionEncoding, FunctionScope, SourceLine, VariableDescription,
    VariableValue,
};
use kdive_debuginfo::description::{ConstantValue, TypeId};

use crate::Result;
use crate::program::Program;
use crate::types::ImportedTypes;

/// How many addresses are kept before all are forgotten.
const MAX_KEPT: usize = 1 << 16;

/// What debug information says of an address.
pub(crate) struct Located {
    pub(crate) types: Arc<ImportedTypes>,
    /// Innermost first; empty if only the line is known.
    pub(crate) scopes: Arc<[FunctionScope]>,
    address: u64,
    // The rest is filled in when somebody asks.
    line: OnceLock<Option<SourceLine>>,
    /// Of each scope.
    variables: Box<[OnceLock<Box<[Variable]>>]>,
    frame_base: OnceLock<Option<Box<[u8]>>>,
    names: OnceLock<Box<[Arc<str>]>>,
    call: OnceLock<Option<Call>>,
}

/// A call, as the caller's debug information tells it.
pub(crate) struct Call {
    /// Whether the caller jumped, so that it has no frame of its own.
    pub(crate) is_jump: bool,
    pub(crate) target_names: Vec<Arc<str>>,
    pub(crate) parameters: Vec<Passed>,
}

/// What a call passes in one place; see [`CallParameter`].
pub(crate) struct Passed {
    pub(crate) location: Box<[u8]>,
    pub(crate) value: Option<Box<[u8]>>,
    pub(crate) parameter: Option<TypeId>,
}

/// A parameter or a variable, as it is at the address.
pub(crate) struct Variable {
    pub(crate) entry: TypeId,
    pub(crate) name: Arc<str>,
    pub(crate) type_id: Option<TypeId>,
    pub(crate) encoding: ExpressionEncoding,
    pub(crate) value: Value,
}

/// How the value of a variable is found.
pub(crate) enum Value {
    Expression(Box<[u8]>),
    Constant(ConstantValue),
    OptimizedOut,
}

impl Variable {
    fn new(description: VariableDescription<'_>, encoding: ExpressionEncoding) -> Self {
        Self {
            entry: description.entry,
            name: description.name,
            type_id: description.type_id,
            encoding,
            value: match description.value {
                VariableValue::Expression(bytes) => Value::Expression(bytes.into()),
                VariableValue::Constant(value) => Value::Constant(value),
                VariableValue::OptimizedOut => Value::OptimizedOut,
            },
        }
    }
}

impl From<CallSite<'_>> for Call {
    fn from(site: CallSite<'_>) -> Self {
        let passed = |parameter: CallParameter<'_>| Passed {
            location: parameter.location.into(),
            value: parameter.value.map(Box::from),
            parameter: parameter.parameter,
        };
        Self {
            is_jump: site.is_tail_call,
            target_names: site.target_names,
            parameters: site.parameters.into_iter().map(passed).collect(),
        }
    }
}

impl Located {
    pub(crate) fn code(&self) -> Option<&dyn CodeSource> {
        self.types.source().code()
    }

    /// The line of the source code.
    pub(crate) fn line(&self) -> Result<Option<&SourceLine>> {
        if self.line.get().is_none() {
            let found = match self.code() {
                Some(code) => code.source_line(self.address)?,
                None => None,
            };
            let _ = self.line.set(found);
        }
        Ok(self.line.get().and_then(Option::as_ref))
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
        let encoding = code.expression_encoding(scope.entry)?;
        let mut variables = Vec::new();
        for block in &scope.blocks {
            let described = code.variables(*block, self.address)?.into_iter();
            variables.extend(described.map(|description| Variable::new(description, encoding)));
        }
        Ok(kept.get_or_init(|| variables.into()))
    }

    /// The function at the address, not an inlined one, and who tells more about it.
    fn function(&self) -> Option<(&dyn CodeSource, TypeId)> {
        Some((self.code()?, self.scopes.last()?.entry))
    }

    /// The expression of the function's frame base.
    pub(crate) fn frame_base(&self) -> Result<Option<&[u8]>> {
        if self.frame_base.get().is_none() {
            let found = match self.function() {
                Some((code, function)) => code.frame_base(function, self.address)?,
                None => None,
            };
            let _ = self.frame_base.set(found.map(Box::from));
        }
        Ok(self.frame_base.get().and_then(Option::as_deref))
    }

    /// The function's names: as the source code and as the linker know it.
    pub(crate) fn names(&self) -> Result<&[Arc<str>]> {
        if self.names.get().is_none() {
            let found = match self.function() {
                Some((code, function)) => code.function_names(function)?,
                None => Vec::new(),
            };
            let _ = self.names.set(found.into());
        }
        Ok(self.names.get().map_or(&[], |names| names))
    }

    /// The function's call that the address is in: it returns right behind it.
    pub(crate) fn call(&self) -> Result<Option<&Call>> {
        if self.call.get().is_none() {
            let found = match self.function() {
                Some((code, function)) => code.call_site(function, self.address.wrapping_add(1))?,
                None => None,
            };
            let _ = self.call.set(found.map(Call::from));
        }
        Ok(self.call.get().and_then(Option::as_ref))
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
        let located = Located {
            types: types.clone(),
            address,
            line: OnceLock::new(),
            variables: scopes.iter().map(|_| OnceLock::new()).collect(),
            scopes,
            frame_base: OnceLock::new(),
            names: OnceLock::new(),
            call: OnceLock::new(),
        };
        if !located.scopes.is_empty() || located.line()?.is_some() {
            return Ok(Some(located));
        }
    }
    Ok(None)
}
