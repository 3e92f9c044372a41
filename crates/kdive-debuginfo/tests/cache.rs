//! The cache of indexes.

mod common;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use common::Compiler;
use kdive_debuginfo::TypeSource;
use kdive_debuginfo::cache::{CacheOutcome, IndexCache};
use kdive_debuginfo::description::{ObjectKinds, TypeKinds};
use kdive_debuginfo::dwarf::DwarfSource;
use kdive_debuginfo::elf::ElfFile;
use kdive_debuginfo::symbols::SymbolTable;

const SOURCE: &str = "
namespace outer { struct inner { int a; enum color { RED, BLUE = 7 } c; }; inner first; }
struct plain { outer::inner part; long b; };
plain object;
int function(plain *p) { return p->part.a; }
int main() { return function(&object); }
";

struct Sample {
    compiler: Compiler,
    cache: IndexCache,
}

impl Sample {
    fn new() -> Sample {
        let compiler = Compiler::new();
        let cache = IndexCache::new(compiler.path("cache/kdive"));
        Sample { compiler, cache }
    }

    fn program(&self, name: &str, options: &[&str]) -> PathBuf {
        let options = [&["-g", "-Wl,--build-id"], options].concat();
        self.compiler.compile("g++", SOURCE, name, &options)
    }

    fn open(&self, program: &Path) -> DwarfSource {
        let elf = Arc::new(ElfFile::open(program).unwrap());
        DwarfSource::open_with_cache(&elf, 0, Some(&self.cache))
            .unwrap()
            .unwrap()
    }

    fn item(&self) -> PathBuf {
        self.cache.items().unwrap()[0].path.clone()
    }
}

/// Everything that a source answers about the sample.
fn answers(source: &DwarfSource) -> Vec<String> {
    let mut answers = Vec::new();
    for name in [
        "plain",
        "outer::inner",
        "inner",
        "int",
        "outer::inner::color",
    ] {
        for id in source.find_types(TypeKinds::all(), name, None).unwrap() {
            let description = source.describe(id).unwrap();
            answers.push(format!("{name} {id:?} {description:?}"));
        }
    }
    for name in [
        "object",
        "outer::first",
        "function",
        "main",
        "outer::inner::BLUE",
        "BLUE",
    ] {
        let found = source.find_objects(ObjectKinds::all(), name, None).unwrap();
        answers.push(format!("{name} {found:?}"));
    }
    answers.push(format!(
        "{:?}",
        source.type_names(TypeKinds::all()).unwrap()
    ));
    answers
}

#[test]
fn a_saved_index_answers_like_a_new_one() {
    let sample = Sample::new();
    for (name, options) in [
        ("a.cc", ["-gdwarf-5", "-O0"]),
        ("b.cc", ["-gdwarf-4", "-fdebug-types-section"]),
    ] {
        let program = sample.program(name, &options);
        let made = sample.open(&program);
        assert_eq!(made.cache_outcome(), CacheOutcome::Saved, "{name}");
        let found = sample.open(&program);
        assert_eq!(found.cache_outcome(), CacheOutcome::Found, "{name}");
        let expected = answers(&made);
        assert!(
            expected.len() > 10
                && expected
                    .iter()
                    .any(|answer| answer.contains("outer::inner"))
        );
        assert_eq!(answers(&found), expected, "{name}");
    }
    let elf = Arc::new(ElfFile::open(&sample.program("c.cc", &[])).unwrap());
    let without = DwarfSource::open(&elf, 0).unwrap().unwrap();
    assert_eq!(without.cache_outcome(), CacheOutcome::NotUsed);
    assert_eq!(sample.cache.items().unwrap().len(), 2);
}

#[test]
fn damaged_items_are_noticed_and_made_again() {
    let sample = Sample::new();
    let program = sample.program("damaged.cc", &[]);
    let expected = answers(&sample.open(&program));
    let good = fs::read(sample.item()).unwrap();
    let mut damaged: Vec<Vec<u8>> = Vec::new();
    for number in 0..200 {
        damaged.push(good[..good.len() * number / 200].to_vec());
        let mut copy = good.clone();
        copy[good.len() * number / 200] ^= 0x55;
        damaged.push(copy);
    }
    let mut longer = good.clone();
    longer.push(0);
    damaged.push(longer);
    for bytes in damaged {
        fs::remove_file(sample.item()).ok();
        fs::write(
            sample
                .cache
                .directory()
                .join(format!("{}.index", hex(&program))),
            &bytes,
        )
        .unwrap();
        let item = &sample.cache.items().unwrap()[0];
        let message = sample.cache.verify(item).unwrap_err().to_string();
        assert!(message.contains(item.path.to_str().unwrap()), "{message}");
        let source = sample.open(&program);
        assert!(matches!(source.cache_outcome(), CacheOutcome::Replaced(_)));
        assert_eq!(answers(&source), expected);
        assert_eq!(fs::read(sample.item()).unwrap(), good);
    }
    sample
        .cache
        .verify(&sample.cache.items().unwrap()[0])
        .unwrap();
}

fn hex(program: &Path) -> String {
    let elf = ElfFile::open(program).unwrap();
    let build_id = elf.build_id().unwrap().iter();
    build_id.fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}

/// A file with the build ID of another one, such as after `objcopy`, doesn't get its index.
#[test]
fn the_index_of_another_file_with_the_same_build_id_is_not_used() {
    let sample = Sample::new();
    let id = "-Wl,--build-id=0x1234567812345678";
    let first = sample.program("first.cc", &[id]);
    sample.open(&first);
    let other = "struct other { char only; } thing; int main() { return 0; }";
    let second = sample
        .compiler
        .compile("g++", other, "second.cc", &["-g", id]);
    let source = sample.open(&second);
    assert_eq!(
        source.cache_outcome(),
        CacheOutcome::Replaced("the file has changed".to_owned())
    );
    assert_eq!(
        source
            .find_types(TypeKinds::STRUCT, "other", None)
            .unwrap()
            .len(),
        1
    );
    assert!(
        source
            .find_types(TypeKinds::STRUCT, "plain", None)
            .unwrap()
            .is_empty()
    );
}

#[test]
fn items_used_longest_ago_are_removed_first() {
    let sample = Sample::new();
    let mut sizes = Vec::new();
    for (age, name) in [(3, "one.cc"), (1, "two.cc"), (2, "three.cc")] {
        let program = sample.program(name, &["-DNAME=1", &format!("-Wl,--build-id=0x{age:02x}")]);
        sample.open(&program);
        let path = sample.cache.directory().join(format!("{age:02x}.index"));
        let file = fs::File::options().append(true).open(path).unwrap();
        file.set_modified(SystemTime::now() - Duration::from_secs(age * 1_000_000))
            .unwrap();
        sizes.push(file.metadata().unwrap().len());
    }
    let ids = |cache: &IndexCache| -> Vec<u8> {
        cache
            .items()
            .unwrap()
            .iter()
            .map(|item| item.build_id[0])
            .collect()
    };
    assert_eq!(ids(&sample.cache), [3, 2, 1]);
    // One that is used again is not the oldest any more.
    sample.open(&sample.program("one.cc", &["-Wl,--build-id=0x03"]));
    assert_eq!(ids(&sample.cache), [2, 1, 3]);
    let removed = sample.cache.prune(sizes[0] * 2).unwrap();
    assert_eq!(removed.len(), 1);
    assert_eq!(ids(&sample.cache), [1, 3]);
    let small = sample.cache.clone().with_size_limit(1);
    let elf = Arc::new(ElfFile::open(&sample.program("two.cc", &["-Wl,--build-id=0x07"])).unwrap());
    DwarfSource::open_with_cache(&elf, 0, Some(&small)).unwrap();
    assert_eq!(ids(&sample.cache), [0u8; 0]);
}

/// Everything that a table answers about the sample, at another place than it was linked at.
fn symbol_answers(table: &SymbolTable) -> Vec<String> {
    let mut answers: Vec<String> = table.iter().map(|symbol| format!("{symbol:?}")).collect();
    for symbol in table.iter() {
        answers.push(format!("{:?}", table.by_name(&symbol.name)));
        answers.push(format!("{:?}", table.all_by_name(&symbol.name)));
        for address in [symbol.address, symbol.address.wrapping_add(symbol.size / 2)] {
            answers.push(format!("{:?}", table.by_address(address)));
            answers.push(format!("{:?}", table.all_by_address(address)));
        }
    }
    answers.push(format!("{:?}", table.by_name("missing")));
    answers.push(format!("{:?}", table.by_address(1)));
    answers
}

#[test]
fn saved_symbols_answer_like_new_ones() {
    let sample = Sample::new();
    let local = "static __thread int counter; __thread long other;
        int main() { return counter + (int)other; }";
    let options = ["-g", "-Wl,--build-id"];
    for program in [
        sample.program("symbols.cc", &[]),
        sample.compiler.compile("g++", local, "local.cc", &options),
    ] {
        let elf = Arc::new(ElfFile::open(&program).unwrap());
        let open = |cache| SymbolTable::from_elf_with_cache(&elf, 0x7000_0000, cache).unwrap();
        let expected = symbol_answers(&open(None));
        assert!(expected.len() > 20);
        let path = sample
            .cache
            .directory()
            .join(format!("{}.symbols", hex(&program)));
        assert!(!path.exists());
        assert_eq!(symbol_answers(&open(Some(&sample.cache))), expected);
        let good = fs::read(&path).unwrap();
        assert_eq!(symbol_answers(&open(Some(&sample.cache))), expected);
        assert_eq!(fs::read(&path).unwrap(), good);
        // What is damaged is made again, wherever the damage is.
        for number in 0..100 {
            let mut damaged = good.clone();
            damaged[good.len() * number / 100] ^= 0x55;
            fs::write(&path, &damaged).unwrap();
            assert_eq!(symbol_answers(&open(Some(&sample.cache))), expected);
            assert_eq!(fs::read(&path).unwrap(), good);
        }
        // Those of a file of the same build ID that was stripped in another way are others.
        let stripped = sample.compiler.path("stripped");
        let mut strip = std::process::Command::new("strip");
        common::run(
            strip
                .args(["--strip-unneeded", "-o"])
                .args([&stripped, &program]),
        );
        let elf = Arc::new(ElfFile::open(&stripped).unwrap());
        let without = SymbolTable::from_elf(&elf, 0).unwrap();
        let with = SymbolTable::from_elf_with_cache(&elf, 0, Some(&sample.cache)).unwrap();
        assert_eq!(symbol_answers(&with), symbol_answers(&without));
    }
}

#[test]
fn what_processes_left_that_died_long_ago_is_removed() {
    let sample = Sample::new();
    sample.open(&sample.program("left.cc", &[]));
    let (old, new) = (".1-0.new", ".2-0.new");
    for (name, age) in [(old, 7200), (new, 10)] {
        let path = sample.cache.directory().join(name);
        fs::write(&path, "part").unwrap();
        let file = fs::File::options().append(true).open(path).unwrap();
        file.set_modified(SystemTime::now() - Duration::from_secs(age))
            .unwrap();
    }
    sample.open(&sample.program("more.cc", &["-DNAME=2"]));
    assert!(!sample.cache.directory().join(old).exists());
    assert!(sample.cache.directory().join(new).exists());
}

#[test]
fn a_place_that_can_not_be_written_to_does_no_harm() {
    let sample = Sample::new();
    let program = sample.program("readonly.cc", &[]);
    // Even root can't make a directory in a file.
    fs::write(sample.compiler.path("file"), "").unwrap();
    let cache = IndexCache::new(sample.compiler.path("file/kdive"));
    let elf = Arc::new(ElfFile::open(&program).unwrap());
    let source = DwarfSource::open_with_cache(&elf, 0, Some(&cache))
        .unwrap()
        .unwrap();
    assert!(matches!(source.cache_outcome(), CacheOutcome::NotSaved(_)));
    assert_eq!(
        source
            .find_types(TypeKinds::STRUCT, "plain", None)
            .unwrap()
            .len(),
        1
    );

    sample.open(&program);
    let directory = sample.cache.directory();
    fs::set_permissions(directory, fs::Permissions::from_mode(0o555)).unwrap();
    assert_eq!(sample.open(&program).cache_outcome(), CacheOutcome::Found);
    fs::set_permissions(directory, fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn processes_that_start_at_the_same_time_do_not_disturb_each_other() {
    let sample = Sample::new();
    let program = sample.program("parallel.cc", &[]);
    let expected = answers(
        &DwarfSource::open(&Arc::new(ElfFile::open(&program).unwrap()), 0)
            .unwrap()
            .unwrap(),
    );
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..10 {
                    assert_eq!(answers(&sample.open(&program)), expected);
                }
            });
        }
    });
    let names: Vec<_> = fs::read_dir(sample.cache.directory()).unwrap().collect();
    assert_eq!(names.len(), 1, "{names:?}");
}
