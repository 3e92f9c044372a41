//! The types of the kernel's well-known variables, which are neither in its symbols nor in BTF.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use foldhash::fast::FixedState;

use super::super::{ObjectFinder, ObjectKinds, Program};
use crate::object::Object;
use crate::{Error, Result};

/// Answers for the variables of [`KNOWN`], at the addresses of their symbols.
pub(super) struct KnownGlobals;

/// The types of variables by name, the type of the latest kernels last.
static KNOWN: LazyLock<HashMap<&str, Vec<&str>, FixedState>> = LazyLock::new(|| {
    let mut known: HashMap<&str, Vec<&str>, FixedState> = HashMap::default();
    for line in include_str!("known_globals.txt").lines() {
        if let (false, Some((name, ty))) = (line.starts_with('#'), line.split_once(": ")) {
            known.entry(name).or_default().push(ty);
        }
    }
    known
});

impl ObjectFinder for KnownGlobals {
    fn find(
        &self,
        program: &Arc<Program>,
        name: &str,
        kinds: ObjectKinds,
        file_name: Option<&str>,
    ) -> Result<Option<Object>> {
        if !kinds.contains(ObjectKinds::VARIABLE) || file_name.is_some() || !program.is_kernel() {
            return Ok(None);
        }
        let Some(types) = KNOWN.get(name) else {
            return Ok(None);
        };
        let Some(symbol) = program.symbol_named(name)? else {
            return Ok(None);
        };
        for ty in types {
            match program.find_type(ty, None) {
                Ok(ty) => {
                    return Object::reference(program, ty, symbol.address, 0, None).map(Some);
                }
                Err(Error::NotFound { .. } | Error::Lookup(_)) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }

    fn is_stable(&self) -> bool {
        true
    }
}
