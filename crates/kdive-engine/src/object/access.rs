//! Parts of objects: members, elements, slices, strings, addresses.

use std::sync::Arc;

use kdive_target::AddressSpace;

use super::{Encoding, Layout, Object, Place, Value, bits};
use crate::types::{PointerKind, Type, TypeKind};
use crate::{Error, Result};

impl Object {
    /// A part of this object: what lies `bit_offset` bits into it.
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
                bit_offset.wrapping_add(u64::from(*first)),
                bit_field_size,
            )),
            Place::Absent(_) => Err(Error::Absent("object absent".to_owned())),
            Place::Value(value) => {
                let layout = Layout::of(&ty, bit_field_size)?;
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
                let part = part.ok_or_else(|| {
                    Error::Type(format!("cannot read object with {}", ty.kind_article()))
                })?;
                Ok(Self::with_value(&self.program, ty, bit_field_size, part))
            }
        }
    }

    /// The pointer's value; of an array or function, its address.
    pub(crate) fn pointer_value(&self) -> Result<u64> {
        match &self.place {
            Place::Reference {
                address,
                bit_offset: 0,
            } if !matches!(self.ty.kind(), TypeKind::Pointer | TypeKind::Typedef) => Ok(*address),
            _ => match self.load()? {
                Value::Integer(value) => Ok(value as u64),
                _ => Err(Error::Type(format!(
                    "'{}' is not a pointer",
                    self.type_name_or_kind()
                ))),
            },
        }
    }

    /// A member of a structure, union or class, or of what a pointer to one points to; none if
    /// the type has members and this is not one of them.
    pub fn find_member(&self, name: &str) -> Result<Option<Object>> {
        let real = self.ty.real()?;
        if real.kind() == TypeKind::Pointer {
            let Some(pointee) = real.pointee()? else {
                return Err(self.not_compound());
            };
            let Some(member) = pointee.find_member(name)? else {
                return Ok(None);
            };
            return Ok(Some(Self::reference_unchecked(
                &self.program,
                member.ty,
                self.pointer_of_layout()?,
                member.bit_offset,
                member.bit_field_size,
            )));
        }
        if !real.kind().is_compound() {
            return Err(self.not_compound());
        }
        let Some(member) = real.find_member(name)? else {
            return Ok(None);
        };
        self.part(member.ty, member.bit_offset, member.bit_field_size)
            .map(Some)
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

    fn pointer_of_layout(&self) -> Result<u64> {
        match self.load()? {
            Value::Integer(value) => Ok(value as u64),
            _ => Err(Error::Type(format!(
                "'{}' is not a pointer",
                self.type_name_or_kind()
            ))),
        }
    }

    fn not_compound(&self) -> Error {
        Error::Type(format!(
            "'{}' is not a structure, union, or class",
            self.type_name_or_kind()
        ))
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
        let ty_name = ty.and_then(|ty| ty.type_name()).unwrap_or_default();
        Error::NoMember(format!("'{ty_name}' has no member '{name}'"))
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
                self.type_name_or_kind()
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
                u64::from(bit_offset),
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
            Place::Value(_) => Err(Error::Value("cannot take address of value".to_owned())),
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
                self.type_name_or_kind()
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
                Place::Value(_) => Err(self.no_bool()),
            },
            _ => {
                let layout = self.layout()?;
                if matches!(layout.encoding, Encoding::None) || real.kind().is_compound() {
                    return Err(self.no_bool());
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
        let (ty, bit_offset, bit_field_size) = designate(&self.ty, designator)?;
        self.part(ty, bit_offset, bit_field_size)
    }
}

/// The type, offset in bits and bit-field size of the part of a type that a designator such as
/// `a.b[1].c` names.
pub(crate) fn designate(ty: &Type, designator: &str) -> Result<(Type, u64, Option<u64>)> {
    let mut current = ty.clone();
    let mut bit_offset = 0u64;
    let mut bit_field_size;
    let mut rest = designator.trim();
    let mut is_first = true;
    let expected = |what: &str| Error::Syntax(format!("expected {what}"));
    loop {
        let had_dot = !is_first && rest.starts_with('.');
        if had_dot {
            rest = rest[1..].trim_start();
        }
        if !had_dot && rest.starts_with('[') {
            let (number, after) = rest[1..]
                .split_once(']')
                .ok_or_else(|| expected("']' after array index"))?;
            let number = number.trim();
            let index = match number
                .strip_prefix("0x")
                .or_else(|| number.strip_prefix("0X"))
            {
                Some(digits) => u64::from_str_radix(digits, 16),
                None => number.parse(),
            };
            let index = index.map_err(|_| expected("number after '['"))?;
            let real = current.unaliased()?;
            if real.kind() != TypeKind::Array {
                return Err(Error::Type(format!(
                    "'{}' is not an array",
                    current.type_name()?
                )));
            }
            let element = real.target()?.unwrap_or(real);
            let offset = element
                .size()?
                .checked_mul(8)
                .and_then(|bits| bits.checked_mul(index));
            bit_offset = offset
                .and_then(|offset| offset.checked_add(bit_offset))
                .ok_or_else(|| Error::Overflow("element offset is too large".to_owned()))?;
            current = element;
            bit_field_size = None;
            rest = after.trim_start();
        } else if is_first || had_dot {
            let end = rest
                .find(|character: char| !(character.is_alphanumeric() || character == '_'))
                .unwrap_or(rest.len());
            let (name, after) = rest.split_at(end);
            if name.is_empty() || name.starts_with(|first: char| first.is_ascii_digit()) {
                return Err(expected(if had_dot {
                    "identifier after '.'"
                } else {
                    "identifier or '['"
                }));
            }
            let member = current.unaliased()?.member(name)?;
            bit_offset = bit_offset
                .checked_add(member.bit_offset)
                .ok_or_else(|| Error::Overflow("member offset is too large".to_owned()))?;
            current = member.ty;
            bit_field_size = member.bit_field_size;
            rest = after.trim_start();
        } else {
            return Err(expected("'.' or '['"));
        }
        if rest.is_empty() {
            return Ok((current, bit_offset, bit_field_size));
        }
        is_first = false;
    }
}
