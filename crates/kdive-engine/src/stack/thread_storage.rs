//! Where a thread of a process has its own copies of variables (`__thread`, `thread_local`).
//!
//! Those of the executable are at a fixed distance from the thread's pointer. Those of libraries
//! are where the C library put them: the list of loaded files tells a file's number, and the
//! thread's vector the place for that number. Only glibc says where it keeps the number.

use std::sync::Arc;

use kdive_debuginfo::CodeSource;
use kdive_target::AddressSpace;
use kdive_unwind::expression::Unavailable;
use kdive_unwind::{Architecture, Registers};

use crate::program::Program;

/// Entries of the auxiliary vector: the address and number of the executable's program headers.
const AT_PHDR: u64 = 3;
const AT_PHNUM: u64 = 5;
/// Program headers, and their size in 64-bit files.
const PT_DYNAMIC: u64 = 2;
const PT_PHDR: u64 = 6;
const PROGRAM_HEADER_SIZE: u64 = 56;
/// Of the executable's dynamic section: the address of `struct r_debug`.
const DT_DEBUG: u64 = 21;
/// Longer tables and lists are damaged.
const MAX_PROGRAM_HEADERS: u64 = 256;
const MAX_DYNAMIC: u64 = 1024;
const MAX_FILES: usize = 1 << 16;
/// What glibc describes for debuggers: three numbers of 32 bits, the last of which is the offset of
/// `l_tls_modid` in its `struct link_map`.
const FILE_NUMBER: &str = "_thread_db_link_map_l_tls_modid";
const SIZE_OF_DESCRIPTION: u64 = 12;
/// The elements of the vector are a pointer, and what is to be freed.
const VECTOR_ELEMENT: u64 = 16;
/// glibc's `TLS_DTV_UNALLOCATED`.
const NOT_ALLOCATED: u64 = u64::MAX;

const UNKNOWN: Unavailable = Unavailable::Missing("the thread's storage for this file");

/// The address where the thread with these registers has the variables of the file with this code.
pub(super) fn block(
    program: &Arc<Program>,
    architecture: &Architecture,
    registers: &Registers,
    code: &dyn CodeSource,
) -> Result<u64, Unavailable> {
    let bias = code.relocate(0);
    let is_executable = program
        .main_module()
        .is_some_and(|main| main.debug_file().bias == Some(bias));
    if is_executable {
        let (size, alignment) = code.thread_local_block().ok_or(UNKNOWN)?;
        return architecture
            .executable_thread_block(registers, size, alignment)
            .ok_or(UNKNOWN);
    }
    let memory = Words(program);
    let number = memory.number_of_file(bias)?;
    let vector = architecture.thread_vector(registers).ok_or(UNKNOWN)?;
    let vector = memory.word(vector)?;
    // The element before the first two has the number of elements.
    let count = memory.word(vector.wrapping_sub(VECTOR_ELEMENT))?;
    if number == 0 || number > count {
        return Err(Unavailable::NoStorage);
    }
    match memory.word(vector.wrapping_add(number.wrapping_mul(VECTOR_ELEMENT)))? {
        0 | NOT_ALLOCATED => Err(Unavailable::NoStorage),
        address => Ok(address),
    }
}

/// A process's memory.
struct Words<'a>(&'a Arc<Program>);

impl Words<'_> {
    fn word(&self, address: u64) -> Result<u64, Unavailable> {
        self.0
            .read_uint(AddressSpace::Virtual, address, 8)
            .map_err(|_| Unavailable::Memory(address))
    }

    /// The number that the C library gave the file that was loaded with this bias.
    fn number_of_file(&self, bias: u64) -> Result<u64, Unavailable> {
        let description = self
            .0
            .symbol_named(FILE_NUMBER)
            .ok()
            .flatten()
            .ok_or(UNKNOWN)?;
        let bits_and_count = self.word(description.address)?;
        let offset = self
            .0
            .read_uint(
                AddressSpace::Virtual,
                description.address.wrapping_add(SIZE_OF_DESCRIPTION - 4),
                4,
            )
            .map_err(|_| Unavailable::Memory(description.address))?;
        if bits_and_count != 1 << 32 | 64 {
            return Err(UNKNOWN);
        }
        let mut file = self.word(self.debug_structure()?.wrapping_add(8))?;
        for _ in 0..MAX_FILES {
            if file == 0 {
                break;
            }
            if self.word(file)? == bias {
                return self.word(file.wrapping_add(offset));
            }
            // Behind the address, the name and the dynamic section.
            file = self.word(file.wrapping_add(24))?;
        }
        Err(UNKNOWN)
    }

    /// The address of the dynamic linker's `struct r_debug`.
    fn debug_structure(&self) -> Result<u64, Unavailable> {
        let process = self
            .0
            .target()
            .and_then(|target| target.process.as_ref())
            .ok_or(UNKNOWN)?;
        let auxiliary = |wanted| {
            let mut entries = process.auxiliary_vector.iter();
            entries
                .find(|(kind, _)| *kind == wanted)
                .map(|(_, value)| *value)
                .ok_or(UNKNOWN)
        };
        let (headers, count) = (auxiliary(AT_PHDR)?, auxiliary(AT_PHNUM)?);
        let (mut bias, mut dynamic) = (0, None);
        for index in 0..count.min(MAX_PROGRAM_HEADERS) {
            let header = headers.wrapping_add(index * PROGRAM_HEADER_SIZE);
            let kind = self.word(header)? & 0xffff_ffff;
            let address = self.word(header.wrapping_add(16))?;
            match kind {
                PT_PHDR => bias = headers.wrapping_sub(address),
                PT_DYNAMIC => dynamic = Some(address),
                _ => {}
            }
        }
        let dynamic = dynamic.ok_or(UNKNOWN)?.wrapping_add(bias);
        for index in 0..MAX_DYNAMIC {
            let entry = dynamic.wrapping_add(index * 16);
            match self.word(entry)? {
                0 => break,
                DT_DEBUG => return self.word(entry.wrapping_add(8)),
                _ => {}
            }
        }
        Err(UNKNOWN)
    }
}
