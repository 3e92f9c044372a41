//! Running guests of QEMU.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::json;

use super::file_segment::{FileSegment, Lost, Unsaved};
use super::kernel::KernelParts;
use super::{OpenOptions, Target, TargetKind, live};
use crate::memory::Segment;
use crate::notes::Notes;
use crate::qmp::Qmp;
use crate::source::{Access, FileSource, Source};
use crate::{AddressSpace, Architecture, ByteOrder, Error, Memory, Platform, Result};

/// Opens the kernel of a running guest through QEMU's QMP socket: the path of a Unix socket, or
/// `HOST:PORT`.
///
/// The guest's memory is read from the memory of the QEMU process where that is permitted, else
/// by asking QEMU for it, which is slow. VMCOREINFO is searched for in memory in the first case
/// and has to be given in the second.
pub fn open_qemu(address: &str, options: &OpenOptions) -> Result<Target> {
    open(Qmp::connect(address)?, options)
}

/// The same as [`open_qemu`] with a socket that is connected already.
pub fn open_qemu_socket(socket: OwnedFd, options: &OpenOptions) -> Result<Target> {
    let name = PathBuf::from(format!("/proc/self/fd/{}", socket.as_raw_fd()));
    open(Qmp::new(socket, name)?, options)
}

fn open(qmp: Qmp, options: &OpenOptions) -> Result<Target> {
    let named = qmp.execute("query-target", &json!({}))?;
    let architecture = match named["arch"].as_str() {
        Some("x86_64") => Architecture::X86_64,
        Some("aarch64") => Architecture::Aarch64,
        Some("riscv64") => Architecture::Riscv64,
        Some("s390x") => Architecture::S390x,
        Some("ppc64") => Architecture::Ppc64,
        _ => Architecture::Unknown,
    };
    let platform = Platform {
        architecture: options.architecture.unwrap_or(architecture),
        is_64_bit: true,
        byte_order: match architecture {
            Architecture::S390x => ByteOrder::Big,
            _ => ByteOrder::Little,
        },
    };
    let ranges = memory_ranges(&qmp.monitor("info mtree -f")?);
    if ranges.is_empty() {
        return Err(qmp.refused("QEMU does not tell where the guest's memory is (info mtree -f)"));
    }
    let qmp = Arc::new(qmp);
    let mut remarks = Vec::new();
    let process = process_of(&qmp, &ranges);
    let has_process = process.is_some();
    let source = process.unwrap_or_else(|| Arc::new(Monitor(qmp.clone())));
    let source = live::changing(source, options);
    let memory = Memory::new();
    let segments: Result<Vec<Segment>> = ranges
        .iter()
        .map(|range| {
            let reader = FileSegment {
                source: source.clone(),
                offset: if has_process {
                    host_address(&qmp, range.start)?
                } else {
                    range.start
                },
                saved: range.size,
                unsaved: Unsaved::Zero,
                lost: Lost::Refused("QEMU does not give this memory of the guest"),
            };
            Ok(Segment {
                address: range.start,
                size: range.size,
                reader: Arc::new(reader),
            })
        })
        .collect();
    memory.add_segments(AddressSpace::Physical, &segments?);
    if !has_process {
        remarks.push(
            "the memory of the QEMU process may not be read, so each read asks QEMU, which is slow"
                .to_owned(),
        );
    }
    Ok(KernelParts {
        kind: TargetKind::RemoteKernel,
        platform,
        memory: Arc::new(memory),
        notes: Notes::default(),
        vmcoreinfo: None,
        path: None,
        truncation: None,
        remarks,
        is_searchable: has_process,
    }
    .into_target(options))
}

/// Physical memory of the guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Range {
    start: u64,
    size: u64,
}

/// RAM and ROM in what `info mtree -f` prints of the address space `memory`, in lines like
/// `  0000000000100000-000000000fffffff (prio 0, ram): pc.ram @0000000000100000`.
fn memory_ranges(text: &str) -> Vec<Range> {
    text.split("FlatView")
        .find(|view| view.contains("AS \"memory\""))
        .into_iter()
        .flat_map(str::lines)
        .filter_map(|line| {
            let (range, rest) = line.trim().split_once(" (prio ")?;
            let kind = rest.split_once(", ")?.1;
            if !kind.starts_with("ram)") && !kind.starts_with("rom)") {
                return None;
            }
            let (start, last) = range.split_once('-')?;
            let hex = |text| u64::from_str_radix(text, 16).ok();
            let start = hex(start)?;
            Some(Range {
                start,
                size: hex(last)?.checked_sub(start)?.checked_add(1)?,
            })
        })
        .collect()
}

/// Where QEMU has the guest's memory, out of
/// `Host virtual address for 0x100000 (pc.ram) is 0x7f04a7f00000`.
fn host_address(qmp: &Qmp, guest_address: u64) -> Result<u64> {
    let text = qmp.monitor(&format!("gpa2hva {guest_address:#x}"))?;
    text.trim()
        .rsplit_once("is 0x")
        .and_then(|(_, digits)| u64::from_str_radix(digits, 16).ok())
        .ok_or_else(|| {
            qmp.refused(format!(
                "QEMU does not tell where {guest_address:#x} is: {text}"
            ))
        })
}

/// The memory of the QEMU process, if it may be read.
///
/// The peer of a socket is whoever began to listen, which may have been a parent, so other
/// processes of QEMU come into question. That where the guest's memory is the same as QEMU says
/// is taken.
fn process_of(qmp: &Qmp, ranges: &[Range]) -> Option<Arc<dyn Source>> {
    let is_qemu = |pid: &u32| {
        std::fs::read_to_string(format!("/proc/{pid}/comm"))
            .is_ok_and(|name| name.starts_with("qemu"))
    };
    let processes = std::fs::read_dir("/proc").ok()?;
    let others = processes
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter(is_qemu);
    let (place, expected) = distinct_bytes(qmp, ranges)?;
    let at = host_address(qmp, place).ok()?;
    qmp.peer().into_iter().chain(others).find_map(|pid| {
        let path = PathBuf::from(format!("/proc/{pid}/mem"));
        let source: Arc<dyn Source> =
            Arc::new(FileSource::open(Path::new(&path), Access::Pread).ok()?);
        let mut bytes = vec![0; expected.len()];
        let count = source.read_at(at, &mut bytes).ok()?;
        (count == bytes.len() && bytes == expected).then_some(source)
    })
}

/// Some bytes of the guest that are not the same everywhere, and where they are.
fn distinct_bytes(qmp: &Qmp, ranges: &[Range]) -> Option<(u64, Vec<u8>)> {
    const SIZE: usize = 64;
    const PLACES: u64 = 64;
    ranges.iter().rev().find_map(|range| {
        let step = (range.size / PLACES).max(SIZE as u64);
        (0..PLACES)
            .map(|index| range.start.saturating_add(index * step))
            .take_while(|place| place - range.start + SIZE as u64 <= range.size)
            .find_map(|place| {
                let bytes = ask(qmp, place, SIZE).ok()?;
                let distinct = bytes
                    .iter()
                    .filter(|&&byte| byte != 0 && byte != 0xff)
                    .count();
                (distinct >= SIZE / 4).then_some((place, bytes))
            })
    })
}

/// Asks QEMU for physical memory; it prints lines like
/// `0000000000100000: 0xfc 0xfa 0x8d 0xa6 0xe8 0x01 0x00 0x00`.
fn ask(qmp: &Qmp, address: u64, size: usize) -> Result<Vec<u8>> {
    let text = qmp.monitor(&format!("xp /{size}xb {address:#x}"))?;
    let bytes: Vec<u8> = text
        .lines()
        .filter_map(|line| line.split_once(": "))
        .flat_map(|(_, numbers)| numbers.split_ascii_whitespace())
        .map_while(|number| u8::from_str_radix(number.strip_prefix("0x")?, 16).ok())
        .collect();
    if bytes.len() == size {
        Ok(bytes)
    } else {
        Err(Error::Fault {
            address: address.saturating_add(bytes.len() as u64),
            reason: "QEMU does not give this memory of the guest".to_owned(),
        })
    }
}

/// Physical memory that QEMU is asked for; offsets are addresses.
struct Monitor(Arc<Qmp>);

impl Source for Monitor {
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        const MOST: usize = 4096;
        let mut done = 0;
        for piece in buffer.chunks_mut(MOST) {
            match ask(&self.0, offset.saturating_add(done as u64), piece.len()) {
                Ok(bytes) => piece.copy_from_slice(&bytes),
                Err(Error::Io { source, .. }) if done == 0 => return Err(source),
                Err(_) => break,
            }
            done += piece.len();
        }
        Ok(done)
    }

    fn size(&self) -> u64 {
        u64::MAX
    }

    fn path(&self) -> &Path {
        self.0.name()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_map_of_memory() {
        let text = "FlatView #0\n AS \"I/O\", root: io\n  0000000000000000-0000000000000007 \
            (prio 0, ram): no\n\nFlatView #1\n AS \"memory\", root: system\n Root memory region: \
            system\n  0000000000000000-00000000000c2fff (prio 0, ram): pc.ram\n  \
            00000000fec00000-00000000fec00fff (prio 0, i/o): ioapic\n  \
            00000000fffc0000-00000000ffffffff (prio 0, rom): pc.bios\n";
        let expected = [
            Range {
                start: 0,
                size: 0xc_3000,
            },
            Range {
                start: 0xfffc_0000,
                size: 0x4_0000,
            },
        ];
        assert_eq!(memory_ranges(text), expected);
    }
}
