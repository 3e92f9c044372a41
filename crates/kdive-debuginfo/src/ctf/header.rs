//! The header of a dictionary: its version, where its sections are, and its byte order.

use std::ops::Range;

use kdive_target::ByteOrder;

use crate::bytes::{u16_from, u32_at};
use crate::elf::inflate;

/// The first two bytes.
const MAGIC: u16 = 0xdff2;
const PREAMBLE_SIZE: usize = 4;

/// The numbers that stand for the versions; 1 is CTF version 1, and 2 was never written to files.
const VERSION_2: u8 = 3;
const VERSION_3: u8 = 4;

const COMPRESSED: u8 = 1;
/// The functions' section is like that of the objects, and not of the older form.
const NEW_FUNCTIONS: u8 = 1 << 1;
/// Names of symbols are in `.dynstr`, and the order of symbols is that of `.dynsym`.
const DYNAMIC: u8 = 1 << 3;

/// What a header says. The ranges are of bytes in the body, which follows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) byte_order: ByteOrder,
    /// Whether symbols and their names are those of `.dynsym`.
    pub(super) is_dynamic: bool,
    /// The name of the dictionary that this one goes on from; 0 if it stands for itself.
    pub(super) parent: u32,
    /// The name of the unit that was compiled; 0 if there were several.
    pub(super) unit: u32,
    pub(super) objects: Range<usize>,
    pub(super) functions: Range<usize>,
    pub(super) object_names: Range<usize>,
    pub(super) function_names: Range<usize>,
    pub(super) variables: Range<usize>,
    pub(super) types: Range<usize>,
    pub(super) strings: Range<usize>,
}

/// Whether a dictionary starts with these bytes.
pub(super) fn is_dictionary(bytes: &[u8]) -> bool {
    byte_order(bytes).is_some()
}

fn byte_order(bytes: &[u8]) -> Option<ByteOrder> {
    let magic = *bytes.first_chunk()?;
    [ByteOrder::Little, ByteOrder::Big]
        .into_iter()
        .find(|order| u16_from(*order, magic) == MAGIC)
}

/// Reads the header, and the body decompressed. The error is a message without its origin.
pub(super) fn read(bytes: &[u8]) -> Result<(Header, Vec<u8>), String> {
    let short = || format!("CTF of {} bytes ends within its header", bytes.len());
    let order = byte_order(bytes)
        .ok_or_else(|| "this is not CTF: the magic number is missing".to_owned())?;
    let [_, _, version, flags] = *bytes.first_chunk().ok_or_else(short)?;
    let fields = match version {
        VERSION_2 => 9,
        VERSION_3 => 12,
        1 => return Err("CTF version 1 is not supported, only versions 2 and 3".to_owned()),
        other => {
            return Err(format!(
                "CTF of the format number {other} is not supported, only versions 2 and 3 \
                 (numbers {VERSION_2} and {VERSION_3}); version 4 is new in binutils"
            ));
        }
    };
    let body = bytes.get(PREAMBLE_SIZE + fields * 4..).ok_or_else(short)?;
    let field = |index: usize| u32_at(bytes, PREAMBLE_SIZE + index * 4, order).ok_or_else(short);
    let parent = field(1)?;
    // Version 2 has neither the name of the unit nor names of objects and functions.
    let (unit, offsets) = if version == VERSION_3 {
        (field(2)?, 3..fields)
    } else {
        (0, 2..fields)
    };
    let offsets: Vec<usize> = offsets
        .map(|index| Ok(field(index)? as usize))
        .collect::<Result<_, String>>()?;
    let [
        labels,
        objects,
        functions,
        middle @ ..,
        variables,
        types,
        strings,
        length,
    ] = &offsets[..]
    else {
        return Err(short());
    };
    let (object_names, function_names) = match middle {
        [objects, functions] => (*objects, *functions),
        _ => (*variables, *variables),
    };
    let end = strings
        .checked_add(*length)
        .ok_or_else(|| "the CTF string section ends beyond all bounds".to_owned())?;
    let starts = [
        *labels,
        *objects,
        *functions,
        object_names,
        function_names,
        *variables,
        *types,
        *strings,
        end,
    ];
    if !starts.is_sorted() {
        return Err(format!(
            "the CTF sections overlap: they start at {starts:x?}"
        ));
    }
    let body = if flags & COMPRESSED != 0 {
        inflate(body, end as u64).map_err(|message| format!("CTF: {message}"))?
    } else {
        let whole = body.get(..end).ok_or_else(|| {
            format!(
                "the CTF sections have {end} bytes, of which only {} are there",
                body.len()
            )
        })?;
        whole.to_vec()
    };
    let is_new = version == VERSION_3 && flags & NEW_FUNCTIONS != 0;
    let header = Header {
        byte_order: order,
        is_dynamic: version == VERSION_3 && flags & DYNAMIC != 0,
        parent,
        unit,
        objects: *objects..*functions,
        functions: *functions..if is_new { object_names } else { *functions },
        object_names: object_names..function_names,
        function_names: function_names..*variables,
        variables: *variables..*types,
        types: *types..*strings,
        strings: *strings..end,
    };
    Ok((header, body))
}
