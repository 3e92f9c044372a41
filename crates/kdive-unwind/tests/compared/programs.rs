//! Programs compiled during tests, their cores, and the tables of their modules.

use std::collections::BTreeMap;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use kdive_unwind::table::{FrameSection, TableBuilder, UnwindTable};
use kdive_unwind::{Architecture, FindTable};
use object::{Object, ObjectSection, ObjectSegment};

/// x86-64, on which these tests run.
pub fn architecture() -> &'static Architecture {
    Architecture::of(kdive_target::Architecture::X86_64).unwrap()
}

/// Compiles a program and gives its path.
pub fn compile(
    directory: &Path,
    compiler: &str,
    name: &str,
    source: &str,
    flags: &[&str],
) -> PathBuf {
    let extension = if compiler.ends_with('+') { "cc" } else { "c" };
    let source_path = directory.join(name).with_extension(extension);
    std::fs::write(&source_path, source).unwrap();
    let program = directory.join(name);
    let output = Command::new(compiler)
        .args(["-g", "-o"])
        .arg(&program)
        .arg(&source_path)
        .args(flags)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{compiler} {flags:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    program
}

/// The table of an ELF file, from `.debug_frame` and `.eh_frame`.
pub fn table_of(path: &Path) -> UnwindTable {
    let bytes = std::fs::read(path).unwrap();
    let elf = object::File::parse(&*bytes).unwrap();
    let code = executable_range(&elf);
    let text_address = elf.section_by_name(".text").unwrap().address();
    let section = |name| {
        let section = elf.section_by_name(name)?;
        Some((section.address(), section.uncompressed_data().unwrap()))
    };
    let mut builder = TableBuilder::new(architecture(), code);
    if let Some((address, bytes)) = section(".debug_frame") {
        builder.add_debug_frame(FrameSection {
            bytes: &bytes,
            address,
            text_address,
        });
    }
    if let Some((address, bytes)) = section(".eh_frame") {
        builder.add_eh_frame(FrameSection {
            bytes: &bytes,
            address,
            text_address,
        });
    }
    assert!(builder.problems().is_empty(), "{:?}", builder.problems());
    builder.build().unwrap()
}

fn executable_range(elf: &object::File<'_>) -> std::ops::Range<u64> {
    elf.segments()
        .filter(|segment| {
            matches!(segment.flags(), object::SegmentFlags::Elf { p_flags, .. }
                if p_flags.0 & object::elf::PF_X.0 != 0)
        })
        .map(|segment| segment.address()..segment.address() + segment.size())
        .next()
        .unwrap()
}

/// A file that is mapped in a process.
struct Mapped {
    start: u64,
    end: u64,
    bias: u64,
    table: UnwindTable,
}

/// A core dump of a process with one thread.
pub struct Core {
    /// Its target.
    pub target: kdive_target::Target,
    modules: Vec<Mapped>,
}

impl Core {
    /// Opens a core and the files that it was made from.
    pub fn open(path: &Path) -> Self {
        let target = kdive_target::open(path, &kdive_target::OpenOptions::default()).unwrap();
        let mut ranges: BTreeMap<PathBuf, (u64, u64)> = BTreeMap::new();
        for file in &target.process.as_ref().unwrap().files {
            let range = ranges
                .entry(PathBuf::from(std::ffi::OsStr::from_bytes(&file.path)))
                .or_insert((file.start, file.end));
            *range = (range.0.min(file.start), range.1.max(file.end));
        }
        let modules = ranges
            .into_iter()
            .filter(|(path, _)| {
                std::fs::read(path).is_ok_and(|bytes| object::File::parse(&*bytes).is_ok())
            })
            .map(|(path, (start, end))| {
                let bytes = std::fs::read(&path).unwrap();
                let elf = object::File::parse(&*bytes).unwrap();
                let linked = elf
                    .segments()
                    .map(|segment| segment.address())
                    .min()
                    .unwrap();
                Mapped {
                    start,
                    end,
                    bias: start - linked,
                    table: table_of(&path),
                }
            })
            .collect();
        Self { target, modules }
    }
}

impl FindTable for Core {
    fn find_table(&self, address: u64) -> Option<(&UnwindTable, u64)> {
        self.modules
            .iter()
            .find(|module| (module.start..module.end).contains(&address))
            .map(|module| (&module.table, module.bias))
    }
}

/// The registers of a frame that both gdb and kdive tell, by their names.
pub type Frame = BTreeMap<String, u64>;

/// Runs a program under gdb until a signal stops it, and gives the path of its core and the
/// frames that gdb finds.
pub fn run_under_gdb(program: &Path, max_frames: usize) -> (PathBuf, Vec<Frame>) {
    let core = program.with_extension("core");
    let script = program.with_extension("py");
    std::fs::write(
        &script,
        format!(
            r#"
import gdb
frame = gdb.newest_frame()
for _ in range({max_frames}):
    if frame is None:
        break
    if frame.type() not in (gdb.INLINE_FRAME, gdb.TAILCALL_FRAME):
        line = []
        for name in ("rip", "rsp", "rbp", "rbx", "r12", "r13", "r14", "r15"):
            try:
                line.append(f"{{name}}={{int(frame.read_register(name)) & (1 << 64) - 1:x}}")
            except gdb.error:
                pass
        print("FRAME", *line)
    frame = frame.older()
"#
        ),
    )
    .unwrap();
    let output = Command::new("gdb")
        .args(["-nx", "-batch", "-iex", "set debuginfod enabled off"])
        .args([
            "-ex",
            "set backtrace past-main on",
            "-ex",
            "set backtrace past-entry on",
        ])
        .args(["-ex", "set backtrace limit unlimited"])
        .args(["-ex", "handle SIGUSR1 nostop noprint pass", "-ex", "run"])
        .arg("-ex")
        .arg(format!("generate-core-file {}", core.display()))
        .arg("-ex")
        .arg(format!("source {}", script.display()))
        .arg(program)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let frames: Vec<Frame> = text
        .lines()
        .filter_map(|line| line.strip_prefix("FRAME "))
        .map(|line| {
            line.split(' ')
                .filter_map(|pair| pair.split_once('='))
                .map(|(name, value)| (name.to_owned(), u64::from_str_radix(value, 16).unwrap()))
                .collect()
        })
        .collect();
    assert!(
        !frames.is_empty(),
        "{text}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    (core, frames)
}
