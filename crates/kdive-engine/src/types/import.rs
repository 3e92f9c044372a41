//! Types out of debug information.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock, PoisonError, RwLock, Weak};

use foldhash::fast::FixedState;
use kdive_debuginfo::TypeSource;
use kdive_debuginfo::description::{
    CompoundKind, ConstantValue, EnumInteger, Shape, TypeDescription, TypeId, TypeKinds,
};
use kdive_target::ByteOrder;

use super::{
    Content, Derived, Detail, Enumerator, LazyList, Link, MAX_DEPTH, Member, Parameter,
    PrimitiveType, Qualifiers, TemplateParameter, Type, TypeData, TypeKind, member_pointer,
    too_deep,
};
use crate::object::Object;
use crate::program::Program;
use crate::{Error, Result};

/// The types of one source of debug information, each made once.
pub(crate) struct ImportedTypes {
    source: Arc<dyn TypeSource>,
    program: Weak<Program>,
    byte_order: ByteOrder,
    made: RwLock<HashMap<TypeId, Type, FixedState>>,
    myself: Weak<ImportedTypes>,
}

impl ImportedTypes {
    pub(crate) fn new(
        source: Arc<dyn TypeSource>,
        program: &Arc<Program>,
        byte_order: ByteOrder,
    ) -> Arc<Self> {
        Arc::new_cyclic(|myself| Self {
            source,
            program: Arc::downgrade(program),
            byte_order,
            made: RwLock::default(),
            myself: myself.clone(),
        })
    }

    pub(super) fn byte_order(&self) -> ByteOrder {
        self.byte_order
    }

    pub(crate) fn source(&self) -> &Arc<dyn TypeSource> {
        &self.source
    }

    fn program(&self) -> Result<Arc<Program>> {
        self.program
            .upgrade()
            .ok_or_else(|| Error::Value("the program that this type belongs to is gone".to_owned()))
    }

    /// The type with this ID; none is `void`.
    pub(crate) fn get(&self, id: Option<TypeId>) -> Result<Type> {
        let Some(mut id) = id else {
            return Ok(self.program()?.void_type());
        };
        let mut qualifiers = Qualifiers::empty();
        for _ in 0..MAX_DEPTH {
            if let Some(ty) = self
                .made
                .read()
                .unwrap_or_else(PoisonError::into_inner)
                .get(&id)
                .cloned()
            {
                return Ok(ty.qualified(ty.qualifiers | qualifiers));
            }
            let description = self.source.describe(id)?;
            match description.shape {
                Shape::Qualified {
                    qualifiers: more,
                    target,
                } => {
                    qualifiers |= more;
                    match target {
                        Some(target) => id = target,
                        None => return Ok(self.program()?.void_type().qualified(qualifiers)),
                    }
                }
                Shape::Void => return Ok(self.program()?.void_type().qualified(qualifiers)),
                _ => {
                    let alignment = description.alignment;
                    let ty = self.make(id, description)?.with_alignment(alignment);
                    let mut made = self.made.write().unwrap_or_else(PoisonError::into_inner);
                    let ty = made.entry(id).or_insert(ty).clone();
                    return Ok(ty.qualified(ty.qualifiers | qualifiers));
                }
            }
        }
        Err(too_deep("type qualifiers"))
    }

    fn link(&self, id: Option<TypeId>) -> Link {
        Link::imported(self.myself.clone(), id)
    }

    fn content(&self, id: Option<TypeId>, bit_field_size: Option<u64>) -> Content {
        Content::link(self.link(id), bit_field_size)
    }

    fn make(&self, id: TypeId, description: TypeDescription) -> Result<Type> {
        let language = description.language;
        Ok(match description.shape {
            Shape::Void | Shape::Qualified { .. } => self.program()?.void_type(),
            Shape::Int {
                name,
                size,
                is_signed,
                byte_order,
            } => Type::int(&name, size, is_signed, byte_order, language),
            Shape::Bool {
                name,
                size,
                byte_order,
            } => Type::bool(&name, size, byte_order, language),
            Shape::Float {
                name,
                size,
                byte_order,
            } => Type::float(&name, size, byte_order, language),
            Shape::Compound { kind, tag, size } => {
                self.make_compound(id, kind, tag, size, language)?
            }
            Shape::Enum { tag, integer } => self.make_enumeration(id, tag, integer, language)?,
            Shape::Typedef { name, target } => self.make_typedef(name, target, language),
            Shape::Pointer {
                kind,
                target,
                size,
                byte_order,
            } => Type::new(TypeData {
                kind: TypeKind::Pointer,
                language,
                primitive: None,
                name: None,
                size: Some(size),
                byte_order,
                alignment: None,
                detail: Detail::Pointer {
                    kind,
                    target: self.link(target),
                },
                derived: Derived::default(),
            }),
            Shape::MemberPointer {
                class,
                target,
                address_size,
            } => member_pointer::make(self, class, target, address_size.into(), language)?,
            Shape::Array {
                element,
                dimensions,
            } => self.make_array(element, &dimensions, language),
            Shape::Function {
                returns,
                parameters,
                is_variadic,
            } => {
                let source = self.myself.clone();
                Type::new(TypeData {
                    kind: TypeKind::Function,
                    language,
                    primitive: None,
                    name: None,
                    size: None,
                    byte_order: self.byte_order,
                    alignment: None,
                    detail: Detail::Function {
                        returns: self.link(returns),
                        parameters: parameters
                            .into_iter()
                            .map(|parameter| Parameter {
                                name: parameter.name,
                                content: self.content(parameter.type_id, None),
                            })
                            .collect(),
                        is_variadic,
                        template_parameters: LazyList::lazy(move || {
                            owner(&source)?.template_parameters(id)
                        }),
                    },
                    derived: Derived::default(),
                })
            }
        })
    }

    fn make_typedef(
        &self,
        name: Arc<str>,
        target: Option<TypeId>,
        language: super::Language,
    ) -> Type {
        let primitive = match &*name {
            "size_t" => Some(PrimitiveType::SizeT),
            "ptrdiff_t" => Some(PrimitiveType::PtrdiffT),
            _ => None,
        };
        Type::new(TypeData {
            kind: TypeKind::Typedef,
            language,
            primitive,
            name: Some(name),
            size: None,
            byte_order: self.byte_order,
            alignment: None,
            detail: Detail::Alias {
                target: self.link(target),
            },
            derived: Derived::default(),
        })
    }

    fn make_compound(
        &self,
        id: TypeId,
        kind: CompoundKind,
        tag: Option<Arc<str>>,
        size: Option<u64>,
        language: super::Language,
    ) -> Result<Type> {
        let kind = match kind {
            CompoundKind::Struct => TypeKind::Struct,
            CompoundKind::Union => TypeKind::Union,
            CompoundKind::Class => TypeKind::Class,
        };
        if size.is_none()
            && let Some(complete) = self.complete(kind.as_set(), tag.as_deref())?
        {
            return Ok(complete);
        }
        let (members, parameters) = (self.myself.clone(), self.myself.clone());
        Ok(Type::new(TypeData {
            kind,
            language,
            primitive: None,
            name: tag,
            size,
            byte_order: self.byte_order,
            alignment: None,
            detail: Detail::Compound {
                members: size.map(|_| LazyList::lazy(move || owner(&members)?.members(id))),
                table: OnceLock::new(),
                template_parameters: LazyList::lazy(move || {
                    owner(&parameters)?.template_parameters(id)
                }),
            },
            derived: Derived::default(),
        }))
    }

    fn make_enumeration(
        &self,
        id: TypeId,
        tag: Option<Arc<str>>,
        integer: Option<EnumInteger>,
        language: super::Language,
    ) -> Result<Type> {
        if integer.is_none()
            && let Some(complete) = self.complete(TypeKinds::ENUM, tag.as_deref())?
        {
            return Ok(complete);
        }
        let integer = integer.map(|integer| match integer {
            EnumInteger::Type(id) => self.link(Some(id)),
            EnumInteger::Plain { size, is_signed } => Link::Ready(Type::int(
                "<unknown>",
                size,
                is_signed,
                self.byte_order,
                language,
            )),
        });
        let enumerators = self.myself.clone();
        Ok(Type::new(TypeData {
            kind: TypeKind::Enum,
            language,
            primitive: None,
            name: tag,
            size: None,
            byte_order: self.byte_order,
            alignment: None,
            detail: Detail::Enum {
                integer,
                enumerators: LazyList::lazy(move || owner(&enumerators)?.enumerators(id)),
            },
            derived: Derived::default(),
        }))
    }

    fn make_array(
        &self,
        element: Option<TypeId>,
        dimensions: &[Option<u64>],
        language: super::Language,
    ) -> Type {
        let array = |element: Link, length: Option<u64>| {
            Type::new(TypeData {
                kind: TypeKind::Array,
                language,
                primitive: None,
                name: None,
                size: None,
                byte_order: self.byte_order,
                alignment: None,
                detail: Detail::Array { element, length },
                derived: Derived::default(),
            })
        };
        let mut inner_to_outer = dimensions.iter().rev();
        let innermost = inner_to_outer.next().copied().flatten();
        let ty = array(self.link(element), innermost);
        inner_to_outer.fold(ty, |element, length| array(Link::Ready(element), *length))
    }

    /// The complete type for a declaration: from this source, else from any other.
    fn complete(&self, kinds: TypeKinds, tag: Option<&str>) -> Result<Option<Type>> {
        let Some(tag) = tag else { return Ok(None) };
        if let Some(complete) = self.find_complete(kinds, tag)? {
            return Ok(Some(complete));
        }
        self.program()?.find_complete_type(kinds, tag, &self.source)
    }

    /// Whether a structure or enumeration is more than declared.
    pub(crate) fn is_defined(&self, id: TypeId) -> Result<bool> {
        Ok(match self.source.describe(id)?.shape {
            Shape::Compound { size, .. } => size.is_some(),
            Shape::Enum { integer, .. } => integer.is_some(),
            _ => false,
        })
    }

    fn members(&self, id: TypeId) -> Result<Vec<Member>> {
        let members = self.source.members(id)?.into_iter().map(|member| Member {
            name: member.name,
            bit_offset: member.bit_offset,
            is_base_class: member.is_base_class,
            alignment: member.alignment,
            content: self.content(member.type_id, member.bit_field_size),
        });
        Ok(members.collect())
    }

    fn enumerators(&self, id: TypeId) -> Result<Vec<Enumerator>> {
        let enumerators = self
            .source
            .enumerators(id)?
            .into_iter()
            .map(|enumerator| Enumerator {
                name: enumerator.name,
                value: enumerator.value,
            });
        Ok(enumerators.collect())
    }

    fn template_parameters(&self, id: TypeId) -> Result<Vec<TemplateParameter>> {
        self.source
            .template_parameters(id)?
            .into_iter()
            .map(|parameter| {
                let content = match parameter.value {
                    None => self.content(parameter.type_id, None),
                    Some(value) => {
                        let program = self.program()?;
                        let ty = self.get(parameter.type_id)?;
                        Content::from_object(Self::constant(&program, ty, value)?)
                    }
                };
                Ok(TemplateParameter {
                    name: parameter.name,
                    content,
                    is_default: parameter.is_default,
                })
            })
            .collect()
    }

    /// The object for a value that debug information holds itself.
    pub(crate) fn constant(
        program: &Arc<Program>,
        ty: Type,
        value: ConstantValue,
    ) -> Result<Object> {
        match value {
            ConstantValue::Integer(value) => Object::from_integer(program, ty, value),
            ConstantValue::Bytes(bytes) => Object::from_bytes(program, ty, &bytes, 0, None),
        }
    }
}

fn owner(types: &Weak<ImportedTypes>) -> Result<Arc<ImportedTypes>> {
    types
        .upgrade()
        .ok_or_else(|| Error::Value("the program that this type belongs to is gone".to_owned()))
}
