//! Members of random structures are found where compilers put them, in both byte orders.

use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use kdive_debuginfo::dwarf::DwarfSource;
use kdive_debuginfo::elf::ElfFile;
use kdive_engine::Program;
use kdive_engine::object::Literal;
use kdive_engine::program::ObjectKinds;
use kdive_target::{AddressSpace, ByteOrder, MemoryReader};

const STRUCTURES: usize = 400;

struct Random(u64);

impl Random {
    /// xorshift64*
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }
}

/// A member with the value that it is given.
struct Member {
    name: String,
    declaration: String,
    value: i128,
    is_bit_field: bool,
}

const TYPES: [(&str, u64, bool); 9] = [
    ("signed char", 8, true),
    ("unsigned char", 8, false),
    ("short", 16, true),
    ("unsigned short", 16, false),
    ("int", 32, true),
    ("unsigned int", 32, false),
    ("long long", 64, true),
    ("unsigned long long", 64, false),
    ("_Bool", 1, false),
];

fn random_member(random: &mut Random, index: usize) -> Member {
    let (ty, bits, is_signed) = TYPES[random.below(TYPES.len() as u64) as usize];
    let name = format!("m{index}");
    let is_bit_field = random.below(3) > 0;
    let size = if is_bit_field {
        1 + random.below(bits)
    } else {
        bits
    };
    let unused = 128 - size as u32;
    let value = u128::from(random.next());
    let value = if is_signed {
        (value << unused) as i128 >> unused
    } else {
        (value << unused >> unused) as i128
    };
    let declaration = if is_bit_field {
        format!("{ty} {name} : {size}")
    } else {
        format!("{ty} {name}")
    };
    Member {
        name,
        declaration,
        value,
        is_bit_field,
    }
}

fn random_structure(random: &mut Random) -> (Vec<Member>, &'static str) {
    let count = 1 + random.below(9) as usize;
    let members = (0..count)
        .map(|index| random_member(random, index))
        .collect();
    let attribute = if random.below(4) == 0 {
        " __attribute__((packed))"
    } else {
        ""
    };
    (members, attribute)
}

fn source(structures: &[(Vec<Member>, &str)], random: &mut Random) -> String {
    let mut text = String::from("#include <stddef.h>\n");
    for (index, (members, attribute)) in structures.iter().enumerate() {
        let _ = writeln!(text, "struct s{index} {{");
        for (place, member) in members.iter().enumerate() {
            // Unnamed bit fields are padding; one of no bits ends a unit.
            if member.is_bit_field && place > 0 {
                match random.below(8) {
                    0 => text.push_str("int : 0;\n"),
                    1 => text.push_str("int : 3;\n"),
                    _ => {}
                }
            }
            let _ = writeln!(text, "{};", member.declaration);
        }
        let _ = writeln!(
            text,
            "}}{attribute};\nstruct s{index} v{index}[2] = {{ {{0}}, {{"
        );
        for member in members {
            let _ = writeln!(text, ".{} = {}ULL,", member.name, member.value as u64);
        }
        text.push_str("} };\n");
        let offsets: Vec<String> = members
            .iter()
            .map(|member| {
                if member.is_bit_field {
                    "-1".to_owned()
                } else {
                    format!("offsetof(struct s{index}, {})", member.name)
                }
            })
            .collect();
        let _ = writeln!(
            text,
            "long long f{index}[] = {{ sizeof(struct s{index}), {} }};",
            offsets.join(", ")
        );
    }
    text
}

struct Bytes(Vec<u8>);

impl MemoryReader for Bytes {
    fn read(&self, _: u64, offset: u64, buffer: &mut [u8]) -> kdive_target::Result<()> {
        let start = offset as usize;
        buffer.copy_from_slice(&self.0[start..start + buffer.len()]);
        Ok(())
    }
}

/// The program that a compiler makes of a source, as it is before it runs.
fn compiled(compiler: &str, source: &str, directory: &Path) -> Arc<Program> {
    let path = directory.join(compiler);
    let source_path = path.with_extension("c");
    std::fs::write(&source_path, source).unwrap();
    let output = Command::new(compiler)
        .args(["-g", "-w", "-nostdlib", "-static", "-fno-pic", "-no-pie"])
        // Every variable has bytes in the file, also one that is zero.
        .args(["-fno-zero-initialized-in-bss", "-Wl,-e,0", "-o"])
        .arg(&path)
        .arg(&source_path)
        .output()
        .unwrap_or_else(|error| panic!("{compiler}: {error}"));
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let file = Arc::new(ElfFile::open(&path).unwrap());
    let program = Program::new(Some(file.platform()));
    for section in file.sections().iter().filter(|section| section.is_loaded()) {
        if section.has_data() {
            let bytes = file.data(section).unwrap().to_vec();
            let size = bytes.len() as u64;
            let start = section.addresses().start;
            program.add_memory_segment(AddressSpace::Virtual, start, size, Arc::new(Bytes(bytes)));
        }
    }
    let types = DwarfSource::open(&file, 0).unwrap().unwrap();
    program.add_type_source(Arc::new(types));
    program
}

fn check(compiler: &str, byte_order: ByteOrder) {
    let mut random = Random(0x5eed_0002);
    let structures: Vec<_> = std::iter::repeat_with(|| random_structure(&mut random))
        .take(STRUCTURES)
        .collect();
    let directory = tempfile::tempdir().unwrap();
    let text = source(&structures, &mut random);
    let program = compiled(compiler, &text, directory.path());
    assert_eq!(program.byte_order(), byte_order);
    let variable = |name: String| {
        program
            .find_object(&name, ObjectKinds::VARIABLE, None)
            .unwrap()
    };
    let mut checked = 0;
    for (index, (members, attribute)) in structures.iter().enumerate() {
        let object = variable(format!("v{index}")).subscript(1).unwrap();
        let facts = variable(format!("f{index}"));
        let fact = |at: usize| {
            facts
                .subscript(at as i64)
                .unwrap()
                .number()
                .unwrap()
                .to_bits()
        };
        assert_eq!(u128::from(object.ty().size().unwrap()), fact(0), "s{index}");
        // A value that was read as a whole has its members in the same places.
        let value = object.read().unwrap();
        for (at, member) in members.iter().enumerate() {
            let place = format!("{compiler}: {} of s{index}{attribute}", member.declaration);
            for object in [&object, &value] {
                let found = object.member(&member.name).unwrap();
                assert_eq!(
                    found.bit_field_size().is_some(),
                    member.is_bit_field,
                    "{place}"
                );
                let number = found.number().unwrap().to_bits() as i128;
                assert_eq!(number, member.value, "{place}");
                // So has one that is copied bit by bit.
                let copy = kdive_engine::Object::from_bytes(
                    &program,
                    found.ty().clone(),
                    &found.to_bytes().unwrap(),
                    0,
                    found.bit_field_size(),
                )
                .unwrap();
                assert_eq!(
                    copy.number().unwrap().to_bits() as i128,
                    member.value,
                    "{place}"
                );
            }
            if !member.is_bit_field {
                let offset = object.ty().offset_of(&member.name).unwrap();
                assert_eq!(u128::from(offset), fact(at + 1), "{place}");
            }
            checked += 1;
        }
        // Made of plain values, it has the same members again.
        let literal = value.value().unwrap();
        assert!(matches!(&literal, Literal::Map(map) if map.len() == members.len()));
        let made =
            kdive_engine::Object::from_literal(&program, object.ty().clone(), &literal, None)
                .unwrap();
        for member in members {
            let number = made.member(&member.name).unwrap().number().unwrap();
            assert_eq!(number.to_bits() as i128, member.value, "s{index}");
        }
    }
    assert!(checked > 3 * STRUCTURES);
}

#[test]
fn little_endian_structures() {
    check("gcc", ByteOrder::Little);
}

#[test]
fn big_endian_structures() {
    check("s390x-linux-gnu-gcc", ByteOrder::Big);
}
