//! A small table of a kernel's symbols in memory, as kernels have it, for tests and for fuzzing.

use std::fmt::Write;
use std::sync::Arc;

use kdive_target::{AddressSpace, Memory, MemoryReader, VmCoreInfo};

/// Where the image begins, which is the address of the first two symbols.
pub const START: u64 = 0xffff_ffff_8100_0000;
/// How far apart the symbols after those are.
pub const SIZE: u64 = 16;
/// Names of symbols, each after the letter of its kind.
pub const NAMES: [&str; 6] = [
    "T_text",
    "T_stext",
    "tschedule",
    "Dinit_task",
    "Binit_net",
    "A_end",
];

/// How addresses are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    Absolute,
    BaseRelative,
    AbsolutePerCpu,
    PlaceRelative,
}

impl Encoding {
    pub const ALL: [Encoding; 4] = [
        Encoding::Absolute,
        Encoding::BaseRelative,
        Encoding::AbsolutePerCpu,
        Encoding::PlaceRelative,
    ];
}

/// The address of the symbol of this number.
pub fn address(index: usize) -> u64 {
    START + SIZE * index.saturating_sub(1) as u64
}

/// The tables, and what VMCOREINFO says of them.
pub struct Tables {
    pub bytes: Vec<u8>,
    pub info: String,
}

impl Tables {
    /// The tables of Linux 6.`minor`.
    pub fn new(encoding: Encoding, minor: u8) -> Tables {
        let mut tables = Tables {
            bytes: vec![0; 64],
            info: format!("OSRELEASE=6.{minor}.0\nSYMBOL(_stext)={START:x}\n"),
        };
        tables.add_addresses(encoding);
        tables.place("kallsyms_num_syms");
        tables.bytes.extend((NAMES.len() as u32).to_le_bytes());
        tables.place("kallsyms_names");
        for name in NAMES {
            tables.bytes.push(name.len() as u8);
            tables.bytes.extend(name.as_bytes());
        }
        // Each byte stands for itself.
        tables.place("kallsyms_token_table");
        for token in 0..=255 {
            tables.bytes.extend([token, 0]);
        }
        tables.place("kallsyms_token_index");
        let index = (0..256u16).flat_map(|token| (token * 2).to_le_bytes());
        tables.bytes.extend(index);
        tables
    }

    fn add_addresses(&mut self, encoding: Encoding) {
        let addresses = (0..NAMES.len()).map(address);
        if encoding == Encoding::Absolute {
            self.place("kallsyms_addresses");
            self.bytes.extend(addresses.flat_map(u64::to_le_bytes));
            return;
        }
        self.place("kallsyms_offsets");
        let table = START + self.bytes.len() as u64;
        let offset = |(index, address): (u64, u64)| match encoding {
            Encoding::PlaceRelative => address.wrapping_sub(table + 4 * index),
            Encoding::AbsolutePerCpu => (START - 1).wrapping_sub(address),
            _ => address - START,
        };
        let offsets = (0..).zip(addresses).map(offset);
        self.bytes
            .extend(offsets.flat_map(|offset| (offset as u32).to_le_bytes()));
        if encoding != Encoding::PlaceRelative {
            self.place("kallsyms_relative_base");
            self.bytes.extend(START.to_le_bytes());
        }
    }

    /// What follows is this part.
    fn place(&mut self, name: &str) {
        self.bytes.resize(self.bytes.len().next_multiple_of(8), 0);
        let address = START + self.bytes.len() as u64;
        let _ = writeln!(self.info, "SYMBOL({name})={address:x}");
    }

    /// The tables as a target has them.
    pub fn load(self) -> (Arc<Memory>, VmCoreInfo) {
        let memory = Arc::new(Memory::new());
        let size = self.bytes.len() as u64;
        let image = Arc::new(Image(self.bytes));
        memory.add_segment(AddressSpace::Virtual, START, size, image);
        (memory, VmCoreInfo::parse(self.info.as_bytes()))
    }
}

struct Image(Vec<u8>);

impl MemoryReader for Image {
    fn read(&self, address: u64, offset: u64, buffer: &mut [u8]) -> kdive_target::Result<()> {
        let missing = || kdive_target::Error::Fault {
            reason: "cut off".to_owned(),
            address,
        };
        let start = usize::try_from(offset).map_err(|_| missing())?;
        let bytes = self
            .0
            .get(start..)
            .and_then(|rest| rest.get(..buffer.len()));
        buffer.copy_from_slice(bytes.ok_or_else(missing)?);
        Ok(())
    }
}
