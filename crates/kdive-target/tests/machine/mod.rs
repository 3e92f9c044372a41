//! A small machine whose memory is known, and dumps of it in each format.

#![allow(dead_code, reason = "each test uses the formats that it is about")]

use std::io::Write;

pub const PAGE: usize = 4096;
pub const PAGES: usize = 64;
/// Kernel addresses from here on are physical ones from zero on.
pub const KERNEL: u64 = 0xffff_ffff_8000_0000;
/// The page tables map the pages before this one.
pub const MAPPED: usize = 56;
/// A page that dumps with holes leave out.
pub const EXCLUDED: usize = 50;
/// From this page to `MAPPED`, dumps with holes say that there is no memory.
pub const NO_MEMORY: usize = 52;

pub const VMCOREINFO: &str = "OSRELEASE=6.1.0-test\nPAGESIZE=4096\nBUILD-ID=00112233445566778899\n\
    SYMBOL(swapper_pg_dir)=ffffffff80001000\nNUMBER(phys_base)=0\nNUMBER(pgtable_l5_enabled)=0\n\
    KERNELOFFSET=1000000\nSYMBOL(init_uts_ns)=ffffffff80020000\n";
/// The page that holds VMCOREINFO.
pub const INFO_PAGE: usize = 31;
/// Where the identity of the kernel is, `init_uts_ns`.
const IDENTITY: usize = 0x2_0000;

/// Where the program header of an ELF file is, made with `many`, that a load of this index has.
pub fn program_header(load: usize) -> usize {
    128 + 56 * (1 + load)
}

/// The physical memory: page tables in pages 1 to 4, then pages of differing content.
pub fn memory() -> Vec<u8> {
    let mut bytes = vec![0; PAGES * PAGE];
    for (index, page) in bytes.chunks_exact_mut(PAGE).enumerate() {
        let mut state = index as u32 + 1;
        for (at, byte) in page.iter_mut().enumerate() {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            *byte = match index % 4 {
                0 => (state >> 24) as u8,
                1 => (at / 64 + index) as u8,
                2 => b"the quick brown fox "[at % 20] ^ (at / 512) as u8,
                _ => 0,
            };
        }
    }
    bytes[INFO_PAGE * PAGE..][..VMCOREINFO.len()].copy_from_slice(VMCOREINFO.as_bytes());
    bytes[IDENTITY..IDENTITY + 10].copy_from_slice(b"\x02\0\0\0Linux\0");
    bytes[PAGE..5 * PAGE].fill(0);
    let mut entry = |table: usize, index: usize, value: usize| {
        bytes[table * PAGE + index * 8..][..8].copy_from_slice(&(value as u64).to_le_bytes());
    };
    entry(1, 511, 0x2003);
    entry(2, 510, 0x3003);
    entry(3, 0, 0x4003);
    for page in 0..MAPPED {
        entry(4, page, (page * PAGE) | 3);
    }
    bytes
}

/// An ELF note.
pub fn note(name: &str, kind: u32, description: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    bytes.extend((name.len() as u32 + 1).to_le_bytes());
    bytes.extend((description.len() as u32).to_le_bytes());
    bytes.extend(kind.to_le_bytes());
    bytes.extend(name.as_bytes());
    bytes.push(0);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes.extend(description);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

/// `NT_PRSTATUS` of a thread whose registers are all `value`.
pub fn status(tid: u32, value: u64) -> Vec<u8> {
    let mut bytes = vec![0; 336];
    bytes[32..36].copy_from_slice(&tid.to_le_bytes());
    for register in bytes[112..112 + 216].chunks_exact_mut(8) {
        register.copy_from_slice(&value.to_le_bytes());
    }
    note("CORE", 1, &bytes)
}

pub fn kernel_notes() -> Vec<u8> {
    let info = note("VMCOREINFO", 0, VMCOREINFO.as_bytes());
    [status(11, 0x1111), status(22, 0x2222), info].concat()
}

/// A segment of an ELF file: virtual and physical address, size in memory, bytes in the file.
pub struct Load<'a> {
    pub virtual_address: u64,
    pub physical_address: u64,
    pub memory_size: u64,
    pub bytes: &'a [u8],
}

/// An ELF core file. With `many` the number of segments is where large ones are.
pub fn elf(notes: &[u8], loads: &[Load], many: bool) -> Vec<u8> {
    let count = loads.len() + 1;
    let mut bytes = b"\x7fELF\x02\x01\x01".to_vec();
    bytes.resize(16, 0);
    bytes.extend(4_u16.to_le_bytes());
    bytes.extend(62_u16.to_le_bytes());
    bytes.extend(1_u32.to_le_bytes());
    let table = if many { 128_u64 } else { 64 };
    for word in [0, table, if many { 64 } else { 0 }] {
        bytes.extend(u64::to_le_bytes(word));
    }
    bytes.extend(0_u32.to_le_bytes());
    let stored_count = if many { 0xffff } else { count as u16 };
    for half in [64, 56, stored_count, 64, u16::from(many), 0] {
        bytes.extend(u16::to_le_bytes(half));
    }
    if many {
        bytes.resize(64 + 44, 0);
        bytes.extend((count as u32).to_le_bytes());
        bytes.resize(128, 0);
    }
    let mut offset = bytes.len() + count * 56;
    let mut header = |kind: u32, load: &Load| {
        bytes.extend(kind.to_le_bytes());
        bytes.extend(7_u32.to_le_bytes());
        let file_size = load.bytes.len() as u64;
        for word in [
            offset as u64,
            load.virtual_address,
            load.physical_address,
            file_size,
            load.memory_size,
            0,
        ] {
            bytes.extend(word.to_le_bytes());
        }
        offset += load.bytes.len();
    };
    let notes = Load {
        virtual_address: 0,
        physical_address: 0,
        memory_size: 0,
        bytes: notes,
    };
    header(4, &notes);
    for load in loads {
        header(1, load);
    }
    bytes.extend(notes.bytes);
    for load in loads {
        bytes.extend(load.bytes);
    }
    bytes
}

/// A kernel dump as QEMU writes it: two segments, no virtual addresses.
pub fn qemu_elf() -> Vec<u8> {
    let memory = memory();
    let (low, high) = memory.split_at(20 * PAGE);
    let load = |start: usize, bytes: &'static [u8]| Load {
        virtual_address: 0,
        physical_address: start as u64,
        memory_size: bytes.len() as u64,
        bytes,
    };
    let loads = [
        load(0, low.to_vec().leak()),
        load(20 * PAGE, high.to_vec().leak()),
    ];
    elf(&kernel_notes(), &loads, false)
}

/// How a page of a kdump file is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Codec {
    Raw,
    Zlib,
    Lzo,
    Snappy,
    Zstd,
    /// No data: as a dump that ended too early has it.
    Lost,
}

fn encode(codec: Codec, page: &[u8]) -> (u32, Vec<u8>) {
    match codec {
        Codec::Raw => (0, page.to_vec()),
        Codec::Zlib => {
            let mut encoder =
                flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
            encoder.write_all(page).unwrap();
            (1, encoder.finish().unwrap())
        }
        // Literals only: a long run, then the end of the stream.
        Codec::Lzo => {
            let mut bytes = vec![0];
            let mut rest = page.len() - 18;
            while rest > 255 {
                bytes.push(0);
                rest -= 255;
            }
            bytes.push(rest as u8);
            bytes.extend(page);
            bytes.extend([0x11, 0, 0]);
            (2, bytes)
        }
        Codec::Snappy => (4, snap::raw::Encoder::new().compress_vec(page).unwrap()),
        Codec::Zstd => {
            let level = ruzstd::encoding::CompressionLevel::Fastest;
            (0x20, ruzstd::encoding::compress_to_vec(page, level))
        }
        Codec::Lost => (0, Vec::new()),
    }
}

/// A kdump-compressed file.
#[derive(Clone)]
pub struct Kdump {
    pub codec: fn(usize) -> Codec,
    pub machine: &'static str,
    pub version: i32,
    /// The pages of this file of a split dump.
    pub part: Option<(usize, usize)>,
    pub status: u32,
}

impl Default for Kdump {
    fn default() -> Self {
        Self {
            codec: |_| Codec::Zlib,
            machine: "x86_64",
            version: 6,
            part: None,
            status: 1,
        }
    }
}

/// Whether a page is memory, and whether it is saved, in a dump with holes.
fn presence(page: usize) -> (bool, bool) {
    let in_memory = !(NO_MEMORY..MAPPED).contains(&page);
    (in_memory, in_memory && page != EXCLUDED)
}

impl Kdump {
    /// The same with one bitmap, of as many pages as fill the one block that there is of it.
    pub fn build_with_one_bitmap(&self) -> Vec<u8> {
        let mut file = self.build();
        let pages = PAGE * 8;
        for (at, number) in [(424 + 4 * 3, 1), (424 + 4 * 4, pages), (PAGE + 96, pages)] {
            file[at..at + 4].copy_from_slice(&(number as u32).to_le_bytes());
        }
        // The second bitmap and the descriptors move up; what they describe stays where it is.
        file.copy_within(3 * PAGE..5 * PAGE, 2 * PAGE);
        file
    }

    pub fn build(&self) -> Vec<u8> {
        let memory = memory();
        let mut file = vec![0; 4 * PAGE];
        let mut put = |at: usize, bytes: &[u8]| file[at..at + bytes.len()].copy_from_slice(bytes);
        put(0, b"KDUMP   ");
        put(8, &self.version.to_le_bytes());
        put(12 + 4 * 65, self.machine.as_bytes());
        let numbers = [self.status, PAGE as u32, 1, 2, PAGES as u32, 0, 0, 0, 0, 1];
        for (index, number) in numbers.into_iter().enumerate() {
            put(424 + 4 * index, &number.to_le_bytes());
        }
        // QEMU writes a decimal physical base as if it were hexadecimal; nobody may believe it.
        put(PAGE, &0x1258_2912_u64.to_le_bytes());
        let notes = kernel_notes();
        let notes_at = PAGE + 512;
        let info_at = PAGE + 512 + notes.len();
        let (start, end) = self.part.unwrap_or((0, 0));
        put(PAGE + 12, &u32::from(self.part.is_some()).to_le_bytes());
        let words = [
            (16, start),
            (24, end),
            (32, info_at),
            (40, VMCOREINFO.len()),
            (48, notes_at),
            (56, notes.len()),
            (80, start),
            (88, end),
            (96, PAGES),
        ];
        for (at, word) in words {
            put(PAGE + at, &(word as u64).to_le_bytes());
        }
        put(notes_at, &notes);
        put(info_at, VMCOREINFO.as_bytes());
        let has = |page: &usize| {
            self.part
                .is_none_or(|(start, end)| (start..end).contains(page))
        };
        let saved: Vec<usize> = (0..PAGES)
            .filter(|&page| presence(page).1)
            .filter(has)
            .collect();
        let mut data = Vec::new();
        let data_at = 4 * PAGE + 24 * saved.len();
        let mut descriptors = Vec::new();
        for &page in &saved {
            let (flags, stored) = encode((self.codec)(page), &memory[page * PAGE..][..PAGE]);
            let offset = if stored.is_empty() {
                0
            } else {
                data_at + data.len()
            };
            descriptors.extend((offset as u64).to_le_bytes());
            descriptors.extend((stored.len() as u32).to_le_bytes());
            descriptors.extend(flags.to_le_bytes());
            descriptors.extend(0_u64.to_le_bytes());
            data.extend(stored);
        }
        for page in 0..PAGES {
            let (in_memory, saved) = presence(page);
            file[2 * PAGE + page / 8] |= u8::from(in_memory) << (page % 8);
            file[3 * PAGE + page / 8] |= u8::from(saved) << (page % 8);
        }
        file.extend(descriptors);
        file.extend(data);
        file
    }
}

/// The flattened form of a dump, in chunks out of order.
pub fn flatten(dump: &[u8]) -> Vec<u8> {
    let chunks = dump.chunks(3000).zip((0..).step_by(3000));
    let (odd, even): (Vec<_>, Vec<_>) = chunks
        .map(|(chunk, offset)| (offset, chunk))
        .partition(|(offset, _)| offset % 6000 != 0);
    flatten_chunks(&[odd, even].concat())
}

/// A flattened dump of these chunks, each given with its offset in the dump.
pub fn flatten_chunks(chunks: &[(u64, &[u8])]) -> Vec<u8> {
    let mut bytes = b"makedumpfile\0\0\0\0".to_vec();
    bytes.extend(1_i64.to_be_bytes());
    bytes.extend(1_i64.to_be_bytes());
    bytes.resize(4096, 0);
    for (offset, chunk) in chunks {
        bytes.extend(offset.to_be_bytes());
        bytes.extend(chunk.len().to_be_bytes());
        bytes.extend(*chunk);
    }
    bytes.extend([0xff; 16]);
    bytes
}

/// The header of a range of `LiME` and AVML.
pub fn range_header(magic: &str, version: u32, start: usize, size: usize) -> Vec<u8> {
    let mut header = magic.as_bytes().to_vec();
    header.extend(version.to_le_bytes());
    header.extend((start as u64).to_le_bytes());
    header.extend((start as u64 + size as u64 - 1).to_le_bytes());
    header.resize(32, 0);
    header
}

/// An image of `LiME`: pages 1 to 39, then those from 40 on.
pub fn lime() -> Vec<u8> {
    let memory = memory();
    let ranges = [(PAGE, 40 * PAGE), (40 * PAGE, memory.len())];
    let mut image = Vec::new();
    for (start, end) in ranges {
        image.extend(range_header("EMiL", 1, start, end - start));
        image.extend(&memory[start..end]);
    }
    image
}

/// The same ranges as AVML writes them.
pub fn avml() -> Vec<u8> {
    avml_of(&[(PAGE, 40 * PAGE), (40 * PAGE, PAGES * PAGE)])
}

/// An image of AVML that has these ranges, each given by its start and its end.
pub fn avml_of(ranges: &[(usize, usize)]) -> Vec<u8> {
    let memory = memory();
    let mut image = Vec::new();
    for &(start, end) in ranges {
        image.extend(range_header("AVML", 2, start, end - start));
        let mut encoder = snap::write::FrameEncoder::new(Vec::new());
        encoder.write_all(&memory[start..end]).unwrap();
        let stream = encoder.into_inner().unwrap();
        image.extend(&stream);
        image.extend((stream.len() as u64).to_le_bytes());
    }
    image
}

/// Writes a file that is gone with the result.
pub fn file(bytes: &[u8]) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(bytes).unwrap();
    file.flush().unwrap();
    file
}
