//! Conversions: casts, assignments, reinterpretation, `container_of`.

use super::AbsenceReason;
use super::access::designate;
use super::{Encoding, Layout, Number, Object, Place, Value};
use crate::types::{MAX_DEPTH, PointerKind, Type, TypeKind, too_deep};
use crate::{Error, Result};

/// Converts like a cast in C: `(type)object`.
pub fn cast(ty: &Type, object: &Object) -> Result<Object> {
    let real = ty.real()?;
    let to = real.kind();
    if matches!(to, TypeKind::Int | TypeKind::Pointer)
        && real.layout()?.bits <= 64
        && let Some(word) = object.word()?
    {
        return Object::from_word(&object.program, ty.clone(), word.bits);
    }
    match to {
        TypeKind::Void => Object::absent(&object.program, ty.clone(), AbsenceReason::Other, None),
        _ if to == TypeKind::Function || !real.is_complete()? => Err(Error::Type(format!(
            "cannot cast to {}",
            real.kind_article()
        ))),
        TypeKind::Struct
        | TypeKind::Union
        | TypeKind::Class
        | TypeKind::Array
        | TypeKind::Function => Err(Error::Type(format!("cannot cast to '{}'", ty.type_name()?))),
        TypeKind::Bool => to_bool(ty, object, None),
        _ => match operand_kind(object)? {
            None => Err(cannot_convert(object, ty)),
            Some(TypeKind::Pointer) if to == TypeKind::Float => Err(cannot_convert(object, ty)),
            Some(_) => Object::from_number(&object.program, ty.clone(), scalar(object)?, None),
        },
    }
}

/// Converts to a boolean, as a condition does.
fn to_bool(ty: &Type, object: &Object, bit_field_size: Option<u64>) -> Result<Object> {
    let truth = Number::from(i128::from(object.is_truthy()?));
    Object::from_number(&object.program, ty.clone(), truth, bit_field_size)
}

/// Converts like an assignment in C, which refuses what a compiler would.
pub fn implicit_convert(ty: &Type, object: &Object, bit_field_size: Option<u64>) -> Result<Object> {
    let to = ty.unaliased()?;
    let incompatible = || -> Error {
        let names = (object.ty.type_name(), ty.type_name());
        match names {
            (Ok(from), Ok(to)) => Error::Type(format!(
                "cannot convert '{from}' to incompatible type '{to}'"
            )),
            (Err(error), _) | (_, Err(error)) => error,
        }
    };
    if bit_field_size.is_some() {
        Layout::of(ty, bit_field_size)?;
    }
    match to.kind() {
        TypeKind::Enum if !to.is_complete()? => {
            Err(Error::Type(format!("cannot cast to {}", to.kind_article())))
        }
        TypeKind::Bool => to_bool(ty, object, bit_field_size),
        TypeKind::Int | TypeKind::Float | TypeKind::Enum => match operand_kind(object)? {
            None | Some(TypeKind::Pointer) => Err(incompatible()),
            Some(_) => {
                let number = scalar(object)?;
                Object::from_number(&object.program, ty.clone(), number, bit_field_size)
            }
        },
        TypeKind::Pointer => {
            let from = decayed_type(object)?;
            let (Some(to_target), Some(from_target)) = (
                to.target()?,
                if from.kind() == TypeKind::Pointer {
                    from.target()?
                } else {
                    None
                },
            ) else {
                return Err(incompatible());
            };
            // What is pointed to keeps its qualifiers.
            if !to_target.qualifiers().contains(from_target.qualifiers()) {
                return Err(incompatible());
            }
            let is_void = |ty: &Type| ty.unaliased_kind().map(|kind| kind == TypeKind::Void);
            if !is_void(&to_target)?
                && !is_void(&from_target)?
                && !are_compatible(&to_target, &from_target, 0)?
            {
                return Err(incompatible());
            }
            Object::from_number(&object.program, ty.clone(), scalar(object)?, None)
        }
        TypeKind::Void | TypeKind::Function | TypeKind::Array => Err(Error::Type(format!(
            "cannot convert to '{}'",
            ty.type_name()?
        ))),
        _ => {
            if !are_compatible(&to, &object.ty.unaliased()?, 0)? {
                return Err(incompatible());
            }
            if let Place::Absent(_) = object.place {
                return Err(Error::Absent("object absent".to_owned()));
            }
            Ok(Object {
                ty: ty.clone(),
                ..object.clone()
            })
        }
    }
}

/// The same bits as a value of another type.
pub fn reinterpret(ty: &Type, object: &Object) -> Result<Object> {
    if let Some(bit_offset) = object.bit_offset() {
        Layout::check_alignment(ty, u64::from(bit_offset))?;
    }
    object.part(ty.clone(), 0, None)
}

/// The structure that holds the member that `pointer` points to.
pub fn container_of(pointer: &Object, ty: &Type, member: &str) -> Result<Object> {
    let program = &pointer.program;
    if pointer.ty.unaliased_kind()? != TypeKind::Pointer {
        return Err(Error::Type(format!(
            "container_of() argument must be a pointer, not '{}'",
            pointer.ty.unqualified().type_name()?
        )));
    }
    let offset = offset_of(ty, member)?;
    let address = pointer.pointer_value()?.wrapping_sub(offset) & program.address_mask();
    let ty = program.pointer_type(ty, PointerKind::Pointer)?;
    Ok(Object::with_value(
        program,
        ty,
        None,
        Value::Integer(u128::from(address)),
    ))
}

impl Type {
    /// The offset in bytes of the part that a designator such as `a.b[1].c` names.
    pub fn offset_of(&self, designator: &str) -> Result<u64> {
        offset_of(self, designator)
    }
}

fn offset_of(ty: &Type, designator: &str) -> Result<u64> {
    let (_, bit_offset, _) = designate(ty, designator, false)?;
    if bit_offset.is_multiple_of(8) {
        Ok(bit_offset / 8)
    } else {
        Err(Error::Value("member is not byte-aligned".to_owned()))
    }
}

/// The kind of an object as the operand of a conversion, where an array or function is a pointer;
/// none if it is no scalar.
fn operand_kind(object: &Object) -> Result<Option<TypeKind>> {
    let real = object.ty.unaliased()?;
    Ok(match real.kind() {
        TypeKind::Array | TypeKind::Function => Some(TypeKind::Pointer),
        TypeKind::Struct | TypeKind::Union | TypeKind::Class | TypeKind::Void => None,
        kind => Some(kind),
    })
}

/// The number that a scalar is to a conversion; an array or function is its address.
fn scalar(object: &Object) -> Result<Number> {
    match (object.ty.unaliased_kind()?, &object.place) {
        (TypeKind::Array | TypeKind::Function, Place::Value(_) | Place::Partial(_)) => {
            Err(Error::Value("cannot get address of value".to_owned()))
        }
        (TypeKind::Array | TypeKind::Function, Place::Absent(_)) => {
            Err(Error::Absent("object absent".to_owned()))
        }
        (TypeKind::Array | TypeKind::Function, Place::Reference { address, .. }) => {
            Ok((*address).into())
        }
        _ if object.layout()?.encoding == Encoding::None => Err(Error::Type(format!(
            "cannot read object with {}",
            object.ty.kind_article()
        ))),
        _ => object.number(),
    }
}

/// The object's type as an operand: an array is a pointer to its first element, a function a
/// pointer to itself.
pub(crate) fn decayed_type(object: &Object) -> Result<Type> {
    let real = object.ty.unaliased()?;
    match real.kind() {
        TypeKind::Array => {
            let element = real.target()?.unwrap_or_else(|| object.program.void_type());
            object.program.pointer_type(&element, PointerKind::Pointer)
        }
        TypeKind::Function => object
            .program
            .pointer_type(&object.ty, PointerKind::Pointer),
        _ => Ok(real),
    }
}

/// Whether two types are compatible in C's sense, qualifiers aside.
pub(crate) fn are_compatible(left: &Type, right: &Type, depth: usize) -> Result<bool> {
    if depth > MAX_DEPTH {
        return Err(too_deep("types"));
    }
    let (left, right) = (left.unaliased()?, right.unaliased()?);
    if left.is_same(&right) {
        return Ok(true);
    }
    // An enumeration is compatible with its integer.
    let kinds = (left.kind(), right.kind());
    if kinds == (TypeKind::Enum, TypeKind::Int) || kinds == (TypeKind::Int, TypeKind::Enum) {
        let (Some(left), Some(right)) = (integer_of(&left)?, integer_of(&right)?) else {
            return Ok(false);
        };
        return are_compatible(&left, &right, depth + 1);
    }
    if kinds.0 != kinds.1 {
        return Ok(false);
    }
    match left.kind() {
        TypeKind::Void => Ok(true),
        TypeKind::Int | TypeKind::Bool | TypeKind::Float => Ok(left.primitive()
            == right.primitive()
            && (left.primitive().is_some() || left.name() == right.name())
            && left.declared_size() == right.declared_size()
            && left.is_signed() == right.is_signed()),
        TypeKind::Struct | TypeKind::Union | TypeKind::Class | TypeKind::Enum => {
            Ok(left.tag().is_some()
                && left.tag() == right.tag()
                && (left.declared_size() == right.declared_size()
                    || !left.is_complete()?
                    || !right.is_complete()?))
        }
        TypeKind::Pointer | TypeKind::Array => {
            if let (Some(left), Some(right)) = (left.length(), right.length())
                && left != right
            {
                return Ok(false);
            }
            match (left.target()?, right.target()?) {
                (Some(left), Some(right)) => are_compatible(&left, &right, depth + 1),
                _ => Ok(false),
            }
        }
        TypeKind::Function => {
            let (Some(left_parameters), Some(right_parameters)) =
                (left.parameters(), right.parameters())
            else {
                return Ok(false);
            };
            if left_parameters.len() != right_parameters.len()
                || left.is_variadic() != right.is_variadic()
            {
                return Ok(false);
            }
            for (left, right) in left_parameters.iter().zip(right_parameters) {
                if !are_compatible(&left.content.ty()?, &right.content.ty()?, depth + 1)? {
                    return Ok(false);
                }
            }
            match (left.target()?, right.target()?) {
                (Some(left), Some(right)) => are_compatible(&left, &right, depth + 1),
                _ => Ok(false),
            }
        }
        TypeKind::Typedef => Ok(false),
    }
}

fn integer_of(ty: &Type) -> Result<Option<Type>> {
    match ty.kind() {
        TypeKind::Enum => ty.target(),
        _ => Ok(Some(ty.clone())),
    }
}

fn cannot_convert(object: &Object, ty: &Type) -> Error {
    let from = match object.ty.unaliased_kind() {
        Ok(TypeKind::Array | TypeKind::Function) => {
            decayed_type(object).and_then(|ty| ty.type_name())
        }
        _ => object.ty.type_name(),
    };
    match (from, ty.type_name()) {
        (Ok(from), Ok(to)) => Error::Type(format!("cannot convert '{from}' to '{to}'")),
        (Err(error), _) | (_, Err(error)) => error,
    }
}
