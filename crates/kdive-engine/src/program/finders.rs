//! Who is asked for types, objects and symbols, and in which order.

use std::sync::{Arc, PoisonError, RwLock};

use super::{ObjectKinds, Program, Symbol};
use crate::object::Object;
use crate::types::{Type, TypeKinds};
use crate::{Error, Result};

/// Finds types by name.
pub trait TypeFinder: Send + Sync {
    /// The type of one of `kinds` called `name`, without a keyword; none if there is none.
    fn find(
        &self,
        program: &Arc<Program>,
        kinds: TypeKinds,
        name: &str,
        file_name: Option<&str>,
    ) -> Result<Option<Type>>;

    /// Whether the same question always has the same answer until debug information changes.
    fn is_stable(&self) -> bool {
        false
    }
}

/// Finds variables, functions and constants by name.
pub trait ObjectFinder: Send + Sync {
    /// The object of one of `kinds` called `name`; none if there is none.
    fn find(
        &self,
        program: &Arc<Program>,
        name: &str,
        kinds: ObjectKinds,
        file_name: Option<&str>,
    ) -> Result<Option<Object>>;

    /// Whether the same question always has the same answer until debug information changes.
    fn is_stable(&self) -> bool {
        false
    }
}

/// What symbols are looked for.
#[derive(Clone, Copy, Debug)]
pub struct SymbolQuery<'a> {
    /// Symbols with this name.
    pub name: Option<&'a str>,
    /// Symbols that contain this address.
    pub address: Option<u64>,
    /// Whether one symbol, the best, is enough.
    pub one: bool,
}

/// Finds symbols by name, by address, or all of them.
pub trait SymbolFinder: Send + Sync {
    /// The symbols that match.
    fn find(&self, program: &Arc<Program>, query: SymbolQuery<'_>) -> Result<Vec<Symbol>>;
}

/// Named finders, some of them enabled, in order.
pub struct FinderRegistry<F: ?Sized> {
    /// What the finders are called in messages.
    what: &'static str,
    entries: RwLock<Entries<F>>,
}

struct Entries<F: ?Sized> {
    registered: Vec<(String, Arc<F>)>,
    enabled: Vec<(String, Arc<F>)>,
    /// The enabled finders alone, to be cloned by whoever asks them.
    asked: Arc<[Arc<F>]>,
}

impl<F: ?Sized> FinderRegistry<F> {
    /// A registry without finders; messages call one of them `what`.
    pub(crate) fn new(what: &'static str) -> Self {
        Self {
            what,
            entries: RwLock::new(Entries {
                registered: Vec::new(),
                enabled: Vec::new(),
                asked: Arc::from(Vec::new()),
            }),
        }
    }

    /// Registers a finder under a new name. It is enabled before the finder that is now at
    /// `position` of the order (after all if that is negative), or not at all.
    pub fn register(&self, name: &str, finder: Arc<F>, position: Option<i64>) -> Result<()> {
        let mut entries = self.entries.write().unwrap_or_else(PoisonError::into_inner);
        if entries.registered.iter().any(|(known, _)| known == name) {
            let message = format!("duplicate {} name '{name}'", self.what);
            return Err(Error::Value(message));
        }
        entries.registered.push((name.to_owned(), finder.clone()));
        if let Some(position) = position {
            let end = entries.enabled.len();
            let index = usize::try_from(position).map_or(end, |index| index.min(end));
            entries.enabled.insert(index, (name.to_owned(), finder));
            entries.refresh();
        }
        Ok(())
    }

    /// The names of all registered finders.
    pub fn registered(&self) -> Vec<String> {
        let entries = self.entries.read().unwrap_or_else(PoisonError::into_inner);
        entries
            .registered
            .iter()
            .map(|(name, _)| name.clone())
            .collect()
    }

    /// The names of the enabled finders, in the order in which they are asked.
    pub fn enabled(&self) -> Vec<String> {
        let entries = self.entries.read().unwrap_or_else(PoisonError::into_inner);
        entries
            .enabled
            .iter()
            .map(|(name, _)| name.clone())
            .collect()
    }

    /// Enables exactly these finders, in this order.
    pub fn set_enabled(&self, names: &[String]) -> Result<()> {
        let mut entries = self.entries.write().unwrap_or_else(PoisonError::into_inner);
        let mut enabled: Vec<(String, Arc<F>)> = Vec::with_capacity(names.len());
        for name in names {
            let found = entries.registered.iter().find(|(known, _)| known == name);
            let Some(found) = found.cloned() else {
                let message = format!("{} '{name}' not found", self.what);
                return Err(Error::Value(message));
            };
            if enabled.iter().any(|(known, _)| known == name) {
                let message = format!("{} '{name}' enabled multiple times", self.what);
                return Err(Error::Value(message));
            }
            enabled.push(found);
        }
        entries.enabled = enabled;
        entries.refresh();
        Ok(())
    }

    /// The enabled finders. No lock is held while they are asked, since they may come back.
    pub(crate) fn asked(&self) -> Arc<[Arc<F>]> {
        self.entries
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .asked
            .clone()
    }
}

impl<F: ?Sized> Entries<F> {
    fn refresh(&mut self) {
        self.asked = self
            .enabled
            .iter()
            .map(|(_, finder)| finder.clone())
            .collect();
    }
}
