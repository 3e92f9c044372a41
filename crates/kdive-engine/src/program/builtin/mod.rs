//! What a Linux kernel says of itself in its own memory: its symbols ([`symbols`], [`bpf`]), its types
//! ([`types`]), and where the variables are whose types are well known ([`globals`]). It is asked
//! after the files that were loaded, and read when it is first asked.

mod bpf;
mod globals;
mod symbols;
mod types;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use kdive_debuginfo::btf::Btf;
use kdive_debuginfo::symbols::SymbolTable;

pub(super) use types::BtfFinder;

use super::Program;
use crate::types::ImportedTypes;

/// What was read of the kernel's own tables.
#[derive(Default)]
pub(crate) struct Builtin {
    is_wanted: AtomicBool,
    symbols: OnceLock<Vec<Arc<SymbolTable>>>,
    bpf_symbols: OnceLock<SymbolTable>,
    types: OnceLock<Option<KernelTypes>>,
    /// What was loaded from a file of the kernel's BTF.
    loaded_btf: OnceLock<Arc<Btf>>,
    problems: Mutex<Vec<String>>,
}

/// The types of the kernel, which those of its modules go on from.
struct KernelTypes {
    btf: Arc<Btf>,
    imported: Arc<ImportedTypes>,
}

pub(super) fn register_finders(program: &Program) {
    // A program that has just been made has no finders of these names.
    let _ = program
        .symbol_finders()
        .register("kallsyms", Arc::new(symbols::Kallsyms), Some(-1));
    let _ = program
        .object_finders()
        .register("known", Arc::new(globals::KnownGlobals), Some(-1));
}

impl Program {
    /// Lets the program use what the kernel's own memory has of symbols and types.
    pub fn use_builtin_debug_info(&self) {
        if self.is_kernel() && !self.builtin.is_wanted.swap(true, Ordering::Relaxed) {
            self.forget();
        }
    }

    fn uses_builtin(&self) -> bool {
        self.builtin.is_wanted.load(Ordering::Relaxed)
    }

    /// What was wrong with the kernel's own symbols and types, as far as they were needed; each
    /// sentence is given once.
    pub fn take_builtin_problems(&self) -> Vec<String> {
        let mut problems = self
            .builtin
            .problems
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *problems)
    }

    fn note_problem(&self, problem: String) {
        self.builtin
            .problems
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(problem);
    }
}
