//! Bitmaps with one bit for each page of physical memory.

use std::sync::Arc;

use crate::Result;
use crate::source::Source;

/// A bitmap in a file, of which only a table of counts is kept in memory.
pub(super) struct Bitmap {
    source: Arc<dyn Source>,
    offset: u64,
    bits: u64,
    /// The number of bits set before each block of bits; there are counts up to where the file
    /// ends.
    counts: Vec<u64>,
}

impl Bitmap {
    const BLOCK_BITS: u64 = 512;
    const BLOCK_BYTES: usize = Self::BLOCK_BITS as usize / 8;

    /// A bitmap whose set bits needn't be counted.
    pub fn new(source: Arc<dyn Source>, offset: u64, bits: u64) -> Self {
        Self {
            source,
            offset,
            bits,
            counts: Vec::new(),
        }
    }

    /// A bitmap that can tell the [`rank`](Self::rank) of a bit.
    pub fn counted(source: Arc<dyn Source>, offset: u64, bits: u64) -> Result<Self> {
        const STEP: u64 = 1 << 20;
        let mut counts = Vec::new();
        let mut count = 0_u64;
        let bytes = bits.div_ceil(8);
        let mut at = 0;
        while at < bytes {
            let chunk = source.read_up_to(offset.saturating_add(at), STEP.min(bytes - at))?;
            if chunk.is_empty() {
                break;
            }
            for block in chunk.chunks(Self::BLOCK_BYTES) {
                counts.push(count);
                count += ones(block);
            }
            at += chunk.len() as u64;
        }
        Ok(Self {
            source,
            offset,
            bits,
            counts,
        })
    }

    /// Whether a bit is set; `None` if the file doesn't have it.
    pub fn get(&self, bit: u64) -> Option<bool> {
        let mut byte = [0];
        let at = self.offset.checked_add(bit / 8)?;
        let count = self.source.read_at(at, &mut byte).ok()?;
        (bit < self.bits && count == 1).then_some(byte[0] >> (bit % 8) & 1 == 1)
    }

    /// The number of set bits before a bit, if that bit is set.
    pub fn rank(&self, bit: u64) -> Option<u64> {
        let (before, is_set) = self.count_before(bit)?;
        is_set.then_some(before)
    }

    /// The number of set bits before a bit, and whether it is set itself.
    pub fn count_before(&self, bit: u64) -> Option<(u64, bool)> {
        if bit >= self.bits {
            return None;
        }
        let block = bit / Self::BLOCK_BITS;
        let count = *self.counts.get(usize::try_from(block).ok()?)?;
        let mut bytes = [0; Self::BLOCK_BYTES];
        let at = self.offset.checked_add(block * Self::BLOCK_BYTES as u64)?;
        self.source.read_at(at, &mut bytes).ok()?;
        let bit = (bit % Self::BLOCK_BITS) as usize;
        let (before, from) = bytes.split_at(bit / 8);
        let byte = from.first()?;
        let below = byte & ((1 << (bit % 8)) - 1);
        let is_set = byte >> (bit % 8) & 1 == 1;
        Some((count + ones(before) + u64::from(below.count_ones()), is_set))
    }

    /// The first set bit from `start` on and how many follow it, at most to the end of a block.
    pub fn next_run(&self, start: u64) -> Option<(u64, u64)> {
        let mut bit = start;
        loop {
            let block = usize::try_from(bit / Self::BLOCK_BITS).ok()?;
            let here = *self.counts.get(block)?;
            let block_end = (bit / Self::BLOCK_BITS + 1) * Self::BLOCK_BITS;
            // An empty block has the count of the one after it.
            if self.counts.get(block + 1) != Some(&here) {
                let is_set = |&bit: &u64| self.rank(bit).is_some();
                if let Some(first) = (bit..block_end).find(is_set) {
                    let count = (first..block_end).take_while(is_set).count();
                    return Some((first, count as u64));
                }
            }
            bit = block_end;
        }
    }

    /// The number of bits that are set here and not in another bitmap, as far as the file has both.
    pub fn count_beyond(&self, other: &Self) -> Result<u64> {
        const STEP: u64 = 1 << 20;
        let bytes = self.bits.min(other.bits).div_ceil(8);
        let mut count = 0;
        let mut at = 0;
        while at < bytes {
            let size = STEP.min(bytes - at);
            let read = |it: &Self| it.source.read_up_to(it.offset.saturating_add(at), size);
            let (here, there) = (read(self)?, read(other)?);
            if here.is_empty() || there.is_empty() {
                break;
            }
            let beyond = here.iter().zip(&there).map(|(here, there)| here & !there);
            count += beyond.map(|byte| u64::from(byte.count_ones())).sum::<u64>();
            at += size;
        }
        Ok(count)
    }

    /// The set bits and those that the file doesn't have, in runs of first and number; `None` if
    /// there are more runs than `most`.
    pub fn runs(&self, most: usize) -> Result<Option<Vec<(u64, u64)>>> {
        const STEP: u64 = 1 << 20;
        let mut runs: Vec<(u64, u64)> = Vec::new();
        let bytes = self.bits.div_ceil(8);
        let mut at = 0;
        while at < bytes {
            let offset = self.offset.saturating_add(at);
            let chunk = self.source.read_up_to(offset, STEP.min(bytes - at))?;
            if chunk.is_empty() {
                extend(&mut runs, at * 8, self.bits - at * 8);
                break;
            }
            for (index, &byte) in chunk.iter().enumerate() {
                let first = (at + index as u64) * 8;
                match byte {
                    0 => {}
                    0xff => extend(&mut runs, first, 8),
                    mixed => (0..8)
                        .filter(|bit| mixed >> bit & 1 == 1)
                        .for_each(|bit| extend(&mut runs, first + bit, 1)),
                }
            }
            at += chunk.len() as u64;
            if runs.len() > most {
                return Ok(None);
            }
        }
        runs.retain(|&(start, _)| start < self.bits);
        if let Some((start, length)) = runs.last_mut() {
            *length = (*length).min(self.bits - *start);
        }
        Ok(Some(runs))
    }
}

fn extend(runs: &mut Vec<(u64, u64)>, bit: u64, count: u64) {
    match runs.last_mut() {
        Some((start, length)) if *start + *length == bit => *length += count,
        _ => runs.push((bit, count)),
    }
}

fn ones(bytes: &[u8]) -> u64 {
    let (words, rest) = bytes.as_chunks::<8>();
    let in_words: u32 = words
        .iter()
        .map(|word| u64::from_ne_bytes(*word).count_ones())
        .sum();
    let in_rest: u32 = rest.iter().map(|byte| byte.count_ones()).sum();
    u64::from(in_words + in_rest)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::source::tests::MemorySource;

    #[test]
    fn bits_that_are_cut_off_may_be_set() {
        let bitmap = Bitmap::counted(MemorySource::shared(vec![0x81, 0]), 0, 40).unwrap();
        let runs = bitmap.runs(usize::MAX).unwrap();
        assert_eq!(runs, Some(vec![(0, 1), (7, 1), (16, 24)]));
        let bits = [0, 1, 7, 15, 16, 39, 40].map(|bit| bitmap.get(bit));
        let (set, unset) = (Some(true), Some(false));
        assert_eq!(bits, [set, unset, set, unset, None, None, None]);
        assert_eq!((bitmap.rank(7), bitmap.rank(20)), (Some(1), None));
    }

    proptest! {
        #[test]
        fn ranks_and_runs_count_the_bits(
            bytes in prop::collection::vec(prop_oneof![Just(0), Just(0xff), any::<u8>()], 0..300),
            missing in 0_u64..20,
        ) {
            let bits = (bytes.len() as u64 * 8).saturating_sub(missing);
            let expected: Vec<u64> = (0..bits)
                .filter(|&bit| bytes[bit as usize / 8] >> (bit % 8) & 1 == 1)
                .collect();
            let bitmap = Bitmap::counted(MemorySource::shared(bytes), 0, bits).unwrap();
            let found: Vec<u64> = (0..bits).filter(|&bit| bitmap.rank(bit).is_some()).collect();
            prop_assert_eq!(&found, &expected);
            for (rank, &bit) in expected.iter().enumerate() {
                prop_assert_eq!(bitmap.rank(bit), Some(rank as u64));
                prop_assert_eq!(bitmap.get(bit), Some(true));
            }
            let runs = bitmap.runs(usize::MAX).unwrap().unwrap();
            let in_runs: Vec<u64> =
                runs.iter().flat_map(|&(start, length)| start..start + length).collect();
            prop_assert_eq!(&in_runs, &expected);
            prop_assert_eq!(bitmap.rank(bits), None);
            let mut next = Vec::new();
            let mut from = 0;
            while let Some((start, length)) = bitmap.next_run(from) {
                next.extend(start..start + length);
                from = start + length;
            }
            prop_assert_eq!(next, expected);
        }
    }
}
