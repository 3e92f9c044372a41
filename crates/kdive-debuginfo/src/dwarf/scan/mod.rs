//! The indexing pass: goes once over the entries of units and collects what has a name.
//!
//! Only what is visible outside functions is collected. Children that hold nothing of interest
//! are jumped over by their parent's `DW_AT_sibling`. [`entries`] gets past them.

mod entries;

use std::collections::HashMap;

use foldhash::fast::FixedState;
use gimli::constants as dw;

use super::abbreviations::{Abbreviation, Abbreviations, Field};
use super::encoding::{Cursor, Encoding, UnitHeader};
use super::file::package::{self, Contribution};
use super::identity::{self, Fingerprint, Met};
use super::index::{EntryFlags, EntryKind, NameRef, NameSource, RawEntry, Scope};
use crate::bytes::c_string_at;

pub(super) use entries::Named;
use entries::{Origin, Seen};

/// The sections that the pass reads, of one file.
#[derive(Clone, Copy)]
pub(super) struct ScanSections<'a> {
    /// `.debug_info` or `.debug_types`.
    pub(super) entries: &'a [u8],
    /// What to add to offsets in `entries`, to tell the two sections apart.
    pub(super) base: u64,
    pub(super) abbrev: &'a [u8],
    pub(super) str_offsets: &'a [u8],
    pub(super) line: &'a [u8],
    /// Whether the units are those of a `.dwo` file.
    pub(super) is_dwo: bool,
    /// What units have of the other sections, in a package of `.dwo` files.
    pub(super) contributions: &'a [Contribution],
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
    /// Entries that are named by one of the supplementary file.
    pub(super) supplementary: Vec<Deferred>,
    /// The offsets of units that have an ID of split DWARF among their attributes, and the IDs.
    pub(super) split_ids: Vec<(u64, u64)>,
    pub(super) scopes: Vec<Scope>,
    /// Names in entries, which no linker merges, and where each is first.
    pub(super) inline_names: InlineNames,
}

/// Names that are written in entries, and the offset that stands for each.
pub(super) type InlineNames = HashMap<Box<[u8]>, u64, FixedState>;

/// A defect of the input: the section offset, and what is wrong there.
pub(super) type Defect = (u64, &'static str);

/// No compiler nests namespaces, classes and enumerations deeper.
const GREATEST_DEPTH: usize = 512;
const TRUNCATED: &str = "an entry ends beyond the end of its unit";

pub(super) struct Scanner<'a> {
    sections: ScanSections<'a>,
    abbreviations: Abbreviations,
    /// Which table `abbreviations` holds.
    compiled: Option<(u64, Encoding)>,
    /// What identifies the files of the current unit; empty if that is not known.
    files: Vec<Fingerprint>,
    met: Met,
    pub(super) collected: Collected,
}

/// What surrounds the entries that are being looked at.
#[derive(Clone, Copy)]
struct Enclosing {
    die: u64,
    kind: EntryKind,
    /// What identifies the entry, if it is known.
    fingerprint: Option<Fingerprint>,
    /// The number of its scope, if it is one.
    scope: Option<usize>,
}

/// An entry that is to be collected.
#[derive(Clone, Copy)]
struct Place {
    at: u64,
    kind: EntryKind,
    fingerprint: Option<Fingerprint>,
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
            files: Vec::new(),
            met: Met::default(),
            collected: Collected::default(),
        }
    }

    /// Collects an entry whose name was found elsewhere.
    pub(super) fn push_named(&mut self, name: NameRef, entry: RawEntry) {
        self.push(name, entry);
    }

    /// Collects the names of one unit.
    pub(super) fn scan(&mut self, header: &UnitHeader) -> Result<(), Defect> {
        let mut unit = self.begin(header)?;
        let truncated = (header.offset, TRUNCATED);
        let Some(root) = self.entry_at(&mut unit)?.copied() else {
            return Ok(());
        };
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
        if let Some(root) = self.entry_at(&mut unit)?.copied() {
            self.read_root(&mut unit, &root)
                .ok_or((header.offset, TRUNCATED))?;
        }
        Ok(self.follow_origin(&unit, Origin::Section(offset)))
    }

    fn begin(&mut self, header: &UnitHeader) -> Result<Unit<'a>, Defect> {
        let encoding = header.encoding;
        let contribution = package::find(self.sections.contributions, header.offset);
        let abbreviations = header
            .abbreviations
            .saturating_add(contribution.map_or(0, |found| found.abbrev));
        if self.compiled != Some((abbreviations, encoding)) {
            self.compiled = None;
            self.abbreviations
                .compile(self.sections.abbrev, abbreviations, encoding)
                .map_err(|message| (header.offset, message))?;
            self.compiled = Some((abbreviations, encoding));
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

    /// Reads what matters of a unit's own attributes, and gets past them.
    fn read_root(&mut self, unit: &mut Unit<'_>, root: &Abbreviation) -> Option<()> {
        let encoding = unit.header.encoding;
        // In a .dwo file the table of string offsets has a header that nothing points past.
        unit.str_offsets_base = match (self.sections.is_dwo, encoding.version, encoding.is_dwarf64)
        {
            (true, 5.., false) => 8,
            (true, 5.., true) => 16,
            _ => 0,
        };
        let contribution = package::find(self.sections.contributions, unit.header.offset);
        let contributed = contribution.map_or(0, |found| found.str_offsets);
        unit.str_offsets_base = contributed.checked_add(unit.str_offsets_base)?;
        let mut split_id = None;
        let mut language = None;
        let mut str_offsets_base = None;
        let mut line_table = None;
        let mut directory = Fingerprint::new(0);
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
                    dw::DW_AT_stmt_list => line_table = value.unsigned(size),
                    dw::DW_AT_GNU_dwo_id => split_id = value.unsigned(size),
                    dw::DW_AT_comp_dir => {
                        let read = identity::read_string(value, u64::from(form), encoding);
                        directory = read.unwrap_or(directory);
                    }
                    _ => {}
                }
            },
        )?;
        if let Some(base) = str_offsets_base {
            unit.str_offsets_base = base;
        }
        if let Some(id) = split_id {
            self.collected.split_ids.push((unit.header.offset, id));
        }
        unit.has_nested_names = !language.is_some_and(is_c);
        let files = &mut self.files;
        let read = line_table.and_then(|offset| {
            identity::read_files(self.sections.line, offset, encoding, directory, files)
        });
        if read.is_none() {
            self.files.clear();
        }
        Some(())
    }

    fn scan_children(&mut self, unit: &mut Unit<'a>) -> Result<(), Defect> {
        let mut enclosing: Vec<Enclosing> = Vec::new();
        while let Some((at, abbreviation)) = self.next_named(unit)? {
            let Some((abbreviation, kind)) = abbreviation else {
                let Some(inner) = enclosing.pop() else { break };
                if let Some(scope) = inner.scope.and_then(|n| self.collected.scopes.get_mut(n)) {
                    scope.end = self.sections.base + at;
                }
                continue;
            };
            let attributes = unit.cursor;
            let seen = self.pass(unit, &abbreviation).ok_or((at, TRUNCATED))?;
            let holds_names = abbreviation.has_children
                && match kind {
                    EntryKind::Enum | EntryKind::Namespace => true,
                    EntryKind::Struct | EntryKind::Union | EntryKind::Class => {
                        unit.has_nested_names
                    }
                    _ => false,
                };
            // What is inlined is described again wherever its header is included.
            let is_repeated =
                kind.is_type() || (kind == EntryKind::Function && !abbreviation.has_code);
            let fingerprint = if is_repeated {
                self.fingerprint(unit, &abbreviation, kind, &seen, attributes, &enclosing)
                    .map(|fingerprint| fingerprint.with(sibling_distance(unit, &seen, at)))
            } else {
                None
            };
            let is_known = fingerprint.is_some_and(|fingerprint| !self.met.insert(fingerprint));
            if is_known && !(holds_names && unit.has_nested_names && seen.sibling.is_none()) {
                if abbreviation.has_children {
                    self.skip_children(unit, seen.sibling, at)?;
                }
                continue;
            }
            self.collect(
                unit,
                &abbreviation,
                &seen,
                Place {
                    at,
                    kind,
                    fingerprint,
                },
                &enclosing,
            );
            if !abbreviation.has_children {
                continue;
            }
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
            let fingerprint = match kind {
                EntryKind::Namespace => namespace_fingerprint(&seen, &enclosing),
                _ => fingerprint,
            };
            enclosing.push(Enclosing {
                die: at,
                kind,
                fingerprint,
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
        seen: &Seen,
        place: Place,
        enclosing: &[Enclosing],
    ) {
        let Place {
            at,
            mut kind,
            mut fingerprint,
        } = place;
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
            fingerprint = inner.fingerprint;
        }
        if dw::DwTag(abbreviation.tag) == dw::DW_TAG_member {
            kind = EntryKind::Variable;
        }
        flags.set(EntryFlags::DECLARATION, abbreviation.is_declaration);
        flags.set(EntryFlags::NESTED, !within.is_empty());
        let die = self.sections.base + die;
        flags.set(EntryFlags::NAMED_ELSEWHERE, seen.origin.is_some());
        if let Some(name) = seen.name {
            self.push(name, RawEntry::new(die, kind, flags, fingerprint));
            return;
        }
        let Some(origin) = seen.origin else { return };
        match self.follow_origin(unit, origin) {
            Some(Named::Name(name)) => {
                self.push(name, RawEntry::new(die, kind, flags, None));
            }
            Some(Named::Elsewhere(target)) => self.collected.deferred.push(Deferred {
                target,
                entry: RawEntry::new(die, kind, flags, None),
            }),
            Some(Named::Supplementary(target)) => self.collected.supplementary.push(Deferred {
                target,
                entry: RawEntry::new(die, kind, flags, None),
            }),
            None => {}
        }
    }

    /// What identifies a type, except for the length of its description. `None` if that can't be
    /// told.
    fn fingerprint(
        &self,
        unit: &Unit<'_>,
        abbreviation: &Abbreviation,
        kind: EntryKind,
        seen: &Seen,
        mut attributes: Cursor<'_>,
        enclosing: &[Enclosing],
    ) -> Option<Fingerprint> {
        let identity = self.abbreviations.identity(abbreviation);
        if identity.is_incomplete || seen.origin.is_some() {
            return None;
        }
        let mut fingerprint = Fingerprint::new(kind as u64);
        if let Some(outer) = enclosing.last() {
            fingerprint = fingerprint.with(outer.fingerprint?.value());
        }
        let name = if let Some(name) = seen.name {
            name
        } else {
            // An enumeration without a name is told from another one on the same line by its
            // first enumerator.
            let mut child = Unit {
                cursor: unit.cursor,
                ..*unit
            };
            let abbreviation = self.entry_at(&mut child).ok()??;
            self.pass(&mut child, abbreviation)?.name?
        };
        if identity.follows_name {
            attributes.c_string()?;
        }
        fingerprint = match name.source {
            NameSource::Inline => fingerprint.with_bytes(self.inline_bytes(name.offset)),
            _ => fingerprint.with(name.offset).with(name.source as u64),
        };
        if abbreviation.is_declaration {
            fingerprint = fingerprint.with(1);
        }
        let value = |field| match field {
            Field::None => Some(0),
            Field::Fixed { at, size } => attributes.peek(at, size),
            Field::Constant(value) => Some(value as u64),
        };
        if !matches!(identity.file, Field::None) {
            let file = self
                .files
                .get(usize::try_from(value(identity.file)?).ok()?)?;
            fingerprint = fingerprint.with(file.value());
        }
        for field in identity.others {
            fingerprint = fingerprint.with(value(field)?);
        }
        Some(fingerprint)
    }

    fn push(&mut self, name: NameRef, entry: RawEntry) {
        let entry = match name.source {
            NameSource::Inline => entry.with_name(self.inline_name(name.offset)),
            _ => entry.with_name(name.offset),
        };
        self.collected.entries[name.source as usize].push(entry);
    }

    fn inline_bytes(&self, offset: u64) -> &'a [u8] {
        let start = offset.saturating_sub(self.sections.base) as usize;
        c_string_at(self.sections.entries, start).unwrap_or_default()
    }

    /// The offset that stands for the name at `offset`.
    fn inline_name(&mut self, offset: u64) -> u64 {
        let name = self.inline_bytes(offset);
        if let Some(&first) = self.collected.inline_names.get(name) {
            return first;
        }
        self.collected.inline_names.insert(name.into(), offset);
        offset
    }
}

/// How long the description of an entry and its children is, as far as it is known.
fn sibling_distance(unit: &Unit<'_>, seen: &Seen, at: u64) -> u64 {
    seen.sibling.map_or(0, |sibling| {
        unit.header.offset.wrapping_add(sibling).wrapping_sub(at)
    })
}

/// Namespaces are open: the same name in the same scopes is the same namespace. One without a
/// name is different in each unit.
fn namespace_fingerprint(seen: &Seen, enclosing: &[Enclosing]) -> Option<Fingerprint> {
    let name = seen.name.filter(|name| name.source != NameSource::Inline)?;
    let around = match enclosing.last() {
        None => Fingerprint::new(0),
        Some(outer) => outer.fingerprint?,
    };
    Some(around.with(name.offset).with(name.source as u64))
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
