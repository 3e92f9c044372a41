//! Numbers as C computes with them, apart from any object.

use std::sync::Arc;

use kdive_target::ByteOrder;

use super::literal::{must_be, truncated, value_of};
use super::wide_float::{Precision, WideFloat};
use super::{Encoding, Layout, Object, Place, Value, Word, bits};
use crate::program::Program;
use crate::types::{Type, TypeKind};
use crate::{Error, Result};

/// A number that is not yet of a certain type.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Number {
    /// An integer modulo 2^128.
    Integer {
        /// Its bits, as two's complement.
        bits: u128,
        /// Whether it is negative.
        is_negative: bool,
    },
    /// A floating-point number of at most 64 bits.
    Float(f64),
    /// A floating-point number of more than 64 bits.
    Wide(WideFloat),
}

impl From<i128> for Number {
    fn from(value: i128) -> Self {
        Self::Integer {
            bits: value as u128,
            is_negative: value < 0,
        }
    }
}

impl From<u64> for Number {
    fn from(value: u64) -> Self {
        Self::Integer {
            bits: u128::from(value),
            is_negative: false,
        }
    }
}

impl From<Word> for Number {
    fn from(word: Word) -> Self {
        if word.is_signed {
            Self::from(i128::from(word.bits as i64))
        } else {
            Self::from(word.bits)
        }
    }
}

impl Number {
    /// The number as a floating-point number, rounded to the nearest.
    pub fn to_f64(self) -> f64 {
        match self {
            Self::Float(value) => value,
            Self::Wide(value) => value.to_f64(),
            Self::Integer {
                bits,
                is_negative: true,
            } => bits as i128 as f64,
            Self::Integer {
                bits,
                is_negative: false,
            } => bits as f64,
        }
    }

    /// The number as an integer, a fraction cut off; what does not fit wraps.
    pub fn to_bits(self) -> u128 {
        match self {
            Self::Integer { bits, .. } => bits,
            Self::Float(value) if value < 0.0 => value as i128 as u128,
            Self::Float(value) => value as u128,
            Self::Wide(value) => value.to_integer_bits(),
        }
    }

    /// The bits of an integer of a type; a floating-point number that it can't hold becomes the
    /// nearest one that it can.
    fn to_bits_of(self, layout: &Layout) -> u128 {
        let (Self::Float(value), 1..=128) = (self, layout.bits) else {
            return self.to_bits();
        };
        let largest = bits::low_bits(layout.bits as u32);
        if layout.encoding == Encoding::Signed {
            let largest = (largest >> 1) as i128;
            (value as i128).clamp(-largest - 1, largest) as u128
        } else {
            (value as u128).min(largest)
        }
    }

    /// Whether it is zero.
    pub fn is_zero(self) -> bool {
        match self {
            Self::Integer { bits, .. } => bits == 0,
            Self::Float(value) => value == 0.0,
            Self::Wide(value) => value.is_zero(),
        }
    }

    /// The value of a type with this layout that the number converts to.
    pub(crate) fn to_value(self, layout: &Layout) -> Option<Value> {
        match layout.encoding {
            Encoding::Signed | Encoding::Unsigned => Some(Value::Integer(
                self.to_bits_of(layout) & bits::low_bits(layout.bits as u32),
            )),
            Encoding::Bool => Some(Value::Integer(u128::from(!self.is_zero()))),
            Encoding::Float if layout.bits == 32 => {
                Some(Value::Float(f64::from(self.to_f64() as f32)))
            }
            Encoding::Float => Some(Value::Float(self.to_f64())),
            Encoding::Bytes | Encoding::None => None,
        }
    }

    /// The number that a value with this layout is; none if it is no number.
    pub(crate) fn of_value(value: &Value, layout: &Layout) -> Option<Number> {
        match (value, layout.encoding) {
            (Value::Float(value), _) => Some(Self::Float(*value)),
            (Value::Integer(bits), Encoding::Signed) => {
                let unused = 128 - layout.bits.clamp(1, 128) as u32;
                let value = (bits << unused) as i128 >> unused;
                Some(Self::from(value))
            }
            (Value::Integer(bits), _) => Some(Self::Integer {
                bits: *bits,
                is_negative: false,
            }),
            (Value::Bytes(_), _) => None,
        }
    }
}

/// The largest integer that is made, in bytes.
const MAX_INTEGER_SIZE: u64 = 1 << 16;

/// Whether a type is an integer of more bits than can be computed with.
pub(super) fn is_wide_integer(ty: &Type) -> Result<bool> {
    Ok(ty.layout()?.encoding == Encoding::Bytes
        && matches!(
            ty.unaliased_kind()?,
            TypeKind::Int | TypeKind::Bool | TypeKind::Enum
        ))
}

/// A wide integer of a number's bytes, the least significant first.
pub(super) fn from_wide(
    program: &Arc<Program>,
    ty: Type,
    number: &[u8],
    is_negative: bool,
) -> Result<Object> {
    let layout = ty.layout()?;
    let size = layout.bits / 8;
    if size > MAX_INTEGER_SIZE {
        return Err(Error::Overflow(format!(
            "integers of {size} bytes are too large to be made"
        )));
    }
    let mut bytes = vec![if is_negative { 0xff } else { 0 }; size as usize];
    for (to, from) in bytes.iter_mut().zip(number) {
        *to = *from;
    }
    if layout.byte_order == ByteOrder::Big {
        bytes.reverse();
    }
    Ok(Object::with_value(
        program,
        ty,
        None,
        Value::Bytes(bytes.into()),
    ))
}

impl Object {
    /// The value of a number, truth value, enumerator or pointer.
    pub fn number(&self) -> Result<Number> {
        if let Some(word) = self.word()? {
            return Ok(word.into());
        }
        let layout = self.layout()?;
        let number = match &self.place {
            Place::Value(value) => self.number_of(value, &layout)?,
            _ => self.number_of(&self.load_as(&layout)?, &layout)?,
        };
        match number {
            Some(number) => Ok(number),
            None if is_wide_integer(&self.ty)? => Err(Error::Unsupported(
                "operations on integers of more than 128 bits are not supported".to_owned(),
            )),
            None => {
                let name = self.type_name_or_kind();
                Err(Error::Type(format!("'{name}' is not a number")))
            }
        }
    }

    /// The number that a value of this object's type is; none if it is no number.
    pub(crate) fn number_of(&self, value: &Value, layout: &Layout) -> Result<Option<Number>> {
        match value {
            Value::Bytes(bytes) if self.ty.unaliased_kind()? == TypeKind::Float => {
                let precision = Precision::of(bytes.len() as u64, self.program.architecture())?;
                let number = WideFloat::from_bytes(bytes, layout.byte_order, precision);
                Ok(Some(Number::Wide(number)))
            }
            _ => Ok(Number::of_value(value, layout)),
        }
    }

    /// A number of a type, converted as C's assignment does.
    pub fn from_number(
        program: &Arc<Program>,
        ty: Type,
        number: Number,
        bit_field_size: Option<u64>,
    ) -> Result<Object> {
        let layout = Layout::of(&ty, bit_field_size)?;
        match number.to_value(&layout) {
            Some(value) => Ok(Self::with_value(program, ty, bit_field_size, value)),
            None if layout.encoding == Encoding::None => Err(Error::Type(format!(
                "cannot create value with {}",
                ty.kind_article()
            ))),
            None if ty.unaliased_kind()? == TypeKind::Float => {
                let size = layout.bits / 8;
                let precision = Precision::of(size, program.architecture())?;
                let bytes =
                    WideFloat::of(number, precision).to_bytes(size as usize, layout.byte_order);
                Ok(Self::with_value(
                    program,
                    ty,
                    None,
                    Value::Bytes(bytes.into()),
                ))
            }
            None if is_wide_integer(&ty)? => {
                let bits = match number {
                    Number::Float(value) => truncated(value)?.to_bits(),
                    number => number.to_bits(),
                };
                let is_negative = match number {
                    Number::Integer { is_negative, .. } => is_negative,
                    number => number.to_f64() <= -1.0,
                };
                from_wide(program, ty, &bits.to_le_bytes(), is_negative)
            }
            None => Err(must_be(&ty, value_of(ty.unaliased_kind()?))),
        }
    }

    pub(crate) fn type_name_or_kind(&self) -> String {
        self.ty
            .type_name()
            .unwrap_or_else(|_| self.ty.kind_article())
    }
}
