//! The header, the records and the strings of BTF.

use std::sync::Arc;

use kdive_target::ByteOrder;

use crate::bytes::u32_at;
use crate::{Error, Result};

/// The first two bytes.
const MAGIC: u16 = 0xeb9f;
/// The header up to and including the string section's length.
const HEADER_SIZE: usize = 24;

/// What a record describes: the numbers of the format.
pub(super) mod kind {
    pub const INT: u32 = 1;
    pub const PTR: u32 = 2;
    pub const ARRAY: u32 = 3;
    pub const STRUCT: u32 = 4;
    pub const UNION: u32 = 5;
    pub const ENUM: u32 = 6;
    pub const FWD: u32 = 7;
    pub const TYPEDEF: u32 = 8;
    pub const VOLATILE: u32 = 9;
    pub const CONST: u32 = 10;
    pub const RESTRICT: u32 = 11;
    pub const FUNC: u32 = 12;
    pub const FUNC_PROTO: u32 = 13;
    pub const VAR: u32 = 14;
    pub const DATASEC: u32 = 15;
    pub const FLOAT: u32 = 16;
    pub const DECL_TAG: u32 = 17;
    pub const TYPE_TAG: u32 = 18;
    pub const ENUM64: u32 = 19;
}

/// What a word of a record is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Field {
    /// The offset of a name among the strings.
    Name,
    /// The ID of a record.
    Type,
    Number,
}

/// What the words of a record of some kind are, from its third one on.
pub(super) struct Layout {
    pub third: Field,
    /// Those that follow once,
    pub once: &'static [Field],
    /// and those that follow for each of its entries.
    pub each: &'static [Field],
}

/// None for kinds that are not known.
pub(super) fn layout(kind: u32) -> Option<Layout> {
    use Field::{Name, Number, Type};
    let (third, once, each): (_, &'static [Field], &'static [Field]) = match kind {
        kind::INT => (Number, &[Number], &[]),
        kind::ARRAY => (Number, &[Type, Type, Number], &[]),
        kind::STRUCT | kind::UNION => (Number, &[], &[Name, Type, Number]),
        kind::ENUM => (Number, &[], &[Name, Number]),
        kind::ENUM64 => (Number, &[], &[Name, Number, Number]),
        kind::FWD | kind::FLOAT => (Number, &[], &[]),
        kind::PTR
        | kind::TYPEDEF
        | kind::VOLATILE
        | kind::CONST
        | kind::RESTRICT
        | kind::FUNC
        | kind::TYPE_TAG => (Type, &[], &[]),
        kind::FUNC_PROTO => (Type, &[], &[Name, Type]),
        kind::VAR | kind::DECL_TAG => (Type, &[Number], &[]),
        kind::DATASEC => (Number, &[], &[Type, Number, Number]),
        _ => return None,
    };
    Some(Layout { third, once, each })
}

/// The records of one kernel or module.
pub struct Btf {
    pub(super) origin: String,
    bytes: Arc<[u8]>,
    byte_order: ByteOrder,
    base: Option<Arc<Btf>>,
    /// Where in `bytes` each record starts; the first one has the ID `first_id`.
    offsets: Vec<u32>,
    first_id: u32,
    types: std::ops::Range<usize>,
    strings: std::ops::Range<usize>,
    /// The length of the strings of all bases, which come before the own ones.
    strings_before: u32,
    says_signs: bool,
}

/// One record.
#[derive(Clone, Copy, Debug)]
pub struct Record<'a> {
    pub(super) kind: u32,
    /// The word that has the kind, the flag and the count.
    pub(super) info: u32,
    /// The kind flag, whose meaning depends on the kind.
    pub(super) flag: bool,
    /// How many entries follow, or what else the kind stores here.
    pub(super) count: u32,
    pub(super) name: u32,
    /// A size in bytes or the ID of another type, depending on the kind.
    pub(super) size_or_type: u32,
    pub(super) entries: &'a [u8],
}

impl Btf {
    /// How many bytes [`Btf::size`] needs.
    pub const HEADER_SIZE: usize = HEADER_SIZE;

    /// How BTF without a base begins: the magic number, the version, no flags, the size of the
    /// header, and types right behind it.
    pub fn usual_start(byte_order: ByteOrder) -> Vec<u8> {
        let (magic, size) = match byte_order {
            ByteOrder::Little => (MAGIC.to_le_bytes(), (HEADER_SIZE as u32).to_le_bytes()),
            ByteOrder::Big => (MAGIC.to_be_bytes(), (HEADER_SIZE as u32).to_be_bytes()),
        };
        [&magic, &[1, 0][..], &size, &[0; 4]].concat()
    }

    /// The size of the table that starts with this header, if that is one.
    pub fn size(header: &[u8]) -> Option<u64> {
        let order = match u16::from_le_bytes(*header.first_chunk()?) {
            MAGIC => ByteOrder::Little,
            _ => ByteOrder::Big,
        };
        let field = |offset| u32_at(header, offset, order).map(u64::from);
        let (strings, length) = (field(16)?, field(20)?);
        let is_usual = field(8)? + field(12)? == strings && field(12)? > 0 && length > 0;
        is_usual.then_some(field(4)? + strings + length)
    }

    /// Whether the table in `bytes` can't be without a base: others begin their names with the
    /// empty one.
    pub(super) fn goes_on(bytes: &[u8]) -> bool {
        let order = match bytes.first_chunk().map(|magic| u16::from_le_bytes(*magic)) {
            Some(MAGIC) => ByteOrder::Little,
            _ => ByteOrder::Big,
        };
        let field = |offset| u32_at(bytes, offset, order).map(|field| field as usize);
        let names = || field(4)?.checked_add(field(16)?);
        let first = names().and_then(|start| bytes.get(start));
        first.is_some_and(|byte| *byte != 0)
    }

    /// Reads the table in `bytes`. A module's goes on where its kernel's, the `base`, ends.
    /// `origin` says where the bytes come from, for messages.
    pub fn parse(origin: &str, bytes: Arc<[u8]>, base: Option<Arc<Btf>>) -> Result<Btf> {
        let bad = |message: String| Error::Bad {
            origin: origin.to_owned(),
            message,
        };
        let short = || {
            bad(format!(
                "BTF of {} bytes ends within its header",
                bytes.len()
            ))
        };
        let magic = *bytes.first_chunk::<2>().ok_or_else(short)?;
        let byte_order = match (u16::from_le_bytes(magic), u16::from_be_bytes(magic)) {
            (MAGIC, _) => ByteOrder::Little,
            (_, MAGIC) => ByteOrder::Big,
            _ => {
                return Err(bad(
                    "this is not BTF: the magic number is missing".to_owned()
                ));
            }
        };
        if bytes.len() < HEADER_SIZE {
            return Err(short());
        }
        let version = bytes[2];
        if version != 1 {
            return Err(bad(format!(
                "BTF version {version} is not supported, only version 1"
            )));
        }
        let field = |offset| u32_at(&bytes, offset, byte_order).ok_or_else(short);
        let header_size = field(4)?;
        // Offsets count from the end of the header, which may have grown.
        let section = |name: &str, offset, length| -> Result<std::ops::Range<usize>> {
            let start = (header_size as usize).checked_add(field(offset)? as usize);
            let end = start.and_then(|start| start.checked_add(field(length).ok()? as usize));
            match (start, end) {
                (Some(start), Some(end)) if end <= bytes.len() && header_size >= 24 => {
                    Ok(start..end)
                }
                _ => Err(bad(format!(
                    "the BTF {name} section lies outside of its {} bytes",
                    bytes.len()
                ))),
            }
        };
        let types = section("type", 8, 12)?;
        let strings = section("string", 16, 20)?;
        // "bpf, btf: add layout section", 2026: sizes of the records of kinds yet unknown.
        let sizes = match header_size {
            32.. => section("layout", 24, 28)?,
            _ => 0..0,
        };
        let (first_id, strings_before) = match &base {
            Some(base) => (base.ids().end, base.strings_end()),
            None => (1, 0),
        };
        let mut btf = Btf {
            origin: origin.to_owned(),
            bytes,
            byte_order,
            base,
            offsets: Vec::new(),
            first_id,
            types: types.clone(),
            strings,
            strings_before,
            says_signs: false,
        };
        btf.offsets = btf.find_records(types, sizes)?;
        btf.check_base()?;
        btf.says_signs = match &btf.base {
            Some(base) => base.says_signs,
            None => btf.ids().any(|id| {
                btf.record(id).is_ok_and(|record| {
                    record.kind == kind::ENUM64 || record.kind == kind::ENUM && record.flag
                })
            }),
        };
        Ok(btf)
    }

    fn find_records(
        &self,
        types: std::ops::Range<usize>,
        sizes: std::ops::Range<usize>,
    ) -> Result<Vec<u32>> {
        // A record has 12 bytes at least; most have some more.
        let mut offsets = Vec::with_capacity(types.len() / 28);
        let mut at = types.start;
        while at < types.end {
            let fits = u32_at(&self.bytes, at + 4, self.byte_order).and_then(|info| {
                let size = record_size(&self.bytes, info, sizes.clone())?;
                at.checked_add(size).filter(|end| *end <= types.end)
            });
            let Some(end) = fits else {
                return Err(self.bad(format!(
                    "BTF record {} at offset {at:#x} is of an unknown kind or ends outside of \
                     the type section",
                    u64::from(self.first_id) + offsets.len() as u64
                )));
            };
            offsets.push(at as u32);
            at = end;
        }
        Ok(offsets)
    }

    /// The base of another kernel would give other types without notice. Names that lie in the
    /// base tell: they would hardly ever begin where its names do.
    fn check_base(&self) -> Result<()> {
        let Some(base) = &self.base else {
            return Ok(());
        };
        for id in self.ids() {
            let name = self.record(id)?.name;
            if name < self.strings_before && !base.is_start_of_name(name) {
                return Err(self.bad(format!(
                    "these types go on from those of another kernel than {}",
                    base.origin
                )));
            }
        }
        Ok(())
    }

    fn is_start_of_name(&self, offset: u32) -> bool {
        match &self.base {
            Some(base) if offset < self.strings_before => base.is_start_of_name(offset),
            _ => match offset - self.strings_before {
                0 => true,
                start => self.sections().1.get(start as usize - 1) == Some(&0),
            },
        }
    }

    pub(super) fn bad(&self, message: String) -> Error {
        Error::Bad {
            origin: self.origin.clone(),
            message,
        }
    }

    /// The order of bytes.
    pub fn byte_order(&self) -> ByteOrder {
        self.byte_order
    }

    /// Whether the table tells signed enumerations and a signed `char` from unsigned ones, as
    /// writers do since "bpf: Add btf enum64 support", Linux 6.0. A kernel has some of both.
    pub(super) fn says_signs(&self) -> bool {
        self.says_signs
    }

    /// The IDs of the table's own records, without those of its base.
    pub fn ids(&self) -> std::ops::Range<u32> {
        self.first_id..self.first_id.saturating_add(self.offsets.len() as u32)
    }

    /// Where the names of the table and its bases end.
    pub(super) fn strings_end(&self) -> u32 {
        self.strings_before
            .saturating_add(self.strings.len() as u32)
    }

    /// The bytes of the table's own records, and those of their names.
    pub(super) fn sections(&self) -> (&[u8], &[u8]) {
        let bytes = |range: &std::ops::Range<usize>| self.bytes.get(range.clone());
        (
            bytes(&self.types).unwrap_or(&[]),
            bytes(&self.strings).unwrap_or(&[]),
        )
    }

    /// The record with this ID.
    pub fn record(&self, id: u32) -> Result<Record<'_>> {
        if let (Some(base), true) = (&self.base, id < self.first_id) {
            return base.record(id);
        }
        let offset = id
            .checked_sub(self.first_id)
            .and_then(|index| self.offsets.get(index as usize))
            .ok_or_else(|| {
                self.bad(format!(
                    "BTF type ID {id} does not exist; the last one is {}",
                    self.ids().end.saturating_sub(1)
                ))
            })?;
        let at = *offset as usize;
        let field = |offset| u32_at(&self.bytes, at + offset, self.byte_order);
        match (field(0), field(4), field(8), self.bytes.get(at + 12..)) {
            (Some(name), Some(info), Some(size_or_type), Some(entries)) => Ok(Record {
                kind: kind_of(info),
                info,
                flag: info >> 31 == 1,
                count: count_of(info),
                name,
                size_or_type,
                entries,
            }),
            _ => Err(self.bad(format!("BTF type ID {id} ends outside of the table"))),
        }
    }

    /// The string at an offset; empty for names that records don't have.
    pub fn string(&self, offset: u32) -> Result<&str> {
        if let (Some(base), true) = (&self.base, offset < self.strings_before) {
            return base.string(offset);
        }
        let (_, strings) = self.sections();
        let rest = strings
            .get((offset - self.strings_before) as usize..)
            .ok_or_else(|| self.bad(format!("BTF string offset {offset:#x} does not exist")))?;
        let end = rest
            .iter()
            .position(|byte| *byte == 0)
            .unwrap_or(rest.len());
        std::str::from_utf8(&rest[..end])
            .map_err(|_| self.bad(format!("BTF string at offset {offset:#x} is not UTF-8")))
    }
}

impl Record<'_> {
    /// The 32-bit number at an index of the entries.
    pub(super) fn word(&self, index: usize, btf: &Btf) -> Result<u32> {
        u32_at(self.entries, index * 4, btf.byte_order)
            .ok_or_else(|| btf.bad("a BTF record ends outside of the table".to_owned()))
    }
}

/// The kind in a record's second word. "btf: extend vlen to 24 bits", 2026, took bits that
/// were zero before.
fn kind_of(info: u32) -> u32 {
    info >> 24 & 0x7f
}

fn count_of(info: u32) -> u32 {
    info & 0x00ff_ffff
}

fn record_size(bytes: &[u8], info: u32, sizes: std::ops::Range<usize>) -> Option<usize> {
    let kind = kind_of(info);
    let (once, each) = if let Some(layout) = layout(kind) {
        (layout.once.len() * 4, layout.each.len() * 4)
    } else {
        let entry = bytes
            .get(sizes)?
            .get(kind as usize * 4..)?
            .first_chunk::<4>()?;
        (usize::from(entry[0]), usize::from(entry[1]))
    };
    let count = count_of(info) as usize;
    count.checked_mul(each)?.checked_add(once)?.checked_add(12)
}
