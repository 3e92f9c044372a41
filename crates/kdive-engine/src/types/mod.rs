//! Types: what they are, how they are made, named, parsed and printed.
//!
//! A [`Type`] is a cheap handle: shared immutable data and qualifiers. What a type refers to
//! (its members, the target of a pointer) is found when it is first asked for. Values of types
//! are objects and live in [`crate::object`].

mod build;
mod derived;
mod import;
mod lazy;
mod member_pointer;
mod members;
mod name;
mod parse;
mod primitive;
mod print;
mod repr;
mod teardown;

use std::sync::{Arc, OnceLock};

use kdive_target::ByteOrder;

pub(crate) use derived::{Derived, Scalar, ScalarClass};
pub(crate) use import::ImportedTypes;
pub use kdive_debuginfo::description::{Language, PointerKind, Qualifiers, TypeKinds};
pub use lazy::{Argument, Content, Thunk};
pub(crate) use lazy::{LazyList, Link};
pub use members::FoundMember;
pub(crate) use members::MemberTable;
pub use parse::parse_type_name;
pub use primitive::PrimitiveType;
pub(crate) use repr::write_python_string;

use crate::{Error, Result};

/// The kinds of types.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TypeKind {
    /// `void`
    Void,
    /// Integers, `char` included.
    Int,
    /// Truth values.
    Bool,
    /// Floating-point numbers.
    Float,
    /// Structures.
    Struct,
    /// Unions.
    Union,
    /// Classes.
    Class,
    /// Enumerations.
    Enum,
    /// Type aliases.
    Typedef,
    /// Pointers and references.
    Pointer,
    /// Arrays.
    Array,
    /// Functions.
    Function,
}

impl TypeKind {
    /// The set of this kind alone.
    pub fn as_set(self) -> TypeKinds {
        match self {
            Self::Void => TypeKinds::VOID,
            Self::Int => TypeKinds::INT,
            Self::Bool => TypeKinds::BOOL,
            Self::Float => TypeKinds::FLOAT,
            Self::Struct => TypeKinds::STRUCT,
            Self::Union => TypeKinds::UNION,
            Self::Class => TypeKinds::CLASS,
            Self::Enum => TypeKinds::ENUM,
            Self::Typedef => TypeKinds::TYPEDEF,
            Self::Pointer => TypeKinds::POINTER,
            Self::Array => TypeKinds::ARRAY,
            Self::Function => TypeKinds::FUNCTION,
        }
    }

    /// The keyword that declares a type of this kind: `struct`, `union`, `class`, `enum` or
    /// `typedef`.
    pub fn keyword(self) -> Option<&'static str> {
        match self {
            Self::Struct => Some("struct"),
            Self::Union => Some("union"),
            Self::Class => Some("class"),
            Self::Enum => Some("enum"),
            Self::Typedef => Some("typedef"),
            _ => None,
        }
    }

    /// Whether types of this kind have members.
    pub fn is_compound(self) -> bool {
        matches!(self, Self::Struct | Self::Union | Self::Class)
    }
}

/// A qualified type.
#[derive(Clone)]
pub struct Type {
    pub(crate) data: Arc<TypeData>,
    pub(crate) qualifiers: Qualifiers,
}

/// What a type is, without qualifiers.
pub(crate) struct TypeData {
    pub(crate) kind: TypeKind,
    pub(crate) language: Language,
    pub(crate) primitive: Option<PrimitiveType>,
    /// The name of a number or alias, the tag of a structure or enumeration.
    pub(crate) name: Option<Arc<str>>,
    /// In bytes; absent where it follows from other types or the type is incomplete.
    pub(crate) size: Option<u64>,
    pub(crate) byte_order: ByteOrder,
    /// In bytes, if the source demands another one than follows from the parts of the type.
    pub(crate) alignment: Option<u64>,
    pub(crate) detail: Detail,
    pub(crate) derived: Derived,
}

/// What only types of some kinds have.
pub(crate) enum Detail {
    /// Nothing more: `void`, truth values, floating-point numbers.
    None,
    Int {
        is_signed: bool,
    },
    Compound {
        /// None if the type is incomplete.
        members: Option<LazyList<Member>>,
        table: OnceLock<MemberTable>,
        template_parameters: LazyList<TemplateParameter>,
    },
    Enum {
        /// None if the type is incomplete.
        integer: Option<Link>,
        enumerators: LazyList<Enumerator>,
    },
    Alias {
        target: Link,
    },
    Pointer {
        kind: PointerKind,
        target: Link,
    },
    Array {
        element: Link,
        length: Option<u64>,
    },
    Function {
        returns: Link,
        parameters: Vec<Parameter>,
        is_variadic: bool,
        template_parameters: LazyList<TemplateParameter>,
    },
}

/// A member of a structure, union or class.
#[derive(Clone)]
pub struct Member {
    /// Its name; none for an anonymous member.
    pub name: Option<Arc<str>>,
    /// Its offset from the start of the type, in bits.
    pub bit_offset: u64,
    /// Whether it is a base class, whose members are found as if they were the type's own.
    pub is_base_class: bool,
    /// The alignment in bytes that the source demands for it, if it does.
    pub alignment: Option<u64>,
    /// Its type, or the object that it stands for.
    pub content: Content,
}

/// An enumerator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Enumerator {
    /// Its name.
    pub name: Arc<str>,
    /// Its value.
    pub value: i128,
}

/// A parameter of a function.
#[derive(Clone)]
pub struct Parameter {
    /// Its name, if it has one.
    pub name: Option<Arc<str>>,
    /// Its type, or its default argument.
    pub content: Content,
}

/// A template parameter of a class or function.
#[derive(Clone)]
pub struct TemplateParameter {
    /// Its name, if it has one.
    pub name: Option<Arc<str>>,
    /// The type or value that it stands for.
    pub content: Content,
    /// Whether the argument is the default one.
    pub is_default: bool,
}

/// How deep types may be nested in each other before they count as corrupted.
pub(crate) const MAX_DEPTH: usize = 1000;

impl Type {
    pub(crate) fn new(data: TypeData) -> Self {
        Self {
            data: Arc::new(data),
            qualifiers: Qualifiers::empty(),
        }
    }

    /// The same type, which nothing else refers to yet, with the alignment that its source demands.
    fn with_alignment(mut self, alignment: Option<u64>) -> Self {
        if let (Some(_), Some(data)) = (alignment, Arc::get_mut(&mut self.data)) {
            data.alignment = alignment;
        }
        self
    }

    /// What kind of type this is.
    pub fn kind(&self) -> TypeKind {
        self.data.kind
    }

    /// Which of C's own types this is.
    pub fn primitive(&self) -> Option<PrimitiveType> {
        self.data.primitive
    }

    /// The qualifiers.
    pub fn qualifiers(&self) -> Qualifiers {
        self.qualifiers
    }

    /// The programming language.
    pub fn language(&self) -> Language {
        self.data.language
    }

    /// The name of a number, truth value or alias.
    pub fn name(&self) -> Option<&Arc<str>> {
        match self.kind() {
            TypeKind::Int | TypeKind::Bool | TypeKind::Float | TypeKind::Typedef => {
                self.data.name.as_ref()
            }
            _ => None,
        }
    }

    /// The tag of a structure, union, class or enumeration; none if it is anonymous.
    pub fn tag(&self) -> Option<&Arc<str>> {
        match self.kind() {
            TypeKind::Struct | TypeKind::Union | TypeKind::Class | TypeKind::Enum => {
                self.data.name.as_ref()
            }
            _ => None,
        }
    }

    /// Whether an integer has negative values; none for other kinds.
    pub fn is_signed(&self) -> Option<bool> {
        match &self.data.detail {
            Detail::Int { is_signed } => Some(*is_signed),
            _ => None,
        }
    }

    /// The order of the bytes of a number or pointer; other kinds have the program's.
    pub fn byte_order(&self) -> ByteOrder {
        self.data.byte_order
    }

    /// How a pointer is written; none for other kinds.
    pub fn pointer_kind(&self) -> Option<PointerKind> {
        match &self.data.detail {
            Detail::Pointer { kind, .. } => Some(*kind),
            _ => None,
        }
    }

    /// The type behind an alias, pointer, array, function (what it returns) or complete
    /// enumeration (its integer); none for other kinds.
    pub fn target(&self) -> Result<Option<Type>> {
        match &self.data.detail {
            Detail::Alias { target } | Detail::Pointer { target, .. } => target.get().map(Some),
            Detail::Array { element, .. } => element.get().map(Some),
            Detail::Function { returns, .. } => returns.get().map(Some),
            Detail::Enum {
                integer: Some(integer),
                ..
            } => integer.get().map(Some),
            _ => Ok(None),
        }
    }

    /// The number of elements of an array; none if it is incomplete (`[]`) or no array.
    pub fn length(&self) -> Option<u64> {
        match &self.data.detail {
            Detail::Array { length, .. } => *length,
            _ => None,
        }
    }

    /// The members of a complete structure, union or class; none for an incomplete type and
    /// other kinds.
    pub fn members(&self) -> Result<Option<&[Member]>> {
        match &self.data.detail {
            Detail::Compound {
                members: Some(members),
                ..
            } => members.get().map(Some),
            _ => Ok(None),
        }
    }

    /// The enumerators of a complete enumeration; none for an incomplete one and other kinds.
    pub fn enumerators(&self) -> Result<Option<&[Enumerator]>> {
        match &self.data.detail {
            Detail::Enum {
                integer: Some(_),
                enumerators,
            } => enumerators.get().map(Some),
            _ => Ok(None),
        }
    }

    /// The parameters of a function; none for other kinds.
    pub fn parameters(&self) -> Option<&[Parameter]> {
        match &self.data.detail {
            Detail::Function { parameters, .. } => Some(parameters),
            _ => None,
        }
    }

    /// Whether a function takes more arguments than its parameters; none for other kinds.
    pub fn is_variadic(&self) -> Option<bool> {
        match &self.data.detail {
            Detail::Function { is_variadic, .. } => Some(*is_variadic),
            _ => None,
        }
    }

    /// The template parameters of a structure, union, class or function; none for other kinds.
    pub fn template_parameters(&self) -> Result<Option<&[TemplateParameter]>> {
        match &self.data.detail {
            Detail::Compound {
                template_parameters,
                ..
            }
            | Detail::Function {
                template_parameters,
                ..
            } => template_parameters.get().map(Some),
            _ => Ok(None),
        }
    }

    /// The same type with exactly these qualifiers.
    #[must_use]
    #[inline]
    pub fn qualified(&self, qualifiers: Qualifiers) -> Type {
        Type {
            data: self.data.clone(),
            qualifiers,
        }
    }

    /// The same type without qualifiers.
    #[must_use]
    #[inline]
    pub fn unqualified(&self) -> Type {
        self.qualified(Qualifiers::empty())
    }

    /// Whether the definition is known: the type is neither `void`, nor an array without a
    /// length, nor a structure or enumeration that is only declared, nor an alias of one.
    pub fn is_complete(&self) -> Result<bool> {
        let real = self.real()?;
        Ok(match &real.data.detail {
            Detail::Compound { members, .. } => members.is_some(),
            Detail::Enum { integer, .. } => integer.is_some(),
            Detail::Array { length, .. } => length.is_some(),
            _ => real.kind() != TypeKind::Void,
        })
    }

    /// The size in bytes of a number, pointer, or complete structure, union or class, as it was
    /// declared; none for kinds whose size follows from other types.
    pub fn declared_size(&self) -> Option<u64> {
        self.data.size
    }

    /// The size of a value of this type in bytes.
    pub fn size(&self) -> Result<u64> {
        if let Some(size) = self.data.size {
            return Ok(size);
        }
        let mut current = self.clone();
        let mut count: u64 = 1;
        for _ in 0..MAX_DEPTH {
            if let Some(size) = current.data.size {
                return count
                    .checked_mul(size)
                    .ok_or_else(|| Error::Overflow("type size is too large".to_owned()));
            }
            current = match &current.data.detail {
                Detail::Array {
                    element,
                    length: Some(length),
                } => {
                    count = count
                        .checked_mul(*length)
                        .ok_or_else(|| Error::Overflow("type size is too large".to_owned()))?;
                    element.get()?
                }
                Detail::Alias { target } => target.get()?,
                Detail::Enum {
                    integer: Some(integer),
                    ..
                } => integer.get()?,
                _ => {
                    return Err(Error::Type(format!(
                        "cannot get size of {}",
                        current.kind_article()
                    )));
                }
            };
        }
        Err(too_deep("types"))
    }

    /// The alignment of a value of this type in bytes: what the source demands, or as common C
    /// ABIs have it, that of the strictest member or the size of a number.
    pub fn alignment(&self) -> Result<u64> {
        self.alignment_at(0)
    }

    fn alignment_at(&self, depth: usize) -> Result<u64> {
        if depth > MAX_DEPTH {
            return Err(too_deep("types"));
        }
        if let Some(alignment) = self.data.alignment {
            return Ok(alignment);
        }
        match &self.data.detail {
            Detail::Compound {
                members: Some(members),
                ..
            } => {
                let mut alignment = 1;
                for member in members.get()? {
                    let least = member.alignment.unwrap_or(1);
                    alignment = alignment.max(member.ty()?.alignment_at(depth + 1)?.max(least));
                }
                Ok(alignment)
            }
            Detail::Array { element: next, .. }
            | Detail::Alias { target: next }
            | Detail::Enum {
                integer: Some(next),
                ..
            } => next.get()?.alignment_at(depth + 1),
            _ => match self.data.size {
                Some(size) => Ok(size.max(1).next_power_of_two()),
                None => Err(Error::Type(format!(
                    "cannot get alignment of {}",
                    self.kind_article()
                ))),
            },
        }
    }

    /// The type's kind as a phrase of a message: `incomplete structure type`.
    pub(crate) fn kind_article(&self) -> String {
        let complete = self.is_complete().unwrap_or(true);
        let kind = match self.kind() {
            TypeKind::Void => return "void type".to_owned(),
            TypeKind::Function => return "function type".to_owned(),
            TypeKind::Int => "integer",
            TypeKind::Bool => "boolean",
            TypeKind::Float => "floating-point",
            TypeKind::Struct => "structure",
            TypeKind::Union => "union",
            TypeKind::Class => "class",
            TypeKind::Enum => "enumerated",
            TypeKind::Typedef => {
                return match self.unaliased() {
                    Ok(real) if real.kind() != TypeKind::Typedef => real.kind_article(),
                    _ => "typedef type".to_owned(),
                };
            }
            TypeKind::Pointer => "pointer",
            TypeKind::Array => "array",
        };
        if complete {
            format!("{kind} type")
        } else {
            format!("incomplete {kind} type")
        }
    }

    /// Whether two handles mean the same type data, qualifiers aside.
    pub fn is_same(&self, other: &Type) -> bool {
        Arc::ptr_eq(&self.data, &other.data)
    }
}

impl Member {
    /// The member's type.
    #[inline]
    pub fn ty(&self) -> Result<Type> {
        self.content.ty()
    }

    /// Its size in bits, if it is a bit field.
    #[inline]
    pub fn bit_field_size(&self) -> Result<Option<u64>> {
        self.content.bit_field_size()
    }
}

pub(crate) fn too_deep(what: &str) -> Error {
    Error::Recursion(format!("{what} are nested too deeply to be real"))
}
