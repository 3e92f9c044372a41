//! The parts of the table of symbols, found by what they look like.
//!
//! The order in which the kernel's build writes them is known: the number of symbols, their
//! names, a marker for every 256th name, the tokens, the index of tokens. The addresses come
//! before or, since "scripts/kallsyms: change the output order", Linux 6.5, after all these.

use kdive_target::ByteOrder;

use super::image::KernelImage;
use super::{MAX_SYMBOLS, Places};

/// The index of the token of the digit 0: characters that occur in names stand for themselves.
const DIGIT_0: usize = 0x30;
/// More than 256 tokens have.
const MAX_TOKENS: usize = 1 << 13;
/// The largest alignment of the parts.
const ALIGNMENT: u64 = 8;
/// The names between two markers.
const GROUP: usize = 256;

/// The places where the table may be, the more usual ones first.
pub(super) fn find(image: &KernelImage, has_long_names: bool) -> Vec<Places> {
    let digits: Vec<u8> = (b'0'..=b'9').flat_map(|digit| [digit, 0]).collect();
    image
        .find(&digits)
        .into_iter()
        .filter_map(|address| Tokens::around(image, address))
        .filter_map(|tokens| tokens.places(image, has_long_names))
        .flatten()
        .collect()
}

struct Tokens {
    table: u64,
    index: u64,
}

impl Tokens {
    /// The tokens one of which, the digit 0, is at an address.
    fn around(image: &KernelImage, digit: u64) -> Option<Tokens> {
        let before = image.read(digit.checked_sub(MAX_TOKENS as u64)?, MAX_TOKENS)?;
        let mut start = before.len();
        for _ in 0..DIGIT_0 {
            let end = start.checked_sub(1).filter(|end| before[*end] == 0)?;
            start = before[..end].iter().rposition(|byte| *byte == 0)? + 1;
        }
        let table = digit.wrapping_sub((before.len() - start) as u64);
        let bytes = image.read(table, MAX_TOKENS)?;
        let mut offsets = Vec::with_capacity(GROUP);
        let mut offset = 0;
        for _ in 0..256 {
            offsets.extend_from_slice(&match image.byte_order() {
                ByteOrder::Little => (offset as u16).to_le_bytes(),
                ByteOrder::Big => (offset as u16).to_be_bytes(),
            });
            offset += bytes.get(offset..)?.iter().position(|byte| *byte == 0)? + 1;
        }
        // Nothing else looks like the offsets of just these tokens.
        let padding = (0..=ALIGNMENT as usize).find(|padding| {
            bytes.get(offset + padding..offset + padding + offsets.len()) == Some(&offsets)
        })?;
        Some(Tokens {
            table,
            index: table.wrapping_add((offset + padding) as u64),
        })
    }

    fn places(&self, image: &KernelImage, has_long_names: bool) -> Option<Vec<Places>> {
        // "kallsyms: reduce size a little on 64-bit", Linux 4.20, made markers 32-bit numbers.
        [4, 8]
            .into_iter()
            .filter_map(|width| Markers::before(image, self.table, width))
            .find_map(|markers| {
                let (names, count) = markers.names(image, has_long_names)?;
                Some(self.with_addresses(names, count))
            })
    }

    fn with_addresses(&self, names: u64, count: u32) -> Vec<Places> {
        let down = |address: u64| address & !(ALIGNMENT - 1);
        let up = |address: u64| down(address.wrapping_add(ALIGNMENT - 1));
        let places = Places {
            names,
            count,
            tokens: self.table,
            token_index: self.index,
            addresses: None,
            offsets: None,
            relative_base: None,
        };
        let before = names.wrapping_sub(2 * ALIGNMENT);
        let after = up(self.index.wrapping_add(2 * 256));
        let size = 4 * u64::from(count);
        vec![
            Places {
                offsets: Some(down(before.wrapping_sub(size))),
                relative_base: Some(before),
                ..places
            },
            Places {
                offsets: Some(after),
                relative_base: Some(up(after.wrapping_add(size))),
                ..places
            },
            Places {
                addresses: Some(before.wrapping_add(ALIGNMENT).wrapping_sub(2 * size)),
                ..places
            },
            Places {
                addresses: Some(after),
                ..places
            },
        ]
    }
}

/// Where every 256th name starts, counted from the first one.
struct Markers {
    address: u64,
    values: Vec<u64>,
}

impl Markers {
    /// The markers that end before an address.
    fn before(image: &KernelImage, end: u64, width: usize) -> Option<Markers> {
        let end = end / ALIGNMENT * ALIGNMENT;
        let size = MAX_SYMBOLS as usize / GROUP * width;
        // Whatever lies further before may not be there.
        let bytes = [size, size / 16]
            .into_iter()
            .find_map(|size| image.read(end.checked_sub(size as u64)?, size))?;
        let order = image.byte_order();
        let mut values: Vec<u64> = match width {
            4 => bytes
                .as_chunks()
                .0
                .iter()
                .map(|&b| order.u32(b).into())
                .collect(),
            _ => bytes.as_chunks().0.iter().map(|&b| order.u64(b)).collect(),
        };
        let mut end = end;
        // What fills up to the next part is no marker.
        if values.last() == Some(&0) {
            values.pop();
            end -= width as u64;
        }
        let first = values.iter().rposition(|value| *value == 0)?;
        let values = values.split_off(first);
        let is_ascending = values.is_sorted_by(|one, next| one < next);
        (values.len() > 1 && is_ascending).then(|| Markers {
            address: end - (values.len() * width) as u64,
            values,
        })
    }

    /// Where the names are, and how many.
    fn names(&self, image: &KernelImage, has_long_names: bool) -> Option<(u64, u32)> {
        let order = image.byte_order();
        let last = *self.values.last()?;
        let longest = if has_long_names { 514 } else { 256 } * GROUP as u64;
        let start = self.address.checked_sub(last.checked_add(longest)?)? & !(ALIGNMENT - 1);
        let bytes = image.read(start, usize::try_from(self.address - start).ok()?)?;
        let farthest = bytes.len().checked_sub(last as usize)?;
        (8..farthest).step_by(ALIGNMENT as usize).find_map(|names| {
            let count = order.u32(*bytes.get(names - 8..)?.first_chunk()?);
            let is_count = (count as usize).div_ceil(GROUP) == self.values.len();
            let fits = is_count && self.fits(bytes.get(names..)?, count, has_long_names);
            fits.then_some((start + names as u64, count))
        })
    }

    /// Whether the names in `bytes` start where the markers say.
    fn fits(&self, bytes: &[u8], count: u32, has_long_names: bool) -> bool {
        let mut at = 0;
        for index in 0..count as usize {
            if index % GROUP == 0 && self.values.get(index / GROUP) != Some(&(at as u64)) {
                return false;
            }
            let Some(&low) = bytes.get(at) else {
                return false;
            };
            at += 1;
            let mut length = usize::from(low);
            if has_long_names && low & 0x80 != 0 {
                let Some(&high) = bytes.get(at) else {
                    return false;
                };
                at += 1;
                length = length & 0x7f | usize::from(high) << 7;
            }
            at += length;
        }
        at <= bytes.len()
    }
}
