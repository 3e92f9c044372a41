//! The types of the kernel's well-known variables, which are neither in its symbols nor in BTF.
//!
//! Each area of the kernel has one file with lines `NAME: TYPE`. Where kernels differ there are
//! several lines for a variable, and the first type that the kernel has is taken. Lengths that
//! depend on the kernel's configuration are left out: an array goes on to the next symbol. A
//! structure without a tag is written out, with members of simple types.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use foldhash::fast::FixedState;

use super::super::{ObjectFinder, ObjectKinds, Program};
use crate::object::Object;
use crate::types::{Content, Member, Type, TypeKind};
use crate::{Error, Result};

/// Answers for the variables of [`KNOWN`], at the addresses of their symbols.
pub(super) struct KnownGlobals;

const AREAS: [&str; 6] = [
    include_str!("cpus.txt"),
    include_str!("tasks.txt"),
    include_str!("time.txt"),
    include_str!("memory.txt"),
    include_str!("files.txt"),
    include_str!("net.txt"),
];

/// The types of variables by name, in the order in which they are tried.
static KNOWN: LazyLock<HashMap<&str, Vec<&str>, FixedState>> = LazyLock::new(|| {
    let mut known: HashMap<&str, Vec<&str>, FixedState> = HashMap::default();
    for line in AREAS.into_iter().flat_map(str::lines) {
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
            match find_type(program, ty) {
                Ok(ty) => {
                    let ty = with_length(ty, symbol.size)?;
                    if !has_room(&ty, symbol.size) {
                        continue;
                    }
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

/// Whether a type fits before the next symbol: one that doesn't is of another kernel.
fn has_room(ty: &Type, symbol_size: u64) -> bool {
    // Symbols that are known from the table of exports only have no size, which is told as 1.
    ty.size()
        .is_ok_and(|size| symbol_size <= 1 || size <= symbol_size)
}

fn find_type(program: &Arc<Program>, text: &str) -> Result<Type> {
    let members = text
        .strip_prefix("struct { ")
        .and_then(|rest| rest.strip_suffix("; }"));
    match members {
        Some(members) => untagged_structure(program, members),
        None => program.find_type(text, None),
    }
}

/// The structure with these members, laid out as C compilers do.
fn untagged_structure(program: &Arc<Program>, members: &str) -> Result<Type> {
    let mut found = Vec::new();
    let (mut end, mut strictest) = (0_u64, 1);
    for member in members.split("; ") {
        let (ty, name) = member.rsplit_once(' ').unwrap_or(("", member));
        let ty = program.find_type(ty, None)?;
        let alignment = ty.alignment()?.max(1);
        let offset = end.next_multiple_of(alignment);
        end = offset.saturating_add(ty.size()?);
        strictest = strictest.max(alignment);
        found.push(Member {
            name: Some(name.into()),
            bit_offset: offset.saturating_mul(8),
            is_base_class: false,
            alignment: None,
            content: Content::from_type(ty),
        });
    }
    let size = end.next_multiple_of(strictest);
    Ok(Type::compound(
        TypeKind::Struct,
        None,
        Some((size, found)),
        Vec::new(),
        program.byte_order(),
        program.language(),
    ))
}

/// An array whose length, or that of its elements, is left out goes on to the next symbol.
fn with_length(ty: Type, symbol_size: u64) -> Result<Type> {
    if ty.kind() != TypeKind::Array {
        return Ok(ty);
    }
    let Some(element) = ty.target()? else {
        return Ok(ty);
    };
    let (element, length) = if let Some(length) = ty.length() {
        let size = symbol_size.checked_div(length).unwrap_or(0);
        (with_length(element, size)?, length)
    } else {
        let length = symbol_size.checked_div(element.size()?).unwrap_or(0);
        if length == 0 {
            return Ok(ty);
        }
        (element, length)
    };
    let language = ty.language();
    let qualifiers = ty.qualifiers();
    Ok(Type::array(element, Some(length), language).qualified(qualifiers))
}
