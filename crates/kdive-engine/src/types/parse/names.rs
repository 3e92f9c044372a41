//! The types behind the names within a type name.

use std::sync::Arc;

use super::keywords::Named;
use crate::program::Program;
use crate::types::{Language, Type, TypeKind, TypeKinds};
use crate::{Error, Result};

const NUMBERS: TypeKinds = TypeKinds::INT
    .union(TypeKinds::BOOL)
    .union(TypeKinds::FLOAT);
const CLASSES: TypeKinds = TypeKinds::STRUCT
    .union(TypeKinds::UNION)
    .union(TypeKinds::CLASS)
    .union(TypeKinds::ENUM);

/// One of C's own types.
pub(super) fn find_own(program: &Arc<Program>, named: Named) -> Result<Type> {
    let is_signed = match named {
        Named::Primitive(primitive) => return program.primitive_type(primitive),
        Named::Int128 { is_signed } => is_signed,
    };
    let spellings: &[&str] = if is_signed {
        &["__int128", "__int128_t", "signed __int128"]
    } else {
        &["unsigned __int128", "__int128 unsigned", "__uint128_t"]
    };
    for spelling in spellings {
        if let Some(ty) = find(program, TypeKinds::INT, spelling, None)? {
            return Ok(ty);
        }
    }
    let byte_order = program.known_platform()?.byte_order;
    Ok(Type::int(
        spellings[0],
        16,
        is_signed,
        byte_order,
        program.language(),
    ))
}

/// The type that a name without a keyword means: an alias, in C++ also a class or enumeration,
/// else a number that the compiler has beyond C's own (`_Float128`, `u32` of Rust).
pub(super) fn find_plain(
    program: &Arc<Program>,
    name: &str,
    file_name: Option<&str>,
) -> Result<Type> {
    let is_scoped = name.contains("::") || name.contains('<');
    let kinds = if is_scoped || program.language() == Language::Cpp {
        TypeKinds::TYPEDEF | CLASSES
    } else {
        TypeKinds::TYPEDEF
    };
    for spelling in spellings(name) {
        if let Some(ty) = find(program, kinds, &spelling, file_name)? {
            return Ok(ty);
        }
    }
    if let Some(ty) = find(program, NUMBERS, name, file_name)? {
        return Ok(ty);
    }
    Err(not_found("", name, file_name))
}

/// The structure, union, class or enumeration with a tag.
pub(super) fn find_tagged(
    program: &Arc<Program>,
    kind: TypeKind,
    tag: &str,
    file_name: Option<&str>,
    is_cpp: bool,
) -> Result<Type> {
    // C++ does not tell `struct` from `class` where a type is named.
    let other = match kind {
        TypeKind::Struct if is_cpp => Some(TypeKinds::CLASS),
        TypeKind::Class => Some(TypeKinds::STRUCT),
        _ => None,
    };
    for kinds in [Some(kind.as_set()), other].into_iter().flatten() {
        for spelling in spellings(tag) {
            if let Some(ty) = find(program, kinds, &spelling, file_name)? {
                return Ok(ty);
            }
        }
    }
    Err(not_found(
        kind.keyword().unwrap_or_default(),
        tag,
        file_name,
    ))
}

fn find(
    program: &Arc<Program>,
    kinds: TypeKinds,
    name: &str,
    file_name: Option<&str>,
) -> Result<Option<Type>> {
    match program.find_named_type(kinds, name, file_name) {
        Ok(ty) => Ok(Some(ty)),
        Err(Error::NotFound { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

fn not_found(keyword: &str, name: &str, file_name: Option<&str>) -> Error {
    let space = if keyword.is_empty() { "" } else { " " };
    let place = file_name
        .map(|file| format!(" in '{file}'"))
        .unwrap_or_default();
    Error::Lookup(format!("could not find '{keyword}{space}{name}'{place}"))
}

/// The name, and for a template also the other ways in which compilers write its arguments.
fn spellings(name: &str) -> Vec<String> {
    // The global scope is where all names are looked up.
    let name = name.strip_prefix("::").unwrap_or(name);
    let mut spellings = vec![name.to_owned()];
    if name.contains('<') {
        for pointer in ["*", " *"] {
            for close in [" >", ">"] {
                let spelling = respell(name, pointer, close);
                if !spellings.contains(&spelling) {
                    spellings.push(spelling);
                }
            }
        }
    }
    spellings
}

/// A template name with one space after each comma, `pointer` for pointers, and `close` after
/// another closing bracket.
fn respell(name: &str, pointer: &str, close: &str) -> String {
    let mut result = String::with_capacity(name.len() + 8);
    let mut words = name.chars().peekable();
    while let Some(character) = words.next() {
        match character {
            ' ' => {
                // Spaces count between two names only.
                let next = words.peek().copied().unwrap_or(' ');
                let is_name = |character: char| character.is_alphanumeric() || character == '_';
                if result.ends_with(is_name) && is_name(next) {
                    result.push(' ');
                }
            }
            ',' => result.push_str(", "),
            '*' if result.ends_with('*') => result.push('*'),
            '*' => result.push_str(pointer),
            '>' if result.ends_with('>') => result.push_str(close),
            _ => result.push(character),
        }
    }
    result
}
