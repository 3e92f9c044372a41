//! BTF of modules that bring a small base of their own, so that they outlive a new build of the
//! kernel: `.BTF.base`, "libbpf: Add `btf__distill_base()` creating split BTF with distilled base
//! BTF", Linux 6.11.
//!
//! Such a base has no members, only the names and sizes of what the module takes from its kernel.
//! As the kernel does when it loads the module, its records are exchanged for the kernel's.

use std::collections::HashMap;
use std::sync::Arc;

use kdive_target::ByteOrder;

use super::records::{Btf, Field, Record, kind, layout};
use crate::Result;
use crate::bytes::u32_at;

/// The types in `bytes`, which go on from the distilled `base`, as ones that go on from `kernel`.
pub(super) fn onto(
    kernel: &Arc<Btf>,
    origin: &str,
    bytes: Arc<[u8]>,
    base: &Arc<Btf>,
) -> Result<Btf> {
    let split = Btf::parse(origin, bytes, Some(base.clone()))?;
    if split.byte_order() != kernel.byte_order() {
        return Err(split.bad("these types have another byte order than the kernel's".to_owned()));
    }
    let mut writer = Writer {
        numbers: numbers_in(kernel, base)?,
        base,
        kernel,
        names: split.sections().1.to_vec(),
        moved: HashMap::new(),
        records: Vec::with_capacity(split.sections().0.len()),
    };
    for id in split.ids() {
        writer.write(&split, id)?;
    }
    Btf::parse(origin, writer.table().into(), Some(kernel.clone()))
}

/// Which record of the kernel each one of a distilled base stands for.
fn numbers_in(kernel: &Btf, base: &Btf) -> Result<Vec<u32>> {
    let mut named: HashMap<&str, Vec<u32>> = HashMap::new();
    for id in base.ids() {
        named.insert(base.string(base.record(id)?.name)?, Vec::new());
    }
    for id in kernel.ids() {
        if let Some(ids) = named.get_mut(kernel.string(kernel.record(id)?.name)?) {
            ids.push(id);
        }
    }
    let number_of = |id| {
        let wanted = base.record(id)?;
        let name = base.string(wanted.name)?;
        let mut fitting = Vec::new();
        for candidate in named.get(name).into_iter().flatten() {
            let found = kernel.record(*candidate)?;
            if let Some(rank) = rank(&wanted, &found) {
                fitting.push((rank, *candidate));
            }
        }
        fitting.sort_unstable();
        match fitting[..] {
            [] => Err(base.bad(format!(
                "the kernel has no type {name} as the module was built for"
            ))),
            [(first, _), (second, _), ..] if first == second && first == Rank::Same => Err(base
                .bad(format!(
                    "the kernel has several types {name} that the module's may be"
                ))),
            [(_, number), ..] => Ok(number),
        }
    };
    base.ids().map(number_of).collect()
}

/// How well a record of the kernel fits one of a distilled base.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    Same,
    /// A definition of what the module only declares.
    Definition,
    /// Another declaration.
    Declaration,
}

fn rank(wanted: &Record<'_>, found: &Record<'_>) -> Option<Rank> {
    let is_enum = |kind| matches!(kind, kind::ENUM | kind::ENUM64);
    let same_size = wanted.size_or_type == found.size_or_type;
    match (wanted.kind, found.kind) {
        (kind::FWD, kind::FWD) if wanted.flag == found.flag => Some(Rank::Declaration),
        (kind::FWD, kind::STRUCT) if !wanted.flag => Some(Rank::Definition),
        (kind::FWD, kind::UNION) if wanted.flag => Some(Rank::Definition),
        (kind::FWD, _) => None,
        (kind::INT, kind::INT) => {
            (same_size && wanted.entries.get(..4) == found.entries.get(..4)).then_some(Rank::Same)
        }
        (wanted, found) if wanted == found || is_enum(wanted) && is_enum(found) => {
            same_size.then_some(Rank::Same)
        }
        _ => None,
    }
}

struct Writer<'a> {
    base: &'a Btf,
    kernel: &'a Btf,
    /// The records of the kernel for those of the base.
    numbers: Vec<u32>,
    records: Vec<u8>,
    names: Vec<u8>,
    /// Where names that were in the base are now.
    moved: HashMap<u32, u32>,
}

impl Writer<'_> {
    fn write(&mut self, split: &Btf, id: u32) -> Result<()> {
        let record = split.record(id)?;
        let short = || split.bad(format!("BTF type ID {id} ends outside of the table"));
        let layout = layout(record.kind).ok_or_else(|| {
            split.bad(format!(
                "BTF type ID {id} is of the unknown kind {}, which can't be taken to another base",
                record.kind
            ))
        })?;
        self.word(split, Field::Name, record.name)?;
        self.word(split, Field::Number, record.info)?;
        self.word(split, layout.third, record.size_or_type)?;
        let repeated = if layout.each.is_empty() {
            0
        } else {
            record.count as usize
        };
        let each = std::iter::repeat_n(layout.each, repeated).flatten();
        for (index, field) in layout.once.iter().chain(each).enumerate() {
            let word = u32_at(record.entries, index * 4, split.byte_order()).ok_or_else(short)?;
            self.word(split, *field, word)?;
        }
        Ok(())
    }

    fn word(&mut self, split: &Btf, field: Field, word: u32) -> Result<()> {
        let moved = match field {
            Field::Name => self.name(word)?,
            Field::Type => self.number(split, word)?,
            Field::Number => word,
        };
        self.records.extend(match split.byte_order() {
            ByteOrder::Little => moved.to_le_bytes(),
            ByteOrder::Big => moved.to_be_bytes(),
        });
        Ok(())
    }

    fn number(&self, split: &Btf, id: u32) -> Result<u32> {
        let own = self.base.ids();
        if id == 0 {
            return Ok(0);
        }
        if let Some(index) = id.checked_sub(own.end) {
            return Ok(self.kernel.ids().end.saturating_add(index));
        }
        let known = self.numbers.get((id - own.start) as usize);
        known
            .copied()
            .ok_or_else(|| split.bad(format!("BTF type ID {id} does not exist")))
    }

    fn name(&mut self, offset: u32) -> Result<u32> {
        if offset == 0 {
            return Ok(0);
        }
        let start = self.kernel.strings_end();
        if let Some(own) = offset.checked_sub(self.base.strings_end()) {
            return Ok(start.saturating_add(own));
        }
        if let Some(known) = self.moved.get(&offset) {
            return Ok(*known);
        }
        let moved = start.saturating_add(self.names.len() as u32);
        self.names.extend(self.base.string(offset)?.as_bytes());
        self.names.push(0);
        self.moved.insert(offset, moved);
        Ok(moved)
    }

    fn table(&self) -> Vec<u8> {
        let mut table = Btf::usual_start(self.kernel.byte_order());
        let (types, names) = (self.records.len() as u32, self.names.len() as u32);
        for word in [types, types, names] {
            table.extend(match self.kernel.byte_order() {
                ByteOrder::Little => word.to_le_bytes(),
                ByteOrder::Big => word.to_be_bytes(),
            });
        }
        table.extend(&self.records);
        table.extend(&self.names);
        table
    }
}
