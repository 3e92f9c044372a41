//! What `/proc` tells of a running process.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::notes::{MappedFile, ProcessNotes, auxiliary_vector};
use crate::{Error, Platform, Result, elf};

/// The IDs of the threads that a process has now, in ascending order.
pub fn thread_ids(pid: u32) -> Result<Vec<u32>> {
    let path = PathBuf::from(format!("/proc/{pid}/task"));
    let entries = fs::read_dir(&path).map_err(|source| error_of(pid, &path, source))?;
    let mut ids: Vec<u32> = entries
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .collect();
    ids.sort_unstable();
    Ok(ids)
}

/// The files that a process has mapped now.
pub fn mapped_files(pid: u32) -> Result<Vec<MappedFile>> {
    let path = PathBuf::from(format!("/proc/{pid}/maps"));
    let maps = fs::read(&path).map_err(|source| error_of(pid, &path, source))?;
    Ok(maps
        .split(|&byte| byte == b'\n')
        .filter_map(parse_mapping)
        .collect())
}

/// The next readable memory of a process from `address` on, as first and last address.
pub(crate) fn next_readable(pid: u32, address: u64) -> Option<(u64, u64)> {
    let maps = fs::read(format!("/proc/{pid}/maps")).ok()?;
    maps.split(|&byte| byte == b'\n').find_map(|line| {
        let mut fields = line.split(|&byte| byte == b' ');
        let mut text = || std::str::from_utf8(fields.next()?).ok();
        let (start, end) = text()?.split_once('-')?;
        let hex = |text| u64::from_str_radix(text, 16).ok();
        let last = hex(end)?.checked_sub(1)?;
        let is_readable = text()?.starts_with('r');
        (is_readable && last >= address).then_some((hex(start)?.max(address), last))
    })
}

/// A line of `/proc/PID/maps` such as
/// `5582e000-5583000 r-xp 00002000 fe:01 394 /usr/bin/cat`, if it is that of a file.
fn parse_mapping(line: &[u8]) -> Option<MappedFile> {
    let mut rest = line;
    let mut field = || {
        let end = rest.iter().position(|&byte| byte == b' ')?;
        let (field, after) = rest.split_at(end);
        rest = after.trim_ascii_start();
        std::str::from_utf8(field).ok()
    };
    let (start, end) = field()?.split_once('-')?;
    let _permissions = field()?;
    let offset = field()?;
    let _device = field()?;
    let _inode = field()?;
    let hex = |text| u64::from_str_radix(text, 16).ok();
    rest.starts_with(b"/").then_some(MappedFile {
        start: hex(start)?,
        end: hex(end)?,
        offset: hex(offset)?,
        path: rest.to_vec(),
    })
}

/// The same things that a core dump of the process would say in its notes.
pub(crate) fn describe(pid: u32, platform: Platform) -> Result<ProcessNotes> {
    // What may not be read stays empty: memory can be readable nevertheless.
    let read = |name: &str| fs::read(format!("/proc/{pid}/{name}")).unwrap_or_default();
    let mut arguments = read("cmdline");
    while arguments.last() == Some(&0) {
        arguments.pop();
    }
    arguments
        .iter_mut()
        .filter(|byte| **byte == 0)
        .for_each(|byte| *byte = b' ');
    Ok(ProcessNotes {
        pid: Some(pid),
        command: read("comm").trim_ascii_end().to_vec(),
        arguments,
        auxiliary_vector: auxiliary_vector(&read("auxv"), platform),
        signal_information: Vec::new(),
        files: mapped_files(pid)?,
    })
}

/// The platform of a process: a 64-bit kernel also runs 32-bit programs.
pub(crate) fn platform(pid: u32) -> Platform {
    use std::io::Read;
    let mut header = [0; 64];
    fs::File::open(format!("/proc/{pid}/exe"))
        .and_then(|mut file| file.read_exact(&mut header))
        .ok()
        .and_then(|()| elf::platform_of(&header))
        .unwrap_or(Platform::HOST)
}

/// An error with a file of a process, explained.
pub(crate) fn error_of(pid: u32, path: &Path, source: io::Error) -> Error {
    let advice = match source.kind() {
        io::ErrorKind::NotFound => {
            return Error::Io {
                path: path.to_owned(),
                source: io::Error::from_raw_os_error(libc::ESRCH),
            };
        }
        io::ErrorKind::PermissionDenied => format!(
            "process {pid} may not be inspected: it takes its user's ID and \
             kernel.yama.ptrace_scope=0, or CAP_SYS_PTRACE (root)"
        ),
        _ => {
            return Error::Io {
                path: path.to_owned(),
                source,
            };
        }
    };
    Error::Io {
        path: path.to_owned(),
        source: io::Error::new(source.kind(), advice),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_lines_of_maps() {
        let line = b"5582e000-55830000 r-xp 00002000 fe:01 394      /usr/bin/a b (deleted)";
        let expected = MappedFile {
            start: 0x5582_e000,
            end: 0x5583_0000,
            offset: 0x2000,
            path: b"/usr/bin/a b (deleted)".to_vec(),
        };
        assert_eq!(parse_mapping(line), Some(expected));
        assert_eq!(
            parse_mapping(b"7ffe0000-7fff0000 rw-p 00000000 00:00 0  [stack]"),
            None
        );
        assert_eq!(
            parse_mapping(b"7ffe0000-7fff0000 rw-p 00000000 00:00 0 "),
            None
        );
        assert_eq!(parse_mapping(b""), None);
    }
}
