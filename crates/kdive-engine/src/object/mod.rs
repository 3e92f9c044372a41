//! Objects: values of a program with their types, and what C does with them.
//!
//! An object is a value, a reference to a value in the target's memory, a value of which parts are
//! known, or absent. Types live
//! in [`crate::types`]; where bytes come from is [`crate::program`]'s matter.

mod access;
mod arithmetic;
mod bits;
mod convert;
pub(crate) mod expression;
mod format;
mod literal;
mod number;
mod operator;
mod partial;
mod repr;
mod wide_float;
mod word;

use std::sync::Arc;

pub use arithmetic::Comparison;
pub use convert::{cast, container_of, implicit_convert, reinterpret};
pub use format::{FormatFlags, FormatOptions};
pub use kdive_debuginfo::description::AbsenceReason;
use kdive_target::{AddressSpace, ByteOrder};
pub use literal::Literal;
pub use number::Number;
pub use operator::{BinaryOperator, UnaryOperator};
pub use partial::PartialValue;
pub use wide_float::WideFloat;
pub use word::{Computed, Word};

use crate::program::Program;
use crate::types::{Type, TypeKind};
use crate::{Error, Result};

/// A value, a reference, or nothing, with its type.
#[derive(Clone)]
pub struct Object {
    pub(crate) program: Arc<Program>,
    pub(crate) ty: Type,
    pub(crate) bit_field_size: Option<u64>,
    pub(crate) place: Place,
}

/// Where the value of an object is.
#[derive(Clone, Debug)]
pub enum Place {
    /// In kdive's own memory.
    Value(Value),
    /// In the target's memory.
    Reference {
        /// The address of the byte with the first bit.
        address: u64,
        /// The first bit within that byte, counted in the object's byte order.
        bit_offset: u64,
    },
    /// In kdive's own memory, as far as it is known.
    Partial(Arc<PartialValue>),
    /// Nowhere.
    Absent(AbsenceReason),
}

/// A value that was read or computed.
#[derive(Clone, Debug)]
pub enum Value {
    /// An integer, truth value, enumerator or pointer of up to 128 bits: its bits, with zeros
    /// above them.
    Integer(u128),
    /// A floating-point number of at most 64 bits.
    Float(f64),
    /// The bytes of anything else, in the target's byte order. A value of fewer bits than
    /// its bytes starts at the first bit.
    Bytes(Arc<[u8]>),
}

/// The largest value that is copied out of the target at once, in bytes.
pub const MAX_VALUE_SIZE: u64 = 1 << 32;

/// How the bits of a value are to be understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Encoding {
    Signed,
    Unsigned,
    Bool,
    Float,
    /// Structures, arrays, and numbers that are too wide for the encodings above.
    Bytes,
    /// Types without values: `void`, functions, incomplete types.
    None,
}

/// What must be known of a type to read and write its values.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Layout {
    pub(crate) encoding: Encoding,
    pub(crate) bits: u64,
    pub(crate) byte_order: ByteOrder,
}

impl Layout {
    #[inline]
    pub(crate) fn of(ty: &Type, bit_field_size: Option<u64>) -> Result<Layout> {
        let layout = ty.layout()?;
        match bit_field_size {
            None => Ok(layout),
            Some(0) => Err(Error::Value("bit field size cannot be zero".to_owned())),
            Some(size) => match layout.encoding {
                Encoding::Signed | Encoding::Unsigned | Encoding::Bool
                    if ty.unaliased_kind()? != TypeKind::Pointer =>
                {
                    layout.of_bit_field(size)
                }
                _ => Err(Error::Value("bit field must be integer".to_owned())),
            },
        }
    }

    fn of_bit_field(self, size: u64) -> Result<Layout> {
        if size > self.bits {
            return Err(Error::Value(
                "bit field size is larger than type size".to_owned(),
            ));
        }
        Ok(Layout { bits: size, ..self })
    }

    /// The layout of a type that is no alias; [`Type::layout`] keeps it.
    pub(crate) fn work_out(real: &Type) -> Result<Layout> {
        let integer;
        let (encoding, number) = match real.kind() {
            TypeKind::Int if real.is_signed() == Some(true) => (Encoding::Signed, real),
            TypeKind::Int | TypeKind::Pointer => (Encoding::Unsigned, real),
            TypeKind::Bool => (Encoding::Bool, real),
            TypeKind::Float => (Encoding::Float, real),
            TypeKind::Enum => match real.target()? {
                None => return Ok(Layout::nothing()),
                Some(target) => {
                    integer = target.unaliased()?;
                    let encoding = if integer.is_signed() == Some(true) {
                        Encoding::Signed
                    } else {
                        Encoding::Unsigned
                    };
                    (encoding, &integer)
                }
            },
            TypeKind::Void | TypeKind::Function => return Ok(Layout::nothing()),
            TypeKind::Array if real.length().is_none() => return Ok(Layout::nothing()),
            _ => {
                if !real.is_complete()? {
                    return Ok(Layout::nothing());
                }
                (Encoding::Bytes, real)
            }
        };
        let byte_order = number.byte_order();
        let bits = number.size()?.checked_mul(8).ok_or_else(|| {
            Error::Overflow("the object is too large to be addressed in bits".to_owned())
        })?;
        let encoding = match encoding {
            Encoding::Float if !matches!(bits, 16 | 32 | 64) => Encoding::Bytes,
            Encoding::Signed | Encoding::Unsigned | Encoding::Bool if bits > 128 => Encoding::Bytes,
            encoding => encoding,
        };
        Ok(Layout {
            encoding,
            bits,
            byte_order,
        })
    }

    /// Refuses a structure, an array or a function that does not start at a byte.
    pub(crate) fn check_alignment(ty: &Type, bit_offset: u64) -> Result<()> {
        if bit_offset.is_multiple_of(8) {
            return Ok(());
        }
        let real = ty.unaliased()?;
        let is_scalar = match real.kind() {
            TypeKind::Int | TypeKind::Bool | TypeKind::Float | TypeKind::Pointer => true,
            TypeKind::Enum => real.is_complete()?,
            _ => false,
        };
        if is_scalar {
            Ok(())
        } else {
            Err(Error::Value("non-scalar must be byte-aligned".to_owned()))
        }
    }

    const fn nothing() -> Layout {
        Layout {
            encoding: Encoding::None,
            bits: 0,
            byte_order: ByteOrder::HOST,
        }
    }
}

impl Object {
    /// A reference to a value of type `ty` in the target's memory.
    pub fn reference(
        program: &Arc<Program>,
        ty: Type,
        address: u64,
        bit_offset: u64,
        bit_field_size: Option<u64>,
    ) -> Result<Object> {
        if bit_field_size.is_some() {
            Layout::of(&ty, bit_field_size)?;
        }
        Layout::check_alignment(&ty, bit_offset)?;
        Ok(Self::reference_unchecked(
            program,
            ty,
            address.wrapping_add(bit_offset / 8),
            bit_offset % 8,
            bit_field_size,
        ))
    }

    /// Like [`Object::reference`], for a bit offset and a bit-field size that come from a member:
    /// an offset of more than half of all bits is a negative one.
    #[inline(always)]
    #[allow(clippy::inline_always, reason = "see kdive_engine::object::access")]
    pub(crate) fn reference_unchecked(
        program: &Arc<Program>,
        ty: Type,
        address: u64,
        bit_offset: u64,
        bit_field_size: Option<u64>,
    ) -> Object {
        let address = address.wrapping_add((bit_offset.cast_signed() >> 3).cast_unsigned())
            & program.address_mask();
        Object {
            program: program.clone(),
            ty,
            bit_field_size,
            place: Place::Reference {
                address,
                bit_offset: bit_offset % 8,
            },
        }
    }

    /// An object without a value.
    pub fn absent(
        program: &Arc<Program>,
        ty: Type,
        reason: AbsenceReason,
        bit_field_size: Option<u64>,
    ) -> Result<Object> {
        if bit_field_size.is_some() {
            Layout::of(&ty, bit_field_size)?;
        }
        Ok(Self::with_value_place(
            program,
            ty,
            bit_field_size,
            Place::Absent(reason),
        ))
    }

    /// A value out of `bytes`, from the bit `bit_offset` on.
    pub fn from_bytes(
        program: &Arc<Program>,
        ty: Type,
        bytes: &[u8],
        bit_offset: u64,
        bit_field_size: Option<u64>,
    ) -> Result<Object> {
        let layout = Layout::of(&ty, bit_field_size)?;
        if layout.encoding != Encoding::None {
            Layout::check_alignment(&ty, bit_offset)?;
        }
        let value = bits::decode(&layout, bytes, bit_offset)?.ok_or_else(|| {
            Error::Type(format!("cannot create object with {}", ty.kind_article()))
        })?;
        Ok(Self::with_value(program, ty, bit_field_size, value))
    }

    /// An integer, truth value, enumerator, pointer or floating-point number; an integer is
    /// truncated to its type.
    pub fn from_integer(program: &Arc<Program>, ty: Type, value: i128) -> Result<Object> {
        Self::from_number(
            program,
            ty,
            Number::Integer {
                bits: value as u128,
                is_negative: value < 0,
            },
            None,
        )
    }

    #[inline]
    pub(crate) fn with_value(
        program: &Arc<Program>,
        ty: Type,
        bit_field_size: Option<u64>,
        value: Value,
    ) -> Object {
        Self::with_value_place(program, ty, bit_field_size, Place::Value(value))
    }

    #[inline]
    fn with_value_place(
        program: &Arc<Program>,
        ty: Type,
        bit_field_size: Option<u64>,
        place: Place,
    ) -> Object {
        Object {
            program: program.clone(),
            ty,
            bit_field_size,
            place,
        }
    }

    /// The program that the object belongs to.
    pub fn program(&self) -> &Arc<Program> {
        &self.program
    }

    /// The type.
    pub fn ty(&self) -> &Type {
        &self.ty
    }

    /// The size of a bit field in bits.
    pub fn bit_field_size(&self) -> Option<u64> {
        self.bit_field_size
    }

    /// Where the value is.
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// The address of a reference.
    pub fn address(&self) -> Option<u64> {
        match self.place {
            Place::Reference { address, .. } => Some(address),
            _ => None,
        }
    }

    /// The first bit of a reference within the byte at its address.
    pub fn bit_offset(&self) -> Option<u8> {
        match self.place {
            Place::Reference { bit_offset, .. } => Some(bit_offset as u8),
            _ => None,
        }
    }

    /// Why the object has no value.
    pub fn absence_reason(&self) -> Option<AbsenceReason> {
        match self.place {
            Place::Absent(reason) => Some(reason),
            _ => None,
        }
    }

    #[inline]
    pub(crate) fn layout(&self) -> Result<Layout> {
        Layout::of(&self.ty, self.bit_field_size)
    }

    /// The value: what a value object holds, or what a reference's memory holds now.
    pub(crate) fn load(&self) -> Result<Value> {
        self.load_as(&self.layout()?)
    }

    /// The value, where the layout is already known.
    pub(crate) fn load_as(&self, layout: &Layout) -> Result<Value> {
        match &self.place {
            Place::Value(value) => Ok(value.clone()),
            Place::Absent(_) => Err(Error::Absent("object absent".to_owned())),
            Place::Partial(_) => Err(Self::partly_absent()),
            Place::Reference {
                address,
                bit_offset,
            } => {
                let bit_offset = *bit_offset;
                let no_value = || {
                    Error::Type(format!(
                        "cannot read object with {}",
                        self.ty.kind_article()
                    ))
                };
                let size = layout.bits.saturating_add(bit_offset).div_ceil(8);
                // Numbers fit into a small buffer: no allocation on the most frequent path.
                let mut small = [0; 17];
                if let Some(buffer) = small.get_mut(..size as usize)
                    && size < 18
                {
                    self.program.read(AddressSpace::Virtual, *address, buffer)?;
                    return bits::decode(layout, buffer, bit_offset)?.ok_or_else(no_value);
                }
                if size > MAX_VALUE_SIZE {
                    return Err(Error::Overflow(format!(
                        "an object of {size} bytes is too large to be read at once"
                    )));
                }
                let buffer = self
                    .program
                    .read_bytes(AddressSpace::Virtual, *address, size)?;
                bits::decode(layout, &buffer, bit_offset)?.ok_or_else(no_value)
            }
        }
    }

    /// This object as a value, so that it no longer follows the target's memory.
    pub fn read(&self) -> Result<Object> {
        if let Place::Value(_) | Place::Partial(_) = self.place {
            return Ok(self.clone());
        }
        let value = self.load()?;
        Ok(Self::with_value(
            &self.program,
            self.ty.clone(),
            self.bit_field_size,
            value,
        ))
    }

    /// The bytes of the value as they are in the target's memory; a bit field starts at the
    /// first bit.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        let layout = self.layout()?;
        bits::encode(&layout, &self.load_as(&layout)?)
    }
}
