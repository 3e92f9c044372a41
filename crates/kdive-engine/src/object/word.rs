//! Integers and pointers of at most 64 bits, which nearly all scalars are.
//!
//! This is a short way through C's rules for operands of C's own integer types and for pointers.
//! For anything else (bit fields, enumerations, wider integers, floating-point numbers) it gives
//! none, and [`super::arithmetic`] goes the whole way.

#![allow(
    clippy::inline_always,
    reason = "operands that are passed in memory cost more than the computation"
)]

use std::borrow::Cow;
use std::cmp::Ordering;
use std::sync::Arc;

use kdive_target::{AddressSpace, ByteOrder};

use super::{BinaryOperator, Encoding, Layout, Object, Place, UnaryOperator, Value};
use crate::program::Program;
use crate::types::{PrimitiveType, Qualifiers, Type, TypeKind};
use crate::{Error, Result};

/// The value of an integer, truth value, enumerator or pointer of at most 64 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Word {
    /// Its bits; those above its width repeat the sign of a negative value.
    pub bits: u64,
    /// Whether its type is signed.
    pub is_signed: bool,
}

impl Word {
    #[inline(always)]
    fn of(bits: u64, width: u64, is_signed: bool) -> Self {
        let unused = 64 - width.clamp(1, 64) as u32;
        let bits = if is_signed {
            ((bits << unused) as i64 >> unused) as u64
        } else {
            bits << unused >> unused
        };
        Self { bits, is_signed }
    }

    fn is_negative(self) -> bool {
        self.is_signed && (self.bits as i64) < 0
    }
}

impl Object {
    /// The value, if it is an integer, truth value, enumerator or pointer of at most 64 bits.
    #[inline(always)]
    pub fn word(&self) -> Result<Option<Word>> {
        let layout = match self.bit_field_size {
            None => self.ty.layout()?,
            Some(_) => self.layout()?,
        };
        let is_signed = match layout.encoding {
            Encoding::Signed => true,
            Encoding::Unsigned | Encoding::Bool => false,
            _ => return Ok(None),
        };
        let bits = match &self.place {
            Place::Value(Value::Integer(bits)) if layout.bits <= 64 => *bits as u64,
            Place::Reference {
                address,
                bit_offset: 0,
            } if matches!(layout.bits, 8 | 16 | 32 | 64) => self.read_word(*address, &layout)?,
            _ => return Ok(None),
        };
        Ok(Some(Word::of(bits, layout.bits, is_signed)))
    }

    #[inline(always)]
    fn read_word(&self, address: u64, layout: &Layout) -> Result<u64> {
        let mut bytes = [0; 8];
        let size = (layout.bits / 8) as usize;
        match layout.byte_order {
            ByteOrder::Little => {
                self.program
                    .read(AddressSpace::Virtual, address, &mut bytes[..size])?;
                Ok(u64::from_le_bytes(bytes))
            }
            ByteOrder::Big => {
                self.program
                    .read(AddressSpace::Virtual, address, &mut bytes[8 - size..])?;
                Ok(u64::from_be_bytes(bytes))
            }
        }
    }

    /// A value of an integer or pointer type of at most 64 bits.
    #[inline(always)]
    pub(super) fn of_word(program: &Arc<Program>, ty: Type, bits: u64) -> Result<Object> {
        let layout = ty.layout()?;
        let bits = Word::of(bits, layout.bits, false).bits;
        Ok(Self::with_value(
            program,
            ty,
            None,
            Value::Integer(u128::from(bits)),
        ))
    }

    /// Computes `self operator other` like [`Object::binary`], if both are simple enough.
    pub(super) fn binary_word(
        &self,
        operator: BinaryOperator,
        other: &Object,
    ) -> Result<Option<Object>> {
        let (Some(left), Some(right)) = (Kind::of(self)?, Kind::of(other)?) else {
            return Ok(None);
        };
        let moved = |pointer: &Object, ty, index: &Object, is_backwards| match index.word()? {
            Some(index) => pointer.moved_pointer(ty, index.bits, is_backwards),
            None => Ok(None),
        };
        match (left, right, operator) {
            (Kind::Pointer(ty), Kind::Integer { .. }, BinaryOperator::Add) => {
                moved(self, ty, other, false)
            }
            (Kind::Pointer(ty), Kind::Integer { .. }, BinaryOperator::Subtract) => {
                moved(self, ty, other, true)
            }
            (Kind::Integer { .. }, Kind::Pointer(ty), BinaryOperator::Add) => {
                moved(other, ty, self, false)
            }
            (Kind::Pointer(left), Kind::Pointer(right), BinaryOperator::Subtract)
                if left.is_same(right) =>
            {
                self.distance(left, other)
            }
            (Kind::Integer { .. }, Kind::Integer { .. }, _) => {
                let (Some(left), Some(right)) =
                    (Operand::of(self, left)?, Operand::of(other, right)?)
                else {
                    return Ok(None);
                };
                compute(&self.program, operator, left, right)
            }
            _ => Ok(None),
        }
    }

    /// Computes `self operator literal`, or the reverse, for an integer as a script writes it.
    pub fn binary_with_integer(
        &self,
        operator: BinaryOperator,
        literal: i64,
        is_reflected: bool,
    ) -> Result<Option<Object>> {
        let kind = match (Kind::of(self)?, operator) {
            (Some(kind @ Kind::Integer { .. }), _) => kind,
            (Some(Kind::Pointer(ty)), BinaryOperator::Add) => {
                return self.moved_pointer(ty, literal as u64, false);
            }
            (Some(Kind::Pointer(ty)), BinaryOperator::Subtract) if !is_reflected => {
                return self.moved_pointer(ty, literal as u64, true);
            }
            _ => return Ok(None),
        };
        let Some(literal) = Operand::literal(&self.program, literal)? else {
            return Ok(None);
        };
        let Some(own) = Operand::of(self, kind)? else {
            return Ok(None);
        };
        if is_reflected {
            compute(&self.program, operator, literal, own)
        } else {
            compute(&self.program, operator, own, literal)
        }
    }

    fn moved_pointer(
        &self,
        pointer: &Type,
        index: u64,
        is_backwards: bool,
    ) -> Result<Option<Object>> {
        let offset = index.wrapping_mul(step(pointer)?);
        let Some(start) = self.word()? else {
            return Ok(None);
        };
        let address = if is_backwards {
            start.bits.wrapping_sub(offset)
        } else {
            start.bits.wrapping_add(offset)
        };
        Self::of_word(&self.program, self.ty.unqualified(), address).map(Some)
    }

    /// How many elements lie between two pointers of one type.
    fn distance(&self, pointer: &Type, other: &Object) -> Result<Option<Object>> {
        let size = step(pointer)?;
        let (Some(left), Some(right), 1..) = (self.word()?, other.word()?, size) else {
            return Ok(None);
        };
        let bytes = i128::from(left.bits.wrapping_sub(right.bits) as i64);
        let ty = self.program.primitive_type(PrimitiveType::PtrdiffT)?;
        Self::of_word(&self.program, ty, (bytes / i128::from(size)) as u64).map(Some)
    }

    /// Computes `operator self` like [`Object::unary`], if it is simple enough.
    pub(super) fn unary_word(&self, operator: UnaryOperator) -> Result<Option<Object>> {
        let Some(kind @ Kind::Integer { .. }) = Kind::of(self)? else {
            return Ok(None);
        };
        let Some(operand) = Operand::of(self, kind)? else {
            return Ok(None);
        };
        let bits = match operator {
            UnaryOperator::Plus => operand.word.bits,
            UnaryOperator::Minus => operand.word.bits.wrapping_neg(),
            UnaryOperator::Not => !operand.word.bits,
        };
        Self::of_word(&self.program, operand.into_type(), bits).map(Some)
    }

    /// Compares like [`Object::compare`], if both are simple enough.
    pub(super) fn compare_word(&self, other: &Object) -> Result<Option<Ordering>> {
        let (Some(left), Some(right)) = (Kind::of(self)?, Kind::of(other)?) else {
            return Ok(None);
        };
        match (left, right) {
            (Kind::Pointer(_), Kind::Pointer(_)) => {
                let (Some(left), Some(right)) = (self.word()?, other.word()?) else {
                    return Ok(None);
                };
                Ok(Some(left.bits.cmp(&right.bits)))
            }
            (Kind::Integer { .. }, Kind::Integer { .. }) => {
                let (Some(left), Some(right)) =
                    (Operand::of(self, left)?, Operand::of(other, right)?)
                else {
                    return Ok(None);
                };
                Ok(compare(&left, &right))
            }
            _ => Ok(None),
        }
    }

    /// Compares with an integer as a script writes it, if this object is simple enough.
    pub fn compare_with_integer(&self, literal: i64) -> Result<Option<Ordering>> {
        let Some(kind @ Kind::Integer { .. }) = Kind::of(self)? else {
            return Ok(None);
        };
        let Some(literal) = Operand::literal(&self.program, literal)? else {
            return Ok(None);
        };
        let Some(own) = Operand::of(self, kind)? else {
            return Ok(None);
        };
        Ok(compare(&own, &literal))
    }
}

/// How many bytes one step of a pointer is; `void` and functions count as one byte, as in GNU C.
pub(super) fn step(pointer: &Type) -> Result<u64> {
    match pointer.target()? {
        Some(target) if target.unaliased_kind()? != TypeKind::Void => target.size(),
        _ => Ok(1),
    }
}

/// What an operand is, as far as its type tells.
#[derive(Clone, Copy)]
enum Kind<'a> {
    /// The pointer type.
    Pointer(&'a Type),
    /// One of C's own types with its rank and width in bits.
    Integer { rank: u8, width: u64 },
}

impl<'a> Kind<'a> {
    #[inline(always)]
    fn of(object: &'a Object) -> Result<Option<Self>> {
        if object.bit_field_size.is_some() {
            return Ok(None);
        }
        let real = object.ty.real()?;
        let rank = match real.kind() {
            TypeKind::Pointer => return Ok(Some(Self::Pointer(real))),
            TypeKind::Int | TypeKind::Bool => real.primitive().and_then(PrimitiveType::rank),
            _ => None,
        };
        let Some(rank) = rank else { return Ok(None) };
        let width = real.layout()?.bits;
        Ok((width <= 64).then_some(Self::Integer { rank, width }))
    }
}

/// An integer after C's promotion.
struct Operand<'a> {
    ty: Cow<'a, Type>,
    word: Word,
    width: u64,
    rank: u8,
}

/// The rank of `int`, to which lower ones are promoted.
const INT_RANK: u8 = 3;

impl<'a> Operand<'a> {
    #[inline(always)]
    fn of(object: &'a Object, kind: Kind<'_>) -> Result<Option<Self>> {
        let Kind::Integer { rank, width } = kind else {
            return Ok(None);
        };
        if rank >= INT_RANK {
            return Ok(object.word()?.map(|word| Self {
                ty: Cow::Borrowed(&object.ty),
                word,
                width,
                rank,
            }));
        }
        let int = object.program.primitive_type(PrimitiveType::Int)?;
        let int_width = int.layout()?.bits;
        if int_width <= width || int_width > 64 {
            return Ok(None);
        }
        Ok(object.word()?.map(|word| Self {
            ty: Cow::Owned(int),
            word: Word {
                is_signed: true,
                ..word
            },
            width: int_width,
            rank: INT_RANK,
        }))
    }

    /// An integer literal that is an `int` or a `long`.
    #[inline(always)]
    fn literal(program: &Program, value: i64) -> Result<Option<Self>> {
        for primitive in [PrimitiveType::Int, PrimitiveType::Long] {
            let ty = program.primitive_type(primitive)?;
            let layout = ty.layout()?;
            let word = Word::of(value as u64, layout.bits, true);
            // A minus sign is applied to a literal that must fit without it.
            let magnitude = Word::of(value.unsigned_abs(), layout.bits, true);
            if magnitude.bits == value.unsigned_abs()
                && !magnitude.is_negative()
                && layout.encoding == Encoding::Signed
                && layout.bits <= 64
            {
                return Ok(Some(Self {
                    ty: Cow::Owned(ty),
                    word,
                    width: layout.bits,
                    rank: primitive.rank().unwrap_or(INT_RANK),
                }));
            }
        }
        Ok(None)
    }

    #[inline(always)]
    fn into_type(self) -> Type {
        match self.ty {
            Cow::Borrowed(ty) => ty.unqualified(),
            Cow::Owned(mut ty) => {
                ty.qualifiers = Qualifiers::empty();
                ty
            }
        }
    }
}

/// Whether C's usual arithmetic conversions lead to the left operand's type; none if they lead
/// to a type of neither.
#[inline(always)]
fn is_common_type_left(left: &Operand<'_>, right: &Operand<'_>) -> Option<bool> {
    let (left_rank, right_rank) = ((left.width, left.rank), (right.width, right.rank));
    match (left.word.is_signed, right.word.is_signed) {
        (true, false) if right_rank >= left_rank => Some(false),
        (true, false) if left.width > right.width => Some(true),
        (false, true) if left_rank >= right_rank => Some(true),
        (false, true) if right.width > left.width => Some(false),
        (true, true) | (false, false) => Some(left_rank > right_rank),
        _ => None,
    }
}

#[inline(always)]
fn compute(
    program: &Arc<Program>,
    operator: BinaryOperator,
    left: Operand<'_>,
    right: Operand<'_>,
) -> Result<Option<Object>> {
    if let BinaryOperator::ShiftLeft | BinaryOperator::ShiftRight = operator {
        if right.word.is_negative() {
            return Err(Error::Value("negative shift count".to_owned()));
        }
        let bits = shift(operator, left.word, left.width, right.word.bits);
        return Object::of_word(program, left.into_type(), bits).map(Some);
    }
    let Some(is_left) = is_common_type_left(&left, &right) else {
        return Ok(None);
    };
    let common = if is_left { &left } else { &right };
    let (width, is_signed) = (common.width, common.word.is_signed);
    let l = Word::of(left.word.bits, width, is_signed).bits;
    let r = Word::of(right.word.bits, width, is_signed).bits;
    let bits = match operator {
        BinaryOperator::Add => l.wrapping_add(r),
        BinaryOperator::Subtract => l.wrapping_sub(r),
        BinaryOperator::Multiply => l.wrapping_mul(r),
        BinaryOperator::And => l & r,
        BinaryOperator::Or => l | r,
        BinaryOperator::Xor => l ^ r,
        BinaryOperator::Divide | BinaryOperator::Remainder if r == 0 => {
            return Err(Error::DivisionByZero);
        }
        BinaryOperator::Divide if is_signed => (l as i64).wrapping_div(r as i64) as u64,
        BinaryOperator::Divide => l / r,
        BinaryOperator::Remainder if is_signed => (l as i64).wrapping_rem(r as i64) as u64,
        BinaryOperator::Remainder => l % r,
        BinaryOperator::ShiftLeft | BinaryOperator::ShiftRight => return Ok(None),
    };
    let common = if is_left { left } else { right };
    Object::of_word(program, common.into_type(), bits).map(Some)
}

/// Shifts as the left operand's type does; by its width or more, everything is shifted out.
#[inline(always)]
fn shift(operator: BinaryOperator, word: Word, width: u64, count: u64) -> u64 {
    let is_out = count >= width;
    match operator {
        BinaryOperator::ShiftLeft if is_out => 0,
        BinaryOperator::ShiftLeft => word.bits << count,
        _ if word.is_signed => ((word.bits as i64) >> count.min(63)) as u64,
        _ if is_out => 0,
        _ => word.bits >> count,
    }
}

#[inline(always)]
fn compare(left: &Operand<'_>, right: &Operand<'_>) -> Option<Ordering> {
    let is_left = is_common_type_left(left, right)?;
    let common = if is_left { left } else { right };
    let (width, is_signed) = (common.width, common.word.is_signed);
    let l = Word::of(left.word.bits, width, is_signed).bits;
    let r = Word::of(right.word.bits, width, is_signed).bits;
    Some(if is_signed {
        (l as i64).cmp(&(r as i64))
    } else {
        l.cmp(&r)
    })
}
