//! The memory of a target: segments in its virtual and physical address space.

use std::sync::Arc;

use arc_swap::ArcSwap;

use crate::range_map::RangeMap;
use crate::{ByteOrder, Error, Result};

/// Which addresses a read means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AddressSpace {
    /// The target's own view: the kernel's, or a process's.
    Virtual,
    /// Physical memory.
    Physical,
}

/// Where the bytes of a segment come from.
pub trait MemoryReader: Send + Sync {
    /// Fills `buffer` from `offset` bytes after the start of the segment, which is `address`.
    fn read(&self, address: u64, offset: u64, buffer: &mut [u8]) -> Result<()>;

    /// Fills `buffer` like [`MemoryReader::read`] if that only takes copying: nothing has to be
    /// decoded, asked or waited for, but what the system pages in. Otherwise, and where bytes are
    /// missing, it is `false` and what is in the buffer does not count.
    fn read_at_hand(&self, address: u64, offset: u64, buffer: &mut [u8]) -> bool {
        let _ = (address, offset, buffer);
        false
    }

    /// The next addresses that may be readable and hold something, as first and last one, given
    /// those that are left of the segment and the offset of their first. Who knows of large holes
    /// says so here; what was not saved but reads as zeros is one.
    fn next_readable(&self, first: u64, last: u64, offset: u64) -> Option<(u64, u64)> {
        let _ = offset;
        Some((first, last))
    }

    /// What is wrong with how its bytes are stored, one sentence each, as far as that can be told
    /// without reading them all.
    fn problems(&self) -> Vec<String> {
        Vec::new()
    }

    /// The addresses among those left of the segment, given like for
    /// [`MemoryReader::next_readable`], whose bytes a truncated file should have and hasn't.
    fn cut_off(&self, first: u64, last: u64, offset: u64) -> Option<(u64, u64)> {
        let _ = (first, last, offset);
        None
    }
}

/// A segment to be added to a [`Memory`].
#[derive(Clone)]
pub struct Segment {
    /// The first address.
    pub address: u64,
    /// The number of bytes.
    pub size: u64,
    /// Where its bytes come from.
    pub reader: Arc<dyn MemoryReader>,
}

type Ranges = RangeMap<Arc<dyn MemoryReader>>;

/// The memory of a target.
///
/// Later segments overlay earlier ones. Reading takes no lock: the segments in force are an
/// immutable list, and adding one puts a new list in its place.
#[derive(Default)]
pub struct Memory {
    virtual_ranges: ArcSwap<Ranges>,
    physical_ranges: Arc<ArcSwap<Ranges>>,
}

impl Memory {
    /// C strings are read in pieces that end at multiples of this, so that no piece extends into
    /// a page that the string does not reach.
    const STRING_BLOCK: u64 = 256;

    /// Memory without any segment: every read faults.
    pub fn new() -> Self {
        Self::default()
    }

    /// The same physical memory with a virtual address space of its own, empty as yet.
    #[must_use]
    pub fn share_physical(&self) -> Self {
        Self {
            virtual_ranges: ArcSwap::default(),
            physical_ranges: self.physical_ranges.clone(),
        }
    }

    fn ranges(&self, space: AddressSpace) -> &ArcSwap<Ranges> {
        match space {
            AddressSpace::Virtual => &self.virtual_ranges,
            AddressSpace::Physical => &self.physical_ranges,
        }
    }

    /// Adds a segment of `size` bytes at `address`; it hides what was there before.
    pub fn add_segment(
        &self,
        space: AddressSpace,
        address: u64,
        size: u64,
        reader: Arc<dyn MemoryReader>,
    ) {
        let segment = Segment {
            address,
            size,
            reader,
        };
        self.add_segments(space, &[segment]);
    }

    /// Adds many segments at once; each hides what was there before, including those ahead of it.
    pub fn add_segments(&self, space: AddressSpace, segments: &[Segment]) {
        self.ranges(space).rcu(|ranges| {
            ranges.overlaid(segments.iter().map(|segment| {
                let Segment {
                    address,
                    size,
                    reader,
                } = segment.clone();
                (address, size, reader)
            }))
        });
    }

    /// The next addresses from `start` on that may be readable and hold something, as first and
    /// last one. Single pages of them may still be missing; memory that was not saved but reads as
    /// zeros is passed over.
    pub fn next_readable(&self, space: AddressSpace, start: u64) -> Option<(u64, u64)> {
        let ranges = self.ranges(space).load();
        ranges.from(start).find_map(|range| {
            let first = range.start.max(start);
            let offset = first - range.origin;
            range.value.next_readable(first, range.end, offset)
        })
    }

    /// The addresses whose bytes a truncated file should have and hasn't, as first and last one of
    /// each range.
    pub fn cut_off(&self, space: AddressSpace) -> Vec<(u64, u64)> {
        let ranges = self.ranges(space).load();
        let cut_off = ranges.iter().filter_map(|range| {
            let offset = range.start - range.origin;
            range.value.cut_off(range.start, range.end, offset)
        });
        cut_off.collect()
    }

    /// What is wrong with how memory is stored, one sentence each.
    pub fn problems(&self, space: AddressSpace) -> Vec<String> {
        let ranges = self.ranges(space).load();
        let mut readers: Vec<&Arc<dyn MemoryReader>> = ranges.iter().map(|it| &it.value).collect();
        readers.dedup_by(|one, other| Arc::ptr_eq(one, other));
        readers
            .iter()
            .flat_map(|reader| reader.problems())
            .collect()
    }

    /// The addresses that no segment has, as first and last one of each range.
    pub fn gaps(&self, space: AddressSpace) -> Vec<(u64, u64)> {
        let ranges = self.ranges(space).load();
        let mut gaps = Vec::new();
        let mut next = Some(0);
        for range in ranges.iter() {
            if let Some(first) = next
                && first < range.start
            {
                gaps.push((first, range.start - 1));
            }
            next = range.end.checked_add(1);
        }
        gaps.extend(next.map(|first| (first, u64::MAX)));
        gaps
    }

    /// Fills `buffer` with the bytes at `address`.
    pub fn read(&self, space: AddressSpace, address: u64, buffer: &mut [u8]) -> Result<()> {
        let ranges = self.ranges(space).load();
        let mut here = address;
        let mut rest = buffer;
        while !rest.is_empty() {
            let range = ranges.find(here).ok_or_else(|| no_segment(space, here))?;
            let available = (range.end - here).saturating_add(1);
            let count = usize::try_from(available).map_or(rest.len(), |size| size.min(rest.len()));
            let (now, later) = rest.split_at_mut(count);
            range.value.read(here, here - range.origin, now)?;
            here = here.wrapping_add(count as u64);
            rest = later;
        }
        Ok(())
    }

    /// Fills `buffer` if that only takes copying, so that it is not worth letting others run
    /// meanwhile; otherwise, and where bytes are missing, it is `false` and what is in the buffer
    /// does not count.
    pub fn read_at_hand(&self, space: AddressSpace, address: u64, buffer: &mut [u8]) -> bool {
        let ranges = self.ranges(space).load();
        ranges.find(address).is_some_and(|range| {
            range.end - address >= (buffer.len() as u64).saturating_sub(1)
                && range
                    .value
                    .read_at_hand(address, address - range.origin, buffer)
        })
    }

    /// The `size` bytes at `address`. Room is only made as bytes are found, whatever the size.
    pub fn read_bytes(&self, space: AddressSpace, address: u64, size: usize) -> Result<Vec<u8>> {
        const STEP: usize = 16 << 20;
        let mut bytes = Vec::new();
        while bytes.len() < size {
            let done = bytes.len();
            bytes.resize(size.min(done + STEP), 0);
            let here = address.wrapping_add(done as u64);
            self.read(space, here, bytes.get_mut(done..).unwrap_or_default())?;
        }
        Ok(bytes)
    }

    /// The bytes at `address` up to a NUL, which is not among them, or `max_size` bytes.
    pub fn read_c_string(
        &self,
        space: AddressSpace,
        address: u64,
        max_size: usize,
    ) -> Result<Vec<u8>> {
        let mut string = Vec::new();
        let mut block = [0; Self::STRING_BLOCK as usize];
        while string.len() < max_size {
            let here = address.wrapping_add(string.len() as u64);
            let size = (Self::STRING_BLOCK - here % Self::STRING_BLOCK) as usize;
            let block = &mut block[..size.min(max_size - string.len())];
            let known = if self.read(space, here, block).is_ok() {
                block.len()
            } else {
                self.read_until_nul(space, here, block)?
            };
            let block = &block[..known];
            if let Some(end) = block.iter().position(|&byte| byte == 0) {
                string.extend_from_slice(&block[..end]);
                break;
            }
            string.extend_from_slice(block);
        }
        Ok(string)
    }

    /// Reads byte by byte where a block is not readable as a whole: its string may end before
    /// what is missing.
    fn read_until_nul(&self, space: AddressSpace, address: u64, block: &mut [u8]) -> Result<usize> {
        for (index, byte) in block.iter_mut().enumerate() {
            let here = address.wrapping_add(index as u64);
            self.read(space, here, std::slice::from_mut(byte))?;
            if *byte == 0 {
                return Ok(index + 1);
            }
        }
        Ok(block.len())
    }

    fn read_array<const N: usize>(&self, space: AddressSpace, address: u64) -> Result<[u8; N]> {
        let mut bytes = [0; N];
        self.read(space, address, &mut bytes)?;
        Ok(bytes)
    }

    /// The byte at `address`.
    pub fn read_u8(&self, space: AddressSpace, address: u64) -> Result<u8> {
        self.read_array::<1>(space, address).map(|[byte]| byte)
    }

    /// The 16-bit number at `address`.
    pub fn read_u16(&self, space: AddressSpace, address: u64, order: ByteOrder) -> Result<u16> {
        Ok(order.u16(self.read_array(space, address)?))
    }

    /// The 32-bit number at `address`.
    pub fn read_u32(&self, space: AddressSpace, address: u64, order: ByteOrder) -> Result<u32> {
        Ok(order.u32(self.read_array(space, address)?))
    }

    /// The 64-bit number at `address`.
    pub fn read_u64(&self, space: AddressSpace, address: u64, order: ByteOrder) -> Result<u64> {
        Ok(order.u64(self.read_array(space, address)?))
    }

    /// The unsigned number of `size` bytes, 0 to 8, at `address`.
    pub fn read_uint(
        &self,
        space: AddressSpace,
        address: u64,
        size: usize,
        order: ByteOrder,
    ) -> Result<u64> {
        let mut bytes = [0; 8];
        let size = size.min(8);
        let place = match order {
            ByteOrder::Little => 0..size,
            ByteOrder::Big => 8 - size..8,
        };
        self.read(space, address, &mut bytes[place])?;
        Ok(order.u64(bytes))
    }
}

fn no_segment(space: AddressSpace, address: u64) -> Error {
    let reason = match space {
        AddressSpace::Physical => "could not find physical memory segment",
        AddressSpace::Virtual => "could not find memory segment",
    };
    Error::Fault {
        address,
        reason: reason.to_owned(),
    }
}

fn not_mapped(address: u64) -> Error {
    Error::Fault {
        address,
        reason: "address is not mapped".to_owned(),
    }
}

/// Bytes that are at hand, such as those of a vDSO or of a test.
impl MemoryReader for Vec<u8> {
    fn read(&self, address: u64, offset: u64, buffer: &mut [u8]) -> Result<()> {
        let bytes = usize::try_from(offset)
            .ok()
            .and_then(|start| self.get(start..start.checked_add(buffer.len())?));
        let bytes = bytes.ok_or_else(|| not_mapped(address))?;
        buffer.copy_from_slice(bytes);
        Ok(())
    }

    fn read_at_hand(&self, address: u64, offset: u64, buffer: &mut [u8]) -> bool {
        self.read(address, offset, buffer).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn fault_address<T>(result: Result<T>) -> Option<u64> {
        match result.err() {
            Some(Error::Fault { address, .. }) => Some(address),
            _ => None,
        }
    }

    #[test]
    fn reads_across_segments_and_reports_the_first_missing_address() {
        let memory = Memory::new();
        memory.add_segment(AddressSpace::Virtual, 0x1000, 4, Arc::new(vec![1, 2, 3, 4]));
        memory.add_segment(AddressSpace::Virtual, 0x1004, 2, Arc::new(vec![5, 6]));
        let all = memory.read_bytes(AddressSpace::Virtual, 0x1000, 6).unwrap();
        assert_eq!(all, [1, 2, 3, 4, 5, 6]);
        let beyond = memory.read_bytes(AddressSpace::Virtual, 0x1002, 5);
        assert_eq!(fault_address(beyond), Some(0x1006));
        let physical = memory.read_u8(AddressSpace::Physical, 0x1000);
        assert_eq!(fault_address(physical), Some(0x1000));
        let next = |start| memory.next_readable(AddressSpace::Virtual, start);
        assert_eq!(next(0), Some((0x1000, 0x1003)));
        assert_eq!(next(0x1004), Some((0x1004, 0x1005)));
        assert_eq!(next(0x1006), None);
        assert_eq!(
            memory.gaps(AddressSpace::Virtual),
            [(0, 0xfff), (0x1006, u64::MAX)]
        );
        assert_eq!(memory.gaps(AddressSpace::Physical), [(0, u64::MAX)]);
    }

    #[test]
    fn reads_numbers_in_both_byte_orders() {
        let memory = Memory::new();
        memory.add_segment(
            AddressSpace::Virtual,
            0,
            8,
            Arc::new((1..=8).collect::<Vec<u8>>()),
        );
        let read = |size, order| {
            memory
                .read_uint(AddressSpace::Virtual, 0, size, order)
                .unwrap()
        };
        assert_eq!(read(3, ByteOrder::Little), 0x03_0201);
        assert_eq!(read(3, ByteOrder::Big), 0x01_0203);
        assert_eq!(read(8, ByteOrder::Little), 0x0807_0605_0403_0201);
        let word = memory.read_u32(AddressSpace::Virtual, 4, ByteOrder::Big);
        assert_eq!(word.unwrap(), 0x0506_0708);
    }

    #[test]
    fn strings_end_at_nul_limit_or_fault() {
        let memory = Memory::new();
        let mut bytes = vec![b'x'; 600];
        bytes[400] = 0;
        memory.add_segment(AddressSpace::Virtual, 0x10, 600, Arc::new(bytes));
        let string = |address, max| memory.read_c_string(AddressSpace::Virtual, address, max);
        assert_eq!(string(0x10, usize::MAX).unwrap(), [b'x'; 400]);
        assert_eq!(string(0x10, 300).unwrap(), [b'x'; 300]);
        assert_eq!(string(0x10 + 401, 10).unwrap(), [b'x'; 10]);
        assert_eq!(
            fault_address(string(0x10 + 401, usize::MAX)),
            Some(0x10 + 600)
        );
        assert!(string(0, 0).unwrap().is_empty());
    }

    #[test]
    fn a_string_may_end_just_before_what_is_missing() {
        let memory = Memory::new();
        memory.add_segment(AddressSpace::Virtual, 0x100, 4, Arc::new(b"abc\0".to_vec()));
        let string = memory.read_c_string(AddressSpace::Virtual, 0x100, usize::MAX);
        assert_eq!(string.unwrap(), b"abc");
    }

    #[test]
    fn absurd_sizes_fault_where_memory_ends() {
        let memory = Memory::new();
        let size = 20 << 20;
        memory.add_segment(
            AddressSpace::Virtual,
            0x1000,
            size,
            Arc::new(vec![7; size as usize]),
        );
        let read = |wanted| memory.read_bytes(AddressSpace::Virtual, 0x1000, wanted);
        assert!(read(size as usize).unwrap() == vec![7; size as usize]);
        assert_eq!(fault_address(read(1 << 60)), Some(0x1000 + size));
    }

    #[test]
    fn the_last_address_can_be_read() {
        let memory = Memory::new();
        memory.add_segment(AddressSpace::Virtual, u64::MAX - 1, 2, Arc::new(vec![7, 8]));
        assert_eq!(memory.read_u8(AddressSpace::Virtual, u64::MAX).unwrap(), 8);
        let over = memory.read_bytes(AddressSpace::Virtual, u64::MAX, 2);
        assert_eq!(fault_address(over), Some(0));
    }

    proptest! {
        /// Segments laid over each other read like an array written in the same order.
        #[test]
        fn later_segments_hide_earlier_ones(
            segments in prop::collection::vec((0_u64..64, 0_u64..40, any::<u8>()), 0..12),
            at_once: bool,
        ) {
            let memory = Memory::new();
            let mut expected = [None; 104];
            let mut all = Vec::new();
            for &(address, size, seed) in &segments {
                let bytes: Vec<u8> = (0..size).map(|i| seed.wrapping_add(i as u8)).collect();
                for (index, &byte) in bytes.iter().enumerate() {
                    expected[address as usize + index] = Some(byte);
                }
                let reader: Arc<dyn MemoryReader> = Arc::new(bytes);
                if at_once {
                    all.push(Segment { address, size, reader });
                } else {
                    memory.add_segment(AddressSpace::Physical, address, size, reader);
                }
            }
            memory.add_segments(AddressSpace::Physical, &all);
            for (address, expected) in expected.iter().enumerate() {
                let read = memory.read_u8(AddressSpace::Physical, address as u64).ok();
                prop_assert_eq!(read, *expected);
            }
        }
    }
}
