//! What the stable finders have found.

use std::collections::HashMap;
use std::sync::{PoisonError, RwLock};

use foldhash::fast::FixedState;

use crate::object::Place;
use crate::types::Type;

/// Types and objects by the text by which they were asked for.
#[derive(Default)]
pub(crate) struct Cache {
    types: RwLock<HashMap<Box<str>, Type, FixedState>>,
    objects: RwLock<HashMap<Box<str>, FoundObject, FixedState>>,
    pointers: RwLock<HashMap<(usize, u64, u8), Type, FixedState>>,
}

/// An object without its program, which would keep itself alive.
#[derive(Clone)]
pub(crate) struct FoundObject {
    pub(crate) ty: Type,
    pub(crate) place: Place,
}

/// How many names are kept; a script that asks for more starts over.
const MAX_NAMES: usize = 1 << 16;

impl Cache {
    pub(crate) fn ty(&self, name: &str) -> Option<Type> {
        self.types
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .get(name)
            .cloned()
    }

    pub(crate) fn keep_type(&self, name: &str, ty: &Type) {
        let mut types = self.types.write().unwrap_or_else(PoisonError::into_inner);
        if types.len() >= MAX_NAMES {
            types.clear();
        }
        types.insert(name.into(), ty.clone());
    }

    pub(crate) fn object(&self, name: &str) -> Option<FoundObject> {
        self.objects
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .get(name)
            .cloned()
    }

    pub(crate) fn keep_object(&self, name: &str, object: FoundObject) {
        let mut objects = self.objects.write().unwrap_or_else(PoisonError::into_inner);
        if objects.len() >= MAX_NAMES {
            objects.clear();
        }
        objects.insert(name.into(), object);
    }

    /// The pointer type to `target` made by `make`, or the one made before.
    pub(crate) fn pointer(&self, target: &Type, kind: u8, make: impl FnOnce() -> Type) -> Type {
        // The pointer type keeps its target, and so the target's address, alive.
        let key = (
            std::sync::Arc::as_ptr(&target.data) as usize,
            target.qualifiers().bits(),
            kind,
        );
        if let Some(ty) = self
            .pointers
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .get(&key)
        {
            return ty.clone();
        }
        let mut pointers = self
            .pointers
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        if pointers.len() >= MAX_NAMES {
            pointers.clear();
        }
        pointers.entry(key).or_insert_with(make).clone()
    }

    pub(crate) fn clear(&self) {
        self.types
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .clear();
        self.objects
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .clear();
        self.pointers
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .clear();
    }
}
