//! Parts of objects: members, elements, slices, strings, addresses.

#![allow(
    clippy::inline_always,
    reason = "objects that are returned in memory and moved cost as much as finding them"
)]

use std::sync::Arc;

use kdive_target::AddressSpace;

use super::number::is_wide_integer;
use super::{AbsenceReason, Encoding, Layout, Object, Place, Value, bits};
use crate::types::{Language, PointerKind, Type, TypeKind};
use crate::{Error, Result};

impl Object {
    /// A part of this object: what lies `bit_offset` bits into it.
    #[inline(always)]
    pub(crate) fn part(
        &self,
        ty: Type,
        bit_offset: u64,
        bit_field_size: Option<u64>,
    ) -> Result<Object> {
        match &self.place {
            Place::Reference {
                address,
                bit_offset: first,
            } => Ok(Self::reference_unchecked(
                &self.program,
                ty,
                *address,
                bit_offset.wrapping_add(*first),
                bit_field_size,
            )),
            Place::Absent(_) => Err(Error::Absent("object absent".to_owned())),
            Place::Value(value) => self.part_of_value(value, ty, bit_offset, bit_field_size),
            Place::Partial(value) => self.part_of_partial(value, ty, bit_offset, bit_field_size),
        }
    }

    fn part_of_value(
        &self,
        value: &Value,
        ty: Type,
        bit_offset: u64,
        bit_field_size: Option<u64>,
    ) -> Result<Object> {
        let layout = Layout::of(&ty, bit_field_size)?;
        if layout.encoding == Encoding::None {
            // A flexible array is not part of the structure's value.
            return Self::absent(&self.program, ty, AbsenceReason::Other, None);
        }
        let own = self.layout()?;
        if bit_offset
            .checked_add(layout.bits)
            .is_none_or(|end| end > own.bits)
        {
            return Err(Error::OutOfBounds("out of bounds of value".to_owned()));
        }
        let part = match value {
            Value::Bytes(bytes) => bits::decode(&layout, bytes, bit_offset)?,
            number => bits::decode(&layout, &bits::encode(&own, number)?, bit_offset)?,
        };
        let part = part
            .ok_or_else(|| Error::Type(format!("cannot read object with {}", ty.kind_article())))?;
        Ok(Self::with_value(&self.program, ty, bit_field_size, part))
    }

    /// The pointer's value; of an array or function, its address.
    #[inline]
    pub(crate) fn pointer_value(&self) -> Result<u64> {
        match &self.place {
            Place::Reference {
                address,
                bit_offset: 0,
            } if self.ty.real()?.kind() != TypeKind::Pointer => Ok(*address),
            _ => self.pointer_of_layout(),
        }
    }

    /// A member of a structure, union or class, or of what a pointer to one points to; none if
    /// the type has members and this is not one of them.
    #[inline(always)]
    pub fn find_member(&self, name: &str) -> Result<Option<Object>> {
        let real = self.ty.real()?;
        if real.kind() == TypeKind::Pointer {
            let Some(pointee) = real.pointee()? else {
                return Err(self.not_compound());
            };
            let Some(member) = pointee.find_member(name)? else {
                return Ok(None);
            };
            let found = Self::reference_unchecked(
                &self.program,
                member.ty,
                self.pointer_of_layout()?,
                member.bit_offset,
                member.bit_field_size,
            );
            return found.in_expression().map(Some);
        }
        if !real.kind().is_compound() {
            return Err(self.not_compound());
        }
        let Some(member) = real.find_member(name)? else {
            return Ok(None);
        };
        self.part(member.ty, member.bit_offset, member.bit_field_size)?
            .in_expression()
            .map(Some)
    }

    /// What the name of this object means in an expression: that of a reference of C++ means what
    /// it refers to, and nothing tells the two apart.
    #[inline(always)]
    pub(crate) fn in_expression(self) -> Result<Object> {
        if self.ty.language() == Language::Cpp {
            self.referent()
        } else {
            Ok(self)
        }
    }

    /// Whether it is a reference of C++.
    pub(crate) fn is_reference(&self) -> Result<bool> {
        let kind = self.ty.real()?.pointer_kind();
        Ok(kind.is_some_and(|kind| kind != PointerKind::Pointer))
    }

    #[cold]
    fn referent(self) -> Result<Object> {
        let target = self.ty.real()?.target()?;
        let Some(target) = target.filter(|_| self.is_reference().unwrap_or(false)) else {
            return Ok(self);
        };
        if let Place::Absent(reason) = self.place {
            return Self::absent(&self.program, target, reason, None);
        }
        let address = self.pointer_of_layout()?;
        Ok(Self::reference_unchecked(
            &self.program,
            target,
            address,
            0,
            None,
        ))
    }

    /// The names of the members that [`Object::find_member`] finds, sorted.
    pub fn member_names(&self) -> Result<Vec<Arc<str>>> {
        let mut real = self.ty.unaliased()?;
        if real.kind() == TypeKind::Pointer
            && let Some(target) = real.target()?
        {
            real = target.unaliased()?;
        }
        real.member_names()
    }

    #[inline]
    fn pointer_of_layout(&self) -> Result<u64> {
        if let Some(word) = self.word()? {
            return Ok(word.bits);
        }
        match self.load()? {
            Value::Integer(value) => Ok(value as u64),
            _ => Err(Error::Type(format!(
                "'{}' is not a pointer",
                self.type_name_or_kind()
            ))),
        }
    }

    fn not_compound(&self) -> Error {
        // An unsigned integer may be an address.
        let may_be_pointer = self
            .layout()
            .is_ok_and(|layout| matches!(layout.encoding, Encoding::Unsigned | Encoding::Bool));
        let target = self.ty.unaliased().and_then(|real| match real.kind() {
            TypeKind::Pointer => real.target(),
            _ => Ok(None),
        });
        let (ty, what) = match target {
            Ok(Some(target)) => (target.unqualified(), "a structure, union, or class"),
            _ if may_be_pointer => (
                self.ty.unqualified(),
                "a pointer to a structure, union, or class",
            ),
            _ => (self.ty.unqualified(), "a structure, union, or class"),
        };
        match ty.type_name() {
            Ok(name) => Error::Type(format!("'{name}' is not {what}")),
            Err(error) => error,
        }
    }

    /// Like [`Object::find_member`], with an error that names the type.
    pub fn member(&self, name: &str) -> Result<Object> {
        self.find_member(name)?
            .ok_or_else(|| self.no_such_member(name))
    }

    /// The error for a member that the type does not have.
    pub fn no_such_member(&self, name: &str) -> Error {
        let ty = self.ty.unaliased().and_then(|real| match real.kind() {
            TypeKind::Pointer => Ok(real.target()?.unwrap_or(real)),
            _ => Ok(self.ty.clone()),
        });
        ty.map_or_else(|error| error, |ty| no_member(&ty, name))
    }

    /// The element type of an array or the target type of a pointer, and the array's length.
    fn elements(&self) -> Result<(Type, Option<u64>, bool)> {
        let real = self.ty.real()?;
        match real.kind() {
            TypeKind::Array | TypeKind::Pointer => Ok((
                real.target()?.unwrap_or_else(|| self.program.void_type()),
                real.length(),
                real.kind() == TypeKind::Pointer,
            )),
            _ => Err(Error::Type(format!(
                "'{}' is not an array or pointer",
                self.ty.unqualified().type_name()?
            ))),
        }
    }

    /// The element of an array, or the object `index` elements after the one that a pointer
    /// points to.
    pub fn subscript(&self, index: i64) -> Result<Object> {
        let (element, _, is_pointer) = self.elements()?;
        let offset = (index as u64).wrapping_mul(element.size()?);
        if is_pointer {
            let address = self.pointer_of_layout()?.wrapping_add(offset);
            return Ok(Self::reference_unchecked(
                &self.program,
                element,
                address,
                0,
                None,
            ));
        }
        if let Place::Reference {
            address,
            bit_offset,
        } = self.place
        {
            return Ok(Self::reference_unchecked(
                &self.program,
                element,
                address.wrapping_add(offset),
                bit_offset,
                None,
            ));
        }
        if index < 0 {
            return match self.place {
                Place::Absent(_) => Err(Error::Absent("object absent".to_owned())),
                _ => Err(Error::OutOfBounds("out of bounds of value".to_owned())),
            };
        }
        let bit_offset = offset
            .checked_mul(8)
            .ok_or_else(|| Error::OutOfBounds("out of bounds of value".to_owned()))?;
        self.part(element, bit_offset, None)
    }

    /// The elements from `start` up to `stop` (the length of the array by default) as an array.
    pub fn slice(&self, start: i64, stop: Option<i64>) -> Result<Object> {
        let (element, length, is_pointer) = self.elements()?;
        let stop = match (stop, length) {
            (Some(stop), _) => stop,
            (None, Some(length)) => length as i64,
            (None, None) => {
                return Err(Error::Type(format!(
                    "'{}' has no length; slice stop must be given",
                    self.type_name_or_kind()
                )));
            }
        };
        let count = i128::from(stop) - i128::from(start);
        let ty = Type::array(
            element.clone(),
            Some(count.max(0) as u64),
            self.ty.language(),
        );
        if is_pointer || matches!(self.place, Place::Reference { .. }) {
            let first = self.subscript(start)?;
            let (address, bit_offset) = (
                first.address().unwrap_or(0),
                first.bit_offset().unwrap_or(0),
            );
            return Ok(Self::reference_unchecked(
                &self.program,
                ty,
                address,
                u64::from(bit_offset),
                None,
            ));
        }
        if let Place::Absent(_) = self.place {
            return Err(Error::Absent("object absent".to_owned()));
        }
        let bit_offset = u64::try_from(start)
            .ok()
            .and_then(|start| start.checked_mul(element.size().ok()?)?.checked_mul(8))
            .ok_or_else(|| Error::OutOfBounds("out of bounds of value".to_owned()))?;
        self.part(ty, bit_offset, None)
    }

    /// The number of elements of a complete array; none for other types.
    pub fn length(&self) -> Result<Option<u64>> {
        let real = self.ty.real()?;
        Ok(if real.kind() == TypeKind::Array {
            real.length()
        } else {
            None
        })
    }

    /// A pointer to this object.
    pub fn address_of(&self) -> Result<Object> {
        match self.place {
            Place::Absent(_) => Err(Error::Absent("object absent".to_owned())),
            Place::Value(_) | Place::Partial(_) => {
                Err(Error::Value("cannot take address of value".to_owned()))
            }
            Place::Reference { .. } if self.bit_field_size.is_some() => {
                Err(Error::Value("cannot take address of bit field".to_owned()))
            }
            Place::Reference { bit_offset, .. } if bit_offset != 0 => {
                Err(Error::Value("object is not byte-aligned".to_owned()))
            }
            Place::Reference { address, .. } => {
                let ty = self.program.pointer_type(&self.ty, PointerKind::Pointer)?;
                let value = Value::Integer(u128::from(address));
                Ok(Self::with_value(&self.program, ty, None, value))
            }
        }
    }

    /// The bytes of a C string, up to its terminating zero: of an array, at most its length; of
    /// a pointer, what it points to, at most `max_size` bytes.
    pub fn string(&self, max_size: Option<u64>) -> Result<Vec<u8>> {
        let real = self.ty.real()?;
        let max_size = max_size.unwrap_or(u64::MAX);
        match real.kind() {
            TypeKind::Pointer => self.program.read_c_string(
                AddressSpace::Virtual,
                self.pointer_of_layout()?,
                max_size,
            ),
            TypeKind::Array => {
                let limit = match real.length() {
                    Some(_) => real.size()?.min(max_size),
                    None => max_size,
                };
                if let Place::Reference {
                    address,
                    bit_offset: 0,
                } = &self.place
                {
                    return self
                        .program
                        .read_c_string(AddressSpace::Virtual, *address, limit);
                }
                let mut bytes = self.to_bytes()?;
                let end = bytes
                    .iter()
                    .position(|byte| *byte == 0)
                    .unwrap_or(bytes.len());
                bytes.truncate(end.min(limit as usize));
                Ok(bytes)
            }
            _ => Err(Error::Type(format!(
                "string() argument must be an array or pointer, not '{}'",
                self.ty.unqualified().type_name()?
            ))),
        }
    }

    /// Whether the value is not zero, as a condition in C sees it.
    pub fn is_truthy(&self) -> Result<bool> {
        let real = self.ty.real()?;
        match real.kind() {
            TypeKind::Array | TypeKind::Function => match self.place {
                Place::Reference { address, .. } => Ok(address != 0),
                Place::Absent(_) => Err(Error::Absent("object absent".to_owned())),
                Place::Value(_) | Place::Partial(_) => Ok(true),
            },
            _ => {
                if let Some(word) = self.word()? {
                    return Ok(word.bits != 0);
                }
                let layout = self.layout()?;
                if matches!(layout.encoding, Encoding::None) || real.kind().is_compound() {
                    return Err(self.no_bool());
                }
                if is_wide_integer(&self.ty)? {
                    return Ok(self.to_bytes()?.iter().any(|byte| *byte != 0));
                }
                Ok(!self.number()?.is_zero())
            }
        }
    }

    fn no_bool(&self) -> Error {
        Error::Type(format!(
            "cannot convert '{}' to bool",
            self.type_name_or_kind()
        ))
    }

    /// A part of this object named by a designator such as `a.b[1].c`.
    pub fn subobject(&self, designator: &str) -> Result<Object> {
        let (ty, bit_offset, bit_field_size) = designate(&self.ty, designator, true)?;
        self.part(ty, bit_offset, bit_field_size)?.in_expression()
    }
}

/// The type, offset in bits and bit-field size of the part of a type that a designator such as
/// `a.b[1].c` names; it may start with an index if `may_start_with_index`.
pub(crate) fn designate(
    ty: &Type,
    designator: &str,
    may_start_with_index: bool,
) -> Result<(Type, u64, Option<u64>)> {
    let expected = |what: &str| Err(Error::Syntax(format!("expected {what}")));
    let overflow = || Error::Overflow("offset is too large".to_owned());
    let mut tokens = Tokens(designator);
    let (mut current, mut bit_offset, mut bit_field_size) = (ty.clone(), 0u64, None);
    let mut token = tokens.next()?;
    let mut last = "";
    loop {
        match (token, last) {
            (Token::Name(name), "" | ".") => {
                let real = current.unaliased()?;
                let found = if real.kind().is_compound() {
                    real.find_member(name)?
                } else {
                    None
                };
                let member = match found {
                    Some(member) => member,
                    // The error names the alias that the script used.
                    None if real.kind().is_compound() => {
                        return Err(no_member(&current, name));
                    }
                    None => {
                        return Err(Error::Type(format!(
                            "'{}' is not a structure, union, or class",
                            current.unqualified().type_name()?
                        )));
                    }
                };
                bit_offset = bit_offset
                    .checked_add(member.bit_offset)
                    .ok_or_else(overflow)?;
                (current, bit_field_size) = (member.ty, member.bit_field_size);
                last = "identifier";
            }
            (Token::Symbol('['), _)
                if last != "." && (!last.is_empty() || may_start_with_index) =>
            {
                let Token::Number(number) = tokens.next()? else {
                    return expected("number after '['");
                };
                let index = number_of(number)?;
                let real = current.unaliased()?;
                if real.kind() != TypeKind::Array {
                    return Err(Error::Type(format!(
                        "'{}' is not an array",
                        current.unqualified().type_name()?
                    )));
                }
                if !matches!(tokens.next()?, Token::Symbol(']')) {
                    return expected("']' after number");
                }
                let element = real.target()?.unwrap_or(real);
                bit_offset = element
                    .size()?
                    .checked_mul(8)
                    .and_then(|bits| bits.checked_mul(index))
                    .and_then(|offset| offset.checked_add(bit_offset))
                    .ok_or_else(overflow)?;
                (current, bit_field_size) = (element, None);
                last = "']'";
            }
            (Token::Symbol('.'), "identifier" | "']'") => last = ".",
            (Token::End, "identifier" | "']'") => {
                return Ok((current, bit_offset, bit_field_size));
            }
            (_, ".") => return expected("identifier after '.'"),
            (_, "") if may_start_with_index => return expected("identifier or '['"),
            (_, "") => return expected("identifier"),
            _ => return expected(&format!("'.' or '[' after {last}")),
        }
        token = tokens.next()?;
    }
}

/// The error for a member that a type does not have; it names the alias that was used.
fn no_member(ty: &Type, name: &str) -> Error {
    match ty.unqualified().type_name() {
        Ok(ty_name) => Error::NoMember(format!("'{ty_name}' has no member '{name}'")),
        Err(error) => error,
    }
}

/// The parts of a designator.
struct Tokens<'a>(&'a str);

#[derive(Clone, Copy)]
enum Token<'a> {
    Name(&'a str),
    Number(&'a str),
    Symbol(char),
    End,
}

impl<'a> Tokens<'a> {
    fn next(&mut self) -> Result<Token<'a>> {
        let rest = self.0.trim_start();
        let Some(first) = rest.chars().next() else {
            return Ok(Token::End);
        };
        let is_word = |character: char| character.is_ascii_alphanumeric() || character == '_';
        if !is_word(first) {
            if !"()[]*.:<>,&".contains(first) {
                return Err(Error::Syntax(format!(
                    "invalid character \\x{:02x}",
                    rest.bytes().next().unwrap_or_default()
                )));
            }
            self.0 = rest.get(1..).unwrap_or_default();
            return Ok(Token::Symbol(first));
        }
        let end = rest
            .find(|character| !is_word(character))
            .unwrap_or(rest.len());
        let (word, after) = rest.split_at(end);
        self.0 = after;
        Ok(if first.is_ascii_digit() {
            Token::Number(word)
        } else {
            Token::Name(word)
        })
    }
}

/// A number as C writes it: decimal, octal or hexadecimal.
fn number_of(text: &str) -> Result<u64> {
    let lower = text.to_ascii_lowercase();
    let (digits, radix) = match (lower.strip_prefix("0x"), lower.strip_prefix('0')) {
        (Some(digits), _) => (digits, 16),
        (None, Some(digits)) if !digits.is_empty() => (digits, 8),
        _ => (lower.as_str(), 10),
    };
    u64::from_str_radix(digits, radix).map_err(|error| match error.kind() {
        std::num::IntErrorKind::PosOverflow => Error::Value("number is too large".to_owned()),
        _ => Error::Syntax("invalid number".to_owned()),
    })
}
