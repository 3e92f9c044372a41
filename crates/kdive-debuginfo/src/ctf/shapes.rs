//! What the records of CTF describe.

use std::sync::Arc;

use super::ArrayOrder;
use super::dictionary::{Record, Slice, kind};
use super::resolve::{Dictionaries, Place, forwarded_kind};
use super::source::Environment;
use crate::Result;
use crate::description::{
    CompoundKind, EnumInteger, MemberDescription, ParameterDescription, PointerKind, Qualifiers,
    Shape, TypeId, TypeKinds,
};

/// How many qualifiers, or dimensions of an array, may follow each other.
const MAX_CHAIN: usize = 64;

const SIGNED: u32 = 1;
const BOOL: u32 = 4;

impl Dictionaries {
    /// What the record at a place is.
    pub(super) fn shape(&self, place: Place, environment: Environment) -> Result<Shape> {
        let loaded = self.get(place.dictionary)?;
        let dictionary = &loaded.dictionary;
        let record = dictionary.record(place.number)?;
        let byte_order = environment.byte_order;
        let name = || dictionary.string(record.name);
        let tag = || -> Result<Option<Arc<str>>> {
            Ok(Some(name()?)
                .filter(|name| !name.is_empty())
                .map(Into::into))
        };
        let target =
            |id| -> Result<Option<TypeId>> { Ok(self.place(place.dictionary, id)?.map(Place::id)) };
        let qualified = |qualifiers| {
            Ok(Shape::Qualified {
                qualifiers,
                target: target(record.reference)?,
            })
        };
        match record.kind {
            // A place that is kept, or what the compiler could not write.
            kind::UNKNOWN => Ok(Shape::Void),
            // Compilers write `void` as an integer without bytes.
            kind::INTEGER if record.size == 0 => Ok(Shape::Void),
            kind::INTEGER => {
                let encoding = record.word(0).unwrap_or(0) >> 24;
                let (name, size) = (name()?.into(), record.size);
                Ok(if encoding & BOOL != 0 {
                    Shape::Bool {
                        name,
                        size,
                        byte_order,
                    }
                } else {
                    Shape::Int {
                        name,
                        size,
                        is_signed: encoding & SIGNED != 0,
                        byte_order,
                    }
                })
            }
            kind::FLOAT if !is_real(&record) => Err(dictionary.bad(format!(
                "kdive can't handle the type {}, which is no real number",
                name()?
            ))),
            kind::FLOAT => Ok(Shape::Float {
                name: name()?.into(),
                size: record.size,
                byte_order,
            }),
            kind::POINTER => Ok(Shape::Pointer {
                kind: PointerKind::Pointer,
                target: target(record.reference)?,
                size: u64::from(environment.pointer_size),
                byte_order,
            }),
            kind::ARRAY => self.array(place, environment),
            kind::FUNCTION => self.function(place, &record),
            kind::STRUCT | kind::UNION => Ok(Shape::Compound {
                kind: compound_kind(record.kind),
                tag: tag()?,
                size: Some(self.compound_size(place, &record, environment)?),
            }),
            kind::ENUM => Ok(Shape::Enum {
                tag: tag()?,
                integer: Some(EnumInteger::Plain {
                    size: record.size,
                    is_signed: record.enumerators().any(|(_, value)| value < 0),
                }),
            }),
            kind::FORWARD => match self.definition(place)? {
                Some(definition) => self.shape(definition, environment),
                None if forwarded_kind(&record) == kind::ENUM => Ok(Shape::Enum {
                    tag: tag()?,
                    integer: None,
                }),
                None => Ok(Shape::Compound {
                    kind: compound_kind(forwarded_kind(&record)),
                    tag: tag()?,
                    size: None,
                }),
            },
            kind::TYPEDEF => Ok(Shape::Typedef {
                name: name()?.into(),
                target: target(record.reference)?,
            }),
            kind::VOLATILE => qualified(Qualifiers::VOLATILE),
            kind::CONST => qualified(Qualifiers::CONST),
            kind::RESTRICT => qualified(Qualifiers::RESTRICT),
            kind::SLICE => Ok(Shape::Qualified {
                qualifiers: Qualifiers::empty(),
                target: match record.slice() {
                    Some(slice) => target(slice.reference)?,
                    None => None,
                },
            }),
            other => Err(dictionary.bad(format!(
                "CTF type {} of kind {other} is not known",
                place.number
            ))),
        }
    }

    /// An array with all dimensions that it is written with, whatever their order.
    fn array(&self, place: Place, environment: Environment) -> Result<Shape> {
        let mut dimensions = Vec::new();
        let mut element = Some(place);
        while let Some(place) = element {
            let record = self.record(place)?;
            if record.kind != kind::ARRAY {
                break;
            }
            if dimensions.len() == MAX_CHAIN {
                let dictionary = &self.get(place.dictionary)?.dictionary;
                return Err(dictionary.bad(format!(
                    "CTF type {} is an array of more than {MAX_CHAIN} dimensions",
                    place.number
                )));
            }
            let [contents, length] = [0, 2].map(|at| record.word(at).unwrap_or(0));
            // A flexible array has no length. gcc tells it from one of length 0 by the type of its
            // index; once binutils has linked it, nothing does, and flexible ones are what is used.
            dimensions.push((length != 0).then_some(u64::from(length)));
            element = self.place(place.dictionary, contents)?;
        }
        if environment.arrays == ArrayOrder::InnermostFirst {
            dimensions.reverse();
        }
        Ok(Shape::Array {
            element: element.map(Place::id),
            dimensions,
        })
    }

    fn function(&self, place: Place, record: &Record<'_>) -> Result<Shape> {
        let mut parameters: Vec<Option<TypeId>> = Vec::new();
        for index in 0..record.count as usize {
            let id = record.word(index).unwrap_or(0);
            parameters.push(self.place(place.dictionary, id)?.map(Place::id));
        }
        // A last parameter without a type stands for any more.
        let is_variadic = parameters.last() == Some(&None);
        if is_variadic {
            parameters.pop();
        }
        Ok(Shape::Function {
            returns: self
                .place(place.dictionary, record.reference)?
                .map(Place::id),
            parameters: parameters
                .into_iter()
                .map(|type_id| ParameterDescription {
                    name: None,
                    type_id,
                })
                .collect(),
            is_variadic,
        })
    }

    /// The members of the structure or union at a place, which may be only declared there.
    pub(super) fn members(&self, place: Place) -> Result<Vec<MemberDescription>> {
        let mut place = place;
        if self.record(place)?.kind == kind::FORWARD {
            match self.definition(place)? {
                Some(definition) => place = definition,
                None => return Ok(Vec::new()),
            }
        }
        let dictionary = &self.get(place.dictionary)?.dictionary;
        let record = dictionary.record(place.number)?;
        if !matches!(record.kind, kind::STRUCT | kind::UNION) {
            return Ok(Vec::new());
        }
        record
            .members()
            .map(|member| {
                let ty = self.place(place.dictionary, member.reference)?;
                let (ty, slice) = match ty {
                    Some(ty) => self.bit_field(ty)?,
                    None => (None, None),
                };
                let name = dictionary.string(member.name)?;
                Ok(MemberDescription {
                    name: (!name.is_empty()).then(|| name.into()),
                    type_id: ty.map(Place::id),
                    bit_offset: member
                        .bit_offset
                        .saturating_add(slice.as_ref().map_or(0, |slice| slice.bit_offset)),
                    bit_field_size: slice.map(|slice| slice.bit_size),
                    is_base_class: false,
                    alignment: None,
                })
            })
            .collect()
    }

    /// The type of a member, and which part of it the member is if that is not all. `dwarf2ctf`
    /// wrote a bit field as an integer with fewer bits, others write a slice.
    fn bit_field(&self, ty: Place) -> Result<(Option<Place>, Option<Slice>)> {
        let record = self.record(ty)?;
        match record.kind {
            kind::SLICE => match record.slice() {
                Some(slice) => Ok((self.place(ty.dictionary, slice.reference)?, Some(slice))),
                None => Ok((Some(ty), None)),
            },
            kind::INTEGER => {
                let encoding = record.word(0).unwrap_or(0);
                let bit_size = u64::from(encoding & 0xffff);
                let bit_offset = u64::from(encoding >> 16 & 0xff);
                let is_whole = bit_offset == 0 && bit_size == record.size.saturating_mul(8);
                let slice = Slice {
                    reference: 0,
                    bit_offset,
                    bit_size,
                };
                Ok((Some(ty), (!is_whole && bit_size != 0).then_some(slice)))
            }
            _ => Ok((Some(ty), None)),
        }
    }
}

/// Whether a floating-point number is neither complex nor an interval.
fn is_real(record: &Record<'_>) -> bool {
    const SINGLE: u32 = 1;
    const DOUBLE: u32 = 2;
    const EXTENDED: u32 = 6;
    let encoding = record.word(0).unwrap_or(0) >> 24;
    matches!(encoding, SINGLE | DOUBLE | EXTENDED)
}

fn compound_kind(kind: u32) -> CompoundKind {
    if kind == kind::UNION {
        CompoundKind::Union
    } else {
        CompoundKind::Struct
    }
}

/// The kinds of types that a record is found as.
pub(super) fn kinds_of(record: &Record<'_>) -> TypeKinds {
    match record.kind {
        kind::INTEGER if record.size == 0 => TypeKinds::VOID,
        kind::INTEGER if record.word(0).unwrap_or(0) >> 24 & BOOL != 0 => TypeKinds::BOOL,
        kind::INTEGER => TypeKinds::INT,
        kind::FLOAT => TypeKinds::FLOAT,
        kind::STRUCT => TypeKinds::STRUCT,
        kind::UNION => TypeKinds::UNION,
        kind::ENUM => TypeKinds::ENUM,
        kind::TYPEDEF => TypeKinds::TYPEDEF,
        kind::FORWARD => match forwarded_kind(record) {
            kind::UNION => TypeKinds::UNION,
            kind::ENUM => TypeKinds::ENUM,
            _ => TypeKinds::STRUCT,
        },
        _ => TypeKinds::empty(),
    }
}
