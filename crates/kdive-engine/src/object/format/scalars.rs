//! Numbers, pointers and strings out of a block.

use std::fmt::Write as _;

use kdive_target::{AddressSpace, ByteOrder};

use super::FormatFlags;
use super::block::Block;
use super::layout::{Formatter, Part, is_character, no_value_kind};
use super::text::{write_character, write_float, write_integer, write_string, write_wide_integer};
use crate::object::wide_float::{Precision, WideFloat};
use crate::object::{Encoding, Layout, Number, Value, bits};
use crate::types::{Type, TypeKind};
use crate::{Error, Result};

/// How much of a string behind a pointer is shown, in bytes.
const MAX_STRING: u64 = 1 << 16;

impl Formatter<'_> {
    pub(super) fn character_array(
        &mut self,
        block: &Block,
        part: &Part,
        length: u64,
    ) -> Result<()> {
        let layout = Layout {
            encoding: Encoding::Bytes,
            bits: length.saturating_mul(8),
            byte_order: ByteOrder::Little,
        };
        if let Some(Value::Bytes(bytes)) = bits::decode(&layout, &block.bytes, part.bit_offset)? {
            let hole = block.hole(part.bit_offset, layout.bits);
            let readable = hole.map_or(bytes.len(), |(start, _)| {
                (start.saturating_sub(part.bit_offset / 8) as usize).min(bytes.len())
            });
            let bytes = bytes.get(..readable).unwrap_or_default();
            let end = bytes.iter().position(|byte| *byte == 0);
            write_string(
                &mut self.out,
                bytes.get(..end.unwrap_or(readable)).unwrap_or_default(),
            );
            if let (Some((start, _)), None) = (hole, end) {
                let reason = block.why_missing(start.saturating_mul(8));
                let _ = write!(self.out, " <{reason}>");
            }
        }
        Ok(())
    }

    pub(super) fn integer(block: &Block, part: &Part) -> Result<u64> {
        let layout = Layout::of(&part.ty, part.bit_field_size)?;
        match bits::decode(&layout, &block.bytes, part.bit_offset)? {
            Some(Value::Integer(value)) => Ok(value as u64),
            _ => Err(Error::Type(format!(
                "cannot format {} object",
                no_value_kind(&part.ty)
            ))),
        }
    }

    /// Writes an address; whether it belongs to a symbol.
    pub(super) fn address_with_symbol(&mut self, address: u64) -> Result<bool> {
        let symbol = if self.has(FormatFlags::SYMBOLIZE) {
            self.program.symbol_at(address)?
        } else {
            None
        };
        if let Some(symbol) = &symbol {
            let offset = address.wrapping_sub(symbol.address);
            let _ = write!(self.out, "{}+0x{offset:x} = ", symbol.name);
        }
        let _ = write!(self.out, "0x{address:x}");
        Ok(symbol.is_some())
    }

    fn pointer(&mut self, block: &Block, part: &Part, real: &Type) -> Result<()> {
        let address = Self::integer(block, part)?;
        self.address_with_symbol(address)?;
        if self.has(FormatFlags::STRING)
            && let Some(target) = real.target()?
            && is_character(&target)
            && let Ok(text) = self
                .program
                .read_c_string(AddressSpace::Virtual, address, MAX_STRING)
        {
            self.out.push_str(" = ");
            write_string(&mut self.out, &text);
            if text.len() as u64 == MAX_STRING {
                self.out.push_str("...");
            }
        }
        Ok(())
    }

    pub(super) fn scalar(&mut self, block: &Block, part: &Part, real: &Type) -> Result<()> {
        if real.kind() == TypeKind::Pointer {
            return self.pointer(block, part, real);
        }
        let layout = Layout::of(&part.ty, part.bit_field_size)?;
        let Some(value) = bits::decode(&layout, &block.bytes, part.bit_offset)? else {
            self.out.push_str("<incomplete type>");
            return Ok(());
        };
        match (&value, Number::of_value(&value, &layout)) {
            (_, Some(Number::Float(number))) => write_float(&mut self.out, number),
            (_, Some(Number::Wide(number))) => {
                let _ = write!(self.out, "{number}");
            }
            (_, Some(Number::Integer { bits, is_negative })) => {
                self.number(part, real, bits, is_negative)?;
            }
            (Value::Bytes(bytes), None) if real.kind() == TypeKind::Float => {
                let precision = Precision::of(bytes.len() as u64, self.program.architecture())?;
                let number = WideFloat::from_bytes(bytes, layout.byte_order, precision);
                let _ = write!(self.out, "{number}");
            }
            (Value::Bytes(bytes), None) => {
                let mut bytes = bytes.to_vec();
                if layout.byte_order == ByteOrder::Big {
                    bytes.reverse();
                }
                write_wide_integer(&mut self.out, &bytes);
            }
            (_, None) => self.out.push_str("<no value>"),
        }
        Ok(())
    }

    fn number(&mut self, part: &Part, real: &Type, bits: u128, is_negative: bool) -> Result<()> {
        let mut base = self.options.integer_base;
        if real.kind() == TypeKind::Enum {
            let value = bits as i128;
            let name = real
                .enumerators()?
                .unwrap_or_default()
                .iter()
                .find(|enumerator| enumerator.value == value)
                .map(|enumerator| &enumerator.name);
            if let Some(name) = name {
                self.out.push_str(name);
                return Ok(());
            }
            base = 10;
        } else if self.has(FormatFlags::CHAR) && is_character(&part.ty) {
            write_character(&mut self.out, bits as u8);
            return Ok(());
        }
        write_integer(&mut self.out, bits, is_negative, base);
        Ok(())
    }
}
