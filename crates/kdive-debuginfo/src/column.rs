//! Lists of records of a fixed size, in memory or mapped from the cache.

use std::marker::PhantomData;
use std::ops::Range;

use crate::cache::Saved;

/// A record that is saved as a fixed number of bytes, in little-endian order.
pub(crate) trait Record: Copy {
    /// How many bytes it takes.
    const SIZE: usize;

    /// Reads it from that many bytes.
    fn read(bytes: &[u8]) -> Self;

    /// Appends that many bytes.
    fn write(self, bytes: &mut Vec<u8>);

    /// A record whose fields are all different.
    fn example() -> Self;
}

/// A number that changes with the order and the sizes of what a record is saved as, so that what
/// was saved with another layout is not misread.
pub(crate) fn layout_of<T: Record>() -> u32 {
    let mut bytes = Vec::new();
    T::example().write(&mut bytes);
    let mut checksum = libdeflater::Crc::new();
    checksum.update(&(T::SIZE as u64).to_le_bytes());
    checksum.update(&bytes);
    checksum.sum()
}

/// Takes numbers from the front of a record's bytes.
pub(crate) struct Fields<'a>(pub(crate) &'a [u8]);

impl Fields<'_> {
    pub(crate) fn u64(&mut self) -> u64 {
        let Some((bytes, rest)) = self.0.split_first_chunk() else {
            return 0;
        };
        self.0 = rest;
        u64::from_le_bytes(*bytes)
    }

    pub(crate) fn u32(&mut self) -> u32 {
        let Some((bytes, rest)) = self.0.split_first_chunk() else {
            return 0;
        };
        self.0 = rest;
        u32::from_le_bytes(*bytes)
    }
}

impl Record for u64 {
    const SIZE: usize = 8;

    fn read(bytes: &[u8]) -> u64 {
        Fields(bytes).u64()
    }

    fn write(self, bytes: &mut Vec<u8>) {
        bytes.extend_from_slice(&self.to_le_bytes());
    }

    fn example() -> u64 {
        0x0102_0304_0506_0708
    }
}

impl Record for u32 {
    const SIZE: usize = 4;

    fn read(bytes: &[u8]) -> u32 {
        Fields(bytes).u32()
    }

    fn write(self, bytes: &mut Vec<u8>) {
        bytes.extend_from_slice(&self.to_le_bytes());
    }

    fn example() -> u32 {
        0x0102_0304
    }
}

/// A list of records.
pub(crate) enum Column<T> {
    Owned(Vec<T>),
    Saved(Saved, PhantomData<fn() -> T>),
}

impl<T> Default for Column<T> {
    fn default() -> Column<T> {
        Column::Owned(Vec::new())
    }
}

impl<T> From<Vec<T>> for Column<T> {
    fn from(records: Vec<T>) -> Column<T> {
        Column::Owned(records)
    }
}

impl<T: Record> Column<T> {
    pub(crate) fn len(&self) -> usize {
        match self {
            Column::Owned(records) => records.len(),
            Column::Saved(saved, _) => saved.bytes().len() / T::SIZE,
        }
    }

    pub(crate) fn get(&self, index: usize) -> Option<T> {
        match self {
            Column::Owned(records) => records.get(index).copied(),
            Column::Saved(saved, _) => {
                let start = index.checked_mul(T::SIZE)?;
                Some(T::read(
                    saved.bytes().get(start..start.checked_add(T::SIZE)?)?,
                ))
            }
        }
    }

    /// The records with these numbers, as far as they exist.
    pub(crate) fn range(&self, range: Range<usize>) -> impl DoubleEndedIterator<Item = T> + '_ {
        let end = range.end.min(self.len());
        (range.start.min(end)..end).filter_map(|index| self.get(index))
    }

    pub(crate) fn iter(&self) -> impl DoubleEndedIterator<Item = T> + '_ {
        self.range(0..self.len())
    }

    /// The number of records at the start for which `is_before` is true; all that follow must be
    /// those for which it is false.
    pub(crate) fn partition_point(&self, is_before: impl Fn(T) -> bool) -> usize {
        self.partition_point_from(0, is_before)
    }

    /// The same for the records from a number on.
    pub(crate) fn partition_point_from(
        &self,
        first: usize,
        is_before: impl Fn(T) -> bool,
    ) -> usize {
        let (mut low, mut high) = (first, self.len());
        while low < high {
            let middle = low + (high - low) / 2;
            if self.get(middle).is_some_and(&is_before) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        low
    }

    /// Appends all records to the contents of an item, at a multiple of eight bytes.
    pub(crate) fn save(&self, contents: &mut Vec<u8>) {
        for record in self.iter() {
            record.write(contents);
        }
        contents.resize(contents.len().next_multiple_of(8), 0);
    }

    /// The `count` records at `offset` of an item's contents. Moves `offset` behind them.
    pub(crate) fn load(saved: &Saved, offset: &mut usize, count: u64) -> Option<Column<T>> {
        let length = usize::try_from(count).ok()?.checked_mul(T::SIZE)?;
        let end = offset.checked_add(length)?;
        let part = saved.part(*offset..end)?;
        *offset = end.checked_next_multiple_of(8)?;
        Some(Column::Saved(part, PhantomData))
    }
}
