//! Making types from their parts.

use std::sync::{Arc, OnceLock};

use kdive_debuginfo::description::Language;
use kdive_target::ByteOrder;

use super::{
    Derived, Detail, Enumerator, LazyList, Link, Member, Parameter, PointerKind, PrimitiveType,
    TemplateParameter, Type, TypeData, TypeKind,
};
use crate::{Error, Result};

impl Type {
    /// `void`.
    pub fn void(language: Language) -> Type {
        Type::new(TypeData {
            kind: TypeKind::Void,
            language,
            primitive: Some(PrimitiveType::Void),
            name: None,
            size: None,
            byte_order: ByteOrder::HOST,
            alignment: None,
            detail: Detail::None,
            derived: Derived::default(),
        })
    }

    /// An integer of `size` bytes.
    pub fn int(
        name: &str,
        size: u64,
        is_signed: bool,
        byte_order: ByteOrder,
        language: Language,
    ) -> Type {
        let primitive = PrimitiveType::from_spelling(name).filter(|primitive| {
            // These are names of other types.
            let is_alias = matches!(primitive, PrimitiveType::SizeT | PrimitiveType::PtrdiffT);
            *primitive == PrimitiveType::Char
                || !is_alias
                    && if is_signed {
                        primitive.is_signed_integer()
                    } else {
                        primitive.is_unsigned_integer()
                    }
        });
        Self::number(
            TypeKind::Int,
            name,
            size,
            byte_order,
            language,
            primitive,
            Detail::Int { is_signed },
        )
    }

    /// A truth value of `size` bytes.
    pub fn bool(name: &str, size: u64, byte_order: ByteOrder, language: Language) -> Type {
        let primitive =
            PrimitiveType::from_spelling(name).filter(|name| *name == PrimitiveType::Bool);
        Self::number(
            TypeKind::Bool,
            name,
            size,
            byte_order,
            language,
            primitive,
            Detail::None,
        )
    }

    /// A floating-point number of `size` bytes.
    pub fn float(name: &str, size: u64, byte_order: ByteOrder, language: Language) -> Type {
        let primitive = PrimitiveType::from_spelling(name).filter(|primitive| {
            matches!(
                primitive,
                PrimitiveType::Float | PrimitiveType::Double | PrimitiveType::LongDouble
            )
        });
        Self::number(
            TypeKind::Float,
            name,
            size,
            byte_order,
            language,
            primitive,
            Detail::None,
        )
    }

    fn number(
        kind: TypeKind,
        name: &str,
        size: u64,
        byte_order: ByteOrder,
        language: Language,
        primitive: Option<PrimitiveType>,
        detail: Detail,
    ) -> Type {
        // Compilers spell C's own types in many ways; `bool` is C++'s own.
        let name = match primitive {
            Some(primitive) if primitive != PrimitiveType::Bool => primitive.spelling(),
            _ => name,
        };
        Type::new(TypeData {
            kind,
            language,
            primitive,
            name: Some(name.into()),
            size: Some(size),
            byte_order,
            alignment: None,
            detail,
            derived: Derived::default(),
        })
    }

    /// A structure, union or class with its size in bytes and its members; incomplete without
    /// them.
    pub fn compound(
        kind: TypeKind,
        tag: Option<&str>,
        definition: Option<(u64, Vec<Member>)>,
        template_parameters: Vec<TemplateParameter>,
        byte_order: ByteOrder,
        language: Language,
    ) -> Type {
        let (size, members) = definition.unzip();
        Type::new(TypeData {
            kind,
            language,
            primitive: None,
            name: tag.map(Arc::from),
            size,
            byte_order,
            alignment: None,
            detail: Detail::Compound {
                members: members.map(LazyList::ready),
                table: OnceLock::new(),
                template_parameters: LazyList::ready(template_parameters),
            },
            derived: Derived::default(),
        })
    }

    /// An enumeration with its integer and its enumerators; incomplete without them.
    pub fn enumeration(
        tag: Option<&str>,
        definition: Option<(Type, Vec<Enumerator>)>,
        byte_order: ByteOrder,
        language: Language,
    ) -> Result<Type> {
        if let Some((integer, _)) = &definition
            && integer.unaliased_kind()? != TypeKind::Int
        {
            return Err(Error::Value(
                "compatible type of enum type must be integer type".into(),
            ));
        }
        let (integer, enumerators) = definition.unzip();
        Ok(Type::new(TypeData {
            kind: TypeKind::Enum,
            language,
            primitive: None,
            name: tag.map(Arc::from),
            size: None,
            byte_order,
            alignment: None,
            detail: Detail::Enum {
                integer: integer.map(Link::Ready),
                enumerators: LazyList::ready(enumerators.unwrap_or_default()),
            },
            derived: Derived::default(),
        }))
    }

    /// An alias of a type.
    pub fn typedef(name: &str, target: Type, language: Language) -> Type {
        let primitive = match name {
            "size_t" => Some((PrimitiveType::SizeT, false)),
            "ptrdiff_t" => Some((PrimitiveType::PtrdiffT, true)),
            _ => None,
        }
        .filter(|(_, signed)| {
            target
                .unaliased()
                .is_ok_and(|target| target.is_signed() == Some(*signed))
        })
        .map(|(primitive, _)| primitive);
        Type::new(TypeData {
            kind: TypeKind::Typedef,
            language,
            primitive,
            name: Some(name.into()),
            size: None,
            byte_order: target.byte_order(),
            alignment: None,
            detail: Detail::Alias {
                target: Link::Ready(target),
            },
            derived: Derived::default(),
        })
    }

    /// A pointer or reference of `size` bytes.
    pub fn pointer(
        target: Type,
        kind: PointerKind,
        size: u64,
        byte_order: ByteOrder,
        language: Language,
    ) -> Type {
        Type::new(TypeData {
            kind: TypeKind::Pointer,
            language,
            primitive: None,
            name: None,
            size: Some(size),
            byte_order,
            alignment: None,
            detail: Detail::Pointer {
                kind,
                target: Link::Ready(target),
            },
            derived: Derived::default(),
        })
    }

    /// An array; incomplete without a length.
    pub fn array(element: Type, length: Option<u64>, language: Language) -> Type {
        Type::new(TypeData {
            kind: TypeKind::Array,
            language,
            primitive: None,
            name: None,
            size: None,
            byte_order: element.byte_order(),
            alignment: None,
            detail: Detail::Array {
                element: Link::Ready(element),
                length,
            },
            derived: Derived::default(),
        })
    }

    /// A function.
    pub fn function(
        returns: Type,
        parameters: Vec<Parameter>,
        is_variadic: bool,
        template_parameters: Vec<TemplateParameter>,
        language: Language,
    ) -> Type {
        Type::new(TypeData {
            kind: TypeKind::Function,
            language,
            primitive: None,
            name: None,
            size: None,
            byte_order: returns.byte_order(),
            alignment: None,
            detail: Detail::Function {
                returns: Link::Ready(returns),
                parameters,
                is_variadic,
                template_parameters: LazyList::ready(template_parameters),
            },
            derived: Derived::default(),
        })
    }
}
