//! Times reading a dump, and beside it the codec by itself on the same pages.
//!
//!     cargo bench -p kdive-target --bench dumps -- DUMP...
//!
//! A dump may be of any format; a codec has something to be compared with in kdump-compressed
//! files that are not flattened. Figures are the least and the median of some rounds. Those of one
//! thread are of processor time, so that what else the machine does matters little; those of
//! several threads are of the wall clock. `RAYON_NUM_THREADS` limits the threads.

#[path = "../src/kdump/codec.rs"]
#[allow(
    dead_code,
    reason = "pages are decoded as the crate does it, by no other way"
)]
mod codec;
#[path = "../src/kdump/lzo.rs"]
#[allow(dead_code, reason = "see above")]
mod lzo;

use std::hint::black_box;
use std::ops::{ControlFlow, Range};
use std::path::Path;
use std::time::{Duration, Instant};

use codec::Codec;
use kdive_target::search::{Pattern, Search};
use kdive_target::verify::verify;
use kdive_target::{AddressSpace, ExcludedPages, OpenOptions, Target, open};
use rayon::iter::ParallelIterator;
use rayon::slice::ParallelSlice;

const PAGE: usize = 4096;
const ROUNDS: usize = 7;
const BULK: u64 = 256 << 20;
const CALLS: u32 = 100_000;
/// How many pages a thread takes at a time.
const CHUNK: usize = 256;

fn main() {
    let dumps = std::env::args().skip(1).filter(|it| !it.starts_with("--"));
    let threads = rayon::current_num_threads();
    for dump in dumps {
        println!("{dump}, {threads} threads");
        measure(Path::new(&dump), threads);
    }
}

fn open_with(path: &Path, excluded_pages: ExcludedPages) -> Target {
    let options = OpenOptions {
        excluded_pages,
        ..OpenOptions::default()
    };
    open(path, &options).expect("a dump")
}

fn measure(path: &Path, threads: usize) {
    row("open", None, || {
        let start = Instant::now();
        let target = open_with(path, ExcludedPages::Fault);
        let took = start.elapsed();
        drop(target);
        took
    });
    let target = open_with(path, ExcludedPages::Zero);
    small_reads(&target);
    page_by_page(path, threads);
    let start = bulk_range(&target);
    // Of memory most of which was excluded, the time is that of writing zeros.
    let own_time_of_bulk = (saved_bytes(path, start) > BULK / 2)
        .then(|| codec_alone(path, start..start + BULK, "256 MiB", threads))
        .flatten();
    let mut room = vec![0; BULK as usize];
    row("256 MiB", Some((BULK, own_time_of_bulk)), || {
        clocked(threads, || {
            let read = target.memory.read(AddressSpace::Physical, start, &mut room);
            read.expect("memory");
        })
    });
    row("search of 256 MiB", Some((BULK, own_time_of_bulk)), || {
        clocked(threads, || {
            let pattern = Pattern::Bytes {
                bytes: (200..232).collect(),
                alignment: 1,
            };
            let search = Search::new(target.memory.clone(), AddressSpace::Physical, pattern);
            let found = search.within(start, start + BULK - 1).count();
            black_box(found);
        })
    });
    let whole = open_with(path, ExcludedPages::Fault);
    let size = verify(&whole, |_, _| ControlFlow::Continue(())).readable_bytes;
    let own_time = codec_alone(path, 0..u64::MAX, "all pages", threads);
    row("verify", Some((size, own_time)), || {
        clocked(threads, || {
            black_box(verify(&whole, |_, _| ControlFlow::Continue(())));
        })
    });
}

/// Reads of what is at hand.
fn small_reads(target: &Target) {
    let info = target.vmcoreinfo.as_ref().expect("VMCOREINFO");
    let names = info.symbol("init_uts_ns").expect("init_uts_ns");
    let order = target.platform.byte_order;
    let release = info.os_release().expect("OSRELEASE").as_bytes();
    let near = target
        .memory
        .read_bytes(AddressSpace::Virtual, names, 400)
        .expect("names");
    let at = near.windows(release.len()).position(|it| it == release);
    let string = names + at.expect("the release") as u64;
    let each = |what: &str, call: &dyn Fn()| {
        row(what, None, || {
            processor_time(|| (0..CALLS).for_each(|_| call())) / CALLS
        });
    };
    each("8 bytes", &|| {
        let number = target.memory.read_u64(AddressSpace::Virtual, names, order);
        black_box(number.expect("memory"));
    });
    each("C string", &|| {
        let read = target
            .memory
            .read_c_string(AddressSpace::Virtual, string, 64);
        assert_eq!(read.expect("memory").len(), release.len());
    });
}

/// Whole pages, each read once: at random places and in their order.
fn page_by_page(path: &Path, threads: usize) {
    const PAGES: u64 = 4096;
    let first = (64 << 20) / PAGE as u64;
    // Odd steps of a power of two visit each page once.
    for (what, step) in [("page, random", 1237), ("page, sequential", 1)] {
        row(what, None, || {
            let target = open_with(path, ExcludedPages::Zero);
            let mut page = [0; PAGE];
            let read_all = || {
                for index in 0..PAGES {
                    let number = first + index * step % PAGES;
                    let at = number * PAGE as u64;
                    let _ = target.memory.read(AddressSpace::Physical, at, &mut page);
                }
            };
            clocked(threads, read_all) / PAGES as u32
        });
    }
}

/// The first 256 MiB that are all memory.
fn bulk_range(target: &Target) -> u64 {
    let step = 16 << 20;
    let mut byte = [0];
    (0..256)
        .map(|index| index * step)
        .find(|start| {
            (0..BULK / step).all(|part| {
                let at = start + part * step;
                [at, at + step - 1].iter().all(|&at| {
                    let read = target.memory.read(AddressSpace::Physical, at, &mut byte);
                    read.is_ok()
                })
            })
        })
        .expect("256 MiB of memory")
}

/// How much of the 256 MiB is in the dump.
fn saved_bytes(path: &Path, start: u64) -> u64 {
    let target = open_with(path, ExcludedPages::Fault);
    let mut saved = 0;
    let mut next = start;
    while let Some((first, last)) = target.memory.next_readable(AddressSpace::Physical, next)
        && first < start + BULK
    {
        let last = last.min(start + BULK - 1);
        saved += last - first + 1;
        next = last + 1;
    }
    saved
}

/// How a page is stored: its codec, and its bytes.
type Stored = (Codec, Vec<u8>);

/// The seconds that the codecs take on some threads for the pages in a range of physical memory, of
/// a kdump-compressed file of a 64-bit little-endian machine.
fn codec_alone(path: &Path, range: Range<u64>, what: &str, threads: usize) -> Option<f64> {
    let file = std::fs::read(path).ok()?;
    let number = |at: usize| Some(u32::from_le_bytes(*file.get(at..)?.first_chunk()?) as usize);
    if !file.starts_with(b"KDUMP   ") {
        return None;
    }
    let [block_size, sub_header, bitmap] = [number(428)?, number(432)?, number(436)?];
    let bitmaps = (1 + sub_header) * block_size;
    let descriptors = bitmaps + bitmap * block_size;
    let saved = file.get(bitmaps + bitmap * block_size / 2..descriptors)?;
    let is_saved = |frame: &usize| saved[frame / 8] >> (frame % 8) & 1 != 0;
    let frames = (0..saved.len() * 8).filter(is_saved);
    let stored = |(index, frame): (usize, usize)| {
        if !range.contains(&((frame * PAGE) as u64)) {
            return None;
        }
        let at = descriptors + index * 24;
        let [offset, size, flags] = [number(at)?, number(at + 8)?, number(at + 12)?];
        let codec = Codec::of_flags(flags as u32)?;
        Some((codec, file.get(offset..offset + size)?.to_vec()))
    };
    let pages: Vec<Stored> = frames.enumerate().filter_map(stored).collect();
    let decode = |pages: &[Stored]| {
        let mut page = [0; PAGE];
        for (codec, stored) in pages {
            codec.decode(stored, &mut page).expect("a page");
            black_box(&page);
        }
    };
    let times = (0..ROUNDS).map(|_| clocked(threads, || pages.par_chunks(CHUNK).for_each(decode)));
    let least = times.min()?.as_secs_f64();
    let rate = (pages.len() * PAGE) as f64 / least / 1e6;
    println!("  the codec alone, {what}: {rate:.0} MB/s");
    Some(least)
}

/// Prints the least and the median time of some rounds, how fast that is, and how it compares with
/// the time that the codec takes by itself.
fn row(what: &str, size: Option<(u64, Option<f64>)>, mut round: impl FnMut() -> Duration) {
    let mut times: Vec<Duration> = (0..ROUNDS).map(|_| round()).collect();
    times.sort_unstable();
    let [least, median] = [times[0], times[ROUNDS / 2]].map(|time| time.as_secs_f64());
    print!("  {what:20}");
    match size {
        None => print!("{:10.3} µs, median {:.3}", least * 1e6, median * 1e6),
        Some((size, own_time)) => {
            let rate = |time: f64| size as f64 / time / 1e6;
            print!("{:7.0} MB/s, median {:.0}", rate(least), rate(median));
            if let Some(own_time) = own_time {
                print!("; {:.2} times the codec's own time", least / own_time);
            }
        }
    }
    println!();
}

/// The time of some work, by the clock that tells most about this many threads.
fn clocked(threads: usize, work: impl FnOnce()) -> Duration {
    if threads == 1 {
        return processor_time(work);
    }
    let start = Instant::now();
    work();
    start.elapsed()
}

/// The time that the process's threads spend on some work.
fn processor_time(work: impl FnOnce()) -> Duration {
    let now = || {
        let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
        Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
    };
    let start = now();
    work();
    now().saturating_sub(start)
}
