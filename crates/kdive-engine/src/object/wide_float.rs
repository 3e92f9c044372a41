//! Floating-point numbers of more than 64 bits: x87 extended and IEEE quadruple precision.

use kdive_target::{Architecture, ByteOrder};
use rustc_apfloat::ieee::{Double, Quad, X87DoubleExtended};
use rustc_apfloat::{Float, FloatConvert};

use crate::{Error, Result};

/// The number, rounded to 64 bits.
pub(crate) fn to_f64(
    bytes: &[u8],
    byte_order: ByteOrder,
    architecture: Architecture,
) -> Result<f64> {
    let mut padded = [0; 16];
    let size = bytes.len();
    padded
        .get_mut(..size)
        .ok_or_else(|| unknown(size))?
        .copy_from_slice(bytes);
    if byte_order == ByteOrder::Big {
        padded[..size].reverse();
    }
    let bits = u128::from_le_bytes(padded);
    let mut lost = false;
    let double: Double = if is_x87(size, architecture) {
        X87DoubleExtended::from_bits(bits & ((1 << 80) - 1))
            .convert(&mut lost)
            .value
    } else if size == 16 {
        Quad::from_bits(bits).convert(&mut lost).value
    } else {
        return Err(unknown(size));
    };
    Ok(f64::from_bits(double.to_bits() as u64))
}

/// The bytes of a number of `size` bytes.
pub(crate) fn from_f64(
    number: f64,
    size: usize,
    byte_order: ByteOrder,
    architecture: Architecture,
) -> Result<Vec<u8>> {
    let double = Double::from_bits(u128::from(number.to_bits()));
    let mut lost = false;
    let bits = if is_x87(size, architecture) {
        let wide: X87DoubleExtended = double.convert(&mut lost).value;
        wide.to_bits()
    } else if size == 16 {
        let wide: Quad = double.convert(&mut lost).value;
        wide.to_bits()
    } else {
        return Err(unknown(size));
    };
    let mut bytes = bits.to_le_bytes()[..size].to_vec();
    if byte_order == ByteOrder::Big {
        bytes.reverse();
    }
    Ok(bytes)
}

/// The x86 ABIs pad the 80 bits to 12 or 16 bytes; others have quadruple precision in 16.
fn is_x87(size: usize, architecture: Architecture) -> bool {
    matches!(size, 10 | 12)
        || size == 16 && matches!(architecture, Architecture::X86_64 | Architecture::I386)
}

fn unknown(size: usize) -> Error {
    Error::Unsupported(format!(
        "floating-point numbers of {size} bytes are not supported"
    ))
}
