//! A guest behind QMP: here a thread that talks like QEMU and has the guest's memory.

mod machine;

use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::Arc;

use kdive_target::{AddressSpace, Architecture, OpenOptions, Target, TargetKind, open_qemu};
use machine::{KERNEL, PAGE, PAGES};

/// Answers one connection like QEMU; `host_addresses` decides whether it tells where memory is.
fn answer(stream: UnixStream, memory: &[u8], host_addresses: bool) {
    let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
    let mut stream = stream;
    let mut say = |text: String| writeln!(stream, "{text}");
    say("{\"QMP\": {\"version\": {}, \"capabilities\": []}}".to_owned()).unwrap();
    while let Some(Ok(line)) = lines.next() {
        let request: serde_json::Value = serde_json::from_str(&line).unwrap();
        let command = request["arguments"]["command-line"]
            .as_str()
            .unwrap_or_default();
        let result = match (request["execute"].as_str().unwrap(), command) {
            ("qmp_capabilities", _) => serde_json::json!({}),
            ("query-target", _) => serde_json::json!({"arch": "x86_64"}),
            (_, "info mtree -f") => format!(
                "FlatView #0\r\n AS \"memory\", root: system\r\n  {:016x}-{:016x} (prio 0, ram): pc.ram\r\n",
                0,
                memory.len() - 1
            )
            .into(),
            (_, command) if command.starts_with("gpa2hva 0x") => {
                let address = usize::from_str_radix(&command[10..], 16).unwrap();
                let host = memory[address..].as_ptr().addr();
                if host_addresses {
                    format!("Host virtual address for {address:#x} (pc.ram) is {host:#x}\r\n").into()
                } else {
                    "No memory is mapped\r\n".into()
                }
            }
            (_, command) => {
                let (size, address) = command["xp /".len()..].split_once("xb 0x").unwrap();
                let address = usize::from_str_radix(address, 16).unwrap();
                let bytes = &memory[address..][..size.parse().unwrap()];
                let mut text = String::new();
                for line in bytes.chunks(8) {
                    write!(text, "{address:016x}:").unwrap();
                    for byte in line {
                        write!(text, " {byte:#04x}").unwrap();
                    }
                    text.push_str("\r\n");
                }
                text.into()
            }
        };
        say("{\"event\": \"RTC_CHANGE\", \"data\": {}}".to_owned()).unwrap();
        if say(serde_json::json!({"return": result}).to_string()).is_err() {
            return;
        }
    }
}

/// The target, and the guest's memory: it lives as long as the test holds it, as QEMU's does,
/// also after the connection is closed.
fn guest(host_addresses: bool, options: &OpenOptions) -> (Target, Arc<Vec<u8>>) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("qmp");
    let listener = UnixListener::bind(&path).unwrap();
    let memory = Arc::new(machine::memory());
    let shared = Arc::clone(&memory);
    std::thread::spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        answer(stream, &shared, host_addresses);
    });
    let target = open_qemu(path.to_str().unwrap(), options).unwrap();
    (target, memory)
}

fn check(target: &Target) {
    assert_eq!(target.kind, TargetKind::RemoteKernel);
    assert_eq!(target.platform.architecture, Architecture::X86_64);
    let info = target.vmcoreinfo.as_ref().unwrap();
    assert_eq!(info.os_release(), Some("6.1.0-test"));
    let memory = machine::memory();
    for page in [0, 7, 33] {
        let at = page * PAGE + 5;
        let read = |space, base: u64| target.memory.read_bytes(space, base + at as u64, 5000);
        assert_eq!(
            read(AddressSpace::Virtual, KERNEL).unwrap(),
            memory[at..at + 5000]
        );
        assert_eq!(
            read(AddressSpace::Physical, 0).unwrap(),
            memory[at..at + 5000]
        );
    }
    let beyond = (PAGES * PAGE) as u64;
    target
        .memory
        .read_u8(AddressSpace::Physical, beyond)
        .unwrap_err();
}

#[test]
fn memory_of_the_qemu_process() {
    let (target, _memory) = guest(true, &OpenOptions::default());
    check(&target);
    assert!(
        target.notices[0].contains("found in memory"),
        "{:?}",
        target.notices
    );
}

#[test]
fn memory_that_qemu_is_asked_for() {
    let options = OpenOptions {
        vmcoreinfo: Some(machine::VMCOREINFO.into()),
        ..OpenOptions::default()
    };
    let (target, _memory) = guest(false, &options);
    check(&target);
    assert!(
        target.remarks[0].contains("asks QEMU"),
        "{:?}",
        target.remarks
    );
}

#[test]
fn snapshots_of_a_guest_read_the_same() {
    for host_addresses in [true, false] {
        let options = OpenOptions {
            snapshot: true,
            vmcoreinfo: Some(machine::VMCOREINFO.into()),
            ..OpenOptions::default()
        };
        let (target, _memory) = guest(host_addresses, &options);
        check(&target);
    }
}

#[test]
fn what_is_no_qemu_is_refused() {
    let missing = open_qemu("/nonexistent/socket", &OpenOptions::default())
        .err()
        .unwrap();
    assert!(
        missing.to_string().contains("/nonexistent/socket"),
        "{missing}"
    );
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("other");
    let listener = UnixListener::bind(&path).unwrap();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.write_all(b"{\"hello\": 1}\n").unwrap();
    });
    let error = open_qemu(path.to_str().unwrap(), &OpenOptions::default())
        .err()
        .unwrap();
    assert!(
        error.to_string().contains("does not greet like QEMU"),
        "{error}"
    );
}
