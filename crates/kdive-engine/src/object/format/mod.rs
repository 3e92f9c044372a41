//! Objects as text, in the syntax of C.
//!
//! A value is copied out of the target in one block (`block`), taken apart (`parts`), laid out over
//! lines and columns (`layout`), and written number by number (`scalars`, `text`).

mod block;
mod layout;
mod parts;
mod scalars;
mod text;

use super::Object;
use crate::{Error, Result};

bitflags::bitflags! {
    /// What is written, and where lines break.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct FormatFlags: u16 {
        /// A pointer that is formatted itself is followed to what it points to.
        const DEREFERENCE = 1;
        /// Addresses within symbols are written with the symbol's name.
        const SYMBOLIZE = 1 << 1;
        /// Arrays of characters and what pointers to characters point to are strings.
        const STRING = 1 << 2;
        /// Single characters are characters instead of numbers.
        const CHAR = 1 << 3;
        /// The type of the object itself is written.
        const TYPE_NAME = 1 << 4;
        /// The types of members are written.
        const MEMBER_TYPE_NAMES = 1 << 5;
        /// The types of elements are written.
        const ELEMENT_TYPE_NAMES = 1 << 6;
        /// Members share a line if they fit.
        const MEMBERS_SAME_LINE = 1 << 7;
        /// Elements share a line if they fit.
        const ELEMENTS_SAME_LINE = 1 << 8;
        /// The names of members are written.
        const MEMBER_NAMES = 1 << 9;
        /// The indices of elements are written.
        const ELEMENT_INDICES = 1 << 10;
        /// Members that are zero are written.
        const IMPLICIT_MEMBERS = 1 << 11;
        /// Elements that are zero are written, also after the last one that is not.
        const IMPLICIT_ELEMENTS = 1 << 12;
    }
}

impl Default for FormatFlags {
    fn default() -> Self {
        Self::DEREFERENCE
            | Self::SYMBOLIZE
            | Self::STRING
            | Self::TYPE_NAME
            | Self::MEMBER_TYPE_NAMES
            | Self::ELEMENTS_SAME_LINE
            | Self::MEMBER_NAMES
            | Self::IMPLICIT_MEMBERS
    }
}

/// How an object is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FormatOptions {
    /// How wide lines may become; without a limit by default. A tab is 8 columns wide.
    pub columns: Option<usize>,
    /// The base of integers: 8, 10 or 16.
    pub integer_base: u8,
    /// What is written, and where lines break.
    pub flags: FormatFlags,
}

impl Default for FormatOptions {
    fn default() -> Self {
        Self {
            columns: None,
            integer_base: 10,
            flags: FormatFlags::default(),
        }
    }
}

impl Object {
    /// The object as C source: its type in parentheses, and its value.
    ///
    /// Parts of structures and arrays that can't be read are marked as `<not readable: ADDRESS>`.
    ///
    /// # Errors
    ///
    /// If nothing of the object can be read, its type has no values, or its text would become
    /// unreasonably long.
    pub fn format(&self, options: &FormatOptions) -> Result<String> {
        if !matches!(options.integer_base, 8 | 10 | 16) {
            return Err(Error::Value("invalid integer base".to_owned()));
        }
        layout::format(self, options)
    }
}
