//! Floating-point numbers of more than 64 bits: x87 extended and IEEE quadruple precision.

use std::cmp::Ordering;
use std::fmt;

use kdive_target::{Architecture, ByteOrder};
use rustc_apfloat::ieee::{Double, Quad, X87DoubleExtended};
use rustc_apfloat::{Float, FloatConvert};

use super::{BinaryOperator, Number};
use crate::{Error, Result};

/// A floating-point number that 64 bits can't hold.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct WideFloat(Format);

#[derive(Clone, Copy, Debug, PartialEq)]
enum Format {
    X87(X87DoubleExtended),
    Quad(Quad),
}

/// The precision in which numbers are computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Precision {
    X87,
    Quad,
}

impl Precision {
    /// The x86 ABIs pad the 80 bits to 12 or 16 bytes; others have quadruple precision in 16.
    pub(crate) fn of(size: u64, architecture: Architecture) -> Result<Self> {
        let is_x86 = matches!(architecture, Architecture::X86_64 | Architecture::I386);
        match size {
            10 | 12 => Ok(Self::X87),
            16 if is_x86 => Ok(Self::X87),
            16 => Ok(Self::Quad),
            _ => Err(Error::Unsupported(format!(
                "floating-point numbers of {size} bytes are not supported"
            ))),
        }
    }
}

impl WideFloat {
    /// The number with these bytes.
    pub(crate) fn from_bytes(
        bytes: &[u8],
        byte_order: ByteOrder,
        precision: Precision,
    ) -> WideFloat {
        let mut bits = [0; 16];
        for (index, byte) in bytes.iter().take(16).enumerate() {
            let position = match byte_order {
                ByteOrder::Little => index,
                ByteOrder::Big => bytes.len().min(16) - 1 - index,
            };
            bits[position] = *byte;
        }
        let bits = u128::from_le_bytes(bits);
        WideFloat(match precision {
            Precision::X87 => Format::X87(X87DoubleExtended::from_bits(bits & ((1 << 80) - 1))),
            Precision::Quad => Format::Quad(Quad::from_bits(bits)),
        })
    }

    /// The `size` bytes of the number; what is beyond its own bits is zero.
    pub(crate) fn to_bytes(self, size: usize, byte_order: ByteOrder) -> Vec<u8> {
        let bits = match self.0 {
            Format::X87(number) => number.to_bits(),
            Format::Quad(number) => number.to_bits(),
        };
        let mut bytes: Vec<u8> = bits.to_le_bytes().into_iter().take(size).collect();
        if byte_order == ByteOrder::Big {
            bytes.reverse();
        }
        bytes
    }

    /// A number in this precision, rounded to the nearest.
    pub(crate) fn of(number: Number, precision: Precision) -> WideFloat {
        fn convert<F>(number: Number) -> F
        where
            F: Float,
            Double: FloatConvert<F>,
            X87DoubleExtended: FloatConvert<F>,
            Quad: FloatConvert<F>,
        {
            let mut is_inexact = false;
            match number {
                Number::Integer {
                    bits,
                    is_negative: true,
                } => F::from_i128(bits as i128).value,
                Number::Integer { bits, .. } => F::from_u128(bits).value,
                Number::Float(number) => {
                    Double::from_bits(u128::from(number.to_bits()))
                        .convert(&mut is_inexact)
                        .value
                }
                Number::Wide(WideFloat(Format::X87(number))) => {
                    number.convert(&mut is_inexact).value
                }
                Number::Wide(WideFloat(Format::Quad(number))) => {
                    number.convert(&mut is_inexact).value
                }
            }
        }
        WideFloat(match precision {
            Precision::X87 => Format::X87(convert(number)),
            Precision::Quad => Format::Quad(convert(number)),
        })
    }

    /// The number rounded to 64 bits.
    pub(crate) fn to_f64(self) -> f64 {
        let mut is_inexact = false;
        let double: Double = match self.0 {
            Format::X87(number) => number.convert(&mut is_inexact).value,
            Format::Quad(number) => number.convert(&mut is_inexact).value,
        };
        f64::from_bits(double.to_bits() as u64)
    }

    /// The number as an integer, a fraction cut off.
    pub(crate) fn to_integer_bits(self) -> u128 {
        let is_negative = match self.0 {
            Format::X87(number) => number.is_negative(),
            Format::Quad(number) => number.is_negative(),
        };
        match (self.0, is_negative) {
            (Format::X87(number), true) => number.to_i128(128).value as u128,
            (Format::X87(number), false) => number.to_u128(128).value,
            (Format::Quad(number), true) => number.to_i128(128).value as u128,
            (Format::Quad(number), false) => number.to_u128(128).value,
        }
    }

    pub(crate) fn is_zero(self) -> bool {
        match self.0 {
            Format::X87(number) => number.is_zero(),
            Format::Quad(number) => number.is_zero(),
        }
    }

    pub(crate) fn negated(self) -> WideFloat {
        WideFloat(match self.0 {
            Format::X87(number) => Format::X87(-number),
            Format::Quad(number) => Format::Quad(-number),
        })
    }

    fn precision(self) -> Precision {
        match self.0 {
            Format::X87(_) => Precision::X87,
            Format::Quad(_) => Precision::Quad,
        }
    }

    /// Computes in the precision of this number; none for an operator that floats don't have.
    pub(crate) fn compute(self, operator: BinaryOperator, other: Number) -> Option<WideFloat> {
        fn apply<F: Float>(operator: BinaryOperator, left: F, right: F) -> Option<F> {
            Some(match operator {
                BinaryOperator::Add => (left + right).value,
                BinaryOperator::Subtract => (left - right).value,
                BinaryOperator::Multiply => (left * right).value,
                BinaryOperator::Divide => (left / right).value,
                _ => return None,
            })
        }
        let other = WideFloat::of(other, self.precision());
        Some(WideFloat(match (self.0, other.0) {
            (Format::X87(left), Format::X87(right)) => Format::X87(apply(operator, left, right)?),
            (Format::Quad(left), Format::Quad(right)) => {
                Format::Quad(apply(operator, left, right)?)
            }
            _ => return None,
        }))
    }

    /// Compares in the precision of this number; none if one of them is not a number.
    pub(crate) fn compare(self, other: Number) -> Option<Ordering> {
        let other = WideFloat::of(other, self.precision());
        match (self.0, other.0) {
            (Format::X87(left), Format::X87(right)) => left.partial_cmp(&right),
            (Format::Quad(left), Format::Quad(right)) => left.partial_cmp(&right),
            _ => None,
        }
    }
}

impl fmt::Display for WideFloat {
    /// Writes as many digits as tell the number from every other.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_finite = match self.0 {
            Format::X87(number) => number.is_finite(),
            Format::Quad(number) => number.is_finite(),
        };
        if !is_finite {
            let value = self.to_f64();
            return formatter.write_str(if value.is_nan() {
                "nan"
            } else if value > 0.0 {
                "inf"
            } else {
                "-inf"
            });
        }
        let text = match self.0 {
            Format::X87(number) => number.to_string(),
            Format::Quad(number) => number.to_string(),
        };
        let text = text.to_ascii_lowercase();
        formatter.write_str(&text)?;
        if text.contains(['.', 'e']) {
            Ok(())
        } else {
            formatter.write_str(".0")
        }
    }
}
