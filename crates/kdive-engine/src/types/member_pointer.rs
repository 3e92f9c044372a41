//! C++ pointers to members, as the Itanium C++ ABI has them: an offset for data, and for functions a
//! structure of the function and of what is added to the object's address.

use std::cell::Cell;
use std::sync::Arc;

use kdive_debuginfo::description::TypeId;

use super::import::ImportedTypes;
use super::{Content, Language, Member, Type, TypeKind, too_deep};
use crate::Result;

/// How deep pointers to members may be nested in each other's names.
const MAX_NESTING: usize = 16;

thread_local! {
    static NESTING: Cell<usize> = const { Cell::new(0) };
}

/// Counts a level of nesting as long as it exists.
struct Level;

impl Level {
    fn enter() -> Result<Self> {
        let nesting = NESTING.get();
        if nesting >= MAX_NESTING {
            return Err(too_deep("pointers to members"));
        }
        NESTING.set(nesting + 1);
        Ok(Self)
    }
}

impl Drop for Level {
    fn drop(&mut self) {
        NESTING.set(NESTING.get().saturating_sub(1));
    }
}

/// The type of pointers to members of type `target` of a class.
pub(super) fn make(
    types: &ImportedTypes,
    class: Option<TypeId>,
    target: Option<TypeId>,
    address_size: u64,
    language: Language,
) -> Result<Type> {
    let _level = Level::enter()?;
    let target = types.get(target)?;
    let class = types.get(class)?;
    let class = class.tag().map_or("<anonymous>", |tag| tag);
    let declarator = match target.kind() {
        TypeKind::Function | TypeKind::Array => format!("({class}::*)"),
        _ => format!("{class}::*"),
    };
    let mut name = String::new();
    target.write_declaration(&mut name, &declarator)?;
    let order = types.byte_order();
    let adjustment = Type::int("long", address_size, true, order, language);
    if target.kind() != TypeKind::Function {
        return Ok(Type::int(&name, address_size, true, order, language));
    }
    let function = Type::int("unsigned long", address_size, false, order, language);
    let member = |name: &str, index: u64, ty: Type| Member {
        name: Some(Arc::from(name)),
        bit_offset: index.saturating_mul(address_size).saturating_mul(8),
        is_base_class: false,
        alignment: None,
        content: Content::from_type(ty),
    };
    let members = vec![member("ptr", 0, function), member("adj", 1, adjustment)];
    let size = address_size.saturating_mul(2);
    let definition = Some((size, members));
    Ok(Type::compound(
        TypeKind::Struct,
        Some(&name),
        definition,
        Vec::new(),
        order,
        language,
    ))
}
