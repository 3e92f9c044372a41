//! Bytes of a debugged system.
//!
//! Here live the readers of dump formats, running kernels and processes, the memory of a target
//! with its page cache and TLB, address translation, and VMCOREINFO. Nothing here knows about
//! types, symbols or Python.

pub mod arch;
mod bytes;
mod elf;
mod error;
mod kdump;
mod memory;
mod notes;
mod page_cache;
mod page_tables;
pub mod parallel;
mod platform;
pub mod process;
mod ptrace;
mod qmp;
mod range_map;
pub mod search;
mod source;
mod target;
pub mod verify;
mod vmcoreinfo;

pub use error::{Error, Result};
pub use memory::{AddressSpace, Memory, MemoryReader, Segment};
pub use notes::{MappedFile, Note, Notes, ProcessNotes, QemuCpu, ThreadStatus};
pub use page_tables::{Caching, PageTables, Reach};
pub use platform::{Architecture, ByteOrder, Platform};
pub use ptrace::with_stopped_thread;
pub use source::Access;
pub use target::{
    ExcludedPages, FoundVmCoreInfo, OpenOptions, Target, TargetKind, Truncation, custom_kernel,
    find_vmcoreinfo, open, open_file, open_live_kernel, open_process, open_qemu, open_qemu_socket,
    open_split,
};
pub use vmcoreinfo::VmCoreInfo;
