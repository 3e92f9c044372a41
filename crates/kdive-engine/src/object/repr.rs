//! Objects as calls of the Python constructor that makes them.

use std::fmt::Write as _;

use super::{AbsenceReason, Literal, Number, Object, Place};
use crate::types::{TypeKind, write_python_string};
use crate::{Error, Result};

/// The digits of long integers are found this many at a time.
const NINE_DIGITS: u64 = 1_000_000_000;

/// How long one call may be, in bytes.
const MAX_LENGTH: usize = 1 << 28;

impl Object {
    /// The call that makes this object: `Object(prog, 'int', value=5)`.
    pub fn constructor_call(&self) -> Result<String> {
        let mut out = String::from("Object(prog, ");
        write_python_string(&mut out, &self.ty.type_name()?);
        match &self.place {
            Place::Value(_) | Place::Partial(_) => {
                out.push_str(", value=");
                self.write_python_value(&mut out)?;
            }
            Place::Reference {
                address,
                bit_offset,
            } => {
                let _ = write!(out, ", address=0x{address:x}");
                if *bit_offset != 0 {
                    let _ = write!(out, ", bit_offset={bit_offset}");
                }
            }
            Place::Absent(reason) => out.push_str(match reason {
                AbsenceReason::Other => "",
                AbsenceReason::OptimizedOut => ", absence_reason=AbsenceReason.OPTIMIZED_OUT",
                AbsenceReason::NotImplemented => ", absence_reason=AbsenceReason.NOT_IMPLEMENTED",
            }),
        }
        if let Some(size) = self.bit_field_size {
            let _ = write!(out, ", bit_field_size={size}");
        }
        out.push(')');
        Ok(out)
    }

    fn write_python_value(&self, out: &mut String) -> Result<()> {
        let literal = self.value_with_absent_parts()?;
        match literal {
            Literal::Number(Number::Integer { bits, .. })
                if self.ty.unaliased_kind()? == TypeKind::Pointer =>
            {
                let _ = write!(out, "0x{bits:x}");
                Ok(())
            }
            _ => write_literal(out, &literal),
        }
    }
}

/// Appends a plain value as Python's `repr` writes it.
fn write_literal(out: &mut String, literal: &Literal) -> Result<()> {
    if out.len() > MAX_LENGTH {
        return Err(Error::Overflow(
            "the value is too large to be written out".to_owned(),
        ));
    }
    match literal {
        Literal::Bool(value) => out.push_str(if *value { "True" } else { "False" }),
        Literal::Number(Number::Integer { bits, is_negative }) => {
            let _ = if *is_negative {
                write!(out, "{}", *bits as i128)
            } else {
                write!(out, "{bits}")
            };
        }
        Literal::Number(Number::Float(value)) => write_python_float(out, *value),
        Literal::Number(number @ Number::Wide(_)) => write_python_float(out, number.to_f64()),
        Literal::WideInteger { bytes, is_signed } => write_wide_integer(out, bytes, *is_signed),
        Literal::List(items) => {
            out.push('[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.push_str(", ");
                }
                write_literal(out, item)?;
            }
            out.push(']');
        }
        Literal::Map(items) => {
            out.push('{');
            for (index, (name, item)) in items.iter().enumerate() {
                if index > 0 {
                    out.push_str(", ");
                }
                write_python_string(out, name);
                out.push_str(": ");
                write_literal(out, item)?;
            }
            out.push('}');
        }
        Literal::Object(object) => out.push_str(&object.constructor_call()?),
        Literal::Other => out.push_str("None"),
    }
    Ok(())
}

/// The shortest digits that give the same number, with an exponent where Python has one.
fn write_python_float(out: &mut String, value: f64) {
    if value.is_nan() {
        return out.push_str("nan");
    }
    if value.is_infinite() {
        return out.push_str(if value > 0.0 { "inf" } else { "-inf" });
    }
    let scientific = format!("{value:e}");
    let exponent = scientific
        .split_once('e')
        .and_then(|(_, exponent)| exponent.parse::<i32>().ok())
        .unwrap_or(0);
    if value == 0.0 || (-4..16).contains(&exponent) {
        let _ = write!(out, "{value:?}");
    } else {
        let (digits, _) = scientific.split_once('e').unwrap_or((&scientific, ""));
        let sign = if exponent < 0 { '-' } else { '+' };
        let _ = write!(out, "{digits}e{sign}{:02}", exponent.unsigned_abs());
    }
}

/// An integer of more than 128 bits, in decimal digits.
fn write_wide_integer(out: &mut String, little_endian: &[u8], is_signed: bool) {
    let is_negative = is_signed && little_endian.last().is_some_and(|last| last >> 7 == 1);
    let mut magnitude = little_endian.to_vec();
    if is_negative {
        out.push('-');
        let mut carry = true;
        for byte in &mut magnitude {
            let (sum, overflow) = (!*byte).overflowing_add(u8::from(carry));
            (*byte, carry) = (sum, overflow);
        }
    }
    // Schoolbook division by a power of ten; the digits come out last first.
    let mut chunks = Vec::new();
    while magnitude.last() == Some(&0) {
        magnitude.pop();
    }
    while !magnitude.is_empty() {
        let mut remainder = 0u64;
        for byte in magnitude.iter_mut().rev() {
            let value = remainder << 8 | u64::from(*byte);
            *byte = (value / NINE_DIGITS) as u8;
            remainder = value % NINE_DIGITS;
        }
        chunks.push(remainder);
        while magnitude.last() == Some(&0) {
            magnitude.pop();
        }
    }
    let mut chunks = chunks.into_iter().rev();
    let _ = write!(out, "{}", chunks.next().unwrap_or(0));
    for chunk in chunks {
        let _ = write!(out, "{chunk:09}");
    }
}
