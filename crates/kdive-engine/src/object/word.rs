//! Integers and pointers of at most 64 bits, which nearly all scalars are.
//!
//! This is a short way through C's rules for operands of C's own integer types and for pointers.
//! For anything else (bit fields, enumerations, wider integers, floating-point numbers) it gives
//! none, and [`super::arithmetic`] goes the whole way.

#![allow(
    clippy::inline_always,
    reason = "operands that are passed in memory cost more than the computation"
)]

use std::cmp::Ordering;
use std::sync::Arc;

use kdive_target::{AddressSpace, ByteOrder};

use super::operator::{integers, shifted};
use super::{BinaryOperator, Object, Place, UnaryOperator, Value};
use crate::program::Program;
use crate::types::{PrimitiveType, Scalar, ScalarClass, Type, TypeKind};
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
    fn of(bits: u64, width: u8, is_signed: bool) -> Self {
        let unused = 64 - u32::from(width.clamp(1, 64));
        let bits = if is_signed {
            ((bits << unused) as i64 >> unused) as u64
        } else {
            bits << unused >> unused
        };
        Self { bits, is_signed }
    }

    /// The same number with more bits.
    #[inline(always)]
    fn widened(self) -> u128 {
        if self.is_signed {
            i128::from(self.bits as i64) as u128
        } else {
            u128::from(self.bits)
        }
    }
}

/// An integer or pointer that an operator gave: its type, and its bits with zeros above them.
pub struct Computed {
    ty: Type,
    bits: u64,
}

impl Computed {
    #[inline(always)]
    fn new(ty: Type, bits: u64, width: u8) -> Self {
        let bits = Word::of(bits, width, false).bits;
        Self { ty, bits }
    }

    /// The value as an object.
    #[inline(always)]
    pub fn into_object(self, program: &Arc<Program>) -> Object {
        let value = Value::Integer(u128::from(self.bits));
        Object::with_value(program, self.ty, None, value)
    }
}

impl Object {
    /// The value, if it is an integer, truth value, enumerator or pointer of at most 64 bits.
    #[inline(always)]
    pub fn word(&self) -> Result<Option<Word>> {
        match self.scalar()? {
            Some(scalar) => self.word_of(scalar),
            None => Ok(None),
        }
    }

    /// What the object's type is to C's operators, with the width of its bit field.
    #[inline(always)]
    fn scalar(&self) -> Result<Option<Scalar>> {
        match self.bit_field_size {
            None => Ok(self.ty.scalar()),
            Some(_) => self.scalar_of_bit_field(),
        }
    }

    #[cold]
    fn scalar_of_bit_field(&self) -> Result<Option<Scalar>> {
        let width = u8::try_from(self.layout()?.bits).ok();
        Ok(self.ty.scalar().zip(width).map(|(scalar, width)| Scalar {
            class: ScalarClass::Other,
            width,
            ..scalar
        }))
    }

    #[inline(always)]
    fn word_of(&self, scalar: Scalar) -> Result<Option<Word>> {
        let bits = match &self.place {
            Place::Value(Value::Integer(bits)) => *bits as u64,
            Place::Reference {
                address,
                bit_offset: 0,
            } if matches!(scalar.width, 8 | 16 | 32 | 64) => self.read_word(*address, scalar)?,
            _ => return Ok(None),
        };
        Ok(Some(Word::of(bits, scalar.width, scalar.is_signed)))
    }

    #[inline(always)]
    fn read_word(&self, address: u64, scalar: Scalar) -> Result<u64> {
        let mut bytes = [0; 8];
        let size = usize::from(scalar.width / 8).min(8);
        match scalar.order {
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

    /// A value of an integer or pointer type of at most 64 bits; bits above its width are cut off.
    #[inline(always)]
    pub fn from_word(program: &Arc<Program>, ty: Type, bits: u64) -> Result<Object> {
        let width = ty.layout()?.bits.min(64) as u8;
        Ok(Computed::new(ty, bits, width).into_object(program))
    }

    /// Computes `self operator other` like [`Object::binary`], if both are simple enough.
    #[inline]
    pub fn binary_word(
        &self,
        operator: BinaryOperator,
        other: &Object,
    ) -> Result<Option<Computed>> {
        match (Operand::held(self), Operand::held(other)) {
            (Some(left), Some(right)) => compute(&self.program, operator, left, right),
            _ => self.binary_of_words(operator, other),
        }
    }

    #[inline(never)]
    fn binary_of_words(
        &self,
        operator: BinaryOperator,
        other: &Object,
    ) -> Result<Option<Computed>> {
        let (Some(left), Some(right)) = (self.scalar()?, other.scalar()?) else {
            return Ok(None);
        };
        let moved =
            |pointer: &Object, scalar, index: &Object, index_scalar, is_backwards| match index
                .word_of(index_scalar)?
            {
                Some(index) => pointer.moved_pointer(scalar, index.bits, is_backwards),
                None => Ok(None),
            };
        match (left.class, right.class, operator) {
            (ScalarClass::Integer(_), ScalarClass::Integer(_), _) => {
                let (Some(left), Some(right)) = (Operand::of(self)?, Operand::of(other)?) else {
                    return Ok(None);
                };
                compute(&self.program, operator, left, right)
            }
            (ScalarClass::Pointer, ScalarClass::Integer(_), BinaryOperator::Add) => {
                moved(self, left, other, right, false)
            }
            (ScalarClass::Pointer, ScalarClass::Integer(_), BinaryOperator::Subtract) => {
                moved(self, left, other, right, true)
            }
            (ScalarClass::Integer(_), ScalarClass::Pointer, BinaryOperator::Add) => {
                moved(other, right, self, left, false)
            }
            (ScalarClass::Pointer, ScalarClass::Pointer, BinaryOperator::Subtract)
                if self.ty.real()?.is_same(other.ty.real()?) =>
            {
                self.distance(other)
            }
            _ => Ok(None),
        }
    }

    /// Computes `self operator literal`, or the reverse, for an integer as a script writes it.
    #[inline]
    pub fn binary_with_integer(
        &self,
        operator: BinaryOperator,
        literal: i64,
        is_reflected: bool,
    ) -> Result<Option<Computed>> {
        let Some(own) = Operand::of(self)? else {
            return self.pointer_with_integer(operator, literal, is_reflected);
        };
        let Some(literal) = Operand::literal(self, &own, literal)? else {
            return Ok(None);
        };
        if is_reflected {
            compute(&self.program, operator, literal, own)
        } else {
            compute(&self.program, operator, own, literal)
        }
    }

    #[inline(never)]
    fn pointer_with_integer(
        &self,
        operator: BinaryOperator,
        literal: i64,
        is_reflected: bool,
    ) -> Result<Option<Computed>> {
        let is_backwards = match operator {
            BinaryOperator::Add => false,
            BinaryOperator::Subtract if !is_reflected => true,
            _ => return Ok(None),
        };
        match self.scalar()? {
            Some(scalar) if scalar.class == ScalarClass::Pointer => {
                self.moved_pointer(scalar, literal as u64, is_backwards)
            }
            _ => Ok(None),
        }
    }

    fn moved_pointer(
        &self,
        scalar: Scalar,
        index: u64,
        is_backwards: bool,
    ) -> Result<Option<Computed>> {
        let offset = index.wrapping_mul(step(self.ty.real()?)?);
        let Some(start) = self.word_of(scalar)? else {
            return Ok(None);
        };
        let address = if is_backwards {
            start.bits.wrapping_sub(offset)
        } else {
            start.bits.wrapping_add(offset)
        };
        let ty = self.ty.unqualified();
        Ok(Some(Computed::new(ty, address, scalar.width)))
    }

    /// How many elements lie between two pointers of one type.
    fn distance(&self, other: &Object) -> Result<Option<Computed>> {
        let size = step(self.ty.real()?)?;
        let (Some(left), Some(right), 1..) = (self.word()?, other.word()?, size) else {
            return Ok(None);
        };
        let bytes = i128::from(left.bits.wrapping_sub(right.bits) as i64);
        let ty = self.program.primitive_type(PrimitiveType::PtrdiffT)?;
        let width = ty.layout()?.bits.min(64) as u8;
        let elements = (bytes / i128::from(size)) as u64;
        Ok(Some(Computed::new(ty, elements, width)))
    }

    /// Computes `operator self` like [`Object::unary`], if it is simple enough.
    pub(super) fn unary_word(&self, operator: UnaryOperator) -> Result<Option<Computed>> {
        let Some(operand) = Operand::of(self)? else {
            return Ok(None);
        };
        let bits = match operator {
            UnaryOperator::Plus => operand.word.bits,
            UnaryOperator::Minus => operand.word.bits.wrapping_neg(),
            UnaryOperator::Not => !operand.word.bits,
        };
        let width = operand.width;
        Ok(Some(Computed::new(
            operand.ty.resolve(&self.program)?,
            bits,
            width,
        )))
    }

    /// Compares like [`Object::compare`], if both are simple enough.
    pub fn compare_word(&self, other: &Object) -> Result<Option<Ordering>> {
        let (Some(left), Some(right)) = (self.scalar()?, other.scalar()?) else {
            return Ok(None);
        };
        match (left.class, right.class) {
            (ScalarClass::Pointer, ScalarClass::Pointer) => {
                let (Some(left), Some(right)) = (self.word_of(left)?, other.word_of(right)?) else {
                    return Ok(None);
                };
                Ok(Some(left.bits.cmp(&right.bits)))
            }
            (ScalarClass::Integer(_), ScalarClass::Integer(_)) => {
                let (Some(left), Some(right)) = (Operand::of(self)?, Operand::of(other)?) else {
                    return Ok(None);
                };
                Ok(compare(left, right))
            }
            _ => Ok(None),
        }
    }

    /// Compares with an integer as a script writes it, if this object is simple enough.
    pub fn compare_with_integer(&self, literal: i64) -> Result<Option<Ordering>> {
        let Some(own) = Operand::of(self)? else {
            return Ok(None);
        };
        let Some(literal) = Operand::literal(self, &own, literal)? else {
            return Ok(None);
        };
        Ok(compare(own, literal))
    }

    /// The value of an object that holds an integer, enumerator or pointer of at most 64 bits; none
    /// of one that has to be read, and of booleans, which to Python are 0 or 1 whatever they hold.
    #[inline(always)]
    pub fn held_word(&self) -> Option<Word> {
        let (Place::Value(Value::Integer(bits)), None) = (&self.place, self.bit_field_size) else {
            return None;
        };
        let scalar = self.ty.scalar().filter(|scalar| !scalar.is_bool)?;
        Some(Word::of(*bits as u64, scalar.width, scalar.is_signed))
    }
}

/// How many bytes one step of a pointer is; `void` and functions count as one byte, as in GNU C.
pub(super) fn step(pointer: &Type) -> Result<u64> {
    match pointer.target()? {
        Some(target) if target.unaliased_kind()? != TypeKind::Void => target.size(),
        _ => Ok(1),
    }
}

/// Where the type of an operand is found when it is that of the result.
#[derive(Clone, Copy)]
enum OperandType<'a> {
    /// The type of an object, or the one behind its aliases.
    Of(&'a Type),
    /// The type of a literal, or the one that an object was promoted to.
    Primitive(PrimitiveType),
}

impl OperandType<'_> {
    #[inline(always)]
    fn resolve(self, program: &Program) -> Result<Type> {
        match self {
            Self::Of(ty) => Ok(ty.unqualified()),
            Self::Primitive(primitive) => Ok(program.primitive_type(primitive)?.unqualified()),
        }
    }
}

/// An integer after C's promotion.
///
/// It owns nothing, so that it stays in registers.
#[derive(Clone, Copy)]
struct Operand<'a> {
    ty: OperandType<'a>,
    word: Word,
    width: u8,
    rank: u8,
}

/// The rank of `int`, to which lower ones are promoted.
const INT_RANK: u8 = 3;
/// What every `int` can hold.
const SMALL_LITERALS: std::ops::RangeInclusive<i64> = -0x7fff..=0x7fff;

impl<'a> Operand<'a> {
    /// An object, if it is one of C's own integers.
    #[inline(always)]
    fn of(object: &'a Object) -> Result<Option<Self>> {
        match Self::held(object) {
            None => Self::read(object),
            operand => Ok(operand),
        }
    }

    /// An object that holds the value of an integer that is not promoted: the most frequent operand.
    #[inline(always)]
    fn held(object: &'a Object) -> Option<Self> {
        let (Place::Value(Value::Integer(bits)), None) = (&object.place, object.bit_field_size)
        else {
            return None;
        };
        let scalar = object.ty.scalar()?;
        match scalar.class {
            ScalarClass::Integer(rank) if rank >= INT_RANK => Some(Self {
                ty: OperandType::Of(&object.ty),
                word: Word::of(*bits as u64, scalar.width, scalar.is_signed),
                width: scalar.width,
                rank,
            }),
            _ => None,
        }
    }

    #[inline(never)]
    fn read(object: &'a Object) -> Result<Option<Self>> {
        let Some(scalar) = object.scalar()? else {
            return Ok(None);
        };
        let ScalarClass::Integer(rank) = scalar.class else {
            return Ok(None);
        };
        if rank >= INT_RANK {
            return Ok(object.word_of(scalar)?.map(|word| Self {
                ty: OperandType::Of(&object.ty),
                word,
                width: scalar.width,
                rank,
            }));
        }
        let int = object.program.primitive_type(PrimitiveType::Int)?;
        let Some(int) = int.scalar().filter(|int| int.width > scalar.width) else {
            return Ok(None);
        };
        Ok(object.word_of(scalar)?.map(|word| Self {
            ty: OperandType::Primitive(PrimitiveType::Int),
            word: Word {
                is_signed: true,
                ..word
            },
            width: int.width,
            rank: INT_RANK,
        }))
    }

    /// An integer literal that is an `int` or a `long`, beside the operand that an object is.
    #[inline(always)]
    fn literal(object: &'a Object, beside: &Self, value: i64) -> Result<Option<Self>> {
        if !SMALL_LITERALS.contains(&value) {
            return Self::large_literal(&object.program, value);
        }
        let (mut ty, mut width) = (
            OperandType::Primitive(PrimitiveType::Int),
            beside.width.min(32),
        );
        if beside.rank == INT_RANK {
            width = beside.width;
            let real = object.ty.real()?;
            if real.primitive() == Some(PrimitiveType::Int) {
                ty = OperandType::Of(real);
            }
        }
        Ok(Some(Self {
            ty,
            word: Word {
                bits: value as u64,
                is_signed: true,
            },
            width,
            rank: INT_RANK,
        }))
    }

    #[inline(never)]
    fn large_literal(program: &Program, value: i64) -> Result<Option<Self>> {
        for primitive in [PrimitiveType::Int, PrimitiveType::Long] {
            let Some(scalar) = program.primitive_type(primitive)?.scalar() else {
                continue;
            };
            // A minus sign is applied to a literal that must fit without it.
            let magnitude = Word::of(value.unsigned_abs(), scalar.width, true);
            if magnitude.bits == value.unsigned_abs()
                && (magnitude.bits as i64) >= 0
                && scalar.is_signed
            {
                return Ok(Some(Self {
                    ty: OperandType::Primitive(primitive),
                    word: Word::of(value as u64, scalar.width, true),
                    width: scalar.width,
                    rank: primitive.rank().unwrap_or(INT_RANK),
                }));
            }
        }
        Ok(None)
    }

    /// The operand's number in the type that both operands are converted to.
    #[inline(always)]
    fn converted(self, width: u8, is_signed: bool) -> Word {
        Word::of(self.word.bits, width, is_signed)
    }
}

/// Whether C's usual arithmetic conversions lead to the left operand's type; none if they lead
/// to a type of neither.
#[inline(always)]
fn is_common_type_left(left: Operand<'_>, right: Operand<'_>) -> Option<bool> {
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
    program: &Program,
    operator: BinaryOperator,
    left: Operand<'_>,
    right: Operand<'_>,
) -> Result<Option<Computed>> {
    if operator.is_shift() {
        let count = right.word.widened();
        if right.word.is_signed && (count as i128) < 0 {
            return Err(Error::Value("negative shift count".to_owned()));
        }
        let (width, is_signed) = (left.width, left.word.is_signed);
        let bits = shifted(
            operator,
            left.word.widened(),
            width.into(),
            is_signed,
            count,
        );
        let ty = left.ty.resolve(program)?;
        return Ok(Some(Computed::new(ty, bits as u64, width)));
    }
    let Some(is_left) = is_common_type_left(left, right) else {
        return Ok(None);
    };
    let common = if is_left { left } else { right };
    let (width, is_signed) = (common.width, common.word.is_signed);
    let bits = integers(
        operator,
        left.converted(width, is_signed).widened(),
        right.converted(width, is_signed).widened(),
        is_signed,
    );
    let Some(bits) = bits else {
        return Err(Error::DivisionByZero);
    };
    let ty = common.ty.resolve(program)?;
    Ok(Some(Computed::new(ty, bits as u64, width)))
}

#[inline(always)]
fn compare(left: Operand<'_>, right: Operand<'_>) -> Option<Ordering> {
    let is_left = is_common_type_left(left, right)?;
    let common = if is_left { left } else { right };
    let (width, is_signed) = (common.width, common.word.is_signed);
    let l = left.converted(width, is_signed).bits;
    let r = right.converted(width, is_signed).bits;
    Some(if is_signed {
        (l as i64).cmp(&(r as i64))
    } else {
        l.cmp(&r)
    })
}
