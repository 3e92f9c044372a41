//! Plain values, as scripts write and read them.

use std::sync::Arc;

use super::convert::are_compatible;
use super::{Encoding, Layout, Number, Object, Place, Value, bits};
use crate::program::Program;
use crate::types::{PrimitiveType, Qualifiers, Type, TypeKind, too_deep};
use crate::{Error, Result};

/// A plain value: what a script gives to make an object, or gets out of one.
#[derive(Clone)]
pub enum Literal {
    /// A truth value.
    Bool(bool),
    /// A number.
    Number(Number),
    /// An integer of more than 128 bits: its bytes, the least significant first.
    WideInteger {
        /// The bytes, as two's complement if the integer is signed.
        bytes: Vec<u8>,
        /// Whether the integer's type has negative values.
        is_signed: bool,
    },
    /// The elements of an array.
    List(Vec<Literal>),
    /// The members of a structure or union.
    Map(Vec<(Arc<str>, Literal)>),
    /// An object, to be converted as by an assignment.
    Object(Object),
    /// Anything else, which no object can be made of.
    Other,
}

/// The largest number of elements and members that are taken out of the target at once.
const MAX_ITEMS: u64 = 1 << 24;

/// How deep values may be nested in each other before their types count as corrupted.
const MAX_NESTING: usize = 200;

impl Object {
    /// An object of C's type for a literal: `int`, or the next wider type that holds its
    /// magnitude; `double` for a floating-point number. A minus sign is applied to that type.
    ///
    /// C has no literals of more than 64 bits: they are an error unless `may_be_wide`, as it is
    /// for the operand of a wide integer.
    pub fn from_literal_number(
        program: &Arc<Program>,
        number: Number,
        may_be_wide: bool,
    ) -> Result<Object> {
        let ty = match number {
            Number::Float(_) => program.primitive_type(PrimitiveType::Double)?,
            Number::Wide(_) => program.primitive_type(PrimitiveType::LongDouble)?,
            Number::Integer { bits, is_negative } => {
                let candidates: &[PrimitiveType] = &[
                    PrimitiveType::Int,
                    PrimitiveType::Long,
                    PrimitiveType::LongLong,
                    PrimitiveType::UnsignedLongLong,
                ];
                let mut found = None;
                for primitive in candidates {
                    let ty = program.primitive_type(*primitive)?;
                    let layout = Layout::of(&ty, None)?;
                    let magnitude = if is_negative {
                        bits.wrapping_neg()
                    } else {
                        bits
                    };
                    let room = layout.bits - u64::from(layout.encoding == Encoding::Signed);
                    if magnitude <= bits::low_bits(room as u32) {
                        found = Some(ty);
                        break;
                    }
                }
                match found {
                    Some(ty) => ty,
                    None if !may_be_wide => {
                        return Err(Error::Overflow("int too big to convert".to_owned()));
                    }
                    None if is_negative || bits >> 127 == 0 => Type::int(
                        "__int128",
                        16,
                        true,
                        program.byte_order(),
                        program.language(),
                    ),
                    None => Type::int(
                        "unsigned __int128",
                        16,
                        false,
                        program.byte_order(),
                        program.language(),
                    ),
                }
            }
        };
        Self::from_number(program, ty, number, None)
    }

    /// An array of constant characters, as a string literal with its terminating zero is.
    pub(crate) fn from_text(program: &Arc<Program>, bytes: &[u8]) -> Result<Object> {
        let character = program
            .primitive_type(PrimitiveType::Char)?
            .qualified(Qualifiers::CONST);
        let ty = Type::array(character, Some(bytes.len() as u64), program.language());
        Object::from_bytes(program, ty, bytes, 0, None)
    }

    /// A value object of type `ty` made of plain values.
    pub fn from_literal(
        program: &Arc<Program>,
        ty: Type,
        literal: &Literal,
        bit_field_size: Option<u64>,
    ) -> Result<Object> {
        match literal {
            Literal::Bool(value) => Self::from_number(
                program,
                ty,
                Number::from(i128::from(*value)),
                bit_field_size,
            ),
            Literal::Number(Number::Float(value))
                if matches!(
                    Layout::of(&ty, bit_field_size)?.encoding,
                    Encoding::Signed | Encoding::Unsigned
                ) =>
            {
                Self::from_number(program, ty, truncated(*value)?, bit_field_size)
            }
            Literal::Number(number) => Self::from_number(program, ty, *number, bit_field_size),
            Literal::Other => match Layout::of(&ty, bit_field_size)?.encoding {
                Encoding::None => Err(no_value_of(&ty)),
                _ => Err(must_be(&ty, value_of(ty.unaliased_kind()?))),
            },
            Literal::WideInteger { bytes, is_signed } if super::number::is_wide_integer(&ty)? => {
                let is_negative = *is_signed && bytes.last().is_some_and(|last| last >> 7 == 1);
                super::number::from_wide(program, ty, bytes, is_negative)
            }
            Literal::WideInteger { bytes, .. } => {
                let mut low = [0; 16];
                for (to, from) in low.iter_mut().zip(bytes) {
                    *to = *from;
                }
                let number = Number::Integer {
                    bits: u128::from_le_bytes(low),
                    is_negative: false,
                };
                Self::from_number(program, ty, number, bit_field_size)
            }
            Literal::Object(object) => {
                let layout = Layout::of(&ty, bit_field_size)?;
                let to = ty.unaliased_kind()?;
                if layout.encoding == Encoding::None {
                    return Err(no_value_of(&ty));
                }
                if to == TypeKind::Array || to.is_compound() {
                    return same_value(program, ty, object);
                }
                let is_convertible = match object.ty().unaliased_kind()? {
                    TypeKind::Int | TypeKind::Bool | TypeKind::Enum | TypeKind::Float => true,
                    TypeKind::Pointer => to != TypeKind::Float,
                    _ => false,
                };
                if !is_convertible {
                    return Err(Error::Type(format!(
                        "cannot convert '{}' to {}",
                        object.ty().type_name()?,
                        if to == TypeKind::Float {
                            "float"
                        } else {
                            "int"
                        }
                    )));
                }
                match object.number()? {
                    number @ Number::Float(_) => {
                        Self::from_literal(program, ty, &Literal::Number(number), bit_field_size)
                    }
                    number => Self::from_number(program, ty, number, bit_field_size),
                }
            }
            Literal::List(_) | Literal::Map(_) => {
                let layout = Layout::of(&ty, bit_field_size)?;
                if layout.encoding == Encoding::None {
                    return Err(no_value_of(&ty));
                }
                if layout.encoding != Encoding::Bytes {
                    return Err(must_be(&ty, "number"));
                }
                let size = usize::try_from(layout.bits / 8)
                    .ok()
                    .filter(|size| *size as u64 <= super::MAX_VALUE_SIZE)
                    .ok_or_else(|| Error::Overflow("the value is too large".to_owned()))?;
                let mut buffer = vec![0; size];
                fill(program, &ty, literal, &mut buffer, 0)?;
                Ok(Self::with_value(
                    program,
                    ty,
                    None,
                    Value::Bytes(buffer.into()),
                ))
            }
        }
    }

    /// The value in plain form: numbers, lists and maps.
    pub fn value(&self) -> Result<Literal> {
        if let Place::Partial(_) = self.place {
            return Err(Self::partly_absent());
        }
        self.value_with_absent_parts()
    }

    /// Like [`Object::value`]; parts that are not known are objects without a value.
    pub(super) fn value_with_absent_parts(&self) -> Result<Literal> {
        let mut budget = MAX_ITEMS;
        plain(self, &mut budget, 0)
    }
}

/// The integer that Python's `int()` makes of a number, modulo 2^128.
pub(super) fn truncated(value: f64) -> Result<Number> {
    if value.is_nan() {
        return Err(Error::Value(
            "cannot convert float NaN to integer".to_owned(),
        ));
    }
    if value.is_infinite() {
        return Err(Error::Overflow(
            "cannot convert float infinity to integer".to_owned(),
        ));
    }
    let bits = value.abs().to_bits();
    let exponent = (bits >> 52) as u32;
    let fraction = u128::from(bits & ((1 << 52) - 1));
    // Below 2^53 the fraction is cut off; above, the number is a multiple of a power of two.
    let magnitude = if exponent < 1023 + 53 {
        value.abs() as u128
    } else {
        (fraction | 1 << 52)
            .checked_shl(exponent - 1023 - 52)
            .unwrap_or(0)
    };
    Ok(Number::Integer {
        bits: if value < 0.0 {
            magnitude.wrapping_neg()
        } else {
            magnitude
        },
        is_negative: value <= -1.0,
    })
}

/// Writes plain values of type `ty` into the buffer of the object that holds them.
fn fill(
    program: &Arc<Program>,
    ty: &Type,
    literal: &Literal,
    buffer: &mut [u8],
    bit_offset: u64,
) -> Result<()> {
    let real = ty.unaliased()?;
    match (real.kind(), literal) {
        (TypeKind::Array, Literal::List(items)) => {
            let element = real.target()?.unwrap_or_else(|| program.void_type());
            let size = element.size()?.saturating_mul(8);
            let length = real.length().unwrap_or(0);
            for (index, item) in items.iter().enumerate() {
                if index as u64 >= length {
                    return Err(Error::Value("too many items in array value".to_owned()));
                }
                fill(
                    program,
                    &element,
                    item,
                    buffer,
                    bit_offset.saturating_add((index as u64).saturating_mul(size)),
                )?;
            }
            Ok(())
        }
        (TypeKind::Struct | TypeKind::Union | TypeKind::Class, Literal::Map(items)) => {
            for (name, item) in items {
                let Some(member) = real.find_member(name)? else {
                    return Err(Error::Lookup(format!(
                        "'{}' has no member '{name}'",
                        real.unqualified().type_name()?
                    )));
                };
                let position = bit_offset.saturating_add(member.bit_offset);
                match item {
                    Literal::List(_) | Literal::Map(_) => {
                        fill(program, &member.ty, item, buffer, position)?;
                    }
                    _ => {
                        store(
                            program,
                            &member.ty,
                            item,
                            member.bit_field_size,
                            buffer,
                            position,
                        )?;
                    }
                }
            }
            Ok(())
        }
        (TypeKind::Array, Literal::Map(_)) => Err(must_be(ty, "iterable")),
        (TypeKind::Struct | TypeKind::Union | TypeKind::Class, Literal::List(_)) => {
            Err(must_be(ty, "dictionary or mapping"))
        }
        (_, Literal::List(_) | Literal::Map(_)) => Err(must_be(ty, "number")),
        _ => store(program, ty, literal, None, buffer, bit_offset),
    }
}

/// The value of a structure or an array of the same type.
fn same_value(program: &Arc<Program>, ty: Type, object: &Object) -> Result<Object> {
    let kind = ty.unaliased_kind()?;
    if !are_compatible(&ty, object.ty(), 0)? {
        return Err(must_be(&ty, value_of(kind)));
    }
    let value = object.load()?;
    Ok(Object::with_value(program, ty, None, value))
}

/// What the value of a type of this kind is made of.
pub(super) fn value_of(kind: TypeKind) -> &'static str {
    match kind {
        TypeKind::Struct | TypeKind::Union | TypeKind::Class => "dictionary or mapping",
        TypeKind::Array => "iterable",
        _ => "number",
    }
}

fn no_value_of(ty: &Type) -> Error {
    Error::Type(format!("cannot create value with {}", ty.kind_article()))
}

pub(super) fn must_be(ty: &Type, what: &str) -> Error {
    match ty.type_name() {
        Ok(name) => Error::Type(format!("'{name}' value must be {what}")),
        Err(error) => error,
    }
}

fn store(
    program: &Arc<Program>,
    ty: &Type,
    literal: &Literal,
    bit_field_size: Option<u64>,
    buffer: &mut [u8],
    bit_offset: u64,
) -> Result<()> {
    let object = Object::from_literal(program, ty.clone(), literal, bit_field_size)?;
    let layout = object.layout()?;
    bits::store(&layout, &object.load_as(&layout)?, buffer, bit_offset)
}

fn plain(object: &Object, budget: &mut u64, depth: usize) -> Result<Literal> {
    if depth > MAX_NESTING {
        return Err(too_deep("values"));
    }
    *budget = budget.checked_sub(1).ok_or_else(|| {
        Error::Overflow("the object has too many parts to be taken at once".into())
    })?;
    if let (Place::Absent(_), 1..) = (&object.place, depth) {
        return Ok(Literal::Object(object.clone()));
    }
    let real = object.ty().unaliased()?;
    match real.kind() {
        TypeKind::Struct | TypeKind::Union | TypeKind::Class if real.is_complete()? => {
            let object = object.read()?;
            let mut members = Vec::new();
            plain_members(&object, &real, &mut members, budget, depth)?;
            Ok(Literal::Map(members))
        }
        TypeKind::Array if real.length().is_some() => {
            let object = object.read()?;
            (0..real.length().unwrap_or(0))
                .map(|index| plain(&object.subscript(index as i64)?, budget, depth + 1))
                .collect::<Result<_>>()
                .map(Literal::List)
        }
        kind => {
            let layout = object.layout()?;
            let value = object.load_as(&layout)?;
            match object.number_of(&value, &layout)? {
                Some(number) if kind == TypeKind::Bool => Ok(Literal::Bool(!number.is_zero())),
                Some(number) => Ok(Literal::Number(number)),
                None => match value {
                    Value::Bytes(bytes) => {
                        let mut bytes = bytes.to_vec();
                        if layout.byte_order == kdive_target::ByteOrder::Big {
                            bytes.reverse();
                        }
                        Ok(Literal::WideInteger {
                            bytes,
                            is_signed: real.is_signed() == Some(true),
                        })
                    }
                    _ => Err(Error::Type(format!(
                        "cannot read object with {}",
                        object.ty().kind_article()
                    ))),
                },
            }
        }
    }
}

/// The members of a structure; those of anonymous ones and of base classes are its own.
fn plain_members(
    object: &Object,
    real: &Type,
    found: &mut Vec<(Arc<str>, Literal)>,
    budget: &mut u64,
    depth: usize,
) -> Result<()> {
    if depth > MAX_NESTING {
        return Err(too_deep("values"));
    }
    for member in real.members()?.unwrap_or(&[]) {
        let ty = member.ty()?;
        if ty.unaliased_kind()? == TypeKind::Array && !ty.is_complete()? {
            continue;
        }
        let part = object.part(ty, member.bit_offset, member.bit_field_size()?)?;
        match &member.name {
            Some(name) if !member.is_base_class => {
                found.push((name.clone(), plain(&part, budget, depth + 1)?));
            }
            _ => {
                let nested = part.ty().unaliased()?;
                *budget = budget.saturating_sub(1);
                if *budget == 0 {
                    return Err(Error::Overflow(
                        "the object has too many members".to_owned(),
                    ));
                }
                plain_members(&part, &nested, found, budget, depth + 1)?;
            }
        }
    }
    Ok(())
}
