//! Types as calls of the Python methods that make them.

use std::fmt::Write as _;

use kdive_target::ByteOrder;

use super::{
    Argument, Content, Detail, Language, MAX_DEPTH, PointerKind, Qualifiers, Type, TypeKind,
    too_deep,
};
use crate::program::Program;
use crate::{Error, Result};

/// How long one call may be, in bytes.
const MAX_LENGTH: usize = 1 << 26;

impl Type {
    /// The call that makes this type: `prog.int_type(name='int', size=4, is_signed=True)`.
    /// Arguments that have the program's default are left out.
    pub fn constructor_call(&self, program: &Program) -> Result<String> {
        let mut writer = Writer {
            out: String::new(),
            program,
        };
        writer.call(self, 0)?;
        Ok(writer.out)
    }
}

/// Appends a string as Python writes it.
pub(crate) fn write_python_string(out: &mut String, text: &str) {
    let quote = if text.contains('\'') && !text.contains('"') {
        '"'
    } else {
        '\''
    };
    out.push(quote);
    for character in text.chars() {
        match character {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            _ if character == quote => {
                out.push('\\');
                out.push(quote);
            }
            _ if character.is_control() => {
                let _ = write!(out, "\\x{:02x}", u32::from(character));
            }
            _ => out.push(character),
        }
    }
    out.push(quote);
}

struct Writer<'a> {
    out: String,
    program: &'a Program,
}

impl Writer<'_> {
    fn call(&mut self, ty: &Type, depth: usize) -> Result<()> {
        if depth > MAX_DEPTH {
            return Err(too_deep("types"));
        }
        self.check_length()?;
        let _ = write!(self.out, "prog.{}(", constructor(ty.kind()));
        match &ty.data.detail {
            Detail::None | Detail::Int { .. } => self.number(ty),
            Detail::Compound { .. } => self.compound(ty)?,
            Detail::Enum { .. } => self.enumeration(ty, depth)?,
            Detail::Alias { .. } => {
                self.named("name", ty);
                self.target(ty, depth)?;
            }
            Detail::Pointer { kind, .. } => {
                self.target(ty, depth)?;
                let size = ty.declared_size();
                if size != self.program.address_size().ok().map(u64::from) {
                    let _ = write!(self.out, ", size={}", size.unwrap_or(0));
                }
                self.byte_order(ty);
                match kind {
                    PointerKind::Pointer => {}
                    PointerKind::Reference => self.out.push_str(", reference=True"),
                    PointerKind::RvalueReference => self.out.push_str(", rvalue_reference=True"),
                }
            }
            Detail::Array { length, .. } => {
                self.target(ty, depth)?;
                match length {
                    Some(length) => {
                        let _ = write!(self.out, ", length={length}");
                    }
                    None => self.out.push_str(", length=None"),
                }
            }
            Detail::Function { .. } => self.function(ty, depth)?,
        }
        self.qualifiers(ty.qualifiers);
        if ty.language() != self.program.language() {
            self.argument("language");
            self.out.push_str(match ty.language() {
                Language::C => "Language.C",
                Language::Cpp => "Language.CPP",
            });
        }
        self.out.push(')');
        Ok(())
    }

    fn check_length(&self) -> Result<()> {
        if self.out.len() > MAX_LENGTH {
            return Err(Error::Recursion(
                "the description of the type does not end".to_owned(),
            ));
        }
        Ok(())
    }

    /// Starts an argument.
    fn argument(&mut self, name: &str) {
        if !self.out.ends_with('(') {
            self.out.push_str(", ");
        }
        self.out.push_str(name);
        self.out.push('=');
    }

    fn named(&mut self, argument: &str, ty: &Type) {
        self.argument(argument);
        match &ty.data.name {
            Some(name) => write_python_string(&mut self.out, name),
            None => self.out.push_str("None"),
        }
    }

    fn size(&mut self, ty: &Type) {
        self.argument("size");
        match ty.declared_size() {
            Some(size) => {
                let _ = write!(self.out, "{size}");
            }
            None => self.out.push_str("None"),
        }
    }

    fn number(&mut self, ty: &Type) {
        if ty.kind() == TypeKind::Void {
            return;
        }
        self.named("name", ty);
        self.size(ty);
        if let Some(is_signed) = ty.is_signed() {
            self.argument("is_signed");
            self.out.push_str(if is_signed { "True" } else { "False" });
        }
        self.byte_order(ty);
    }

    fn byte_order(&mut self, ty: &Type) {
        let default = self.program.platform().map(|platform| platform.byte_order);
        if default == Some(ty.byte_order()) {
            return;
        }
        self.argument("byteorder");
        self.out.push_str(match ty.byte_order() {
            ByteOrder::Little => "'little'",
            ByteOrder::Big => "'big'",
        });
    }

    fn target(&mut self, ty: &Type, depth: usize) -> Result<()> {
        self.argument("type");
        if let Some(target) = ty.target()? {
            return self.call(&target, depth + 1);
        }
        self.out.push_str("None");
        Ok(())
    }

    fn compound(&mut self, ty: &Type) -> Result<()> {
        self.named("tag", ty);
        self.size(ty);
        self.argument("members");
        let Some(members) = ty.members()? else {
            self.out.push_str("None");
            return self.template_parameters(ty);
        };
        self.tuple(members, |writer, member| {
            writer.out.push_str("TypeMember(");
            writer.content(&member.content)?;
            writer.name(member.name.as_deref());
            let _ = write!(writer.out, ", bit_offset={})", member.bit_offset);
            Ok(())
        })?;
        self.template_parameters(ty)
    }

    fn enumeration(&mut self, ty: &Type, depth: usize) -> Result<()> {
        self.named("tag", ty);
        self.target(ty, depth)?;
        self.argument("enumerators");
        let Some(enumerators) = ty.enumerators()? else {
            self.out.push_str("None");
            return Ok(());
        };
        self.tuple(enumerators, |writer, enumerator| {
            writer.out.push_str("TypeEnumerator(");
            write_python_string(&mut writer.out, &enumerator.name);
            let _ = write!(writer.out, ", {})", enumerator.value);
            Ok(())
        })
    }

    fn function(&mut self, ty: &Type, depth: usize) -> Result<()> {
        self.target(ty, depth)?;
        self.argument("parameters");
        self.tuple(ty.parameters().unwrap_or_default(), |writer, parameter| {
            writer.out.push_str("TypeParameter(");
            writer.content(&parameter.content)?;
            writer.name(parameter.name.as_deref());
            writer.out.push(')');
            Ok(())
        })?;
        self.argument("is_variadic");
        self.out.push_str(if ty.is_variadic() == Some(true) {
            "True"
        } else {
            "False"
        });
        self.template_parameters(ty)
    }

    fn template_parameters(&mut self, ty: &Type) -> Result<()> {
        let parameters = ty.template_parameters()?.unwrap_or_default();
        if parameters.is_empty() {
            return Ok(());
        }
        self.argument("template_parameters");
        self.tuple(parameters, |writer, parameter| {
            writer.out.push_str("TypeTemplateParameter(");
            writer.content(&parameter.content)?;
            writer.name(parameter.name.as_deref());
            if parameter.is_default {
                writer.out.push_str(", is_default=True");
            }
            writer.out.push(')');
            Ok(())
        })
    }

    fn name(&mut self, name: Option<&str>) {
        if let Some(name) = name {
            self.argument("name");
            write_python_string(&mut self.out, name);
        }
    }

    /// A member or parameter: its type by name, or its object.
    fn content(&mut self, content: &Content) -> Result<()> {
        let ty = content.ty()?;
        if let Some(size) = content.bit_field_size()? {
            self.out.push_str("Object(prog, ");
            write_python_string(&mut self.out, &ty.type_name()?);
            let _ = write!(self.out, ", bit_field_size={size})");
            return Ok(());
        }
        match content.argument()? {
            Argument::Object(object) if object.absence_reason().is_none() => {
                self.out.push_str(&object.constructor_call()?);
            }
            _ => {
                self.out.push_str("prog.type(");
                write_python_string(&mut self.out, &ty.type_name()?);
                self.out.push(')');
            }
        }
        Ok(())
    }

    fn tuple<T>(
        &mut self,
        items: &[T],
        mut write_item: impl FnMut(&mut Self, &T) -> Result<()>,
    ) -> Result<()> {
        self.out.push('(');
        for (index, item) in items.iter().enumerate() {
            if index > 0 {
                self.out.push_str(", ");
            }
            self.check_length()?;
            write_item(self, item)?;
        }
        self.out.push_str(if items.len() == 1 { ",)" } else { ")" });
        Ok(())
    }

    fn qualifiers(&mut self, qualifiers: Qualifiers) {
        if qualifiers.is_empty() {
            return;
        }
        self.argument("qualifiers");
        let names: Vec<&str> = qualifiers.iter_names().map(|(name, _)| name).collect();
        let _ = write!(
            self.out,
            "<Qualifiers.{}: {}>",
            names.join("|"),
            qualifiers.bits()
        );
    }
}

fn constructor(kind: TypeKind) -> &'static str {
    match kind {
        TypeKind::Void => "void_type",
        TypeKind::Int => "int_type",
        TypeKind::Bool => "bool_type",
        TypeKind::Float => "float_type",
        TypeKind::Struct => "struct_type",
        TypeKind::Union => "union_type",
        TypeKind::Class => "class_type",
        TypeKind::Enum => "enum_type",
        TypeKind::Typedef => "typedef_type",
        TypeKind::Pointer => "pointer_type",
        TypeKind::Array => "array_type",
        TypeKind::Function => "function_type",
    }
}
