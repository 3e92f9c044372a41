//! Sizes of structures that the linker got wrong.
//!
//! When binutils links CTF (seen in 2.40), a structure grows to hold the last of its bit fields as
//! if that filled the smallest integer with so many bits, starting at a whole byte: 8 bytes of
//! `u64 a : 46, b : 18` become 9. What holds such a structure may grow with it. Such a size is
//! known by being no multiple of the alignment, and by ending just where that would end.

use std::collections::HashMap;

use super::dictionary::{Record, kind};
use super::resolve::{Dictionaries, Place};
use super::source::Environment;
use crate::Result;

/// How many members are looked at for one size; with more of them, it is left as it is.
const MAX_MEMBERS: usize = 4096;

/// How deep types are nested in each other for one size.
const MAX_DEPTH: usize = 64;

/// No number is aligned to more.
const MAX_ALIGNMENT: u64 = 16;

/// Sizes and alignment in bytes.
#[derive(Clone, Copy)]
struct Layout {
    /// The size that the linker reckoned with.
    linked: u64,
    /// The size that it has.
    real: u64,
    alignment: u64,
}

impl Layout {
    fn of(size: u64) -> Layout {
        Layout {
            linked: size,
            real: size,
            alignment: size.clamp(1, MAX_ALIGNMENT),
        }
    }
}

struct Sizes<'a> {
    dictionaries: &'a Dictionaries,
    environment: Environment,
    known: HashMap<Place, Layout>,
    members_left: usize,
    depth: usize,
}

impl Dictionaries {
    /// The size of the structure or union at a place.
    pub(super) fn compound_size(
        &self,
        place: Place,
        record: &Record<'_>,
        environment: Environment,
    ) -> Result<u64> {
        // A bit field lies within an integer of its type, so that a size grows by 1 to 3 bytes only.
        if record.size.is_multiple_of(4) {
            return Ok(record.size);
        }
        let mut sizes = Sizes {
            dictionaries: self,
            environment,
            known: HashMap::new(),
            members_left: MAX_MEMBERS,
            depth: 0,
        };
        let layout = sizes.layout(place)?;
        Ok(layout.map_or(record.size, |layout| layout.real))
    }
}

impl Sizes<'_> {
    /// None if that would take too long.
    fn layout(&mut self, place: Place) -> Result<Option<Layout>> {
        if let Some(known) = self.known.get(&place) {
            return Ok(Some(*known));
        }
        let Some(left) = self.members_left.checked_sub(1) else {
            return Ok(None);
        };
        if self.depth == MAX_DEPTH {
            return Ok(None);
        }
        self.members_left = left;
        self.depth += 1;
        let layout = self.new_layout(place)?;
        self.depth -= 1;
        if let Some(layout) = layout {
            self.known.insert(place, layout);
        }
        Ok(layout)
    }

    fn new_layout(&mut self, place: Place) -> Result<Option<Layout>> {
        let record = self.dictionaries.record(place)?;
        // What refers to itself has no size; this ends the circle.
        self.known.insert(place, Layout::of(record.size));
        Ok(match record.kind {
            kind::POINTER => Some(Layout::of(u64::from(self.environment.pointer_size))),
            kind::TYPEDEF | kind::VOLATILE | kind::CONST | kind::RESTRICT => {
                self.referred(place, record.reference)?
            }
            kind::ARRAY => {
                let count = u64::from(record.word(2).unwrap_or(0));
                let element = self.referred(place, record.word(0).unwrap_or(0))?;
                element.map(|element| Layout {
                    linked: element.linked.saturating_mul(count),
                    real: element.real.saturating_mul(count),
                    alignment: element.alignment,
                })
            }
            kind::STRUCT | kind::UNION => self.compound(place, &record)?,
            kind::INTEGER | kind::FLOAT | kind::ENUM => Some(Layout::of(record.size)),
            _ => Some(Layout::of(0)),
        })
    }

    fn referred(&mut self, from: Place, id: u32) -> Result<Option<Layout>> {
        match self.dictionaries.place(from.dictionary, id)? {
            Some(place) => self.layout(place),
            None => Ok(Some(Layout::of(0))),
        }
    }

    fn compound(&mut self, place: Place, record: &Record<'_>) -> Result<Option<Layout>> {
        let (mut linked, mut real, mut alignment) = (0, 0, 1);
        for member in record.members() {
            let Some(ty) = self
                .dictionaries
                .place(place.dictionary, member.reference)?
            else {
                continue;
            };
            let start = member.bit_offset / 8;
            let slice = self.dictionaries.record(ty)?;
            let (layout, ends) = match (slice.kind == kind::SLICE).then(|| slice.slice()).flatten()
            {
                Some(field) => {
                    let base = self.referred(ty, field.reference)?;
                    let last = member.bit_offset.saturating_add(field.bit_offset);
                    let bits = last.saturating_add(field.bit_size);
                    (base, Some((slice.size, bits.div_ceil(8))))
                }
                None => (self.layout(ty)?, None),
            };
            let Some(layout) = layout else {
                return Ok(None);
            };
            let (size, end) = ends.unwrap_or((layout.linked, start.saturating_add(layout.real)));
            linked = linked.max(start.saturating_add(size));
            real = real.max(end);
            alignment = alignment.max(layout.alignment);
        }
        let size = record.size;
        let has_grown = size == linked && real < size && !size.is_multiple_of(alignment);
        Ok(Some(Layout {
            linked: size,
            real: if has_grown {
                // One that is packed needs no multiple of the alignment.
                let padded = real.div_ceil(alignment).saturating_mul(alignment);
                if padded < size { padded } else { real }
            } else {
                size
            },
            alignment,
        }))
    }
}
