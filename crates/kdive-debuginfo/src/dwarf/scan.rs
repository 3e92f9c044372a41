//! The indexing pass: goes once over the entries of units and collects what has a name.
//!
//! Only what is visible outside functions is collected. Children that hold nothing of interest
//! are jumped over by their parent's `DW_AT_sibling`.

use gimli::constants as dw;

use super::abbreviations::{Abbreviation, Abbreviations, ReferenceForm, Step, StringForm};
use super::encoding::{Cursor, Encoding, UnitHeader};
use super::index::{EntryFlags, EntryKind, NameRef, NameSource, RawEntry, Scope};

/// The sections that the pass reads, of one file.
#[derive(Clone, Copy)]
pub(super) struct ScanSections<'a> {
    /// `.debug_info` or `.debug_types`.
    pub(super) entries: &'a [u8],
    /// What to add to offsets in `entries`, to tell the two sections apart.
    pub(super) base: u64,
    pub(super) abbrev: &'a [u8],
    pub(super) str_offsets: &'a [u8],
    /// Whether the units are those of a `.dwo` file.
    pub(super) is_dwo: bool,
}

/// An entry that is named by another one, in a unit that was not at hand.
#[derive(Clone, Copy, Debug)]
pub(super) struct Deferred {
    /// The section offset of the entry with the name.
    pub(super) target: u64,
    pub(super) entry: RawEntry,
}

/// What a run over some units found.
#[derive(Default)]
pub(super) struct Collected {
    /// By [`NameSource`].
    pub(super) entries: [Vec<RawEntry>; NameSource::COUNT],
    pub(super) deferred: Vec<Deferred>,
    pub(super) scopes: Vec<Scope>,
}

/// A defect of the input: the section offset, and what is wrong there.
pub(super) type Defect = (u64, &'static str);

/// No compiler nests namespaces, classes and enumerations deeper.
const GREATEST_DEPTH: usize = 512;
/// How many entries may stand between one without a name and the one that names it.
const GREATEST_ORIGIN_CHAIN: usize = 8;

const TRUNCATED: &str = "an entry ends beyond the end of its unit";

pub(super) struct Scanner<'a> {
    sections: ScanSections<'a>,
    abbreviations: Abbreviations,
    /// Which table `abbreviations` holds.
    compiled: Option<(u64, Encoding)>,
    pub(super) collected: Collected,
}

/// What surrounds the entries that are being looked at.
#[derive(Clone, Copy)]
struct Enclosing {
    die: u64,
    kind: EntryKind,
    /// How many scopes were collected before it.
    scope: Option<usize>,
}

/// What was seen on the way past the attributes of an entry.
#[derive(Default)]
struct Seen {
    name: Option<NameRef>,
    sibling: Option<u64>,
    origin: Option<Origin>,
}

#[derive(Clone, Copy)]
enum Origin {
    Unit(u64),
    Section(u64),
}

/// A unit that is being scanned.
struct Unit<'a> {
    header: UnitHeader,
    cursor: Cursor<'a>,
    str_offsets_base: u64,
    /// Whether types hold other types, functions and variables in its language.
    has_nested_names: bool,
}

impl<'a> Scanner<'a> {
    pub(super) fn new(sections: ScanSections<'a>) -> Scanner<'a> {
        Scanner {
            sections,
            abbreviations: Abbreviations::default(),
            compiled: None,
            collected: Collected::default(),
        }
    }

    /// Collects the names of one unit.
    pub(super) fn scan(&mut self, header: &UnitHeader) -> Result<(), Defect> {
        let mut unit = self.begin(header)?;
        let truncated = (header.offset, TRUNCATED);
        let root = self.entry_at(&mut unit)?;
        let Some(root) = root else { return Ok(()) };
        self.read_root(&mut unit, &root).ok_or(truncated)?;
        if !root.has_children {
            return Ok(());
        }
        self.scan_children(&mut unit)
    }

    /// The name of the entry at `offset` in a unit.
    pub(super) fn name_of(
        &mut self,
        header: &UnitHeader,
        offset: u64,
    ) -> Result<Option<Named>, Defect> {
        let mut unit = self.begin(header)?;
        if let Some(root) = self.entry_at(&mut unit)? {
            self.read_root(&mut unit, &root)
                .ok_or((header.offset, TRUNCATED))?;
        }
        Ok(self.follow_origin(&unit, Origin::Section(offset)))
    }

    fn begin(&mut self, header: &UnitHeader) -> Result<Unit<'a>, Defect> {
        let encoding = header.encoding;
        if self.compiled != Some((header.abbreviations, encoding)) {
            self.compiled = None;
            self.abbreviations
                .compile(self.sections.abbrev, header.abbreviations, encoding)
                .map_err(|message| (header.offset, message))?;
            self.compiled = Some((header.abbreviations, encoding));
        }
        let truncated = (header.offset, TRUNCATED);
        let end = usize::try_from(header.end).map_err(|_| truncated)?;
        let data = self.sections.entries.get(..end).ok_or(truncated)?;
        let cursor = Cursor::new(data, header.entries, encoding.byte_order).ok_or(truncated)?;
        Ok(Unit {
            header: *header,
            cursor,
            str_offsets_base: 0,
            has_nested_names: false,
        })
    }

    /// Reads an abbreviation code. `None` ends a list of siblings.
    #[inline]
    fn entry_at(&self, unit: &mut Unit<'_>) -> Result<Option<Abbreviation>, Defect> {
        let at = unit.cursor.position();
        let code = unit.cursor.uleb().ok_or((at, TRUNCATED))?;
        if code == 0 {
            return Ok(None);
        }
        match self.abbreviations.get(code) {
            Some(abbreviation) => Ok(Some(*abbreviation)),
            None => Err((at, "an entry has an unknown abbreviation")),
        }
    }

    /// Reads what matters of a unit's own attributes, and gets past them.
    fn read_root(&self, unit: &mut Unit<'_>, root: &Abbreviation) -> Option<()> {
        let encoding = unit.header.encoding;
        // In a .dwo file the table of string offsets has a header that nothing points past.
        unit.str_offsets_base = match (self.sections.is_dwo, encoding.version, encoding.is_dwarf64)
        {
            (true, 5.., false) => 8,
            (true, 5.., true) => 16,
            _ => 0,
        };
        let mut language = None;
        let mut str_offsets_base = None;
        Abbreviations::for_each_attribute(
            self.sections.abbrev,
            root,
            &mut unit.cursor,
            encoding,
            |attribute, form, constant, mut value| {
                let size = match dw::DwForm(form) {
                    dw::DW_FORM_data1 => 1,
                    dw::DW_FORM_data2 => 2,
                    dw::DW_FORM_data4 => 4,
                    dw::DW_FORM_data8 => 8,
                    _ => encoding.offset_size(),
                };
                match dw::DwAt(attribute) {
                    dw::DW_AT_language => {
                        language = match dw::DwForm(form) {
                            dw::DW_FORM_implicit_const => constant.map(|value| value as u64),
                            dw::DW_FORM_udata => value.uleb(),
                            _ => value.unsigned(size),
                        };
                    }
                    dw::DW_AT_str_offsets_base => str_offsets_base = value.unsigned(size),
                    _ => {}
                }
            },
        )?;
        if let Some(base) = str_offsets_base {
            unit.str_offsets_base = base;
        }
        unit.has_nested_names = !language.is_some_and(is_c);
        Some(())
    }

    fn scan_children(&mut self, unit: &mut Unit<'a>) -> Result<(), Defect> {
        let mut enclosing: Vec<Enclosing> = Vec::new();
        loop {
            let at = unit.cursor.position();
            if at == unit.header.end {
                // Some compilers leave out the last null entries.
                break;
            }
            let Some(abbreviation) = self.entry_at(unit)? else {
                match enclosing.pop() {
                    None => break,
                    Some(inner) => {
                        if let Some(scope) =
                            inner.scope.and_then(|n| self.collected.scopes.get_mut(n))
                        {
                            scope.end = self.sections.base + at;
                        }
                    }
                }
                continue;
            };
            let Some(kind) = abbreviation.kind else {
                self.skip(unit, &abbreviation, at)?;
                continue;
            };
            let seen = self.pass(unit, &abbreviation).ok_or((at, TRUNCATED))?;
            self.collect(unit, &abbreviation, kind, &seen, at, &enclosing);
            if !abbreviation.has_children {
                continue;
            }
            let holds_names = match kind {
                EntryKind::Enum | EntryKind::Namespace => true,
                EntryKind::Struct | EntryKind::Union | EntryKind::Class => unit.has_nested_names,
                _ => false,
            };
            if !holds_names {
                self.skip_children(unit, seen.sibling, at)?;
                continue;
            }
            if enclosing.len() == GREATEST_DEPTH {
                return Err((at, "entries are nested absurdly deep"));
            }
            let is_scope = kind != EntryKind::Enum || unit.has_nested_names;
            let scope = is_scope.then(|| {
                let start = self.sections.base + at;
                self.collected.scopes.push(Scope::starting_at(start));
                self.collected.scopes.len() - 1
            });
            enclosing.push(Enclosing {
                die: at,
                kind,
                scope,
            });
        }
        for inner in enclosing {
            if let Some(scope) = inner.scope.and_then(|n| self.collected.scopes.get_mut(n)) {
                scope.end = self.sections.base + unit.header.end;
            }
        }
        Ok(())
    }

    fn collect(
        &mut self,
        unit: &Unit<'_>,
        abbreviation: &Abbreviation,
        mut kind: EntryKind,
        seen: &Seen,
        at: u64,
        enclosing: &[Enclosing],
    ) {
        let mut flags = EntryFlags::empty();
        let mut die = at;
        let mut within = enclosing;
        if kind == EntryKind::Namespace {
            return;
        }
        if kind == EntryKind::Enumerator {
            // An enumerator is found through its enumeration, whose scope is its scope too.
            let Some((inner, outer)) = enclosing.split_last() else {
                return;
            };
            if inner.kind != EntryKind::Enum {
                return;
            }
            die = inner.die;
            within = outer;
        }
        if dw::DwTag(abbreviation.tag) == dw::DW_TAG_member {
            kind = EntryKind::Variable;
        }
        flags.set(EntryFlags::DECLARATION, abbreviation.is_declaration);
        flags.set(EntryFlags::NESTED, !within.is_empty());
        let die = self.sections.base + die;
        if let Some(name) = seen.name {
            self.push(name, RawEntry::new(name.offset, die, kind, flags));
            return;
        }
        let Some(origin) = seen.origin else { return };
        flags.insert(EntryFlags::NAMED_ELSEWHERE);
        match self.follow_origin(unit, origin) {
            Some(Named::Name(name)) => {
                self.push(name, RawEntry::new(name.offset, die, kind, flags));
            }
            Some(Named::Elsewhere(target)) => self.collected.deferred.push(Deferred {
                target,
                entry: RawEntry::new(0, die, kind, flags),
            }),
            None => {}
        }
    }

    fn push(&mut self, name: NameRef, entry: RawEntry) {
        self.collected.entries[name.source as usize].push(entry);
    }

    /// The name of the entry that `origin` leads to.
    fn follow_origin(&self, unit: &Unit<'_>, mut origin: Origin) -> Option<Named> {
        for _ in 0..GREATEST_ORIGIN_CHAIN {
            let target = match origin {
                Origin::Unit(offset) => unit.header.offset.checked_add(offset)?,
                Origin::Section(offset) => offset,
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
            let seen = self.pass(&mut there, &abbreviation)?;
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
    fn skip_children(
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
            let seen = self.pass(unit, &abbreviation).ok_or((at, TRUNCATED))?;
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
    fn pass(&self, unit: &mut Unit<'_>, abbreviation: &Abbreviation) -> Option<Seen> {
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
                        Origin::Section(_) => None,
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

/// Where the name of an entry is.
#[derive(Clone, Copy)]
pub(super) enum Named {
    Name(NameRef),
    /// In another unit, at this section offset.
    Elsewhere(u64),
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
    })
}

/// Whether a language has only one scope outside functions.
fn is_c(language: u64) -> bool {
    let Ok(language) = u16::try_from(language) else {
        return false;
    };
    matches!(
        dw::DwLang(language),
        dw::DW_LANG_C
            | dw::DW_LANG_C89
            | dw::DW_LANG_C99
            | dw::DW_LANG_C11
            | dw::DW_LANG_C17
            | dw::DW_LANG_Mips_Assembler
    )
}
