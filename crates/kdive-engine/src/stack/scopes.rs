//! The functions and lines of program counters, kept for the next stack that has them.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use foldhash::fast::FixedState;
use kdive_debuginfo::CodeSource;
use kdive_debuginfo::code::{FunctionScope, SourceLine};

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
}

impl Located {
    pub(crate) fn code(&self) -> Option<&dyn CodeSource> {
        self.types.source().code()
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
                scopes,
            }));
        }
    }
    Ok(None)
}
