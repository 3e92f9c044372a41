//! Damaged files: nothing may panic, hang or use memory out of proportion.
//!
//! `KDIVE_DAMAGED_COPIES` sets the number of damaged copies of each sample (100 if it is not set).

mod common;

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use common::{Compiler, Numbers};
use kdive_debuginfo::description::{ObjectKinds, TypeKinds};
use kdive_debuginfo::dwarf::DwarfSource;
use kdive_debuginfo::elf::{ElfFile, Section};
use kdive_debuginfo::symbols::SymbolTable;
use kdive_debuginfo::{MacroSource, TypeSource};

const C: &str = r"
#include <stddef.h>
enum color { RED, GREEN = 5, BLUE = -3 };
struct list { struct list *next; unsigned low : 3, high : 9; enum color color; };
typedef int (*callback)(struct list *, ...);
struct list head = { &head, 1, 2, GREEN };
callback handlers[3][4];
static __thread int local_counter;
static inline __attribute__((always_inline)) int inner(int x) { local_counter += x; return x * 3; }
__attribute__((noinline)) int outer(int a, const char *text) { int b = inner(a); return b + *text; }
int main(int argc, char **argv) { return outer(argc, argv[0]); }
";

const CPP: &str = r"
namespace space {
template <typename T, int N> struct array { T items[N]; typedef T item; static const int size = N; };
class base { public: virtual int get() { return 1; } int member; };
class derived : public base { public: int get() override; enum class kind { one, two } kind_; };
int derived::get() { return 2; }
array<long, 3> numbers;
}
using space::derived;
derived object;
int main() { return object.get() + static_cast<int>(space::numbers.items[0]); }
";

/// The time of a processor that no copy may take.
const HANGS: Duration = Duration::from_secs(2);
/// The samples have some tens of kilobytes.
const TOO_MUCH_KIB: u64 = 64 << 10;

/// What became of the damaged copies.
#[derive(Default)]
struct Survivors {
    copies: usize,
    /// Those of which types or code could be asked for.
    usable: usize,
    slowest: Duration,
}

impl Survivors {
    /// Asks for everything, and makes sure that this doesn't take long.
    fn try_copy(&mut self, sample: &Sample, bytes: Vec<u8>) {
        let start = processor_time();
        self.usable += usize::from(exercise(sample, bytes));
        self.copies += 1;
        let elapsed = processor_time().saturating_sub(start);
        assert!(elapsed < HANGS, "{} took {elapsed:?}", sample.name);
        self.slowest = elapsed.max(self.slowest);
    }

    /// Says what the copies took at most, and makes sure that it was not much memory.
    fn report(&self) {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let peak = status.lines().find(|line| line.starts_with("VmHWM:"));
        let peak = peak.unwrap().split_whitespace().nth(1).unwrap();
        let peak: u64 = peak.parse().unwrap();
        println!(
            "{} of {} copies are usable, the slowest took {:?}, the greatest memory was {peak} KiB",
            self.usable, self.copies, self.slowest
        );
        assert!(peak < TOO_MUCH_KIB);
        assert!(self.usable > self.copies / 20, "most are refused at once");
    }
}

/// The time that all threads of this process have had a processor.
fn processor_time() -> Duration {
    const TICK: Duration = Duration::from_millis(10);
    let status = std::fs::read_to_string("/proc/self/stat").unwrap();
    let (_, fields) = status.rsplit_once(") ").unwrap();
    let ticks = fields.split(' ').skip(11).take(2);
    TICK * ticks.map(|ticks| ticks.parse::<u32>().unwrap()).sum()
}

/// Asks for everything. Errors are expected, panics are not.
fn exercise(sample: &Sample, bytes: Vec<u8>) -> bool {
    let path = Path::new(&sample.name);
    let Ok(elf) = ElfFile::from_bytes(path, bytes) else {
        return false;
    };
    let elf = Arc::new(elf);
    let _ = (elf.build_id(), elf.debug_link(), elf.supplementary_link());
    if let Ok(symbols) = SymbolTable::from_elf(&elf, 0x1000) {
        for symbol in symbols.iter().take(100) {
            symbols.by_name(&symbol.name);
            symbols.all_by_address(symbol.address.wrapping_add(1));
        }
    }
    let supplementary = sample.supplementary.as_ref();
    let source = DwarfSource::open_with_supplementary(&elf, 0x1000, None, supplementary);
    let Ok(Some(source)) = source else {
        return false;
    };
    let macros: &dyn MacroSource = &source;
    for name in ["NULL", "__GNUC__", "__cplusplus", "offsetof"] {
        for file in [None, Some("stddef.h")] {
            if let Ok(Some(unit)) = macros.unit_with_macro(name, file) {
                let _ = macros.macro_in(unit, name);
            }
        }
    }
    let mut ids = Vec::new();
    for name in source
        .type_names(TypeKinds::all())
        .unwrap_or_default()
        .iter()
        .take(200)
    {
        ids.extend(
            source
                .find_types(TypeKinds::all(), name, Some("sample.c"))
                .unwrap_or_default(),
        );
        ids.extend(
            source
                .find_types(TypeKinds::all(), name, None)
                .unwrap_or_default(),
        );
    }
    let objects = [
        "main",
        "outer",
        "head",
        "handlers",
        "object",
        "space::numbers",
        "BLUE",
        "space::derived::kind::two",
        "local_counter",
        "space::derived::get",
    ];
    for name in objects {
        for object in source
            .find_objects(ObjectKinds::all(), name, None)
            .unwrap_or_default()
        {
            ids.extend(object.type_id);
        }
    }
    for id in ids.into_iter().take(1000) {
        let _ = source.describe(id);
        let _ = source.enumerators(id);
        let _ = source.template_parameters(id);
        for member in source.members(id).unwrap_or_default() {
            let _ = member.type_id.map(|id| source.describe(id));
        }
    }
    let Some(code) = source.code() else {
        return true;
    };
    let text = elf.section(".text").map_or(0..0, Section::addresses);
    for address in text.step_by(16).take(64) {
        let address = address.wrapping_add(0x1000);
        let _ = code.source_line(address);
        for scope in code.scopes_at(address).unwrap_or_default().iter() {
            let _ = code.frame_base(scope.entry, address);
            let _ = code.call_site(scope.entry, address);
            for block in &scope.blocks {
                let _ = code.variables(*block, address);
            }
        }
    }
    true
}

/// A file to be damaged.
struct Sample {
    name: String,
    bytes: Vec<u8>,
    /// The file that it shares contents with, which stays whole.
    supplementary: Option<Arc<ElfFile>>,
}

impl Sample {
    fn new(path: &Path, supplementary: Option<Arc<ElfFile>>) -> Sample {
        let sample = Sample {
            name: path.display().to_string(),
            bytes: std::fs::read(path).unwrap(),
            supplementary,
        };
        assert!(
            exercise(&sample, sample.bytes.clone()),
            "{} can't even be read undamaged",
            sample.name
        );
        sample
    }
}

fn samples(compiler: &Compiler) -> Vec<Sample> {
    let mut samples = Vec::new();
    for (name, source, file, options) in [
        ("gcc", C, "sample.c", &["-gdwarf-5", "-O2", "-g3"][..]),
        ("gcc", C, "old.c", &["-gdwarf-2", "-O1", "-gz=none"]),
        ("clang", C, "clang.c", &["-gdwarf-5", "-O2"]),
        ("gcc", C, "object.c", &["-gdwarf-4", "-O1", "-c"]),
        ("gcc", C, "zlib.c", &["-gdwarf-5", "-gz=zlib"]),
        ("g++", CPP, "sample.cc", &["-gdwarf-5", "-O1"]),
        (
            "g++",
            CPP,
            "types.cc",
            &["-gdwarf-4", "-fdebug-types-section"],
        ),
    ] {
        let path = compiler.compile(name, source, file, options);
        samples.push(Sample::new(&path, None));
    }
    let options = ["-gdwarf-5", "-gsplit-dwarf", "-fdebug-types-section"];
    let program = compiler.compile("g++", CPP, "split.cc", &options);
    let package = program.with_extension("out.dwp");
    common::run(
        Command::new("llvm-dwp")
            .current_dir(compiler.path(""))
            .arg("-e")
            .arg(&program)
            .arg("-o")
            .arg(&package),
    );
    samples.push(Sample::new(&package, None));
    samples.push(Sample::new(&program, None));
    let one = compiler.compile("gcc", C, "one.c", &["-gdwarf-5", "-O2"]);
    let two = compiler.compile("gcc", C, "two.c", &["-gdwarf-5", "-O2"]);
    let shared = compiler.path("shared");
    common::run(Command::new("dwz").arg("-m").args([&shared, &one, &two]));
    let supplementary = ElfFile::open(&shared).unwrap();
    samples.push(Sample::new(&one, Some(Arc::new(supplementary))));
    samples.push(Sample::new(&shared, None));
    samples
}

/// The same file with one of its sections of debug information cut off.
fn with_a_short_section(sample: &Sample, part: usize) -> Vec<u8> {
    let mut bytes = sample.bytes.clone();
    let elf = ElfFile::from_bytes(Path::new(&sample.name), bytes.clone()).unwrap();
    let is_debug = |section: &&Section| section.name.starts_with(".debug_");
    let sections: Vec<&Section> = elf.sections().iter().filter(is_debug).collect();
    let section = sections[part % sections.len()];
    let size = section.size * part as u64 / 200;
    // ELF of 64 bits: the offset of the section table, and of the size in each of its entries.
    let table = u64::from_le_bytes(*bytes[0x28..].first_chunk().unwrap()) as usize;
    let at = table + section.index * 64 + 32;
    bytes[at..at + 8].copy_from_slice(&size.to_le_bytes());
    bytes
}

#[test]
fn truncated_files_are_survived() {
    let compiler = Compiler::new();
    let mut survivors = Survivors::default();
    for sample in samples(&compiler) {
        for part in 0..200 {
            let length = sample.bytes.len() * part / 200;
            survivors.try_copy(&sample, sample.bytes[..length].to_vec());
            survivors.try_copy(&sample, with_a_short_section(&sample, part));
        }
    }
    survivors.report();
}

#[test]
fn corrupted_files_are_survived() {
    let copies = std::env::var("KDIVE_DAMAGED_COPIES")
        .map_or(100, |copies| copies.parse().expect("a number of copies"));
    let compiler = Compiler::new();
    let mut numbers = Numbers(0x9e37_79b9_7f4a_7c15);
    let mut survivors = Survivors::default();
    for sample in samples(&compiler) {
        let bytes = &sample.bytes;
        let elf = ElfFile::from_bytes(Path::new(&sample.name), bytes.clone()).unwrap();
        // Mostly where it matters: within the sections of debug information.
        let sections: Vec<(usize, usize)> = elf
            .sections()
            .iter()
            .filter(|section| section.name.starts_with(".debug_") || section.name == ".symtab")
            .filter_map(|section| {
                let data = elf.bytes().as_ptr_range();
                let own = elf.data(section).ok()?.as_ptr_range();
                let is_in_file = data.contains(&own.start);
                let start = own.start.addr().wrapping_sub(data.start.addr());
                is_in_file.then(|| (start, own.end.addr() - own.start.addr()))
            })
            .filter(|(_, length)| *length != 0)
            .collect();
        for copy in 0..copies {
            let mut damaged = bytes.clone();
            for _ in 0..=numbers.below(8) {
                let at = if copy % 4 == 0 || sections.is_empty() {
                    numbers.below(damaged.len())
                } else {
                    let (start, length) = sections[numbers.below(sections.len())];
                    start + numbers.below(length)
                };
                damaged[at] = match numbers.below(4) {
                    0 => 0,
                    1 => 0xff,
                    2 => damaged[at].wrapping_add(1),
                    _ => numbers.below(256) as u8,
                };
            }
            survivors.try_copy(&sample, damaged);
        }
    }
    survivors.report();
}
