//! Unwind information and stacks: CFI, ORC, kept tables, and expressions of variables.
//!
//! The first byte of the input says what it is. CFI and kept tables are damaged in places that are
//! three bytes of offset and the new byte; ORC and expressions are made of the input's bytes alone.
//! The rest of the input, from its middle on, is the stack's memory, and registers point into it.

#![no_main]

use std::process::Command;
use std::sync::LazyLock;

use kdive_debuginfo::elf::ElfFile;
use kdive_unwind::expression::{self, Context, DieReference, Encoding, Unavailable, Value};
use kdive_unwind::table::{FrameSection, OrcSections, OrcVersion, TableBuilder, UnwindTable};
use kdive_unwind::{Architecture, End, FindTable, Register, Registers, UnwindOptions, Unwinder};
use libfuzzer_sys::fuzz_target;

const SOURCE: &str = r#"
#include <stdio.h>
#include <alloca.h>
struct guard { long number; };
static void leave(struct guard *guard) { printf("%ld", guard->number); }
int aligned(int n) { char big[64] __attribute__((aligned(64))); snprintf(big, 64, "%d", n); return big[1]; }
int variable(int n) { char *space = alloca(n); return snprintf(space, n, "%d", aligned(n)); }
int main(int argc, char **argv)
{
    __attribute__((cleanup(leave))) struct guard guard = { argc };
    return variable(argc) + (argc > 1 ? main(argc - 1, argv) : 0);
}
"#;

const MAX_FRAMES: usize = 256;
const CODE: std::ops::Range<u64> = 0x40_0000..0x48_0000;
const KERNEL_CODE: std::ops::Range<u64> = 0xffff_ffff_8100_0000..0xffff_ffff_8110_0000;
const STACK: u64 = 0x7ffc_0000_0000;
const KERNEL_STACK: u64 = 0xffff_c900_0000_0000;

struct Section {
    bytes: Vec<u8>,
    address: u64,
}

/// The `.eh_frame` of a static program: compilers' rules, and those written by hand in the C library.
static EH_FRAME: LazyLock<Section> = LazyLock::new(|| {
    let folder = tempfile::tempdir().expect("a folder");
    let (source, program) = (
        folder.path().join("program.c"),
        folder.path().join("program"),
    );
    std::fs::write(&source, SOURCE).expect("room for the source");
    let done = Command::new("gcc")
        .args(["-static", "-O2", "-fexceptions", "-o"])
        .args([&program, &source])
        .status()
        .expect("gcc");
    assert!(done.success(), "gcc failed");
    let bytes = std::fs::read(&program).expect("the program");
    let elf = ElfFile::from_bytes(&program, bytes).expect("an ELF file");
    let section = elf.section(".eh_frame").expect("unwind information");
    let mut bytes = elf.data(section).expect("its bytes").to_vec();
    bytes.truncate(24_000);
    Section {
        bytes,
        address: section.address,
    }
});

fuzz_target!(|input: &[u8]| {
    let Some((&kind, rest)) = input.split_first() else {
        return;
    };
    let (made_of, memory) = rest.split_at(rest.len() / 2);
    let x86_64 = architecture(kdive_target::Architecture::X86_64);
    match kind % 4 {
        0 => {
            let mut bytes = EH_FRAME.bytes.clone();
            damage(&mut bytes, made_of);
            unwind(&of_frames(&bytes), memory, false);
        }
        1 => {
            let mut builder = TableBuilder::new(x86_64, KERNEL_CODE);
            let (ips, entries) = made_of.split_at(made_of.len() / 10 * 4);
            let version = match kind / 4 % 4 {
                0 => OrcVersion::V1,
                1 => OrcVersion::V2,
                2 => OrcVersion::V3,
                _ => OrcVersion::V4,
            };
            // Addresses in the code, so that rows are found.
            let ips: Vec<u8> = ips
                .as_chunks::<4>()
                .0
                .iter()
                .flat_map(|ip| (u32::from_le_bytes(*ip) & 0xf_ffff).to_le_bytes())
                .collect();
            builder.add_orc(OrcSections {
                ips: &ips,
                ips_address: KERNEL_CODE.start,
                entries,
                version,
            });
            if let Ok(table) = builder.build() {
                unwind(&table, memory, true);
            }
        }
        2 => {
            let mut bytes = of_frames(&EH_FRAME.bytes).as_bytes().to_vec();
            damage(&mut bytes, made_of);
            let Ok(table) = UnwindTable::new(bytes) else {
                return;
            };
            for (_, rules) in table.rows() {
                if let Some(rules) = rules {
                    let _ = (rules.cfa(), rules.registers().count(), rules.source());
                }
            }
            unwind(&table, memory, kind & 4 != 0);
        }
        _ => evaluate(made_of, memory),
    }
});

fn architecture(target: kdive_target::Architecture) -> &'static Architecture {
    Architecture::of(target).expect("an architecture that has stacks")
}

fn damage(bytes: &mut [u8], places: &[u8]) {
    for place in places.as_chunks::<4>().0 {
        let offset = u32::from_le_bytes(*place) & 0xff_ffff;
        let size = bytes.len();
        if let Some(byte) = bytes.get_mut(offset as usize % size) {
            *byte = place[3];
        }
    }
}

fn of_frames(bytes: &[u8]) -> UnwindTable {
    let x86_64 = architecture(kdive_target::Architecture::X86_64);
    let mut builder = TableBuilder::new(x86_64, CODE);
    let section = FrameSection {
        bytes,
        address: EH_FRAME.address,
        text_address: CODE.start,
    };
    builder.add_debug_frame(section);
    builder.add_eh_frame(section);
    builder.build().expect("a table, whatever its sources have")
}

/// One table for all addresses.
struct Everywhere<'a>(&'a UnwindTable);

impl FindTable for Everywhere<'_> {
    fn find_table(&self, _address: u64) -> Option<(&UnwindTable, u64)> {
        Some((self.0, 0))
    }
}

/// Bytes that repeat at all addresses. Half of the words point to code, a quarter to the stack:
/// stacks of nothing but noise end at once.
struct Repeated<'a> {
    bytes: &'a [u8],
    is_kernel: bool,
}

impl Repeated<'_> {
    fn byte(&self, address: u64) -> Option<u8> {
        self.bytes
            .get((address % self.bytes.len().max(1) as u64) as usize)
            .copied()
    }

    fn word(&self, address: u64) -> Option<u64> {
        let mut word = [0; 8];
        for (offset, byte) in word.iter_mut().enumerate() {
            *byte = self.byte(address.wrapping_add(offset as u64))?;
        }
        let word = u64::from_le_bytes(word);
        let (code, stack) = if self.is_kernel {
            (KERNEL_CODE, KERNEL_STACK)
        } else {
            (CODE, STACK)
        };
        Some(match word >> 62 {
            0 => word,
            1 => stack + (word & 0xfff8),
            _ => code.start + word % (code.end - code.start),
        })
    }
}

fn fault(address: u64) -> kdive_target::Error {
    kdive_target::Error::Fault {
        address,
        reason: "address is not mapped".to_owned(),
    }
}

impl kdive_unwind::ReadMemory for Repeated<'_> {
    fn read(&self, address: u64, buffer: &mut [u8]) -> kdive_target::Result<()> {
        let mut here = address;
        for byte in buffer {
            let word = self.word(here & !7).ok_or_else(|| fault(here))?;
            *byte = word.to_le_bytes()[(here & 7) as usize];
            here = here.wrapping_add(1);
        }
        Ok(())
    }
}

/// Unwinds from registers that the memory tells, and checks what must hold of every stack.
fn unwind(table: &UnwindTable, bytes: &[u8], is_kernel: bool) {
    for target in [
        kdive_target::Architecture::X86_64,
        kdive_target::Architecture::Aarch64,
    ] {
        let memory = Repeated { bytes, is_kernel };
        let tables = Everywhere(table);
        let options = UnwindOptions {
            is_kernel,
            pac_mask: 0x7f_0000_0000_0000,
            max_frames: MAX_FRAMES,
        };
        let unwinder = Unwinder::new(architecture(target), &memory, &tables, options);
        let registers: Registers = (0..Registers::CAPACITY as u8)
            .filter_map(|number| Some((Register(number), memory.word(u64::from(number) * 8)?)))
            .collect();
        let stack = unwinder.unwind(&registers, true);
        assert!(stack.frames.len() <= MAX_FRAMES);
        let is_full = stack.frames.len() == MAX_FRAMES;
        assert_eq!(stack.end == End::TooManyFrames, is_full);
        let guessed = stack.frames.iter().position(|frame| frame.is_guess);
        if let Some(first) = guessed {
            assert!(stack.frames[first..].iter().all(|frame| frame.is_guess));
        }
        let mut pcs = Vec::new();
        assert_eq!(unwinder.unwind_pcs(&registers, true, &mut pcs), stack.end);
        assert_eq!(pcs.len(), stack.frames.len());
    }
}

/// A frame in which everything that expressions can ask for is known.
struct Frame<'a> {
    memory: Repeated<'a>,
    other: &'a [u8],
}

impl<'a> Context<'a> for Frame<'a> {
    fn register(&self, number: u16) -> Option<u64> {
        self.memory.word(u64::from(number) * 8)
    }

    fn read(&self, address: u64, buffer: &mut [u8]) -> Result<(), Unavailable> {
        kdive_unwind::ReadMemory::read(&self.memory, address, buffer)
            .map_err(|_| Unavailable::Memory(address))
    }

    fn frame_base(&self) -> Result<u64, Unavailable> {
        Ok(STACK)
    }

    fn cfa(&self) -> Result<u64, Unavailable> {
        Ok(STACK)
    }

    fn entry_value(&self, expression: &[u8]) -> Result<Value, Unavailable> {
        Ok(Value::Generic(expression.len() as u64))
    }

    fn parameter(&self, die: u64) -> Result<u64, Unavailable> {
        Ok(die)
    }

    fn thread_local(&self, offset: u64) -> Result<u64, Unavailable> {
        Ok(offset)
    }

    fn indexed_address(&self, index: u64) -> Result<u64, Unavailable> {
        Ok(index)
    }

    fn base_type(&self, die: u64) -> Result<expression::ValueType, Unavailable> {
        expression::value_type((die >> 8) as u8, die & 0xff)
    }

    fn location_of(&self, _die: DieReference) -> Result<&'a [u8], Unavailable> {
        Ok(self.other)
    }
}

fn evaluate(bytes: &[u8], memory: &[u8]) {
    let frame = Frame {
        memory: Repeated {
            bytes: memory,
            is_kernel: false,
        },
        other: &bytes[bytes.len() / 2..],
    };
    for version in [2, 4, 5] {
        let encoding = Encoding {
            version,
            address_size: 8,
            is_64_bit_dwarf: false,
        };
        if let Ok(pieces) = expression::evaluate(bytes, encoding, &frame, Some(STACK)) {
            for bits in [1, 64, 200] {
                if let Ok(assembled) = expression::assemble(&pieces, bits, &frame) {
                    assert_eq!(assembled.bytes.len() as u64, bits.div_ceil(8));
                    let end = assembled.unknown.last().map_or(0, |range| range.end);
                    assert!(end <= assembled.bytes.len() as u64);
                }
            }
        }
        let _ = expression::evaluate_value(bytes, encoding, &frame);
    }
}
