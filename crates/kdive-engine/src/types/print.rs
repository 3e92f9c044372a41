//! The definitions of types, as C source.
//!
//! Names and declarations without bodies live in `name`, constructor calls in `repr`.

use std::fmt::Write as _;

use super::name::{is_derived, write_qualifiers};
use super::{Enumerator, Member, Type, TypeKind};
use crate::{Error, Result};

/// How deep anonymous types may nest in each other's definitions.
const MAX_NESTING: usize = 100;

/// How long the definition of one type may be, in bytes: only types that contain themselves by
/// corrupted debug information have longer ones.
const MAX_LENGTH: usize = 1 << 24;

impl Type {
    /// The definition of the type as C source: a structure with its members, an enumeration with
    /// its enumerators, an alias with what it stands for; the name of any other type.
    pub fn definition(&self) -> Result<String> {
        let mut printer = Printer::default();
        match self.kind() {
            // An alias of an incomplete type says no more than its name.
            TypeKind::Typedef if self.is_complete().unwrap_or(true) => printer.alias(self)?,
            _ if has_body(self)? => printer.body(self, 0)?,
            _ => self.write_name(&mut printer.out)?,
        }
        Ok(printer.out)
    }

    /// The declaration of a variable of this type; an anonymous type is written with its body.
    pub fn variable_declaration(&self, name: &str) -> Result<String> {
        let mut printer = Printer::default();
        printer.declaration(self, Some(name), 0)?;
        Ok(printer.out)
    }
}

/// Whether the type has members or enumerators to be written between braces.
fn has_body(ty: &Type) -> Result<bool> {
    Ok(match ty.kind() {
        TypeKind::Struct | TypeKind::Union | TypeKind::Class => ty.members()?.is_some(),
        TypeKind::Enum => ty.enumerators()?.is_some(),
        _ => false,
    })
}

#[derive(Default)]
struct Printer {
    out: String,
}

impl Printer {
    fn indent(&mut self, depth: usize) {
        for _ in 0..depth {
            self.out.push('\t');
        }
    }

    fn alias(&mut self, ty: &Type) -> Result<()> {
        write_qualifiers(&mut self.out, ty.qualifiers);
        self.out.push_str("typedef ");
        let name = ty.name().map_or("", |name| name);
        if let Some(target) = ty.target()? {
            return self.declaration(&target, Some(name), 0);
        }
        self.out.push_str(name);
        Ok(())
    }

    fn declaration(&mut self, ty: &Type, name: Option<&str>, depth: usize) -> Result<()> {
        if ty.tag().is_none() && has_body(ty)? {
            self.body(ty, depth)?;
            if let Some(name) = name {
                self.out.push(' ');
                self.out.push_str(name);
            }
            return Ok(());
        }
        ty.write_declaration(&mut self.out, name.unwrap_or_default())?;
        let ends_with_word = self.out.ends_with(|last: char| last.is_ascii_alphabetic());
        if name == Some("") && (!is_derived(ty.kind()) || ends_with_word) {
            self.out.push(' ');
        }
        Ok(())
    }

    /// The type with what it consists of; the first line continues the current one.
    fn body(&mut self, ty: &Type, depth: usize) -> Result<()> {
        if depth > MAX_NESTING || self.out.len() > MAX_LENGTH {
            return Err(Error::Recursion(
                "the definition of the type does not end: it contains itself".to_owned(),
            ));
        }
        write_qualifiers(&mut self.out, ty.qualifiers);
        self.out.push_str(ty.kind().keyword().unwrap_or_default());
        self.out.push(' ');
        if let Some(tag) = ty.tag() {
            self.out.push_str(tag);
            self.out.push(' ');
        }
        if let Some(members) = ty.members()? {
            self.base_classes(members)?;
            self.out.push_str("{\n");
            for member in members.iter().filter(|member| !member.is_base_class) {
                self.indent(depth + 1);
                self.member(member, depth + 1)?;
                self.out.push_str(";\n");
            }
        } else if let Some(enumerators) = ty.enumerators()? {
            self.out.push_str("{\n");
            self.enumerators(enumerators, depth + 1)?;
        }
        self.indent(depth);
        self.out.push('}');
        Ok(())
    }

    fn base_classes(&mut self, members: &[Member]) -> Result<()> {
        let bases = members.iter().filter(|member| member.is_base_class);
        for (index, base) in bases.enumerate() {
            self.out.push_str(if index == 0 { ": " } else { ", " });
            base.ty()?.write_name(&mut self.out)?;
        }
        if self.out.ends_with(|last: char| last != ' ') {
            self.out.push(' ');
        }
        Ok(())
    }

    fn member(&mut self, member: &Member, depth: usize) -> Result<()> {
        let name = member.name.as_deref();
        match member.ty() {
            Ok(ty) => self.declaration(&ty, name, depth)?,
            // One damaged member does not hide the others.
            Err(error @ Error::DebugInfo(_)) => {
                let _ = write!(self.out, "/* {error} */ {}", name.unwrap_or_default());
                return Ok(());
            }
            Err(error) => return Err(error),
        }
        if let Some(size) = member.bit_field_size()? {
            let _ = write!(self.out, " : {size}");
        }
        Ok(())
    }

    fn enumerators(&mut self, enumerators: &[Enumerator], depth: usize) -> Result<()> {
        for enumerator in enumerators {
            if self.out.len() > MAX_LENGTH {
                return Err(Error::Recursion(format!(
                    "the enumeration has {} enumerators, too many to be printed",
                    enumerators.len()
                )));
            }
            self.indent(depth);
            let _ = writeln!(self.out, "{} = {},", enumerator.name, enumerator.value);
        }
        Ok(())
    }
}
