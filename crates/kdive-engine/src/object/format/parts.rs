//! The parts of structures and arrays that are to be written.

use std::sync::Arc;

use super::FormatFlags;
use super::block::Block;
use super::layout::{Content, Formatter, Item, Label, Part, unreadable};
use crate::object::{Encoding, Layout, Number, bits};
use crate::types::{Type, TypeKind};
use crate::{Error, Result};

impl Formatter<'_> {
    /// The members to be written, those of anonymous members and base classes among them.
    pub(super) fn members(
        &mut self,
        block: &Block,
        part: &Part,
        real: &Type,
        depth: usize,
    ) -> Result<Vec<Item>> {
        let mut items = Vec::new();
        self.add_members(block, part.bit_offset, real, depth, &mut items)?;
        if self.leaves_out_last_members() {
            while let Some(Item {
                content: Content::Part(part),
                ..
            }) = items.last()
                && self.is_zero(block, part, depth)?
            {
                items.pop();
            }
        }
        Ok(items)
    }

    /// Whether members that are zero are left out at the end only, since their places tell which
    /// members are meant.
    fn leaves_out_last_members(&self) -> bool {
        !self.has(FormatFlags::IMPLICIT_MEMBERS) && !self.has(FormatFlags::MEMBER_NAMES)
    }

    fn add_members(
        &mut self,
        block: &Block,
        bit_offset: u64,
        real: &Type,
        depth: usize,
        items: &mut Vec<Item>,
    ) -> Result<()> {
        for member in real.members()?.unwrap_or_default() {
            self.count_part(depth)?;
            let bit_offset = bit_offset.wrapping_add(member.bit_offset);
            let ty = match member.ty() {
                Ok(ty) => ty,
                // One damaged member does not hide the others.
                Err(error @ Error::DebugInfo(_)) => {
                    items.push(Item {
                        label: self.member_label(member.name.as_ref()),
                        content: Content::Missing(error.to_string()),
                    });
                    continue;
                }
                Err(error) => return Err(error),
            };
            // Without their names, only the braces tell the members of one from those of the other.
            if (member.name.is_none() || member.is_base_class)
                && ty.kind().is_compound()
                && self.has(FormatFlags::MEMBER_NAMES)
            {
                self.add_members(block, bit_offset, &ty, depth + 1, items)?;
                continue;
            }
            let part = Part {
                ty,
                bit_offset,
                bit_field_size: member.bit_field_size()?,
            };
            if !self.has(FormatFlags::IMPLICIT_MEMBERS)
                && !self.leaves_out_last_members()
                && self.is_zero(block, &part, depth)?
            {
                continue;
            }
            items.push(Item {
                label: self.member_label(member.name.as_ref()),
                content: Self::content(block, part)?,
            });
        }
        Ok(())
    }

    fn member_label(&self, name: Option<&Arc<str>>) -> Label {
        match name {
            Some(name) if self.has(FormatFlags::MEMBER_NAMES) => Label::Member(name.clone()),
            _ => Label::None,
        }
    }

    /// A part, unless nothing of it could be read.
    fn content(block: &Block, part: Part) -> Result<Content> {
        let layout = Layout::of(&part.ty, part.bit_field_size)?;
        if !block.has(part.bit_offset, layout.bits) {
            let message = "beyond the end of its structure".to_owned();
            return Ok(Content::Missing(message));
        }
        let is_scalar = !matches!(layout.encoding, Encoding::Bytes | Encoding::None);
        let is_lost = if is_scalar {
            block.hole(part.bit_offset, layout.bits).is_some()
        } else {
            block.is_lost(part.bit_offset, layout.bits)
        };
        if is_lost {
            return Ok(unreadable(block, part.bit_offset));
        }
        Ok(Content::Part(part))
    }

    pub(super) fn elements(
        &mut self,
        block: &Block,
        part: &Part,
        element: &Type,
        length: u64,
        depth: usize,
    ) -> Result<Vec<Item>> {
        if length == 0 {
            return Ok(Vec::new());
        }
        let bits = element.size()?.saturating_mul(8);
        let all = self.has(FormatFlags::IMPLICIT_ELEMENTS);
        let indices = self.has(FormatFlags::ELEMENT_INDICES);
        let element_at = |index: u64| Part {
            ty: element.clone(),
            bit_offset: part.bit_offset.wrapping_add(index.wrapping_mul(bits)),
            bit_field_size: None,
        };
        let mut end = length;
        if !all {
            let content = block
                .end_of_content(part.bit_offset, bits.saturating_mul(length))
                .saturating_sub(part.bit_offset);
            end = if bits == 0 {
                0
            } else {
                content.div_ceil(bits).min(length)
            };
            while end > 0 && self.is_zero(block, &element_at(end - 1), depth)? {
                end -= 1;
            }
        }
        let mut items = Vec::new();
        let mut index = 0;
        while index < end {
            self.count_part(depth)?;
            let part = element_at(index);
            if block.is_lost(part.bit_offset, bits) {
                // A hole is as likely to hold thousands of elements as one.
                let first = index;
                while index + 1 < end && block.is_lost(element_at(index + 1).bit_offset, bits) {
                    index += 1;
                }
                items.push(Item {
                    label: if first == index {
                        if indices {
                            Label::Index(index)
                        } else {
                            Label::None
                        }
                    } else {
                        Label::Indices(first, index)
                    },
                    content: unreadable(block, part.bit_offset),
                });
            } else if all || !indices || !self.is_zero(block, &part, depth)? {
                items.push(Item {
                    label: if indices {
                        Label::Index(index)
                    } else {
                        Label::None
                    },
                    content: Self::content(block, part)?,
                });
            }
            index += 1;
        }
        Ok(items)
    }

    /// Whether a value is zero, whatever its padding holds.
    fn is_zero(&mut self, block: &Block, part: &Part, depth: usize) -> Result<bool> {
        self.count_part(depth)?;
        let layout = Layout::of(&part.ty, part.bit_field_size)?;
        if !block.has(part.bit_offset, layout.bits)
            || block.hole(part.bit_offset, layout.bits).is_some()
        {
            return Ok(false);
        }
        match layout.encoding {
            Encoding::None => return Ok(part.ty.unaliased_kind()? == TypeKind::Array),
            Encoding::Bytes => {}
            _ => {
                let value = bits::decode(&layout, &block.bytes, part.bit_offset)?;
                return Ok(value
                    .and_then(|value| Number::of_value(&value, &layout))
                    .is_none_or(Number::is_zero));
            }
        }
        if block.end_of_content(part.bit_offset, layout.bits) == part.bit_offset {
            return Ok(true);
        }
        let real = part.ty.unaliased()?;
        match real.kind() {
            TypeKind::Struct | TypeKind::Union | TypeKind::Class => {
                for member in real.members()?.unwrap_or_default() {
                    let part = Part {
                        ty: member.ty()?,
                        bit_offset: part.bit_offset.wrapping_add(member.bit_offset),
                        bit_field_size: member.bit_field_size()?,
                    };
                    if !self.is_zero(block, &part, depth + 1)? {
                        return Ok(false);
                    }
                }
                Ok(true)
            }
            TypeKind::Array => {
                let element = real.target()?.unwrap_or_else(|| self.program.void_type());
                let bits = element.size()?.saturating_mul(8);
                for index in 0..real.length().unwrap_or(0) {
                    let part = Part {
                        ty: element.clone(),
                        bit_offset: part.bit_offset.wrapping_add(index.wrapping_mul(bits)),
                        bit_field_size: None,
                    };
                    if !self.is_zero(block, &part, depth + 1)? {
                        return Ok(false);
                    }
                }
                Ok(true)
            }
            _ => Ok(false),
        }
    }
}
