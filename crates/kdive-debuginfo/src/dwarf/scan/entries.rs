//! Gets past entries, and reads the few attributes on the way that the index wants.

use super::{Defect, Scanner, TRUNCATED, Unit};
use crate::dwarf::abbreviations::{Abbreviation, ReferenceForm, Step, StringForm};
use crate::dwarf::encoding::Cursor;
use crate::dwarf::index::{EntryKind, NameRef, NameSource};

/// How many entries may stand between one without a name and the one that names it.
const GREATEST_ORIGIN_CHAIN: usize = 8;

/// What was seen on the way past the attributes of an entry.
#[derive(Default)]
pub(super) struct Seen {
    pub(super) name: Option<NameRef>,
    pub(super) sibling: Option<u64>,
    pub(super) origin: Option<Origin>,
}

#[derive(Clone, Copy)]
pub(super) enum Origin {
    Unit(u64),
    Section(u64),
    Supplementary(u64),
}

/// An entry's offset and, unless it ends a list of siblings, its abbreviation.
pub(super) type Next = (u64, Option<(Abbreviation, EntryKind)>);

/// Where the name of an entry is.
#[derive(Clone, Copy)]
pub(in crate::dwarf) enum Named {
    Name(NameRef),
    /// In another unit, at this section offset.
    Elsewhere(u64),
    /// In the supplementary file, at this section offset.
    Supplementary(u64),
}

impl Scanner<'_> {
    /// Reads an abbreviation code. `None` ends a list of siblings.
    #[inline]
    pub(super) fn entry_at(&self, unit: &mut Unit<'_>) -> Result<Option<&Abbreviation>, Defect> {
        let at = unit.cursor.position();
        let code = unit.cursor.uleb().ok_or((at, TRUNCATED))?;
        if code == 0 {
            return Ok(None);
        }
        match self.abbreviations.get(code) {
            Some(abbreviation) => Ok(Some(abbreviation)),
            None => Err((at, "an entry has an unknown abbreviation")),
        }
    }

    /// Gets past entries that are not collected. Returns the offset and the abbreviation of the
    /// next one that is, or at the end of a list of siblings no abbreviation, and `None` at the
    /// end of the unit.
    ///
    /// This is where most of the time goes.
    pub(super) fn next_named(&self, unit: &mut Unit<'_>) -> Result<Option<Next>, Defect> {
        loop {
            let at = unit.cursor.position();
            if at >= unit.header.end {
                // Some compilers leave out the last null entries.
                return Ok(None);
            }
            let Some(abbreviation) = self.entry_at(unit)? else {
                return Ok(Some((at, None)));
            };
            if let Some(kind) = abbreviation.kind {
                return Ok(Some((at, Some((*abbreviation, kind)))));
            }
            if !abbreviation.has_children && abbreviation.is_fixed() {
                unit.cursor
                    .skip(u64::from(abbreviation.fixed))
                    .ok_or((at, TRUNCATED))?;
            } else {
                self.skip(unit, abbreviation, at)?;
            }
        }
    }

    /// The name of the entry that `origin` leads to.
    pub(super) fn follow_origin(&self, unit: &Unit<'_>, mut origin: Origin) -> Option<Named> {
        for _ in 0..GREATEST_ORIGIN_CHAIN {
            let target = match origin {
                Origin::Unit(offset) => unit.header.offset.checked_add(offset)?,
                Origin::Section(offset) => offset,
                Origin::Supplementary(offset) => return Some(Named::Supplementary(offset)),
            };
            if !(unit.header.entries..unit.header.end).contains(&target) {
                return Some(Named::Elsewhere(target));
            }
            let mut there = Unit {
                cursor: unit.cursor,
                ..*unit
            };
            there.cursor.seek(target)?;
            let abbreviation = self.entry_at(&mut there).ok()??;
            let seen = self.pass(&mut there, abbreviation)?;
            if let Some(name) = seen.name {
                return Some(Named::Name(name));
            }
            origin = seen.origin?;
        }
        None
    }

    /// Gets past the attributes of an entry that is not collected, and past its children.
    #[inline]
    fn skip(
        &self,
        unit: &mut Unit<'_>,
        abbreviation: &Abbreviation,
        at: u64,
    ) -> Result<(), Defect> {
        if abbreviation.has_children
            && let Some(sibling_at) = abbreviation.sibling_at
        {
            let sibling = unit.cursor.peek_u32(sibling_at).ok_or((at, TRUNCATED))?;
            if jump(unit, u64::from(sibling), at).is_some() {
                return Ok(());
            }
        }
        let seen = self.pass(unit, abbreviation).ok_or((at, TRUNCATED))?;
        if abbreviation.has_children {
            self.skip_children(unit, seen.sibling, at)?;
        }
        Ok(())
    }

    /// Gets past the children of the entry at `at`.
    pub(super) fn skip_children(
        &self,
        unit: &mut Unit<'_>,
        sibling: Option<u64>,
        at: u64,
    ) -> Result<(), Defect> {
        if let Some(sibling) = sibling
            && jump(unit, sibling, at).is_some()
        {
            return Ok(());
        }
        let mut depth = 1u64;
        while depth > 0 && unit.cursor.position() < unit.header.end {
            let at = unit.cursor.position();
            let Some(abbreviation) = self.entry_at(unit)? else {
                depth -= 1;
                continue;
            };
            let seen = self.pass(unit, abbreviation).ok_or((at, TRUNCATED))?;
            if abbreviation.has_children {
                let jumped = seen.sibling.and_then(|sibling| jump(unit, sibling, at));
                if jumped.is_none() {
                    depth += 1;
                }
            }
        }
        Ok(())
    }

    /// Gets past the attributes of an entry, and remembers those that matter.
    #[inline]
    pub(super) fn pass(&self, unit: &mut Unit<'_>, abbreviation: &Abbreviation) -> Option<Seen> {
        let cursor = &mut unit.cursor;
        let mut seen = Seen::default();
        if let Some(offset) = abbreviation.name_at {
            let offset = u64::from(cursor.peek_u32(offset)?);
            seen.name = Some(NameRef {
                source: NameSource::Str,
                offset,
            });
        }
        if let Some(offset) = abbreviation.sibling_at {
            seen.sibling = Some(u64::from(cursor.peek_u32(offset)?));
        }
        cursor.skip(u64::from(abbreviation.fixed))?;
        for &step in self.abbreviations.steps(abbreviation) {
            let mut value = unit.cursor;
            match step {
                Step::Name(form) => seen.name = self.name(unit, form, value),
                Step::Sibling(form) => {
                    seen.sibling = match read_reference(form, &mut value)? {
                        Origin::Unit(offset) => Some(offset),
                        Origin::Section(_) | Origin::Supplementary(_) => None,
                    };
                }
                Step::Origin(form) => seen.origin = Some(read_reference(form, &mut value)?),
                _ => {}
            }
            unit.cursor.take_step(step, unit.header.encoding)?;
        }
        Some(seen)
    }

    /// Where the name is that is written as `form` at `value`.
    fn name(&self, unit: &Unit<'_>, form: StringForm, mut value: Cursor<'_>) -> Option<NameRef> {
        let (source, offset) = match form {
            StringForm::Inline => (NameSource::Inline, self.sections.base + value.position()),
            StringForm::Str(size) => (NameSource::Str, value.unsigned(size)?),
            StringForm::LineStr(size) => (NameSource::LineStr, value.unsigned(size)?),
            StringForm::Supplementary(size) => (NameSource::Supplementary, value.unsigned(size)?),
            StringForm::Index(size) => (
                NameSource::Str,
                self.string_offset(unit, value.unsigned(size)?)?,
            ),
            StringForm::IndexLeb => (NameSource::Str, self.string_offset(unit, value.uleb()?)?),
        };
        Some(NameRef { source, offset })
    }

    fn string_offset(&self, unit: &Unit<'_>, index: u64) -> Option<u64> {
        let encoding = unit.header.encoding;
        let size = encoding.offset_size();
        let at = unit
            .str_offsets_base
            .checked_add(index.checked_mul(u64::from(size))?)?;
        Cursor::new(self.sections.str_offsets, at, encoding.byte_order)?.unsigned(size)
    }
}

/// Goes to the sibling at `offset` in the unit. It must lie behind the entry at `at`, lest the
/// pass never ends.
fn jump(unit: &mut Unit<'_>, offset: u64, at: u64) -> Option<()> {
    let target = unit.header.offset.checked_add(offset)?;
    if target <= at || target > unit.header.end {
        return None;
    }
    unit.cursor.seek(target)
}

fn read_reference(form: ReferenceForm, value: &mut Cursor<'_>) -> Option<Origin> {
    Some(match form {
        ReferenceForm::Unit(size) => Origin::Unit(value.unsigned(size)?),
        ReferenceForm::UnitLeb => Origin::Unit(value.uleb()?),
        ReferenceForm::Section(size) => Origin::Section(value.unsigned(size)?),
        ReferenceForm::Supplementary(size) => Origin::Supplementary(value.unsigned(size)?),
    })
}
