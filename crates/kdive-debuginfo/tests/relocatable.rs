//! Object files for other machines: relocations, both byte orders, 32 and 64 bits.

mod common;

use std::process::Command;
use std::sync::Arc;

use common::{Compiler, run};
use kdive_debuginfo::TypeSource;
use kdive_debuginfo::description::{Location, ObjectKinds, Shape, TypeKinds};
use kdive_debuginfo::dwarf::DwarfSource;
use kdive_debuginfo::elf::{ElfFile, ElfKind};
use kdive_debuginfo::symbols::SymbolTable;
use kdive_target::{Architecture, ByteOrder};

const SOURCE: &str = "
struct node { struct node *next; char tag; unsigned int low : 5, high : 20; long value; };
struct node first = { &first, 'x', 3, 4, 5 };
int cleared;
static long numbers[7] = { 1 };
long *get(int which) { return &numbers[which + cleared]; }
long sum(const struct node *from) { return from->value + *get(from->low); }
";

struct Sample {
    target: &'static str,
    architecture: Architecture,
    byte_order: ByteOrder,
    pointer_size: u64,
}

const fn sample(
    target: &'static str,
    architecture: Architecture,
    byte_order: ByteOrder,
    pointer_size: u64,
) -> Sample {
    Sample {
        target,
        architecture,
        byte_order,
        pointer_size,
    }
}

const SAMPLES: [Sample; 8] = [
    sample(
        "x86_64-linux-gnu",
        Architecture::X86_64,
        ByteOrder::Little,
        8,
    ),
    sample("i386-linux-gnu", Architecture::I386, ByteOrder::Little, 4),
    sample(
        "aarch64-linux-gnu",
        Architecture::Aarch64,
        ByteOrder::Little,
        8,
    ),
    sample(
        "armv7-linux-gnueabi",
        Architecture::Arm,
        ByteOrder::Little,
        4,
    ),
    sample(
        "powerpc64-linux-gnu",
        Architecture::Ppc64,
        ByteOrder::Big,
        8,
    ),
    sample(
        "powerpc64le-linux-gnu",
        Architecture::Ppc64,
        ByteOrder::Little,
        8,
    ),
    sample(
        "riscv64-linux-gnu",
        Architecture::Riscv64,
        ByteOrder::Little,
        8,
    ),
    sample("s390x-linux-gnu", Architecture::S390x, ByteOrder::Big, 8),
];

fn section_address(name: &str) -> Option<u64> {
    match name {
        ".text" => Some(0x10_0000),
        ".data" | ".sdata" => Some(0x20_0000),
        ".bss" | ".sbss" => Some(0x30_0000),
        _ => None,
    }
}

#[test]
fn objects_of_relocatable_files_are_where_the_sections_are() {
    let compiler = Compiler::new();
    for sample in &SAMPLES {
        for version in ["-gdwarf-3", "-gdwarf-4", "-gdwarf-5"] {
            let name = format!("{} {version}", sample.target);
            let target = format!("--target={}", sample.target);
            let options = [target.as_str(), version, "-O1", "-c"];
            let object = compiler.compile("clang", SOURCE, "node.c", &options);
            let elf = ElfFile::open(&object)
                .unwrap()
                .with_section_addresses(section_address);
            assert_eq!(elf.kind(), ElfKind::Relocatable);
            assert_eq!(elf.platform().architecture, sample.architecture, "{name}");
            assert_eq!(elf.platform().byte_order, sample.byte_order, "{name}");
            let elf = Arc::new(elf);
            let source = DwarfSource::open(&elf, 0).unwrap().unwrap();
            let symbols = SymbolTable::from_elf(&elf, 0).unwrap();

            let node = source.find_types(TypeKinds::STRUCT, "node", None).unwrap()[0];
            let members = source.members(node).unwrap();
            let names: Vec<&str> = members
                .iter()
                .map(|member| member.name.as_deref().unwrap())
                .collect();
            assert_eq!(names, ["next", "tag", "low", "high", "value"], "{name}");
            let next = source.describe(members[0].type_id.unwrap()).unwrap().shape;
            let Shape::Pointer {
                size, byte_order, ..
            } = next
            else {
                panic!("{name}: {next:?}")
            };
            assert_eq!(
                (size, byte_order),
                (sample.pointer_size, sample.byte_order),
                "{name}"
            );

            for (object, section) in [("first", ".data"), ("cleared", ".bss"), ("get", ".text")] {
                if section == ".text" && sample.target == "powerpc64-linux-gnu" {
                    // There, symbols of functions are descriptors of functions.
                    continue;
                }
                let base = section_address(section).unwrap();
                let symbol = symbols.by_name(object).unwrap();
                assert!(
                    (base..base + 0x1000).contains(&symbol.address),
                    "{name}: {symbol:?}"
                );
                let found = source
                    .find_objects(ObjectKinds::all(), object, None)
                    .unwrap();
                assert_eq!(
                    found[0].location,
                    Location::Address(symbol.address),
                    "{name}"
                );
            }
        }
    }
}

#[test]
fn bit_fields_of_both_byte_orders_are_where_dwarf_4_says() {
    let compiler = Compiler::new();
    for sample in &SAMPLES {
        let target = format!("--target={}", sample.target);
        let mut offsets = Vec::new();
        // DWARF 3 counts bit fields from the other end than DWARF 4 and later.
        for version in ["-gdwarf-3", "-gdwarf-4", "-gdwarf-5"] {
            let options = [target.as_str(), version, "-c"];
            let object = compiler.compile("clang", SOURCE, "bits.c", &options);
            let elf = Arc::new(ElfFile::open(&object).unwrap());
            let source = DwarfSource::open(&elf, 0).unwrap().unwrap();
            let node = source.find_types(TypeKinds::STRUCT, "node", None).unwrap()[0];
            let members = source.members(node).unwrap();
            let low = (members[2].bit_offset, members[2].bit_field_size);
            let high = (members[3].bit_offset, members[3].bit_field_size);
            offsets.push((low, high));
        }
        assert_eq!(offsets[0], offsets[1], "{}", sample.target);
        assert_eq!(offsets[1], offsets[2], "{}", sample.target);
        // `low` follows the char in the same int; there `high` would not fit any more.
        let pointer_bits = sample.pointer_size * 8;
        let expected = ((pointer_bits + 8, Some(5)), (pointer_bits + 32, Some(20)));
        assert_eq!(offsets[0], expected, "{}", sample.target);
    }
}

/// The same with what the kernel's build does: several objects in one relocatable file.
#[test]
fn objects_linked_with_ld_r_are_read_too() {
    let compiler = Compiler::new();
    let first = compiler.compile("gcc", SOURCE, "one.c", &["-g", "-c"]);
    let other = "extern int cleared; int *other(void) { return &cleared; } int lonely = 3;";
    let second = compiler.compile("gcc", other, "two.c", &["-g", "-c"]);
    let both = compiler.path("both.ko");
    run(Command::new("ld")
        .arg("-r")
        .arg("-o")
        .args([&both, &first, &second]));
    let elf = Arc::new(
        ElfFile::open(&both)
            .unwrap()
            .with_section_addresses(section_address),
    );
    let source = DwarfSource::open(&elf, 0).unwrap().unwrap();
    let symbols = SymbolTable::from_elf(&elf, 0).unwrap();
    for name in ["first", "lonely", "other", "sum", "cleared"] {
        let found = source.find_objects(ObjectKinds::all(), name, None).unwrap();
        let expected = Location::Address(symbols.by_name(name).unwrap().address);
        assert_eq!(found[0].location, expected, "{name}");
    }
}

/// A relocation table that names the section which it relocates as its symbol table must not make
/// that section wait for itself.
#[test]
fn a_section_that_is_relocated_with_itself_is_refused_at_once() {
    const SHT_RELA: u32 = 4;
    let compiler = Compiler::new();
    let path = compiler.compile("gcc", SOURCE, "circle.c", &["-c", "-gdwarf-5"]);
    let mut bytes = std::fs::read(path).unwrap();
    let word = |bytes: &[u8], at: usize| u32::from_le_bytes(*bytes[at..].first_chunk().unwrap());
    let headers = word(&bytes, 0x28) as usize;
    let count = usize::from(u16::from_le_bytes(*bytes[0x3c..].first_chunk().unwrap()));
    let mut tables = 0;
    for header in (0..count).map(|number| headers + number * 64) {
        if word(&bytes, header + 4) == SHT_RELA {
            let target = word(&bytes, header + 44);
            bytes[header + 40..header + 44].copy_from_slice(&target.to_le_bytes());
            tables += 1;
        }
    }
    assert!(tables > 5);
    let (sender, receiver) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let elf = Arc::new(ElfFile::from_bytes("circle.o".as_ref(), bytes).unwrap());
        let opened = DwarfSource::open(&elf, 0).map(|source| source.is_some());
        sender.send(opened.map_err(|error| error.to_string()))
    });
    let opened = receiver.recv_timeout(std::time::Duration::from_secs(60));
    let error = opened.expect("it hangs").unwrap_err();
    assert!(error.contains("there is no symbol table"), "{error}");
}
