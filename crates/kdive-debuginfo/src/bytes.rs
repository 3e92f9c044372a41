//! Numbers from bytes in a byte order that is known only at run time.

use kdive_target::ByteOrder;

pub(crate) fn u32_from(order: ByteOrder, bytes: [u8; 4]) -> u32 {
    match order {
        ByteOrder::Little => u32::from_le_bytes(bytes),
        ByteOrder::Big => u32::from_be_bytes(bytes),
    }
}

pub(crate) fn u64_from(order: ByteOrder, bytes: [u8; 8]) -> u64 {
    match order {
        ByteOrder::Little => u64::from_le_bytes(bytes),
        ByteOrder::Big => u64::from_be_bytes(bytes),
    }
}

/// The string that starts at `offset` of `strings` and ends with a zero byte.
pub(crate) fn c_string_at(strings: &[u8], offset: usize) -> Option<&[u8]> {
    let rest = strings.get(offset..)?;
    rest.get(..rest.iter().position(|&byte| byte == 0)?)
}

pub(crate) fn u16_from(order: ByteOrder, bytes: [u8; 2]) -> u16 {
    match order {
        ByteOrder::Little => u16::from_le_bytes(bytes),
        ByteOrder::Big => u16::from_be_bytes(bytes),
    }
}

/// The 32-bit number at `offset`, if the bytes reach so far.
pub(crate) fn u32_at(bytes: &[u8], offset: usize, order: ByteOrder) -> Option<u32> {
    Some(u32_from(order, *bytes.get(offset..)?.first_chunk()?))
}
