//! The names of types and the declarations of variables, as C writes them.
//!
//! Definitions with their bodies live in `print`.

use std::fmt::Write as _;

use super::{Detail, Language, MAX_DEPTH, Parameter, PointerKind, Qualifiers, Type, TypeKind};
use crate::{Error, Result, types::too_deep};

/// How deep the parameters of functions may nest in each other's names.
const MAX_PARAMETER_DEPTH: usize = 100;

/// How long the declaration of one type may be, in bytes: only types that contain themselves by
/// corrupted debug information have longer ones.
const MAX_LENGTH: usize = 1 << 20;

impl Type {
    /// The name of the type as it is written in a cast: `int (*)[3]`, `struct <anonymous> *`.
    pub fn type_name(&self) -> Result<String> {
        let mut name = String::new();
        self.write_name(&mut name)?;
        Ok(name)
    }

    /// Appends the name of the type as it is written in a cast.
    pub(crate) fn write_name(&self, out: &mut String) -> Result<()> {
        Writer::new(out).declaration(self, "", 0)
    }

    /// Appends the declaration of a variable, which refers to an anonymous type by
    /// `struct <anonymous>`.
    pub(crate) fn write_declaration(&self, out: &mut String, name: &str) -> Result<()> {
        Writer::new(out).declaration(self, name, 0)
    }
}

/// Appends the qualifiers, each followed by a space.
pub(crate) fn write_qualifiers(out: &mut String, qualifiers: Qualifiers) {
    for (qualifier, keyword) in [
        (Qualifiers::CONST, "const "),
        (Qualifiers::VOLATILE, "volatile "),
        (Qualifiers::RESTRICT, "restrict "),
        (Qualifiers::ATOMIC, "_Atomic "),
    ] {
        if qualifiers.contains(qualifier) {
            out.push_str(keyword);
        }
    }
}

struct Writer<'a> {
    out: &'a mut String,
    end: usize,
}

impl<'a> Writer<'a> {
    fn new(out: &'a mut String) -> Self {
        let end = out.len().saturating_add(MAX_LENGTH);
        Self { out, end }
    }

    fn declaration(&mut self, ty: &Type, name: &str, depth: usize) -> Result<()> {
        if depth > MAX_PARAMETER_DEPTH || self.out.len() > self.end {
            return Err(too_deep_name());
        }
        if !is_derived(ty.kind()) {
            self.specifier(ty);
            if !name.is_empty() {
                self.out.push(' ');
                self.out.push_str(name);
            }
            return Ok(());
        }
        // C writes a declarator inside out: the pointers that are nearest to the specifier come
        // first, the arrays and functions that are nearest to the name.
        let chain = derivation(ty)?;
        let Some((specifier, derived)) = chain.split_last() else {
            return Ok(());
        };
        self.specifier(specifier);
        self.out.push(' ');
        let needs_parentheses = |index: usize| {
            matches!(
                chain.get(index + 1).map(Type::kind),
                Some(TypeKind::Array | TypeKind::Function)
            )
        };
        let mut open_qualifier = false;
        for (index, part) in derived.iter().enumerate().rev() {
            let Detail::Pointer { kind, .. } = &part.data.detail else {
                // What follows is a suffix, which is written after the name.
                continue;
            };
            if std::mem::take(&mut open_qualifier) {
                self.out.push(' ');
            }
            if needs_parentheses(index) {
                self.out.push('(');
            }
            self.out.push_str(match kind {
                PointerKind::Pointer => "*",
                PointerKind::Reference => "&",
                PointerKind::RvalueReference => "&&",
            });
            if !part.qualifiers.is_empty() {
                self.out.push(' ');
                write_qualifiers(self.out, part.qualifiers);
                self.out.pop();
                open_qualifier = true;
            }
        }
        let starts_with_suffix = matches!(
            derived.first().map(Type::kind),
            Some(TypeKind::Array | TypeKind::Function)
        );
        if open_qualifier && (!name.is_empty() || starts_with_suffix) {
            self.out.push(' ');
        }
        self.out.push_str(name);
        for (index, part) in derived.iter().enumerate() {
            match &part.data.detail {
                Detail::Pointer { .. } if needs_parentheses(index) => self.out.push(')'),
                Detail::Array { length, .. } => {
                    self.out.push('[');
                    if let Some(length) = length {
                        // Writing to a string can't fail.
                        let _ = write!(self.out, "{length}");
                    }
                    self.out.push(']');
                }
                Detail::Function {
                    parameters,
                    is_variadic,
                    ..
                } => self.parameters(parameters, *is_variadic, depth)?,
                _ => {}
            }
        }
        Ok(())
    }

    fn specifier(&mut self, ty: &Type) {
        write_qualifiers(self.out, ty.qualifiers);
        match ty.kind() {
            TypeKind::Void => self.out.push_str("void"),
            TypeKind::Struct | TypeKind::Union | TypeKind::Class | TypeKind::Enum => {
                let tag = ty.data.name.as_deref();
                if let (Some(keyword), true) = (
                    ty.kind().keyword(),
                    tag.is_none() || ty.language() != Language::Cpp,
                ) {
                    self.out.push_str(keyword);
                    self.out.push(' ');
                }
                self.out.push_str(tag.unwrap_or("<anonymous>"));
            }
            _ => self
                .out
                .push_str(ty.data.name.as_deref().unwrap_or("<anonymous>")),
        }
    }

    fn parameters(
        &mut self,
        parameters: &[Parameter],
        is_variadic: bool,
        depth: usize,
    ) -> Result<()> {
        self.out.push('(');
        for (index, parameter) in parameters.iter().enumerate() {
            if index > 0 {
                self.out.push_str(", ");
            }
            let name = parameter.name.as_deref().unwrap_or("");
            self.declaration(&parameter.content.ty()?, name, depth + 1)?;
        }
        match (parameters.is_empty(), is_variadic) {
            (true, false) => self.out.push_str("void"),
            (false, true) => self.out.push_str(", ..."),
            // C declares a function whose parameters are unknown by empty parentheses.
            (true, true) | (false, false) => {}
        }
        self.out.push(')');
        Ok(())
    }
}

pub(super) fn is_derived(kind: TypeKind) -> bool {
    matches!(
        kind,
        TypeKind::Pointer | TypeKind::Array | TypeKind::Function
    )
}

/// The type, what it points to, contains or returns, and so on up to the first type that has a
/// name.
pub(super) fn derivation(ty: &Type) -> Result<Vec<Type>> {
    let mut chain = vec![ty.clone()];
    let mut current = ty.clone();
    while is_derived(current.kind()) {
        if chain.len() > MAX_DEPTH {
            return Err(too_deep("types"));
        }
        let Some(next) = current.target()? else { break };
        chain.push(next.clone());
        current = next;
    }
    Ok(chain)
}

fn too_deep_name() -> Error {
    Error::Recursion(
        "the name of the type does not end: the types of its parameters contain each other"
            .to_owned(),
    )
}
