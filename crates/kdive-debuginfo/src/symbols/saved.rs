//! The lists of a file's symbols, as they are kept in the cache.

use super::records::{NameIndex, Record, Records};
use super::{Names, SymbolTable};
use crate::cache::{ItemKind, Saved};
use crate::column::{Column, Record as _, layout_of};
use crate::hash::hash_name;

/// How many numbers stand before the lists.
const HEADER_NUMBERS: usize = 7;
/// How much of the sections is compared. Files of one build ID differ in how they were stripped.
const COMPARED: usize = 4096;

/// A number that changes with the layout of what is saved.
pub(crate) fn layout() -> u32 {
    [
        layout_of::<u64>(),
        layout_of::<u32>(),
        layout_of::<Record>(),
    ]
    .into_iter()
    .fold(HEADER_NUMBERS as u32, |sum, layout| {
        sum.rotate_left(5) ^ layout
    })
}

impl SymbolTable {
    /// What identifies the symbols beyond the build ID: the lengths of the two sections, and how
    /// they begin. None if the lists can't be kept.
    fn identity(&self) -> Option<[u64; 3]> {
        let ([unread], [Names::Section(..)]) = (&*self.unread, &*self.names) else {
            return None;
        };
        let section = unread.file.sections().get(unread.section)?;
        let symbols = unread.file.data(section).ok()?;
        let names = self.names.first()?.bytes();
        let begin = |bytes: &[u8]| hash_name(bytes.get(..COMPARED).unwrap_or(bytes));
        let both = (u64::from(begin(symbols)) << 32) | u64::from(begin(names));
        Some([symbols.len() as u64, names.len() as u64, both])
    }

    /// The build ID under which the lists are kept.
    fn key(&self) -> Option<&[u8]> {
        let file = &self.unread.first()?.file;
        // Those of a relocatable file depend on where it is.
        (file.kind() != crate::elf::ElfKind::Relocatable)
            .then(|| file.build_id())
            .flatten()
    }

    /// Takes the lists from the cache, if they are there and of this file. The error says why
    /// they can't be used.
    pub(super) fn load(&self) -> Result<Option<Records>, String> {
        let (Some(cache), Some(key)) = (&self.cache, self.key()) else {
            return Ok(None);
        };
        let Some(saved) = cache.load(ItemKind::Symbols, key)? else {
            return Ok(None);
        };
        match self.read(&saved) {
            Some(records) => Ok(Some(records)),
            None => cache
                .refuse(ItemKind::Symbols, key, "the file has changed".to_owned())
                .map(|()| None),
        }
    }

    fn read(&self, saved: &Saved) -> Option<Records> {
        let mut offset = 0;
        let numbers: Column<u64> = Column::load(saved, &mut offset, HEADER_NUMBERS as u64)?;
        let numbers: [u64; HEADER_NUMBERS] =
            numbers.iter().collect::<Vec<u64>>().try_into().ok()?;
        let [symbols, names, begin, count, first_placed, slots, enclosing] = numbers;
        if self.identity()? != [symbols, names, begin] {
            return None;
        }
        let list = Column::load(saved, &mut offset, count)?;
        let slots: Column<u32> = Column::load(saved, &mut offset, slots)?;
        let enclosing: Column<u32> = Column::load(saved, &mut offset, enclosing)?;
        if !slots.len().is_power_of_two() {
            return None;
        }
        let _ = self.by_name.set(NameIndex { slots });
        let _ = self.enclosing.set(enclosing);
        Some(Records {
            list,
            first_placed: usize::try_from(first_placed).ok()?,
        })
    }

    /// Saves the lists if there is a cache. If that fails, they are made again the next time.
    pub(super) fn save(&self, records: &Records) {
        let (Some(cache), Some(key), Some(identity)) = (&self.cache, self.key(), self.identity())
        else {
            return;
        };
        let index = self.by_name.get_or_init(|| self.index_names(records));
        let enclosing = self.enclosing.get_or_init(|| records.enclosing());
        let counts = [
            records.list.len(),
            records.first_placed,
            index.slots.len(),
            enclosing.len(),
        ];
        let mut contents = Vec::new();
        let counts = counts.map(|count| count as u64);
        for number in identity.into_iter().chain(counts) {
            number.write(&mut contents);
        }
        records.list.save(&mut contents);
        index.slots.save(&mut contents);
        enclosing.save(&mut contents);
        let _ = cache.save(ItemKind::Symbols, key, &contents);
    }
}
