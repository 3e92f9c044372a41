//! Numbers in byte slices whose content nobody vouches for.

use crate::ByteOrder;

/// The `N` bytes at `offset`, if they are there.
pub(crate) fn array_at<const N: usize>(bytes: &[u8], offset: usize) -> Option<[u8; N]> {
    bytes.get(offset..)?.first_chunk::<N>().copied()
}

/// A string field: the bytes before the first NUL, or all.
pub(crate) fn until_nul(bytes: &[u8]) -> &[u8] {
    let end = bytes.iter().position(|&byte| byte == 0);
    &bytes[..end.unwrap_or(bytes.len())]
}

impl ByteOrder {
    /// The 16-bit number in `bytes`.
    pub fn u16(self, bytes: [u8; 2]) -> u16 {
        match self {
            ByteOrder::Little => u16::from_le_bytes(bytes),
            ByteOrder::Big => u16::from_be_bytes(bytes),
        }
    }

    /// The 32-bit number in `bytes`.
    pub fn u32(self, bytes: [u8; 4]) -> u32 {
        match self {
            ByteOrder::Little => u32::from_le_bytes(bytes),
            ByteOrder::Big => u32::from_be_bytes(bytes),
        }
    }

    /// The 64-bit number in `bytes`.
    pub fn u64(self, bytes: [u8; 8]) -> u64 {
        match self {
            ByteOrder::Little => u64::from_le_bytes(bytes),
            ByteOrder::Big => u64::from_be_bytes(bytes),
        }
    }
}

/// A structure read field by field: its bytes, its byte order and the size of its `long`s.
#[derive(Clone, Copy)]
pub(crate) struct Fields<'a> {
    pub bytes: &'a [u8],
    pub order: ByteOrder,
    pub is_64_bit: bool,
}

impl Fields<'_> {
    pub fn u16(self, offset: usize) -> Option<u16> {
        Some(self.order.u16(array_at(self.bytes, offset)?))
    }

    pub fn u32(self, offset: usize) -> Option<u32> {
        Some(self.order.u32(array_at(self.bytes, offset)?))
    }

    pub fn u64(self, offset: usize) -> Option<u64> {
        Some(self.order.u64(array_at(self.bytes, offset)?))
    }

    /// An `unsigned long`.
    pub fn word(self, offset: usize) -> Option<u64> {
        if self.is_64_bit {
            self.u64(offset)
        } else {
            self.u32(offset).map(u64::from)
        }
    }
}
