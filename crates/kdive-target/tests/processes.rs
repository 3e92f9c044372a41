//! Running processes and their core dumps.

mod machine;

use std::sync::atomic::{AtomicU64, Ordering};

use kdive_target::search::{Pattern, Search};
use kdive_target::{
    AddressSpace, ByteOrder, Error, OpenOptions, Target, TargetKind, open, open_process, process,
};
use machine::Load;

static COUNTER: AtomicU64 = AtomicU64::new(0x1122_3344_5566_7788);
static GREETING: &[u8; 18] = b"hello from myself\0";

const AT_PAGESZ: u64 = 6;

fn myself(snapshot: bool) -> Target {
    let options = OpenOptions {
        snapshot,
        ..OpenOptions::default()
    };
    open_process(std::process::id(), &options).unwrap()
}

fn counter(target: &Target) -> u64 {
    let address = std::ptr::from_ref(&COUNTER).addr() as u64;
    let memory = &target.memory;
    memory
        .read_u64(AddressSpace::Virtual, address, ByteOrder::HOST)
        .unwrap()
}

fn fault_address<T: std::fmt::Debug>(result: Result<T, Error>) -> u64 {
    match result {
        Err(Error::Fault { address, .. }) => address,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_running_process() {
    let target = myself(false);
    assert_eq!(target.kind, TargetKind::Process);
    assert_eq!(target.platform, kdive_target::Platform::HOST);
    let address = GREETING.as_ptr().addr() as u64;
    let string = target
        .memory
        .read_c_string(AddressSpace::Virtual, address, 100);
    assert_eq!(string.unwrap(), b"hello from myself");
    assert_eq!(
        fault_address(target.memory.read_u8(AddressSpace::Virtual, 0x10)),
        0x10
    );
    let described = target.process.unwrap();
    let executable = std::env::current_exe().unwrap();
    let path = executable.as_os_str().as_encoded_bytes();
    assert!(
        described
            .files
            .iter()
            .any(|file| { file.path == path && (file.start..file.end).contains(&address) })
    );
    assert!(described.auxiliary_vector.contains(&(AT_PAGESZ, 4096)));
    let own_thread = std::fs::read_link("/proc/thread-self").unwrap();
    let own_thread: u32 = own_thread
        .file_name()
        .unwrap()
        .to_str()
        .unwrap()
        .parse()
        .unwrap();
    assert!(
        process::thread_ids(std::process::id())
            .unwrap()
            .contains(&own_thread)
    );
}

#[test]
fn a_running_process_is_searched_where_it_has_memory() {
    let needle: [u8; 16] = std::array::from_fn(|index| (index * 37 + 11) as u8);
    let copy = Box::new(needle);
    let target = myself(false);
    let pattern = Pattern::Bytes {
        bytes: needle.to_vec(),
        alignment: 1,
    };
    let found: Vec<u64> = Search::new(target.memory.clone(), AddressSpace::Virtual, pattern)
        .map(|it| it.address)
        .collect();
    assert!(found.contains(&(copy.as_ptr().addr() as u64)));
}

#[test]
fn a_snapshot_of_a_running_process_stands_still() {
    let (live, snapshot) = (myself(false), myself(true));
    let before = COUNTER.load(Ordering::SeqCst);
    assert_eq!((counter(&live), counter(&snapshot)), (before, before));
    COUNTER.store(before + 1, Ordering::SeqCst);
    assert_eq!((counter(&live), counter(&snapshot)), (before + 1, before));
}

#[test]
fn a_process_that_is_not_there() {
    let error = open_process(u32::MAX, &OpenOptions::default())
        .err()
        .unwrap();
    assert_eq!(
        error.to_string(),
        "/proc/4294967295/mem: No such process (os error 3)"
    );
}

#[test]
fn a_core_dump() {
    let code = [0x90; 0x1000];
    let loads = [
        Load {
            virtual_address: 0x40_0000,
            physical_address: 0,
            memory_size: 0x3000,
            bytes: &code,
        },
        Load {
            virtual_address: 0x7fff_0000_0000,
            physical_address: 0,
            memory_size: 0x1000,
            bytes: &[b'x'; 0x1000],
        },
    ];
    let notes = [machine::status(100, 7), machine::status(101, 8)].concat();
    let bytes = machine::elf(&notes, &loads, false);
    let target = open(machine::file(&bytes).path(), &OpenOptions::default()).unwrap();
    assert_eq!(target.kind, TargetKind::ProcessDump);
    let threads: Vec<u32> = target.threads.iter().map(|thread| thread.tid).collect();
    assert_eq!(threads, [100, 101]);
    assert_eq!(target.threads[1].registers, 8_u64.to_le_bytes().repeat(27));
    assert_eq!(target.unsaved, [(0x40_1000, 0x2000)]);
    let read = |address, size| {
        target
            .memory
            .read_bytes(AddressSpace::Virtual, address, size)
    };
    assert_eq!(read(0x40_0ff8, 8).unwrap(), [0x90; 8]);
    assert_eq!(fault_address(read(0x40_0ff8, 9)), 0x40_1000);
    assert_eq!(read(0x7fff_0000_0ff0, 16).unwrap(), [b'x'; 16]);
    assert_eq!(fault_address(read(0x7fff_0000_0ff0, 17)), 0x7fff_0000_1000);

    let truncated = &bytes[..bytes.len() - 0x800];
    let target = open(machine::file(truncated).path(), &OpenOptions::default()).unwrap();
    assert!(
        target.remarks[0].contains(&format!(
            "is truncated: only {} of {} bytes are there",
            truncated.len(),
            bytes.len()
        )),
        "{:?}",
        target.remarks
    );
    let read = |address, size| {
        target
            .memory
            .read_bytes(AddressSpace::Virtual, address, size)
    };
    assert_eq!(read(0x7fff_0000_0000, 0x800).unwrap(), [b'x'; 0x800]);
    assert_eq!(fault_address(read(0x7fff_0000_07f8, 16)), 0x7fff_0000_0800);
}
