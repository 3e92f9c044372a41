//! Numbers, characters and strings as C writes them.

use std::fmt::Write as _;

/// Appends an integer in base 8, 10 or 16.
pub(super) fn write_integer(out: &mut String, bits: u128, is_negative: bool, base: u8) {
    let magnitude = if is_negative {
        out.push('-');
        (bits as i128).unsigned_abs()
    } else {
        bits
    };
    // Writing to a string can't fail.
    let _ = match base {
        8 if magnitude != 0 => write!(out, "0{magnitude:o}"),
        16 => write!(out, "0x{magnitude:x}"),
        _ => match u64::try_from(magnitude) {
            Ok(short) => write!(out, "{short}"),
            Err(_) => write!(out, "{magnitude}"),
        },
    };
}

/// Appends an integer of any size, given as its bytes from the least significant one on, in
/// base 16.
pub(super) fn write_wide_integer(out: &mut String, little_endian: &[u8]) {
    out.push_str("0x");
    let mut bytes = little_endian.iter().rev().skip_while(|byte| **byte == 0);
    match bytes.next() {
        Some(first) => {
            let _ = write!(out, "{first:x}");
        }
        None => out.push('0'),
    }
    for byte in bytes {
        let _ = write!(out, "{byte:02x}");
    }
}

/// Appends a floating-point number with as many digits as tell it from every other.
pub(super) fn write_float(out: &mut String, value: f64) {
    if value.is_nan() {
        // As C writes it, and with its sign.
        out.push_str(if value.is_sign_negative() {
            "-nan"
        } else {
            "nan"
        });
        return;
    }
    if value.is_infinite() {
        let _ = write!(out, "{value}");
        return;
    }
    if value.fract() == 0.0 {
        let _ = write!(out, "{value:.1}");
        return;
    }
    let scientific = format!("{value:.16e}");
    let Some((digits, exponent)) = scientific.split_once('e') else {
        return;
    };
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if (-4..17).contains(&exponent) {
        let decimals = usize::try_from(16 - exponent).unwrap_or(0);
        let fixed = format!("{value:.decimals$}");
        out.push_str(fixed.trim_end_matches('0'));
    } else {
        let digits = digits.trim_end_matches('0').trim_end_matches('.');
        let sign = if exponent < 0 { '-' } else { '+' };
        let _ = write!(out, "{digits}e{sign}{:02}", exponent.unsigned_abs());
    }
}

/// Appends a character between quotes.
pub(super) fn write_character(out: &mut String, character: u8) {
    out.push('\'');
    match character {
        0 => out.push_str("\\0"),
        b'\'' => out.push_str("\\'"),
        b'"' => out.push('"'),
        _ => write_escaped(out, character),
    }
    out.push('\'');
}

/// Appends a string between quotes.
pub(super) fn write_string(out: &mut String, text: &[u8]) {
    out.push('"');
    for character in text {
        write_escaped(out, *character);
    }
    out.push('"');
}

fn write_escaped(out: &mut String, character: u8) {
    match character {
        b'"' => out.push_str("\\\""),
        b'\\' => out.push_str("\\\\"),
        0x07 => out.push_str("\\a"),
        0x08 => out.push_str("\\b"),
        b'\t' => out.push_str("\\t"),
        b'\n' => out.push_str("\\n"),
        0x0b => out.push_str("\\v"),
        0x0c => out.push_str("\\f"),
        b'\r' => out.push_str("\\r"),
        b' '..=b'~' => out.push(char::from(character)),
        _ => {
            let _ = write!(out, "\\x{character:02x}");
        }
    }
}
