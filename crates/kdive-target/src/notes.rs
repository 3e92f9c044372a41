//! ELF notes: registers, processes, VMCOREINFO and what hypervisors add.

use std::ops::Range;

use crate::bytes::{Fields, array_at, until_nul};
use crate::{ByteOrder, Platform};

/// The notes of a dump, as the file holds them.
#[derive(Clone, Debug, Default)]
pub struct Notes {
    bytes: Vec<u8>,
    entries: Vec<Entry>,
}

#[derive(Clone, Debug)]
struct Entry {
    name: Range<usize>,
    kind: u32,
    description: Range<usize>,
}

/// One note.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Note<'a> {
    /// Who defines it, such as `CORE`, `LINUX`, `QEMU` or `VMCOREINFO`.
    pub name: &'a [u8],
    /// What it is, a number of its owner.
    pub kind: u32,
    /// Its content.
    pub description: &'a [u8],
}

impl Note<'_> {
    pub(crate) const PRSTATUS: u32 = 1;
    pub(crate) const PRPSINFO: u32 = 3;
    pub(crate) const AUXV: u32 = 6;
    pub(crate) const SIGINFO: u32 = 0x5349_4749;
    pub(crate) const FILE: u32 = 0x4649_4c45;

    /// Whether this is the note of that number by the kernel or a debugger.
    pub(crate) fn is_core(&self, kind: u32) -> bool {
        self.kind == kind && self.name == b"CORE"
    }
}

impl Notes {
    /// Notes beyond this size in all are not believed. A process of ten thousand threads has less.
    pub(crate) const MOST: u64 = 128 << 20;

    /// How many bytes of notes may still be added.
    pub(crate) fn room(&self) -> u64 {
        Self::MOST.saturating_sub(self.bytes.len() as u64)
    }

    /// Adds the notes in `bytes`, the content of a `PT_NOTE` segment. What follows a note that
    /// does not fit is not readable and left out.
    pub(crate) fn add(&mut self, bytes: &[u8], order: ByteOrder) {
        const HEADER: usize = 12;
        let aligned = |size: usize| size.checked_next_multiple_of(4);
        let base = self.bytes.len();
        self.bytes.extend_from_slice(bytes);
        let mut at = 0;
        let mut next = || -> Option<Entry> {
            let number = |offset| array_at(bytes, offset).map(|bytes| order.u32(bytes));
            let name_size = number(at)? as usize;
            let size = number(at.checked_add(4)?)? as usize;
            let kind = number(at.checked_add(8)?)?;
            let name_start = at.checked_add(HEADER)?;
            let start = name_start.checked_add(aligned(name_size)?)?;
            let end = start.checked_add(size)?;
            if end > bytes.len() {
                return None;
            }
            at = start.checked_add(aligned(size)?)?;
            let name = until_nul(bytes.get(name_start..name_start.checked_add(name_size)?)?);
            let name_start = base + name_start;
            Some(Entry {
                name: name_start..name_start + name.len(),
                kind,
                description: base + start..base + end,
            })
        };
        // Linux pads notes with zeros, which would be notes without name and content.
        while let Some(entry) = next() {
            if entry.kind != 0 || !entry.name.is_empty() || !entry.description.is_empty() {
                self.entries.push(entry);
            }
        }
    }

    /// All notes in the order of the file.
    pub fn iter(&self) -> impl Iterator<Item = Note<'_>> {
        self.entries.iter().map(|entry| Note {
            name: self.bytes.get(entry.name.clone()).unwrap_or_default(),
            kind: entry.kind,
            description: self
                .bytes
                .get(entry.description.clone())
                .unwrap_or_default(),
        })
    }

    /// The content of the first note of an owner with a number.
    pub fn find(&self, name: &[u8], kind: u32) -> Option<&[u8]> {
        self.iter()
            .find(|note| note.name == name && note.kind == kind)
            .map(|note| note.description)
    }

    /// The text of the VMCOREINFO note.
    pub(crate) fn vmcoreinfo(&self) -> Option<&[u8]> {
        self.find(b"VMCOREINFO", 0)
    }
}

/// What `NT_PRSTATUS` says of a thread, or in a kernel dump of a CPU.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ThreadStatus {
    /// The thread's ID; in a kernel dump the ID of the task on the CPU.
    pub tid: u32,
    /// The signal that is being delivered, 0 if none.
    pub signal: i16,
    /// The general registers, laid out as `elf_gregset_t` of the architecture: on x86-64 and
    /// `AArch64` this is `struct user_regs_struct` and `struct user_pt_regs`.
    pub registers: Vec<u8>,
    /// Further register sets of the thread: the owner, number and content of each note.
    pub extra: Vec<(Vec<u8>, u32, Vec<u8>)>,
}

impl ThreadStatus {
    /// Reads the content of an `NT_PRSTATUS` note.
    pub(crate) fn parse(description: &[u8], platform: Platform) -> Option<Self> {
        let fields = fields(description, platform);
        let (tid, registers, after) = if platform.is_64_bit {
            (32, 112, 8)
        } else {
            (24, 72, 4)
        };
        let end = description.len().checked_sub(after)?;
        Some(Self {
            tid: fields.u32(tid)?,
            signal: fields.u16(12)?.cast_signed(),
            registers: description.get(registers..end)?.to_vec(),
            extra: Vec::new(),
        })
    }

    /// The bits of return addresses that an `AArch64` processor signs, from `NT_ARM_PAC_MASK`,
    /// which has the mask for data before the one for code.
    pub fn pointer_authentication_mask(&self) -> Option<u64> {
        const ARM_PAC_MASK: u32 = 0x406;
        let (.., masks) = self
            .extra
            .iter()
            .find(|(owner, kind, _)| owner == b"LINUX" && *kind == ARM_PAC_MASK)?;
        array_at(masks, 8).map(u64::from_le_bytes)
    }
}

/// The threads of a user core dump, the one that took the signal first.
pub(crate) fn threads(notes: &Notes, platform: Platform) -> Vec<ThreadStatus> {
    let mut threads: Vec<ThreadStatus> = Vec::new();
    for note in notes.iter() {
        if note.is_core(Note::PRSTATUS) {
            threads.extend(ThreadStatus::parse(note.description, platform));
        } else if let Some(thread) = threads.last_mut()
            && !PROCESS_WIDE.contains(&note.kind)
        {
            thread
                .extra
                .push((note.name.to_vec(), note.kind, note.description.to_vec()));
        }
    }
    threads
}

const PROCESS_WIDE: [u32; 4] = [Note::PRPSINFO, Note::AUXV, Note::SIGINFO, Note::FILE];

/// What a user core dump says of its process.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProcessNotes {
    /// The process ID, from `NT_PRPSINFO`.
    pub pid: Option<u32>,
    /// The name of the executable, at most 15 bytes, from `NT_PRPSINFO`.
    pub command: Vec<u8>,
    /// The start of the command line, at most 80 bytes, from `NT_PRPSINFO`.
    pub arguments: Vec<u8>,
    /// The auxiliary vector as pairs of type and value, from `NT_AUXV`.
    pub auxiliary_vector: Vec<(u64, u64)>,
    /// The `siginfo_t` of the signal that ended the process, from `NT_SIGINFO`.
    pub signal_information: Vec<u8>,
    /// Mapped files, from `NT_FILE`.
    pub files: Vec<MappedFile>,
}

/// A part of a file in the memory of a process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MappedFile {
    /// The first address.
    pub start: u64,
    /// The address after the last one.
    pub end: u64,
    /// The offset in the file, in bytes.
    pub offset: u64,
    /// The name of the file.
    pub path: Vec<u8>,
}

impl ProcessNotes {
    /// Collects what the notes say; what is missing or damaged stays empty.
    pub(crate) fn parse(notes: &Notes, platform: Platform) -> Self {
        let mut process = Self::default();
        for note in notes.iter().filter(|note| note.name == b"CORE") {
            match note.kind {
                Note::PRPSINFO => process.add_information(note.description, platform),
                Note::AUXV => {
                    process.auxiliary_vector = auxiliary_vector(note.description, platform);
                }
                Note::SIGINFO => process.signal_information = note.description.to_vec(),
                Note::FILE => {
                    process.files = mapped_files(note.description, platform).unwrap_or_default();
                }
                _ => {}
            }
        }
        process
    }

    fn add_information(&mut self, description: &[u8], platform: Platform) {
        // 32-bit architectures differ in the size of `uid_t`, which the total tells.
        let (pid, command) = match (platform.is_64_bit, description.len()) {
            (true, _) => (24, 40),
            (false, 128..) => (16, 32),
            (false, _) => (12, 28),
        };
        let string = |start: usize, size: usize| {
            description
                .get(start..start + size)
                .map(|bytes| until_nul(bytes).to_vec())
                .unwrap_or_default()
        };
        self.pid = fields(description, platform).u32(pid);
        self.command = string(command, 16);
        self.arguments = string(command + 16, 80);
        if self.arguments.last() == Some(&b' ') {
            self.arguments.pop();
        }
    }
}

fn fields(bytes: &[u8], platform: Platform) -> Fields<'_> {
    Fields {
        bytes,
        order: platform.byte_order,
        is_64_bit: platform.is_64_bit,
    }
}

/// The pairs of an auxiliary vector up to its `AT_NULL`.
pub(crate) fn auxiliary_vector(bytes: &[u8], platform: Platform) -> Vec<(u64, u64)> {
    let word = usize::from(platform.address_size());
    let fields = fields(bytes, platform);
    (0..bytes.len() / (2 * word))
        .map_while(|index| {
            let at = index * 2 * word;
            Some((fields.word(at)?, fields.word(at + word)?))
        })
        .take_while(|&(kind, _)| kind != 0)
        .collect()
}

/// The content of `NT_FILE`: a count, the unit of offsets, triples of addresses, then names.
fn mapped_files(bytes: &[u8], platform: Platform) -> Option<Vec<MappedFile>> {
    let word = usize::from(platform.address_size());
    let fields = fields(bytes, platform);
    let count = usize::try_from(fields.word(0)?).ok()?;
    let unit = fields.word(word)?;
    let table = 2 * word;
    let names_start = count.checked_mul(3 * word)?.checked_add(table)?;
    let names = bytes.get(names_start..)?.split(|&byte| byte == 0);
    names
        .take(count)
        .enumerate()
        .map(|(index, path)| {
            let at = table + index * 3 * word;
            Some(MappedFile {
                start: fields.word(at)?,
                end: fields.word(at + word)?,
                offset: fields.word(at + 2 * word)?.checked_mul(unit)?,
                path: path.to_vec(),
            })
        })
        .collect()
}

/// What QEMU's own note says of a virtual x86 CPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QemuCpu {
    /// Control registers; of interest are 3, the page tables, and 4, the paging mode.
    pub cr: [u64; 5],
    /// What `swapgs` would put into GS base, 0 where QEMU is too old to say.
    pub kernel_gs_base: u64,
    /// The base of GS.
    pub gs_base: u64,
    /// The base of the interrupt descriptor table.
    pub idt_base: u64,
}

impl QemuCpu {
    const SEGMENTS: usize = 8 + 18 * 8;
    const SEGMENT_SIZE: usize = 24;
    const CR: usize = Self::SEGMENTS + 10 * Self::SEGMENT_SIZE;

    /// Reads the content of a `QEMU` note, a `QEMUCPUState` of version 1.
    pub(crate) fn parse(description: &[u8]) -> Option<Self> {
        let number = |offset| array_at(description, offset).map(u64::from_le_bytes);
        // The order of the segments is cs ds es fs gs ss ldt tr gdt idt, each with its base last.
        let base = |segment: usize| number(Self::SEGMENTS + segment * Self::SEGMENT_SIZE + 16);
        if array_at(description, 0).map(u32::from_le_bytes)? != 1 {
            return None;
        }
        let mut cr = [0; 5];
        for (index, register) in cr.iter_mut().enumerate() {
            *register = number(Self::CR + 8 * index)?;
        }
        Some(Self {
            cr,
            kernel_gs_base: number(Self::CR + 40).unwrap_or(0),
            gs_base: base(4)?,
            idt_base: base(9)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn note(name: &[u8], kind: u32, description: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        bytes.extend((name.len() as u32 + 1).to_le_bytes());
        bytes.extend((description.len() as u32).to_le_bytes());
        bytes.extend(kind.to_le_bytes());
        bytes.extend(name);
        bytes.push(0);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes.extend(description);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    }

    fn parse(bytes: &[u8]) -> Notes {
        let mut notes = Notes::default();
        notes.add(bytes, ByteOrder::Little);
        notes
    }

    #[test]
    fn finds_notes_of_any_length() {
        let mut bytes = note(b"CORE", 1, b"abcde");
        bytes.extend(note(b"VMCOREINFO", 0, b"OSRELEASE=6.1\n"));
        bytes.extend(note(b"QEMU", 0, b""));
        let notes = parse(&bytes);
        assert_eq!(notes.find(b"CORE", 1), Some(&b"abcde"[..]));
        assert_eq!(notes.vmcoreinfo(), Some(&b"OSRELEASE=6.1\n"[..]));
        assert_eq!(notes.iter().count(), 3);
        assert_eq!(parse(&bytes[..bytes.len() - 20]).iter().count(), 2);
    }

    #[test]
    fn reads_mapped_files() {
        let mut bytes = Vec::new();
        for word in [2_u64, 4096, 0x1000, 0x3000, 1, 0x7000, 0x8000, 0] {
            bytes.extend(word.to_le_bytes());
        }
        bytes.extend(b"/bin/a\0/lib/b\0");
        let platform = Platform {
            byte_order: ByteOrder::Little,
            ..Platform::HOST
        };
        let files = mapped_files(&bytes, platform).unwrap();
        assert_eq!(files.len(), 2);
        assert_eq!((files[0].start, files[0].offset), (0x1000, 4096));
        assert_eq!(files[1].path, b"/lib/b");
        assert_eq!(mapped_files(&bytes[..20], platform), None);
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
            let notes = parse(&bytes);
            for platform in [Platform::HOST, Platform { is_64_bit: false, ..Platform::HOST }] {
                threads(&notes, platform);
                ProcessNotes::parse(&notes, platform);
                ThreadStatus::parse(&bytes, platform);
                mapped_files(&bytes, platform);
                auxiliary_vector(&bytes, platform);
            }
            QemuCpu::parse(&bytes);
        }
    }
}
