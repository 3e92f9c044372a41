//! Bytes of a debugged system.
//!
//! Here live the readers of dump formats, running kernels and processes, the memory of a target
//! with its page cache and TLB, address translation, and VMCOREINFO. Nothing here knows about
//! types, symbols or Python.

mod error;
mod memory;
mod platform;

pub use error::{Error, Result};
pub use memory::{AddressSpace, Memory, MemoryReader};
pub use platform::{Architecture, ByteOrder, Platform};
