//! Values over lines and columns.

use std::fmt::Write as _;
use std::sync::Arc;

use super::block::{Block, reason_in_words};
use super::{FormatFlags, FormatOptions};
use crate::object::{Encoding, Layout, Object, Place};
use crate::program::Program;
use crate::types::{PrimitiveType, Type, TypeKind};
use crate::{Error, Result};

/// How deep values may nest.
const MAX_DEPTH: usize = 200;

/// How many parts of a value are looked at before the value counts as absurd.
const MAX_PARTS: usize = 1 << 21;

/// How long the text may become, in bytes.
const MAX_LENGTH: usize = 1 << 28;

/// The width of a tab in columns.
const TAB: usize = 8;

pub(super) fn format(object: &Object, options: &FormatOptions) -> Result<String> {
    let mut formatter = Formatter {
        program: &object.program,
        options,
        out: String::new(),
        line_start: 0,
        parts: 0,
    };
    formatter.object(object)?;
    Ok(formatter.out)
}

/// A part of a block with its type.
pub(super) struct Part {
    pub(super) ty: Type,
    pub(super) bit_offset: u64,
    pub(super) bit_field_size: Option<u64>,
}

/// A member or element to be written.
pub(super) struct Item {
    pub(super) label: Label,
    pub(super) content: Content,
}

pub(super) enum Label {
    None,
    Member(Arc<str>),
    Index(u64),
    Indices(u64, u64),
}

pub(super) enum Content {
    Part(Part),
    /// Something that has no value, and why.
    Missing(String),
}

/// How much room there is.
#[derive(Clone, Copy)]
enum Room {
    /// All must be on the current line, which ends before this length of the text.
    Line(usize),
    /// Lines may break; this many characters follow on the last one.
    Lines { after: usize },
}

pub(super) struct Formatter<'a> {
    pub(super) program: &'a Arc<Program>,
    pub(super) options: &'a FormatOptions,
    pub(super) out: String,
    /// Where the current line starts in the text.
    line_start: usize,
    parts: usize,
}

impl Formatter<'_> {
    pub(super) fn has(&self, flag: FormatFlags) -> bool {
        self.options.flags.contains(flag)
    }

    fn object(&mut self, object: &Object) -> Result<()> {
        let real = object.ty.unaliased()?;
        let shows_type = self.has(FormatFlags::TYPE_NAME);
        if let Place::Absent(reason) = object.place {
            if shows_type {
                self.type_name(&object.ty)?;
            }
            let _ = write!(self.out, "<{}>", reason_in_words(reason));
            return Ok(());
        }
        if matches!(real.kind(), TypeKind::Function | TypeKind::Array)
            && object.layout()?.encoding == Encoding::None
        {
            // An incomplete array or a function: it has an address, but no value.
            let block = Block::empty(object.address());
            let part = Part {
                ty: object.ty.clone(),
                bit_offset: 0,
                bit_field_size: None,
            };
            return self.value(&block, &part, shows_type, 0, Room::Lines { after: 0 });
        }
        let layout = object.layout()?;
        if layout.encoding == Encoding::None {
            return Err(Error::Type(format!(
                "cannot format {} object",
                no_value_kind(&real)
            )));
        }
        let (block, bit_offset) = Block::of(object, &layout)?;
        let part = Part {
            ty: object.ty.clone(),
            bit_offset,
            bit_field_size: object.bit_field_size,
        };
        if real.kind() == TypeKind::Pointer && self.has(FormatFlags::DEREFERENCE) {
            return self.followed_pointer(&block, &part, &real, shows_type);
        }
        self.value(&block, &part, shows_type, 0, Room::Lines { after: 0 })
    }

    /// A pointer, and what it points to if that can be read.
    fn followed_pointer(
        &mut self,
        block: &Block,
        part: &Part,
        real: &Type,
        shows_type: bool,
    ) -> Result<()> {
        let plain = |formatter: &mut Self| {
            formatter.value(block, part, shows_type, 0, Room::Lines { after: 0 })
        };
        let Some(target) = real.target()? else {
            return plain(self);
        };
        let is_string = is_character(&target) && self.has(FormatFlags::STRING);
        let target_layout = Layout::of(&target, None)?;
        if is_string || target_layout.encoding == Encoding::None {
            return plain(self);
        }
        let address = Self::integer(block, part)?;
        let object = Object::reference_unchecked(self.program, target.clone(), address, 0, None);
        let Ok((pointed, bit_offset)) = Block::of(&object, &target_layout) else {
            return plain(self);
        };
        self.out.push('*');
        if shows_type {
            self.type_name(&part.ty)?;
        }
        let start = self.out.len();
        if self.address_with_symbol(address)? {
            self.out.insert(start, '(');
            self.out.push(')');
        }
        self.out.push_str(" = ");
        let target = Part {
            ty: target,
            bit_offset,
            bit_field_size: None,
        };
        self.value(&pointed, &target, false, 0, Room::Lines { after: 0 })
            .map(drop)
    }

    fn type_name(&mut self, ty: &Type) -> Result<()> {
        self.out.push('(');
        ty.write_name(&mut self.out)?;
        self.out.push(')');
        Ok(())
    }

    pub(super) fn count_part(&mut self, depth: usize) -> Result<()> {
        self.parts += 1;
        if depth > MAX_DEPTH || self.parts > MAX_PARTS || self.out.len() > MAX_LENGTH {
            return Err(Error::Recursion(
                "the value is too large or nested too deeply to be formatted".to_owned(),
            ));
        }
        Ok(())
    }

    /// Writes a value, if there is room for it.
    fn value(
        &mut self,
        block: &Block,
        part: &Part,
        shows_type: bool,
        depth: usize,
        room: Room,
    ) -> Result<()> {
        self.try_value(block, part, shows_type, depth, room)
            .map(drop)
    }

    /// Writes a value; false if there is not enough room, and something was written.
    fn try_value(
        &mut self,
        block: &Block,
        part: &Part,
        shows_type: bool,
        depth: usize,
        room: Room,
    ) -> Result<bool> {
        self.count_part(depth)?;
        if shows_type {
            self.type_name(&part.ty)?;
        }
        let real = part.ty.unaliased()?;
        match real.kind() {
            TypeKind::Struct | TypeKind::Union | TypeKind::Class => {
                if !real.is_complete()? {
                    self.out.push_str("<incomplete type>");
                    return Ok(self.fits(room));
                }
                let items = self.members(block, part, &real, depth)?;
                let same_line = self.has(FormatFlags::MEMBERS_SAME_LINE);
                let types = self.has(FormatFlags::MEMBER_TYPE_NAMES);
                return self.braces(block, &items, same_line, types, depth, room);
            }
            TypeKind::Array => {
                let element = real.target()?.unwrap_or_else(|| self.program.void_type());
                let length = real.length().unwrap_or(0);
                if real.length().is_none() && block.address.is_none() {
                    // A flexible array is not part of the structure's value.
                    self.out.push_str("<absent>");
                    return Ok(self.fits(room));
                }
                if length > 0 && is_character(&element) && self.has(FormatFlags::STRING) {
                    self.character_array(block, part, length)?;
                    return Ok(self.fits(room));
                }
                let items = self.elements(block, part, &element, length, depth)?;
                let same_line = self.has(FormatFlags::ELEMENTS_SAME_LINE);
                let types = self.has(FormatFlags::ELEMENT_TYPE_NAMES);
                return self.braces(block, &items, same_line, types, depth, room);
            }
            TypeKind::Function => match block.address_of(part.bit_offset) {
                Some(address) => {
                    let _ = write!(self.out, "0x{address:x}");
                }
                None => self.out.push_str("<no address>"),
            },
            TypeKind::Void => self.out.push_str("<no value>"),
            _ => self.scalar(block, part, &real)?,
        }
        Ok(self.fits(room))
    }

    fn fits(&self, room: Room) -> bool {
        match room {
            Room::Line(end) => self.out.len() <= end,
            Room::Lines { .. } => true,
        }
    }

    /// The room for something on the current line before `after` more characters.
    fn room_on_line(&self, after: usize) -> Room {
        let Some(columns) = self.options.columns else {
            return Room::Line(usize::MAX);
        };
        let line = self.out.get(self.line_start..).unwrap_or_default();
        let tabs = line.bytes().take_while(|byte| *byte == b'\t').count();
        let used = line.len() + tabs * (TAB - 1);
        let left = columns.saturating_sub(used);
        if left < after {
            return Room::Line(0);
        }
        Room::Line(self.out.len() + (left - after))
    }

    fn break_line(&mut self, tabs: usize) {
        self.out.push('\n');
        self.line_start = self.out.len();
        for _ in 0..tabs {
            self.out.push('\t');
        }
    }

    /// Writes items between braces: on one line if they fit, else over as many as needed.
    fn braces(
        &mut self,
        block: &Block,
        items: &[Item],
        same_line: bool,
        types: bool,
        depth: usize,
        room: Room,
    ) -> Result<bool> {
        if items.is_empty() {
            self.out.push_str("{}");
            return Ok(self.fits(room));
        }
        let start = self.out.len();
        if same_line {
            let line = match room {
                Room::Line(_) => room,
                Room::Lines { after } => self.room_on_line(after),
            };
            if self.braces_on_line(block, items, types, depth, line)? {
                return Ok(true);
            }
            self.out.truncate(start);
        }
        if matches!(room, Room::Line(_)) {
            return Ok(false);
        }
        self.out.push('{');
        let mut is_open = false;
        for item in items {
            if is_open {
                // Behind the item before.
                let before = self.out.len();
                self.out.push(' ');
                let line = self.room_on_line(1);
                if self.item(block, item, types, depth, line)? {
                    self.out.push(',');
                    continue;
                }
                self.out.truncate(before);
            }
            self.break_line(depth + 1);
            let before = self.out.len();
            is_open = false;
            if same_line {
                let line = self.room_on_line(1);
                is_open = self.item(block, item, types, depth, line)?;
                if !is_open {
                    self.out.truncate(before);
                }
            }
            if !is_open {
                self.item(block, item, types, depth, Room::Lines { after: 1 })?;
            }
            self.out.push(',');
        }
        self.break_line(depth);
        self.out.push('}');
        Ok(true)
    }

    fn braces_on_line(
        &mut self,
        block: &Block,
        items: &[Item],
        types: bool,
        depth: usize,
        line: Room,
    ) -> Result<bool> {
        self.out.push_str("{ ");
        for (index, item) in items.iter().enumerate() {
            if index > 0 {
                self.out.push_str(", ");
            }
            if !self.item(block, item, types, depth, line)? {
                return Ok(false);
            }
        }
        self.out.push_str(" }");
        Ok(self.fits(line))
    }

    fn item(
        &mut self,
        block: &Block,
        item: &Item,
        types: bool,
        depth: usize,
        room: Room,
    ) -> Result<bool> {
        let _ = match &item.label {
            Label::None => Ok(()),
            Label::Member(name) => write!(self.out, ".{name} = "),
            Label::Index(index) => write!(self.out, "[{index}] = "),
            Label::Indices(first, last) => write!(self.out, "[{first} ... {last}] = "),
        };
        match &item.content {
            Content::Part(part) => self.try_value(block, part, types, depth + 1, room),
            Content::Missing(reason) => {
                self.out.push('<');
                self.out.push_str(reason);
                self.out.push('>');
                Ok(self.fits(room))
            }
        }
    }
}

/// Whether it is one of C's types of characters itself, and not an alias such as `u8`, which
/// rather means a number.
pub(super) fn is_character(ty: &Type) -> bool {
    matches!(
        ty.primitive(),
        Some(PrimitiveType::Char | PrimitiveType::SignedChar | PrimitiveType::UnsignedChar)
    )
}

pub(super) fn unreadable(block: &Block, bit_offset: u64) -> Content {
    Content::Missing(block.why_missing(bit_offset))
}

/// A kind of type that has no values, as a word of a message.
pub(super) fn no_value_kind(real: &Type) -> &'static str {
    match real.kind() {
        TypeKind::Void => "void",
        TypeKind::Function => "function",
        TypeKind::Struct => "incomplete struct",
        TypeKind::Union => "incomplete union",
        TypeKind::Class => "incomplete class",
        TypeKind::Enum => "incomplete enum",
        TypeKind::Array => "incomplete array",
        _ => "this",
    }
}
