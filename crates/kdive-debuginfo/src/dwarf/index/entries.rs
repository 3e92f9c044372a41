//! What the index is made of: entries, names and scopes, and how they are saved.

use crate::column::{Fields, Record};
use crate::description::{ObjectKinds, TypeKinds};
use crate::dwarf::identity::Fingerprint;

/// What an entry is kept as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(in crate::dwarf) enum EntryKind {
    Struct,
    Union,
    Class,
    Enum,
    Typedef,
    Base,
    Enumerator,
    Function,
    Variable,
    Namespace,
}

impl EntryKind {
    const ALL: [EntryKind; 10] = [
        EntryKind::Struct,
        EntryKind::Union,
        EntryKind::Class,
        EntryKind::Enum,
        EntryKind::Typedef,
        EntryKind::Base,
        EntryKind::Enumerator,
        EntryKind::Function,
        EntryKind::Variable,
        EntryKind::Namespace,
    ];

    pub(super) fn from_number(number: u8) -> Option<EntryKind> {
        EntryKind::ALL.get(usize::from(number)).copied()
    }

    pub(in crate::dwarf) fn is_type(self) -> bool {
        (self as u8) <= EntryKind::Base as u8
    }
}

bitflags::bitflags! {
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub(in crate::dwarf) struct EntryFlags: u8 {
        /// Only a declaration.
        const DECLARATION = 1;
        /// In a namespace or type.
        const NESTED = 2;
        /// The name, and so the scope, is that of another entry, which this one completes.
        const NAMED_ELSEWHERE = 4;
    }
}

bitflags::bitflags! {
    /// A set of [`EntryKind`]s.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub(in crate::dwarf) struct EntryKinds: u16 {
        const STRUCT = 1 << EntryKind::Struct as u8;
        const UNION = 1 << EntryKind::Union as u8;
        const CLASS = 1 << EntryKind::Class as u8;
        const ENUM = 1 << EntryKind::Enum as u8;
        const TYPEDEF = 1 << EntryKind::Typedef as u8;
        const BASE = 1 << EntryKind::Base as u8;
        const ENUMERATOR = 1 << EntryKind::Enumerator as u8;
        const FUNCTION = 1 << EntryKind::Function as u8;
        const VARIABLE = 1 << EntryKind::Variable as u8;
    }
}

impl From<TypeKinds> for EntryKinds {
    fn from(kinds: TypeKinds) -> EntryKinds {
        let mut result = EntryKinds::empty();
        result.set(EntryKinds::STRUCT, kinds.contains(TypeKinds::STRUCT));
        result.set(EntryKinds::UNION, kinds.contains(TypeKinds::UNION));
        result.set(EntryKinds::CLASS, kinds.contains(TypeKinds::CLASS));
        result.set(EntryKinds::ENUM, kinds.contains(TypeKinds::ENUM));
        result.set(EntryKinds::TYPEDEF, kinds.contains(TypeKinds::TYPEDEF));
        let base = TypeKinds::INT | TypeKinds::BOOL | TypeKinds::FLOAT;
        result.set(EntryKinds::BASE, kinds.intersects(base));
        result
    }
}

impl From<ObjectKinds> for EntryKinds {
    fn from(kinds: ObjectKinds) -> EntryKinds {
        let mut result = EntryKinds::empty();
        result.set(
            EntryKinds::ENUMERATOR,
            kinds.contains(ObjectKinds::CONSTANT),
        );
        result.set(EntryKinds::FUNCTION, kinds.contains(ObjectKinds::FUNCTION));
        result.set(EntryKinds::VARIABLE, kinds.contains(ObjectKinds::VARIABLE));
        result
    }
}

/// Where a name is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(in crate::dwarf) enum NameSource {
    /// `.debug_str`
    Str,
    /// `.debug_info` or `.debug_types`
    Inline,
    /// `.debug_line_str`
    LineStr,
    /// `.debug_str` of the supplementary file
    Supplementary,
    /// `.debug_info` of the supplementary file
    SupplementaryInline,
}

impl NameSource {
    pub(in crate::dwarf) const COUNT: usize = 5;
    pub(super) const ALL: [NameSource; NameSource::COUNT] = [
        NameSource::Str,
        NameSource::Inline,
        NameSource::LineStr,
        NameSource::Supplementary,
        NameSource::SupplementaryInline,
    ];
}

/// A name, as the place where it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::dwarf) struct NameRef {
    pub(in crate::dwarf) source: NameSource,
    pub(in crate::dwarf) offset: u64,
}

/// Sections may have this many bytes: offsets are kept in 40 bits.
pub(in crate::dwarf) const GREATEST_OFFSET: u64 = (1 << 40) - 1;

/// A collected entry: two 40-bit offsets, a kind, flags and a fingerprint in 16 bytes. There may
/// be millions.
#[derive(Clone, Copy, Debug)]
pub(in crate::dwarf) struct RawEntry {
    pub(super) name_low: u32,
    die_low: u32,
    /// Kind, flags, high byte of the name's offset, high byte of the entry's.
    rest: u32,
    /// [`Fingerprint::short`], or 0 if it is not known.
    pub(super) fingerprint: u32,
}

impl RawEntry {
    #[inline]
    pub(in crate::dwarf) fn new(
        die: u64,
        kind: EntryKind,
        flags: EntryFlags,
        fingerprint: Option<Fingerprint>,
    ) -> RawEntry {
        let high = (die >> 32) as u32 & 0xff;
        RawEntry {
            name_low: 0,
            die_low: die as u32,
            rest: high | (u32::from(flags.bits()) << 16) | ((kind as u32) << 24),
            fingerprint: fingerprint.map_or(0, Fingerprint::short),
        }
    }

    pub(super) fn name(self) -> u64 {
        (u64::from((self.rest >> 8) & 0xff) << 32) | u64::from(self.name_low)
    }

    #[inline]
    pub(in crate::dwarf) fn with_name(self, name: u64) -> RawEntry {
        let high = (name >> 32) as u32 & 0xff;
        let rest = (self.rest & !0xff00) | (high << 8);
        RawEntry {
            name_low: name as u32,
            rest,
            ..self
        }
    }

    pub(super) fn entry(self) -> Entry {
        let die = (u64::from(self.rest & 0xff) << 32) | u64::from(self.die_low);
        Entry(die | (u64::from(self.rest >> 16) << 40))
    }
}

/// An entry of the index: its offset in 40 bits, its flags and its kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::dwarf) struct Entry(u64);

impl Entry {
    pub(in crate::dwarf) fn die(self) -> u64 {
        self.0 & GREATEST_OFFSET
    }

    pub(in crate::dwarf) fn flags(self) -> EntryFlags {
        EntryFlags::from_bits_truncate((self.0 >> 40) as u8)
    }

    pub(in crate::dwarf) fn kind(self) -> Option<EntryKind> {
        EntryKind::from_number((self.0 >> 48) as u8)
    }

    /// Its kind as a set.
    pub(super) fn kinds(self) -> EntryKinds {
        EntryKinds::from_bits_truncate(1u16.checked_shl((self.0 >> 48) as u32).unwrap_or(0))
    }

    pub(super) fn is_in(self, kinds: EntryKinds) -> bool {
        kinds.intersects(self.kinds())
    }
}

/// A namespace or type that holds names: the offsets from its own entry to the end of its children.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::dwarf) struct Scope {
    pub(in crate::dwarf) start: u64,
    pub(in crate::dwarf) end: u64,
    /// The number of the scope around this one; [`Scope::NONE`] if there is none.
    pub(super) parent: u32,
}

impl Scope {
    pub(super) const NONE: u32 = u32::MAX;

    /// A scope that starts at `start`, and whose end is not known yet.
    pub(in crate::dwarf) fn starting_at(start: u64) -> Scope {
        Scope {
            start,
            end: start,
            parent: Scope::NONE,
        }
    }
}

/// All entries with one name.
#[derive(Clone, Copy, Debug)]
pub(in crate::dwarf) struct Group {
    pub(super) hash: u32,
    /// The number of entries.
    pub(super) count: u32,
    /// The first one in [`Index::entries`].
    pub(super) first: u64,
    /// The name's offset, and its source from bit 40 on.
    pub(super) name: u64,
}

impl Group {
    pub(super) fn name(&self) -> NameRef {
        let source = NameSource::ALL[(self.name >> 40) as usize % NameSource::COUNT];
        NameRef {
            source,
            offset: self.name & GREATEST_OFFSET,
        }
    }
}

impl Record for Group {
    const SIZE: usize = 24;

    fn read(bytes: &[u8]) -> Group {
        let mut fields = Fields(bytes);
        Group {
            hash: fields.u32(),
            count: fields.u32(),
            first: fields.u64(),
            name: fields.u64(),
        }
    }

    fn write(self, bytes: &mut Vec<u8>) {
        bytes.extend_from_slice(&self.hash.to_le_bytes());
        bytes.extend_from_slice(&self.count.to_le_bytes());
        bytes.extend_from_slice(&self.first.to_le_bytes());
        bytes.extend_from_slice(&self.name.to_le_bytes());
    }

    fn example() -> Group {
        let name = 4 | ((NameSource::SupplementaryInline as u64) << 40);
        Group {
            hash: 1,
            count: 2,
            first: 3,
            name,
        }
    }
}

impl Record for Entry {
    const SIZE: usize = 8;

    fn read(bytes: &[u8]) -> Entry {
        Entry(Fields(bytes).u64())
    }

    fn write(self, bytes: &mut Vec<u8>) {
        self.0.write(bytes);
    }

    fn example() -> Entry {
        RawEntry::new(1, EntryKind::Namespace, EntryFlags::NAMED_ELSEWHERE, None).entry()
    }
}

impl Record for Scope {
    const SIZE: usize = 20;

    fn read(bytes: &[u8]) -> Scope {
        let mut fields = Fields(bytes);
        Scope {
            start: fields.u64(),
            end: fields.u64(),
            parent: fields.u32(),
        }
    }

    fn write(self, bytes: &mut Vec<u8>) {
        bytes.extend_from_slice(&self.start.to_le_bytes());
        bytes.extend_from_slice(&self.end.to_le_bytes());
        bytes.extend_from_slice(&self.parent.to_le_bytes());
    }

    fn example() -> Scope {
        Scope {
            start: 1,
            end: 2,
            parent: 3,
        }
    }
}
