//! Values of which only parts are known, such as those of structures that a compiler took apart.

use std::ops::Range;
use std::sync::Arc;

use super::{AbsenceReason, Encoding, Layout, Object, Place};
use crate::program::Program;
use crate::types::{Type, TypeKind};
use crate::{Error, Result};

/// The bytes of a value, as far as they are known.
#[derive(Clone, Debug)]
pub struct PartialValue {
    bytes: Arc<[u8]>,
    /// Offsets of bytes that are not known, in ascending order and apart from each other.
    unknown: Vec<Range<u64>>,
    reason: AbsenceReason,
}

impl PartialValue {
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(super) fn unknown(&self) -> &[Range<u64>] {
        &self.unknown
    }

    pub(super) fn reason(&self) -> AbsenceReason {
        self.reason
    }

    /// The unknown ones of these bytes, counted from the first of them.
    fn unknown_within(&self, wanted: &Range<u64>) -> Vec<Range<u64>> {
        self.unknown
            .iter()
            .map(|range| range.start.max(wanted.start)..range.end.min(wanted.end))
            .filter(|range| !range.is_empty())
            .map(|range| range.start - wanted.start..range.end - wanted.start)
            .collect()
    }
}

impl Object {
    /// A value of which some bytes are `unknown`: those of a structure or an array keep what is
    /// known of them, half a number is absent.
    pub fn partial(
        program: &Arc<Program>,
        ty: Type,
        bytes: &[u8],
        unknown: Vec<Range<u64>>,
        reason: AbsenceReason,
    ) -> Result<Object> {
        let bits = Layout::of(&ty, None)?.bits;
        let value = PartialValue {
            bytes: bytes.into(),
            unknown,
            reason,
        };
        Self::out_of_partial(program, &value, ty, 0, None, bits)
    }

    pub(super) fn part_of_partial(
        &self,
        value: &PartialValue,
        ty: Type,
        bit_offset: u64,
        bit_field_size: Option<u64>,
    ) -> Result<Object> {
        let bits = self.layout()?.bits;
        Self::out_of_partial(&self.program, value, ty, bit_offset, bit_field_size, bits)
    }

    fn out_of_partial(
        program: &Arc<Program>,
        value: &PartialValue,
        ty: Type,
        bit_offset: u64,
        bit_field_size: Option<u64>,
        bits: u64,
    ) -> Result<Object> {
        let layout = Layout::of(&ty, bit_field_size)?;
        if layout.encoding == Encoding::None {
            // A flexible array is not part of the structure's value.
            return Self::absent(program, ty, AbsenceReason::Other, None);
        }
        let end = bit_offset
            .checked_add(layout.bits)
            .filter(|end| *end <= bits)
            .ok_or_else(|| Error::OutOfBounds("out of bounds of value".to_owned()))?;
        let wanted = bit_offset / 8..end.div_ceil(8);
        let unknown = value.unknown_within(&wanted);
        if unknown.is_empty() {
            return Self::from_bytes(program, ty, value.bytes(), bit_offset, bit_field_size);
        }
        let kind = ty.unaliased_kind()?;
        let has_parts = kind.is_compound() || kind == TypeKind::Array;
        let size = wanted.end - wanted.start;
        let is_all = matches!(unknown.as_slice(), [only] if *only == (0..size));
        if is_all || !has_parts || !bit_offset.is_multiple_of(8) {
            return Self::absent(program, ty, value.reason, bit_field_size);
        }
        let bytes = value.bytes.get(wanted.start as usize..wanted.end as usize);
        let part = PartialValue {
            bytes: bytes.unwrap_or_default().into(),
            unknown,
            reason: value.reason,
        };
        let place = Place::Partial(Arc::new(part));
        Ok(Self::with_value_place(program, ty, bit_field_size, place))
    }

    /// The error for a value of which parts are not known.
    pub(super) fn partly_absent() -> Error {
        Error::Absent("parts of the object are absent; take its members one by one".to_owned())
    }
}
