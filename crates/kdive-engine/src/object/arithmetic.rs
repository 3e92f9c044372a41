//! C's operators: promotions, common types, arithmetic, comparison.

use std::borrow::Cow;
use std::cmp::Ordering;

use super::convert::decayed_type;
use super::operator::{integers, shifted};
use super::wide_float::{Precision, WideFloat};
use super::word::step;
use super::{BinaryOperator, Encoding, Layout, Number, Object, Place, UnaryOperator, Value};
use crate::types::{PrimitiveType, Qualifiers, Type, TypeKind};
use crate::{Error, Result};

/// The outcome of comparing two objects; none if one of them is not a number.
pub type Comparison = Option<Ordering>;

/// A type as C's conversions see it.
struct Operand<'a> {
    /// An alias is kept, so that results keep the name.
    ty: Cow<'a, Type>,
    /// The kind of the type behind aliases; of an array or function, that of its address.
    kind: TypeKind,
    primitive: Option<PrimitiveType>,
    /// How values of the type are laid out, bit fields aside.
    layout: Layout,
    bit_field_size: Option<u64>,
}

impl<'a> Operand<'a> {
    fn of(object: &'a Object) -> Result<Self> {
        let real = object.ty.real()?;
        if matches!(real.kind(), TypeKind::Array | TypeKind::Function) {
            return Self::plain(Cow::Owned(decayed_type(object)?));
        }
        let operand = Self::plain(Cow::Borrowed(&object.ty))?;
        // To GCC a bit field of all bits is like any other member.
        let bit_field_size = object
            .bit_field_size
            .filter(|size| *size != operand.layout.bits);
        Ok(Self {
            bit_field_size,
            ..operand
        })
    }

    fn plain(ty: Cow<'a, Type>) -> Result<Self> {
        let real = ty.real()?;
        let kind = real.kind();
        let primitive = real.primitive();
        let layout = if kind.is_compound() {
            Layout::nothing()
        } else {
            real.layout()?
        };
        Ok(Self {
            ty,
            kind,
            primitive,
            layout,
            bit_field_size: None,
        })
    }

    fn of_primitive(object: &Object, primitive: PrimitiveType) -> Result<Self> {
        Self::plain(Cow::Owned(object.program.primitive_type(primitive)?))
    }

    fn is_pointer(&self) -> bool {
        self.kind == TypeKind::Pointer
    }

    fn is_float(&self) -> bool {
        self.kind == TypeKind::Float
    }

    fn is_integer(&self) -> bool {
        match self.kind {
            TypeKind::Int | TypeKind::Bool => true,
            TypeKind::Enum => self.layout.encoding != Encoding::None,
            _ => false,
        }
    }

    fn is_arithmetic(&self) -> bool {
        self.is_integer() || self.is_float()
    }

    fn is_signed(&self) -> bool {
        self.layout.encoding == Encoding::Signed
    }

    /// The number of bits that an integer has.
    fn width(&self) -> u64 {
        self.bit_field_size.unwrap_or(self.layout.bits)
    }

    /// Orders integers by C's conversion rank: wider ones first of all, then bit fields, then
    /// integers that the implementation adds, then the standard ones.
    fn rank(&self) -> (u64, u8, u8) {
        let class = match (self.bit_field_size, self.primitive) {
            (Some(_), _) => 0,
            (None, None) => 1,
            (None, Some(_)) => 2,
        };
        let rank = self.primitive.and_then(PrimitiveType::rank).unwrap_or(0);
        (self.width(), class, rank)
    }

    /// What the type points to.
    fn target(&self) -> Result<Option<Type>> {
        self.ty.real()?.target()
    }

    /// The type of a result.
    fn into_type(self) -> Type {
        match self.ty {
            Cow::Borrowed(ty) => ty.unqualified(),
            Cow::Owned(mut ty) => {
                ty.qualifiers = Qualifiers::empty();
                ty
            }
        }
    }

    /// C's integer promotion, with GCC's rule for wide bit fields.
    fn promote(self, object: &Object) -> Result<Self> {
        // Most operands have one of the types that promotion leaves alone.
        let rank = self.primitive.and_then(PrimitiveType::rank);
        if self.is_float() || self.bit_field_size.is_none() && rank >= PrimitiveType::Int.rank() {
            return Ok(self);
        }
        let int = Self::of_primitive(object, PrimitiveType::Int)?;
        let promoted = match self.kind {
            TypeKind::Bool => return Ok(int),
            TypeKind::Enum => {
                let integer = self.target()?.map_or_else(|| int.ty.clone(), Cow::Owned);
                Self {
                    bit_field_size: self.bit_field_size,
                    ..Self::plain(integer)?
                }
            }
            _ => self,
        };
        if promoted.rank() >= int.rank()
            && promoted.width() >= int.width()
            && !(promoted.bit_field_size.is_some() && promoted.width() == int.width())
        {
            return Ok(promoted);
        }
        let fits = promoted.width() < int.width()
            || promoted.width() == int.width() && promoted.is_signed();
        if fits {
            Ok(int)
        } else if promoted.width() > int.width() {
            Ok(promoted)
        } else {
            Self::of_primitive(object, PrimitiveType::UnsignedInt)
        }
    }
}

/// The type in which two numbers are computed: C's usual arithmetic conversions.
fn common_type<'a>(
    left: &Object,
    right: &Object,
    l: Operand<'a>,
    r: Operand<'a>,
) -> Result<Operand<'a>> {
    match (l.is_float(), r.is_float()) {
        (true, true) => {
            let rank = |operand: &Operand| (operand.layout.bits, operand.primitive);
            return Ok(if rank(&l) > rank(&r) { l } else { r });
        }
        (true, false) => return Ok(l),
        (false, true) => return Ok(r),
        (false, false) => {}
    }
    let (l, r) = (l.promote(left)?, r.promote(right)?);
    let (l_rank, r_rank) = (l.rank(), r.rank());
    if l.is_signed() == r.is_signed() {
        return Ok(if l_rank > r_rank { l } else { r });
    }
    let ((signed, signed_rank), (unsigned, unsigned_rank)) = if l.is_signed() {
        ((l, l_rank), (r, r_rank))
    } else {
        ((r, r_rank), (l, l_rank))
    };
    if unsigned_rank >= signed_rank {
        return Ok(unsigned);
    }
    if signed.width() > unsigned.width() {
        return Ok(signed);
    }
    // The signed type has the higher rank and can't hold every unsigned value.
    match signed.primitive {
        Some(PrimitiveType::Long) => Operand::of_primitive(left, PrimitiveType::UnsignedLong),
        Some(PrimitiveType::LongLong) => {
            Operand::of_primitive(left, PrimitiveType::UnsignedLongLong)
        }
        Some(PrimitiveType::Int) => Operand::of_primitive(left, PrimitiveType::UnsignedInt),
        _ => Ok(unsigned),
    }
}

/// A value of the common type, as bits or as a floating-point number.
fn converted(object: &Object, to: &Operand) -> Result<Number> {
    let number = object.number()?;
    if to.is_float() {
        let size = to.layout.bits / 8;
        if size > 8 {
            let precision = Precision::of(size, object.program.architecture())?;
            return Ok(Number::Wide(WideFloat::of(number, precision)));
        }
        let value = number.to_f64();
        let is_single = size == 4;
        return Ok(Number::Float(if is_single {
            f64::from(value as f32)
        } else {
            value
        }));
    }
    let layout = match to.bit_field_size {
        None => to.layout,
        Some(size) => to.layout.of_bit_field(size)?,
    };
    if layout.encoding == Encoding::Bytes {
        return Err(Error::Unsupported(
            "operations on integers of more than 128 bits are not supported".to_owned(),
        ));
    }
    let value = number
        .to_value(&layout)
        .unwrap_or(Value::Integer(number.to_bits()));
    Ok(Number::of_value(&value, &layout).unwrap_or(number))
}

impl Object {
    /// Computes `self operator other` as C does; integers wrap, and shifts by at least the width
    /// shift everything out.
    pub fn binary(&self, operator: BinaryOperator, other: &Object) -> Result<Object> {
        if let Some(result) = self.binary_word(operator, other)? {
            return Ok(result.into_object(&self.program));
        }
        let (l, r) = (Operand::of(self)?, Operand::of(other)?);
        let names = (l.ty.unqualified(), r.ty.unqualified());
        let invalid = || -> Error {
            match (names.0.type_name(), names.1.type_name()) {
                (Ok(left), Ok(right)) => Error::Type(format!(
                    "invalid operands to binary {} ('{left}' and '{right}')",
                    operator.symbol()
                )),
                (Err(error), _) | (_, Err(error)) => error,
            }
        };
        match operator {
            BinaryOperator::Add if l.is_pointer() && r.is_integer() => {
                return self.move_pointer(l, other, false);
            }
            BinaryOperator::Add if l.is_integer() && r.is_pointer() => {
                return other.move_pointer(r, self, false);
            }
            BinaryOperator::Subtract if l.is_pointer() && r.is_integer() => {
                return self.move_pointer(l, other, true);
            }
            BinaryOperator::Subtract if l.is_pointer() && r.is_pointer() => {
                return self.pointer_difference(&l, other, &r)?.ok_or_else(invalid);
            }
            BinaryOperator::ShiftLeft | BinaryOperator::ShiftRight => {
                if !(l.is_integer() && r.is_integer()) {
                    return Err(invalid());
                }
                return self.shift(operator, l, other);
            }
            _ => {}
        }
        if !(l.is_arithmetic() && r.is_arithmetic()) {
            return Err(invalid());
        }
        if (l.is_float() || r.is_float()) && !operator.takes_floats() {
            return Err(invalid());
        }
        let common = common_type(self, other, l, r)?;
        let result = compute(
            operator,
            converted(self, &common)?,
            converted(other, &common)?,
        )?;
        let bit_field_size = common.bit_field_size;
        Object::from_number(&self.program, common.into_type(), result, bit_field_size)
    }

    fn shift(&self, operator: BinaryOperator, l: Operand, count: &Object) -> Result<Object> {
        let promoted = l.promote(self)?;
        let width = promoted.width();
        let count = match count.number()? {
            Number::Integer {
                is_negative: true, ..
            } => {
                return Err(Error::Value("negative shift count".to_owned()));
            }
            number => number.to_bits(),
        };
        let value = converted(self, &promoted)?;
        let (Number::Integer { bits, is_negative }, true) = (value, width <= 128) else {
            return Err(Error::Unsupported(
                "operations on integers of more than 128 bits are not supported".to_owned(),
            ));
        };
        let result = Number::Integer {
            bits: shifted(operator, bits, width, promoted.is_signed(), count),
            is_negative,
        };
        let bit_field_size = promoted.bit_field_size;
        Object::from_number(&self.program, promoted.into_type(), result, bit_field_size)
    }

    fn move_pointer(&self, l: Operand, index: &Object, backwards: bool) -> Result<Object> {
        let offset = (index.number()?.to_bits() as u64).wrapping_mul(step(l.ty.real()?)?);
        let start = self.decayed_value()?;
        let address = if backwards {
            start.wrapping_sub(offset)
        } else {
            start.wrapping_add(offset)
        };
        Object::from_number(&self.program, l.into_type(), Number::from(address), None)
    }

    fn decayed_value(&self) -> Result<u64> {
        match (self.ty.real()?.kind(), &self.place) {
            (TypeKind::Array | TypeKind::Function, Place::Value(_) | Place::Partial(_)) => {
                Err(Error::Value("cannot get address of value".to_owned()))
            }
            (TypeKind::Array | TypeKind::Function, Place::Reference { address, .. }) => {
                Ok(*address)
            }
            _ => Ok(self.number()?.to_bits() as u64),
        }
    }

    fn pointer_difference(
        &self,
        l: &Operand,
        other: &Object,
        r: &Operand,
    ) -> Result<Option<Object>> {
        let size = step(l.ty.real()?)?;
        if size != step(r.ty.real()?)? || size == 0 {
            return Ok(None);
        }
        let (Some(left), Some(right)) = (l.target()?, r.target()?) else {
            return Ok(None);
        };
        if !super::convert::are_compatible(&left, &right, 0)? {
            return Ok(None);
        }
        let difference = self.decayed_value()?.wrapping_sub(other.decayed_value()?) as i64;
        let elements = i128::from(difference) / i128::from(size);
        let ty = self.program.primitive_type(PrimitiveType::PtrdiffT)?;
        Object::from_integer(&self.program, ty, elements).map(Some)
    }

    /// Computes `operator self`.
    pub fn unary(&self, operator: UnaryOperator) -> Result<Object> {
        if let Some(result) = self.unary_word(operator)? {
            return Ok(result.into_object(&self.program));
        }
        let operand = Operand::of(self)?;
        let is_valid = match operator {
            UnaryOperator::Not => operand.is_integer(),
            _ => operand.is_arithmetic(),
        };
        if !is_valid {
            return Err(Error::Type(format!(
                "invalid operand to unary {} ('{}')",
                operator.symbol(),
                operand.ty.unqualified().type_name()?
            )));
        }
        let promoted = operand.promote(self)?;
        let result = match (operator, converted(self, &promoted)?) {
            (UnaryOperator::Plus, number) => number,
            (UnaryOperator::Minus, Number::Float(value)) => Number::Float(-value),
            (UnaryOperator::Minus, Number::Wide(value)) => Number::Wide(value.negated()),
            (UnaryOperator::Minus, Number::Integer { bits, .. }) => Number::Integer {
                bits: bits.wrapping_neg(),
                is_negative: false,
            },
            (UnaryOperator::Not, number) => Number::Integer {
                bits: !number.to_bits(),
                is_negative: false,
            },
        };
        let bit_field_size = promoted.bit_field_size;
        Object::from_number(&self.program, promoted.into_type(), result, bit_field_size)
    }

    /// Compares as C does; none if one of the operands is not a number (NaN).
    pub fn compare(&self, other: &Object) -> Result<Comparison> {
        if let Some(ordering) = self.compare_word(other)? {
            return Ok(Some(ordering));
        }
        let (l, r) = (Operand::of(self)?, Operand::of(other)?);
        if l.is_pointer() && r.is_pointer() {
            return Ok(Some(self.decayed_value()?.cmp(&other.decayed_value()?)));
        }
        if !(l.is_arithmetic() && r.is_arithmetic()) {
            return Err(Error::Type(format!(
                "invalid operands to comparison ('{}' and '{}')",
                l.ty.unqualified().type_name()?,
                r.ty.unqualified().type_name()?
            )));
        }
        let common = common_type(self, other, l, r)?;
        Ok(
            match (converted(self, &common)?, converted(other, &common)?) {
                (
                    Number::Integer {
                        bits: left,
                        is_negative: left_negative,
                    },
                    Number::Integer {
                        bits: right,
                        is_negative: right_negative,
                    },
                ) => Some(if left_negative || right_negative {
                    (left as i128).cmp(&(right as i128))
                } else {
                    left.cmp(&right)
                }),
                (Number::Wide(left), right) => left.compare(right),
                (left, right) => left.to_f64().partial_cmp(&right.to_f64()),
            },
        )
    }
}

/// Computes in the common type; the caller cuts the result to its width.
fn compute(operator: BinaryOperator, left: Number, right: Number) -> Result<Number> {
    if let Number::Wide(left) = left {
        if operator == BinaryOperator::Divide && right.is_zero() {
            return Err(Error::DivisionByZero);
        }
        return left
            .compute(operator, right)
            .map(Number::Wide)
            .ok_or_else(|| {
                Error::Type(format!(
                    "floating-point numbers have no operator {}",
                    operator.symbol()
                ))
            });
    }
    if let (Number::Float(left), Number::Float(right)) = (left, right) {
        return Ok(Number::Float(match operator {
            BinaryOperator::Add => left + right,
            BinaryOperator::Subtract => left - right,
            BinaryOperator::Multiply => left * right,
            _ if right == 0.0 => return Err(Error::DivisionByZero),
            _ => left / right,
        }));
    }
    let is_negative = |number| {
        matches!(
            number,
            Number::Integer {
                is_negative: true,
                ..
            }
        )
    };
    let is_signed = is_negative(left) || is_negative(right);
    match integers(operator, left.to_bits(), right.to_bits(), is_signed) {
        Some(bits) => Ok(Number::Integer {
            bits,
            is_negative: false,
        }),
        None => Err(Error::DivisionByZero),
    }
}
