//! Times the indexing of a file's debug information: `cargo bench -p kdive-debuginfo --bench index
//! -- FILE [RUNS]`. Prints milliseconds (median, least, greatest) for one thread, for all
//! processors, and from the cache with a first lookup; and the greatest memory of the process in
//! MB so far. Then the same for the symbols, and the microseconds that each takes to be found by name
//! and by address.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use kdive_debuginfo::TypeSource;
use kdive_debuginfo::cache::IndexCache;
use kdive_debuginfo::description::TypeKinds;
use kdive_debuginfo::dwarf::DwarfSource;
use kdive_debuginfo::elf::ElfFile;
use kdive_debuginfo::symbols::SymbolTable;

fn main() {
    let mut arguments = std::env::args()
        .skip(1)
        .filter(|argument| argument != "--bench");
    let path = arguments.next().expect("usage: index FILE [RUNS]");
    let runs = arguments
        .next()
        .map_or(5, |runs| runs.parse().expect("RUNS is a number"));
    let directory = tempfile::tempdir().expect("a directory");
    let cache = IndexCache::new(directory.path().to_owned());
    open(&path, Some(&cache));
    measure("from the cache", runs, || open(&path, Some(&cache)));
    let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    for threads in [1, processors] {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .expect("threads");
        let open = || pool.install(|| open(&path, None));
        measure(&format!("{threads} threads"), runs, open);
    }
    measure_symbols(&path, runs, &cache);
}

/// Looks up every symbol of a file, in an order that is not that of the table.
fn measure_symbols(path: &str, runs: usize, cache: &IndexCache) {
    const STEP: usize = 7919;
    let elf = Arc::new(ElfFile::open(Path::new(path)).expect("an ELF file"));
    let first = |what: &str| {
        let start = Instant::now();
        let symbols = SymbolTable::from_elf_with_cache(&elf, 0, Some(cache)).expect("symbols");
        symbols.by_name("main");
        let elapsed = start.elapsed().as_secs_f64() * 1e3;
        println!("symbols {what}, the first one looked up: {elapsed:.2} ms");
        symbols
    };
    first("read and sorted");
    let symbols = first("from the cache");
    let all: Vec<_> = symbols.iter().collect();
    for by_name in [true, false] {
        let mut times: Vec<f64> = (0..runs)
            .map(|_| {
                let start = Instant::now();
                for number in 0..all.len() {
                    let symbol = &all[number * STEP % all.len()];
                    std::hint::black_box(if by_name {
                        symbols.by_name(&symbol.name)
                    } else {
                        symbols.by_address(symbol.address)
                    });
                }
                start.elapsed().as_secs_f64() * 1e6 / all.len() as f64
            })
            .collect();
        times.sort_by(f64::total_cmp);
        println!(
            "each of {} symbols by {}: median {:.2} us, {:.2} to {:.2}",
            all.len(),
            if by_name { "name" } else { "address" },
            times[runs / 2],
            times[0],
            times[runs - 1],
        );
    }
}

fn measure(what: &str, runs: usize, run: impl Fn() -> f64) {
    let mut times: Vec<f64> = (0..runs).map(|_| run()).collect();
    times.sort_by(f64::total_cmp);
    println!(
        "{what}: median {:.2} ms, {:.2} to {:.2}; {:.0} MB",
        times[runs / 2],
        times[0],
        times[runs - 1],
        peak_memory(),
    );
}

/// Indexes a file or takes its index from the cache, and looks one name up: milliseconds.
fn open(path: &str, cache: Option<&IndexCache>) -> f64 {
    let start = Instant::now();
    let elf = Arc::new(ElfFile::open(Path::new(path)).expect("an ELF file"));
    let source = DwarfSource::open_with_cache(&elf, 0, cache)
        .expect("debug information")
        .expect("some debug information");
    let found = source
        .find_types(TypeKinds::STRUCT, "list_head", None)
        .expect("an answer");
    let elapsed = start.elapsed();
    std::hint::black_box(found);
    elapsed.as_secs_f64() * 1e3
}

fn peak_memory() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status
        .lines()
        .find(|line| line.starts_with("VmHWM"))
        .unwrap_or_default();
    line.split_whitespace()
        .nth(1)
        .and_then(|kib| kib.parse::<f64>().ok())
        .unwrap_or(0.0)
        / 1e3
}
