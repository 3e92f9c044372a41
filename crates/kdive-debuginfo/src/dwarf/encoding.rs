//! Reading numbers and unit headers of DWARF for the indexing pass.

use gimli::constants as dw;
use kdive_target::ByteOrder;

use crate::bytes::{u32_from, u64_from};

/// What decides how the entries of a unit are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Encoding {
    pub(super) version: u16,
    pub(super) address_size: u8,
    pub(super) is_dwarf64: bool,
    pub(super) byte_order: ByteOrder,
}

impl Encoding {
    pub(super) fn offset_size(self) -> u8 {
        if self.is_dwarf64 { 8 } else { 4 }
    }
}

/// A place in a section. Every read is checked; a failed one leaves it anywhere.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cursor<'a> {
    data: &'a [u8],
    position: usize,
    byte_order: ByteOrder,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(data: &'a [u8], position: u64, byte_order: ByteOrder) -> Option<Cursor<'a>> {
        let position = usize::try_from(position)
            .ok()
            .filter(|&at| at <= data.len())?;
        Some(Cursor {
            data,
            position,
            byte_order,
        })
    }

    pub(super) fn position(&self) -> u64 {
        self.position as u64
    }

    #[inline]
    pub(super) fn seek(&mut self, position: u64) -> Option<()> {
        self.position = usize::try_from(position)
            .ok()
            .filter(|&at| at <= self.data.len())?;
        Some(())
    }

    #[inline]
    pub(super) fn skip(&mut self, count: u64) -> Option<()> {
        self.seek((self.position as u64).checked_add(count)?)
    }

    #[inline]
    pub(super) fn u8(&mut self) -> Option<u8> {
        let byte = *self.data.get(self.position)?;
        self.position += 1;
        Some(byte)
    }

    /// A number of up to eight bytes at `offset` from here.
    pub(super) fn peek(&self, offset: u16, size: u8) -> Option<u64> {
        let mut there = *self;
        there.skip(u64::from(offset))?;
        there.unsigned(size)
    }

    /// The four bytes at `offset` from here, as a number.
    #[inline]
    pub(super) fn peek_u32(&self, offset: u16) -> Option<u32> {
        let start = self.position + usize::from(offset);
        let bytes = self.data.get(start..)?.first_chunk()?;
        Some(u32_from(self.byte_order, *bytes))
    }

    /// An unsigned number of up to eight bytes.
    #[inline]
    pub(super) fn unsigned(&mut self, size: u8) -> Option<u64> {
        let end = self.position.checked_add(usize::from(size))?;
        let bytes = self.data.get(self.position..end)?;
        self.position = end;
        match *bytes {
            [byte] => Some(u64::from(byte)),
            [a, b] => Some(u64::from(u32_from(self.byte_order, self.widen([a, b])))),
            [a, b, c, d] => Some(u64::from(u32_from(self.byte_order, [a, b, c, d]))),
            _ => self.unsigned_of_any_size(bytes),
        }
    }

    /// Two bytes as four, in the byte order.
    #[inline]
    fn widen(&self, [a, b]: [u8; 2]) -> [u8; 4] {
        match self.byte_order {
            ByteOrder::Little => [a, b, 0, 0],
            ByteOrder::Big => [0, 0, a, b],
        }
    }

    fn unsigned_of_any_size(&self, bytes: &[u8]) -> Option<u64> {
        let mut whole = [0; 8];
        match self.byte_order {
            ByteOrder::Little => whole.get_mut(..bytes.len())?.copy_from_slice(bytes),
            ByteOrder::Big => {
                whole
                    .get_mut(8usize.checked_sub(bytes.len())?..)?
                    .copy_from_slice(bytes);
            }
        }
        Some(u64_from(self.byte_order, whole))
    }

    #[inline]
    pub(super) fn uleb(&mut self) -> Option<u64> {
        let first = self.u8()?;
        if first < 0x80 {
            return Some(u64::from(first));
        }
        self.uleb_rest(first)
    }

    fn uleb_rest(&mut self, first: u8) -> Option<u64> {
        let mut value = u64::from(first & 0x7f);
        let mut shift = 7;
        loop {
            let byte = self.u8()?;
            if shift < 64 {
                value |= u64::from(byte & 0x7f) << shift;
            }
            if byte < 0x80 {
                return Some(value);
            }
            shift += 7;
        }
    }

    pub(super) fn sleb(&mut self) -> Option<i64> {
        let mut value = 0;
        let mut shift = 0;
        loop {
            let byte = self.u8()?;
            if shift < 64 {
                value |= i64::from(byte & 0x7f) << shift;
            }
            shift += 7;
            if byte < 0x80 {
                if shift < 64 && byte & 0x40 != 0 {
                    value |= -1 << shift;
                }
                return Some(value);
            }
        }
    }

    pub(super) fn c_string(&mut self) -> Option<&'a [u8]> {
        let rest = self.data.get(self.position..)?;
        let length = rest.iter().position(|&byte| byte == 0)?;
        self.position += length + 1;
        rest.get(..length)
    }
}

/// The header of a unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct UnitHeader {
    /// Where the unit starts in its section.
    pub(super) offset: u64,
    /// Where the next one starts.
    pub(super) end: u64,
    /// Where its first entry is.
    pub(super) entries: u64,
    pub(super) abbreviations: u64,
    pub(super) encoding: Encoding,
    /// For type units: the signature, and the section offset of the type.
    pub(super) type_signature: Option<(u64, u64)>,
    pub(super) dwo_id: Option<u64>,
}

/// The unit headers of a section, read one after the other.
pub(super) struct UnitHeaders<'a> {
    section: &'a [u8],
    is_types: bool,
    byte_order: ByteOrder,
    position: u64,
}

impl<'a> UnitHeaders<'a> {
    /// Those of `.debug_info` or, if `is_types`, of `.debug_types`.
    pub(super) fn new(section: &'a [u8], is_types: bool, byte_order: ByteOrder) -> Self {
        UnitHeaders {
            section,
            is_types,
            byte_order,
            position: 0,
        }
    }

    /// Where the next unit starts.
    pub(super) fn position(&self) -> u64 {
        self.position
    }

    /// The next header. An error has the offset of the unit.
    pub(super) fn next(&mut self) -> Result<Option<UnitHeader>, (u64, &'static str)> {
        let offset = self.position;
        if offset >= self.section.len() as u64 {
            return Ok(None);
        }
        let header = unit_header(self.section, offset, self.is_types, self.byte_order)
            .ok_or((offset, "the unit's header is truncated"))
            .and_then(|header| header.map_err(|message| (offset, message)));
        // After an error there is nothing more to be read.
        self.position = header.as_ref().map_or(u64::MAX, |header| header.end);
        header.map(Some)
    }
}

fn unit_header(
    section: &[u8],
    offset: u64,
    is_types: bool,
    byte_order: ByteOrder,
) -> Option<Result<UnitHeader, &'static str>> {
    let mut cursor = Cursor::new(section, offset, byte_order)?;
    let mut length = cursor.unsigned(4)?;
    let is_dwarf64 = length == 0xffff_ffff;
    if is_dwarf64 {
        length = cursor.unsigned(8)?;
    } else if length >= 0xffff_fff0 {
        return Some(Err("the unit has a reserved length"));
    }
    let end = cursor.position().checked_add(length)?;
    if end > section.len() as u64 {
        return Some(Err("the unit ends beyond the end of the section"));
    }
    let version = cursor.unsigned(2)? as u16;
    if !(2..=5).contains(&version) {
        return Some(Err("the unit has an unknown DWARF version"));
    }
    let offset_size = if is_dwarf64 { 8 } else { 4 };
    let mut kind = if is_types {
        dw::DW_UT_type
    } else {
        dw::DW_UT_compile
    };
    let (abbreviations, address_size);
    if version >= 5 {
        kind = dw::DwUt(cursor.u8()?);
        address_size = cursor.u8()?;
        abbreviations = cursor.unsigned(offset_size)?;
    } else {
        abbreviations = cursor.unsigned(offset_size)?;
        address_size = cursor.u8()?;
    }
    if ![1, 2, 4, 8].contains(&address_size) {
        return Some(Err("the unit has an unknown address size"));
    }
    let (mut type_signature, mut dwo_id) = (None, None);
    match kind {
        dw::DW_UT_type | dw::DW_UT_split_type => {
            let signature = cursor.unsigned(8)?;
            type_signature = Some((
                signature,
                offset.checked_add(cursor.unsigned(offset_size)?)?,
            ));
        }
        dw::DW_UT_skeleton | dw::DW_UT_split_compile => dwo_id = Some(cursor.unsigned(8)?),
        dw::DW_UT_compile | dw::DW_UT_partial => {}
        _ => return Some(Err("the unit is of an unknown kind")),
    }
    Some(Ok(UnitHeader {
        offset,
        end,
        entries: cursor.position(),
        abbreviations,
        encoding: Encoding {
            version,
            address_size,
            is_dwarf64,
            byte_order,
        },
        type_signature,
        dwo_id,
    }))
}
