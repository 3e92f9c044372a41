//! Values to bytes and back, at any bit offset and in both byte orders.

use kdive_target::ByteOrder;

use super::{Encoding, Layout, Value};
use crate::{Error, Result};

/// Reads a value from the bit `bit_offset` of `bytes` on; none if the type has no values.
pub(crate) fn decode(layout: &Layout, bytes: &[u8], bit_offset: u64) -> Result<Option<Value>> {
    let end = layout
        .bits
        .checked_add(bit_offset)
        .map(|end| end.div_ceil(8));
    if end.is_none_or(|end| end > bytes.len() as u64) {
        return Err(Error::OutOfBounds(format!(
            "an object of {} bits at bit {bit_offset} does not fit into {} bytes",
            layout.bits,
            bytes.len()
        )));
    }
    let first = (bit_offset / 8) as usize;
    let shift = (bit_offset % 8) as u32;
    let bytes = &bytes[first..];
    Ok(Some(match layout.encoding {
        Encoding::None => return Ok(None),
        // A boolean that is neither 0 nor 1 in memory is shown as what it is.
        Encoding::Signed | Encoding::Unsigned | Encoding::Bool => {
            Value::Integer(extract(bytes, shift, layout.bits as u32, layout.byte_order))
        }
        Encoding::Float => {
            let bits = extract(bytes, shift, layout.bits as u32, layout.byte_order);
            Value::Float(float_from_bits(bits, layout.bits)?)
        }
        Encoding::Bytes => {
            Value::Bytes(shifted(bytes, shift, layout.bits, layout.byte_order).into())
        }
    }))
}

/// The `count` (at most 128) bits of a number that starts `shift` (at most 7) bits into `bytes`.
fn extract(bytes: &[u8], shift: u32, count: u32, byte_order: ByteOrder) -> u128 {
    if count == 0 {
        return 0;
    }
    let size = (shift + count).div_ceil(8) as usize;
    let bytes = &bytes[..size];
    let (low, high) = match byte_order {
        // A number of 128 bits with a shift has bits in a seventeenth byte.
        ByteOrder::Little => (load_little(bytes), bytes.get(16).copied().unwrap_or(0)),
        ByteOrder::Big => {
            let (spare, rest) = bytes.split_at(size.saturating_sub(16));
            let number = rest
                .iter()
                .fold(0, |number, byte| number << 8 | u128::from(*byte));
            (number, spare.first().copied().unwrap_or(0))
        }
    };
    let down = match byte_order {
        ByteOrder::Little => shift,
        ByteOrder::Big => size as u32 * 8 - shift - count,
    };
    let number = if down == 0 {
        low
    } else {
        low >> down | u128::from(high) << (128 - down)
    };
    number & low_bits(count)
}

fn load_little(bytes: &[u8]) -> u128 {
    if let Ok(eight) = <[u8; 8]>::try_from(bytes) {
        return u128::from(u64::from_le_bytes(eight));
    }
    if let Ok(four) = <[u8; 4]>::try_from(bytes) {
        return u128::from(u32::from_le_bytes(four));
    }
    bytes
        .iter()
        .take(16)
        .rev()
        .fold(0, |number, byte| number << 8 | u128::from(*byte))
}

/// A number with the lowest `count` bits set.
pub(crate) fn low_bits(count: u32) -> u128 {
    if count >= 128 {
        u128::MAX
    } else {
        (1 << count) - 1
    }
}

/// The bytes of a value that starts `shift` bits into `bytes`.
fn shifted(bytes: &[u8], shift: u32, count: u64, byte_order: ByteOrder) -> Vec<u8> {
    let size = count.div_ceil(8) as usize;
    if shift == 0 {
        return bytes[..size].to_vec();
    }
    (0..size)
        .map(|index| {
            let here = u16::from(bytes[index]);
            let next = u16::from(bytes.get(index + 1).copied().unwrap_or(0));
            match byte_order {
                ByteOrder::Little => ((next << 8 | here) >> shift) as u8,
                ByteOrder::Big => ((here << 8 | next) >> (8 - shift)) as u8,
            }
        })
        .collect()
}

/// The bytes of a value, its first bit in the first byte.
pub(crate) fn encode(layout: &Layout, value: &Value) -> Result<Vec<u8>> {
    let mut bytes = vec![0; layout.bits.div_ceil(8) as usize];
    store(layout, value, &mut bytes, 0)?;
    Ok(bytes)
}

/// Writes a value to the bit `bit_offset` of `bytes`, leaving the bits around it.
pub(crate) fn store(
    layout: &Layout,
    value: &Value,
    bytes: &mut [u8],
    bit_offset: u64,
) -> Result<()> {
    let end = layout
        .bits
        .checked_add(bit_offset)
        .map(|end| end.div_ceil(8));
    if end.is_none_or(|end| end > bytes.len() as u64) {
        return Err(Error::OutOfBounds(
            "the value does not fit into its buffer".to_owned(),
        ));
    }
    let number = match value {
        Value::Integer(number) => *number,
        Value::Float(number) => float_to_bits(*number, layout.bits)?,
        Value::Bytes(data) => {
            let whole = data.len().min((layout.bits / 8) as usize);
            for (index, byte) in data[..whole].iter().enumerate() {
                insert(
                    bytes,
                    bit_offset + index as u64 * 8,
                    8,
                    u128::from(*byte),
                    layout.byte_order,
                );
            }
            return Ok(());
        }
    };
    insert(
        bytes,
        bit_offset,
        layout.bits as u32,
        number,
        layout.byte_order,
    );
    Ok(())
}

fn insert(bytes: &mut [u8], bit_offset: u64, count: u32, number: u128, byte_order: ByteOrder) {
    // A byte at a time: the parts of the number that fall into each byte of the buffer.
    let mut done = 0;
    while done < count {
        let position = bit_offset + u64::from(done);
        let within = (position % 8) as u32;
        let here = (8 - within).min(count - done);
        let mask = low_bits(here) as u8;
        let (bits, up) = match byte_order {
            ByteOrder::Little => ((number >> done) as u8 & mask, within),
            ByteOrder::Big => (
                (number >> (count - done - here)) as u8 & mask,
                8 - within - here,
            ),
        };
        let byte = &mut bytes[(position / 8) as usize];
        *byte = *byte & !(mask << up) | bits << up;
        done += here;
    }
}

fn float_from_bits(bits: u128, size: u64) -> Result<f64> {
    match size {
        16 => Ok(half_to_f64(bits as u16)),
        32 => Ok(f64::from(f32::from_bits(bits as u32))),
        64 => Ok(f64::from_bits(bits as u64)),
        _ => Err(unknown_float(size)),
    }
}

fn float_to_bits(number: f64, size: u64) -> Result<u128> {
    match size {
        16 => Ok(u128::from(f64_to_half(number))),
        32 => Ok(u128::from((number as f32).to_bits())),
        64 => Ok(u128::from(number.to_bits())),
        _ => Err(unknown_float(size)),
    }
}

fn unknown_float(bits: u64) -> Error {
    Error::Unsupported(format!(
        "floating-point numbers of {bits} bits are not supported"
    ))
}

fn half_to_f64(bits: u16) -> f64 {
    let sign = if bits >> 15 == 1 { -1.0 } else { 1.0 };
    let exponent = i32::from(bits >> 10 & 0x1f);
    let fraction = f64::from(bits & 0x3ff);
    sign * match exponent {
        0 => fraction * 2f64.powi(-24),
        0x1f if fraction == 0.0 => f64::INFINITY,
        0x1f => f64::NAN,
        _ => (1024.0 + fraction) * 2f64.powi(exponent - 25),
    }
}

fn f64_to_half(number: f64) -> u16 {
    let sign = u16::from(number.is_sign_negative()) << 15;
    let magnitude = number.abs();
    if magnitude.is_nan() {
        return sign | 0x7e00;
    }
    // Numbers from here on round to infinity.
    if magnitude >= 65520.0 {
        return sign | 0x7c00;
    }
    let mut exponent = 1;
    while exponent < 30 && magnitude >= 2f64.powi(exponent - 14) {
        exponent += 1;
    }
    let scaled = (magnitude * 2f64.powi(25 - exponent)).round_ties_even() as u16;
    // A fraction that rounds up carries into the exponent, which is the right result.
    if scaled < 1024 {
        sign | scaled
    } else {
        sign | (((exponent as u16) << 10) + (scaled - 1024))
    }
}
