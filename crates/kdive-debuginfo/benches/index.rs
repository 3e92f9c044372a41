//! Times the indexing of a file's debug information: `cargo bench -p kdive-debuginfo --bench index
//! -- FILE [RUNS]`. Prints milliseconds (median, least, greatest) for one thread and for all
//! processors, and the greatest memory of the process in MB.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use kdive_debuginfo::dwarf::DwarfFile;
use kdive_debuginfo::elf::ElfFile;

fn main() {
    let mut arguments = std::env::args()
        .skip(1)
        .filter(|argument| argument != "--bench");
    let path = arguments.next().expect("usage: index FILE [RUNS]");
    let runs = arguments
        .next()
        .map_or(5, |runs| runs.parse().expect("RUNS is a number"));
    let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    for threads in [1, processors] {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .expect("threads");
        let mut times: Vec<f64> = (0..runs).map(|_| pool.install(|| index(&path))).collect();
        times.sort_by(f64::total_cmp);
        println!(
            "{threads} threads: median {:.1} ms, {:.1} to {:.1}; {:.0} MB",
            times[runs / 2],
            times[0],
            times[runs - 1],
            peak_memory(),
        );
    }
}

fn index(path: &str) -> f64 {
    let start = Instant::now();
    let elf = Arc::new(ElfFile::open(Path::new(path)).expect("an ELF file"));
    let file = DwarfFile::open(&elf)
        .expect("debug information")
        .expect("some debug information");
    let elapsed = start.elapsed();
    println!("  {} entries", file.entry_count());
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
