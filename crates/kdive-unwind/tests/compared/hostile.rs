//! Damaged tables, sections and stacks: nothing may panic or go on without end.

use std::sync::LazyLock;

use crate::programs::{architecture, compile, table_of};
use kdive_unwind::expression::{self, Context, Encoding, Unavailable};
use kdive_unwind::table::{FrameSection, OrcSections, OrcVersion, TableBuilder, UnwindTable};
use kdive_unwind::{Architecture, End, FindTable, Registers, UnwindOptions, Unwinder};
use object::{Object, ObjectSection};
use proptest::prelude::*;

/// One module at its linked address.
struct Single<'a>(&'a UnwindTable);

impl FindTable for Single<'_> {
    fn find_table(&self, _address: u64) -> Option<(&UnwindTable, u64)> {
        Some((self.0, 0))
    }
}

/// Memory that repeats a few bytes at all addresses below a limit.
fn repeated(bytes: &[u8]) -> impl Fn(u64, &mut [u8]) -> kdive_target::Result<()> + Sync {
    move |address, buffer: &mut [u8]| {
        for (index, byte) in buffer.iter_mut().enumerate() {
            let here = address.wrapping_add(index as u64);
            *byte = bytes
                .get((here % bytes.len().max(1) as u64) as usize)
                .copied()
                .ok_or_else(|| kdive_target::Error::Fault {
                    address: here,
                    reason: "address is not mapped".to_owned(),
                })?;
        }
        Ok(())
    }
}

struct Section {
    bytes: Vec<u8>,
    address: u64,
}

/// The `.eh_frame` of a compiled program.
static EH_FRAME: LazyLock<Section> = LazyLock::new(|| {
    let directory = tempfile::tempdir().unwrap();
    let source = "#include <stdio.h>\nint main(int c, char **v) { return printf(\"%s\", v[c]); }";
    let program = compile(
        directory.path(),
        "gcc",
        "program",
        source,
        &["-static", "-O2"],
    );
    assert!(table_of(&program).len() > 1000);
    let bytes = std::fs::read(program).unwrap();
    let elf = object::File::parse(&*bytes).unwrap();
    let section = elf.section_by_name(".eh_frame").unwrap();
    Section {
        bytes: section.data().unwrap()[..20_000].to_vec(),
        address: section.address(),
    }
});

const CODE: std::ops::Range<u64> = 0x40_0000..0x50_0000;

fn of_eh_frame(bytes: &[u8], architecture: &'static Architecture) -> UnwindTable {
    let mut builder = TableBuilder::new(architecture, CODE);
    let section = FrameSection {
        bytes,
        address: EH_FRAME.address,
        text_address: CODE.start,
    };
    builder.add_eh_frame(section);
    builder.add_debug_frame(section);
    builder.build().unwrap()
}

fn any_registers() -> impl Strategy<Value = Registers> {
    let value = prop_oneof![CODE, 0x7000_u64..0x9000, any::<u64>()];
    proptest::collection::vec(proptest::option::of(value), Registers::CAPACITY).prop_map(|values| {
        values
            .into_iter()
            .enumerate()
            .filter_map(|(index, value)| Some((kdive_unwind::Register(index as u8), value?)))
            .collect()
    })
}

/// Unwinds and checks what must hold of every stack.
fn unwind(table: &UnwindTable, registers: &Registers, memory: &[u8], is_kernel: bool) {
    for target in [
        kdive_target::Architecture::X86_64,
        kdive_target::Architecture::Aarch64,
    ] {
        let memory = repeated(memory);
        let tables = Single(table);
        let options = UnwindOptions {
            is_kernel,
            pac_mask: 0x7f_0000_0000_0000,
            max_frames: 300,
        };
        let architecture = Architecture::of(target).unwrap();
        let unwinder = Unwinder::new(architecture, &memory, &tables, options);
        let stack = unwinder.unwind(registers, true);
        assert!(stack.frames.len() <= 300);
        assert_eq!(
            stack.end == End::TooManyFrames,
            stack.frames.len() == 300,
            "{:?}",
            stack.end
        );
        let mut pcs = Vec::new();
        assert_eq!(unwinder.unwind_pcs(registers, true, &mut pcs), stack.end);
        let expected: Vec<_> = stack
            .frames
            .iter()
            .map(|frame| (frame.pc, frame.is_interrupted))
            .collect();
        assert_eq!(pcs, expected);
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::with_cases(300)
    })]

    #[test]
    fn damaged_cfi(
        damage in proptest::collection::vec((0..20_000_usize, any::<u8>()), 0..200),
        registers in any_registers(),
        memory in proptest::collection::vec(any::<u8>(), 0..300),
        is_kernel in any::<bool>(),
    ) {
        let mut bytes = EH_FRAME.bytes.clone();
        for (offset, value) in damage {
            bytes[offset] = value;
        }
        let table = of_eh_frame(&bytes, architecture());
        let starts: Vec<u64> = table.rows().map(|(start, _)| start).collect();
        prop_assert!(starts.windows(2).all(|pair| pair[0] < pair[1]));
        unwind(&table, &registers, &memory, is_kernel);
    }

    #[test]
    fn random_sections(
        bytes in proptest::collection::vec(any::<u8>(), 0..600),
        ips in proptest::collection::vec(any::<u8>(), 0..200),
        registers in any_registers(),
        memory in proptest::collection::vec(any::<u8>(), 0..300),
        is_kernel in any::<bool>(),
    ) {
        for version in [OrcVersion::V1, OrcVersion::V2, OrcVersion::V3, OrcVersion::V4] {
            let mut builder = TableBuilder::new(architecture(), 0..1 << 32);
            let section = FrameSection { bytes: &bytes, address: 0, text_address: 0 };
            builder.add_debug_frame(section);
            builder.add_eh_frame(section);
            builder.add_orc(OrcSections { ips: &ips, ips_address: 1 << 31, entries: &bytes, version });
            let table = builder.build().unwrap();
            unwind(&table, &registers, &memory, is_kernel);
        }
    }

    #[test]
    fn damaged_tables(
        damage in proptest::collection::vec((0..1_usize << 16, any::<u8>()), 1..50),
        registers in any_registers(),
        memory in proptest::collection::vec(any::<u8>(), 0..300),
    ) {
        let mut bytes = of_eh_frame(&EH_FRAME.bytes, architecture()).as_bytes().to_vec();
        for (offset, value) in damage {
            let length = bytes.len();
            bytes[offset % length] = value;
        }
        if let Ok(table) = UnwindTable::new(bytes) {
            for (_, rules) in table.rows() {
                if let Some(rules) = rules {
                    let _ = (rules.cfa(), rules.registers().count(), rules.source());
                }
            }
            unwind(&table, &registers, &memory, true);
        }
    }

    #[test]
    fn random_expressions(bytes in proptest::collection::vec(any::<u8>(), 0..64), bits in 0..4096_u64) {
        struct Nothing;
        impl Context<'_> for Nothing {
            fn register(&self, number: u16) -> Option<u64> {
                (number < 16).then_some(u64::from(number))
            }
            fn read(&self, address: u64, buffer: &mut [u8]) -> Result<(), Unavailable> {
                if address > 1 << 20 {
                    return Err(Unavailable::Memory(address));
                }
                buffer.fill(0x55);
                Ok(())
            }
        }
        for version in [4, 5] {
            let encoding = Encoding { version, address_size: 8, is_64_bit_dwarf: false };
            if let Ok(pieces) = expression::evaluate(&bytes, encoding, &Nothing, Some(4096))
                && let Ok(assembled) = expression::assemble(&pieces, bits, &Nothing)
            {
                prop_assert_eq!(assembled.bytes.len() as u64, bits.div_ceil(8));
            }
            let _ = expression::evaluate_value(&bytes, encoding, &Nothing);
        }
    }
}

#[test]
fn truncated_tables_are_refused() {
    let bytes = of_eh_frame(&EH_FRAME.bytes, architecture())
        .as_bytes()
        .to_vec();
    assert!(UnwindTable::new(bytes.clone()).is_ok());
    for length in [0, 7, 8, 12, 39, 40, 100, bytes.len() - 1] {
        let message = UnwindTable::new(bytes[..length].to_vec())
            .unwrap_err()
            .to_string();
        assert!(message.ends_with("it must be compiled again"), "{message}");
    }
}

#[test]
fn a_stack_that_leads_back_to_itself_ends() {
    // Every frame's caller is at the same place: rbp points to itself.
    let mut memory = vec![0; 0x1000];
    memory[0x800..0x808].copy_from_slice(&0x800_u64.to_le_bytes());
    memory[0x808..0x810].copy_from_slice(&0x1000_u64.to_le_bytes());
    let table = TableBuilder::new(architecture(), CODE).build().unwrap();
    let read = repeated(&memory);
    let tables = Single(&table);
    let unwinder = Unwinder::new(architecture(), &read, &tables, UnwindOptions::default());
    let rbp = architecture().by_name("rbp").unwrap();
    let registers = architecture().inactive_task(0x1000, 0x700, &[(rbp, 0x800)]);
    let stack = unwinder.unwind(&registers, false);
    assert_eq!(stack.frames.len(), 2, "{:#x?}", stack.frames);
    assert_eq!(stack.end, End::NoInformation);
}
