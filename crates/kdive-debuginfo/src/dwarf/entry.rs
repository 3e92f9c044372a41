//! Single entries, read through gimli.

use std::rc::Rc;
use std::sync::Arc;

use gimli::AttributeValue;
use gimli::constants as dw;

use super::file::{Slice, UnitView};
use super::source::DwarfSource;
use crate::Result;
use crate::description::{Language, TypeId};

/// How many entries may stand between one and the one that has what it lacks.
const GREATEST_ORIGIN_CHAIN: usize = 8;

/// An entry with its attributes.
pub(super) struct Entry<'a> {
    pub(super) source: &'a DwarfSource,
    pub(super) view: Rc<UnitView<'a>>,
    /// What to add to offsets in the file to get those in the source.
    pub(super) file_base: u64,
    pub(super) die: gimli::DebuggingInformationEntry<Slice<'a>>,
}

impl<'a> Entry<'a> {
    pub(super) fn tag(&self) -> gimli::DwTag {
        self.die.tag()
    }

    /// The offset of this entry in the source.
    pub(super) fn id(&self) -> TypeId {
        self.id_of(self.die.offset())
    }

    fn id_of(&self, offset: gimli::UnitOffset) -> TypeId {
        TypeId(self.file_base + self.view.offset + offset.0 as u64)
    }

    /// The offset of this entry in its file.
    pub(super) fn file_offset(&self) -> u64 {
        self.view.offset + self.die.offset().0 as u64
    }

    /// The language that it is written in.
    pub(super) fn language(&self) -> Language {
        let unit = self.file_base + self.view.offset;
        let own = self.view.language;
        own.unwrap_or_else(|| self.source.imported_language(unit))
    }

    /// An error about this entry.
    pub(super) fn bad(&self, message: &str) -> crate::Error {
        self.view.file.bad_entry(self.file_offset(), message)
    }

    pub(super) fn gimli_error(&self, error: gimli::Error) -> crate::Error {
        self.bad(&error.to_string())
    }

    pub(super) fn value(&self, attribute: dw::DwAt) -> Option<AttributeValue<Slice<'a>>> {
        self.die.attr_value(attribute)
    }

    pub(super) fn flag(&self, attribute: dw::DwAt) -> bool {
        matches!(self.value(attribute), Some(AttributeValue::Flag(true)))
    }

    /// A constant that is not negative.
    pub(super) fn unsigned(&self, attribute: dw::DwAt) -> Option<u64> {
        self.value(attribute)?.udata_value()
    }

    /// A constant that may be negative, which clang writes as the number of 64 bits.
    pub(super) fn signed(&self, attribute: dw::DwAt) -> Option<i64> {
        match self.value(attribute)? {
            AttributeValue::Sdata(value) => Some(value),
            value => Some(value.udata_value()? as i64),
        }
    }

    pub(super) fn is_declaration(&self) -> bool {
        self.flag(dw::DW_AT_declaration)
    }

    /// A string attribute.
    pub(super) fn string(&self, attribute: dw::DwAt) -> Result<Option<Arc<str>>> {
        let Some(value) = self.value(attribute) else {
            return Ok(None);
        };
        let bytes = self
            .view
            .dwarf
            .attr_string(&self.view.unit, value)
            .map_err(|error| self.gimli_error(error))?;
        Ok(Some(String::from_utf8_lossy(bytes.slice()).into()))
    }

    /// Its own name, without scopes.
    pub(super) fn name(&self) -> Result<Option<Arc<str>>> {
        self.string(dw::DW_AT_name)
    }

    /// The entry that a reference leads to.
    pub(super) fn reference(&self, attribute: dw::DwAt) -> Result<Option<TypeId>> {
        self.value(attribute)
            .map(|value| self.follow(&value))
            .transpose()
    }

    fn follow(&self, value: &AttributeValue<Slice<'a>>) -> Result<TypeId> {
        let missing = |what: &str| self.bad(what);
        match *value {
            AttributeValue::UnitRef(offset) => Ok(self.id_of(offset)),
            AttributeValue::DebugInfoRef(offset) => Ok(TypeId(self.file_base + offset.0 as u64)),
            AttributeValue::DebugTypesRef(signature) => self
                .source
                .type_with_signature(signature.0)
                .ok_or_else(|| missing("a type unit is missing")),
            AttributeValue::DebugInfoRefSup(offset) => self
                .source
                .supplementary_entry(offset.0 as u64)
                .ok_or_else(|| missing("the supplementary file is missing")),
            _ => Err(missing("a reference has an unexpected form")),
        }
    }

    /// What its `DW_AT_type` leads to; `None` is `void`.
    pub(super) fn type_id(&self) -> Result<Option<TypeId>> {
        self.reference(dw::DW_AT_type)
    }

    /// The entry that this one completes (`DW_AT_specification`) or is an instance of
    /// (`DW_AT_abstract_origin`).
    pub(super) fn origin(&self) -> Result<Option<Entry<'a>>> {
        let origin = match self.reference(dw::DW_AT_specification)? {
            Some(origin) => Some(origin),
            None => self.reference(dw::DW_AT_abstract_origin)?,
        };
        origin.map(|origin| self.source.entry(origin)).transpose()
    }

    /// Looks for something in this entry, and then in those that it completes.
    pub(super) fn find_in_origins<T>(
        &self,
        find: impl Fn(&Entry<'a>) -> Result<Option<T>>,
    ) -> Result<Option<T>> {
        if let Some(found) = find(self)? {
            return Ok(Some(found));
        }
        let mut origin = self.origin()?;
        for _ in 0..GREATEST_ORIGIN_CHAIN {
            let Some(entry) = origin else { return Ok(None) };
            if let Some(found) = find(&entry)? {
                return Ok(Some(found));
            }
            origin = entry.origin()?;
        }
        Err(self.bad("DW_AT_specification and DW_AT_abstract_origin go round in circles"))
    }

    /// Visits the children, without their own.
    pub(super) fn for_each_child(
        &self,
        mut visit: impl FnMut(&Entry<'a>) -> Result<()>,
    ) -> Result<()> {
        if !self.die.has_children() {
            return Ok(());
        }
        let failed = |error| self.gimli_error(error);
        let mut tree = self
            .view
            .unit
            .entries_tree(Some(self.die.offset()))
            .map_err(failed)?;
        let mut children = tree.root().map_err(failed)?.children();
        while let Some(child) = children.next().map_err(failed)? {
            let entry = Entry {
                view: Rc::clone(&self.view),
                die: child.entry().clone(),
                ..*self
            };
            visit(&entry)?;
        }
        Ok(())
    }
}
