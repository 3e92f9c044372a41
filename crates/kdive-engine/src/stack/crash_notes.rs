//! The registers that a crashing kernel saved in its own memory, for dumps without notes.

use std::sync::Arc;

use kdive_target::AddressSpace;
use kdive_unwind::Registers;

use super::start::unwind_error;
use crate::Result;
use crate::program::Program;

/// The size of a note's header, and the three 32-bit numbers in it: the sizes of its name and its
/// content, and what it is.
const HEADER: u64 = 12;
const NT_PRSTATUS: u64 = 1;
/// More than `struct elf_prstatus` has on any architecture.
const MAX_CONTENT: u64 = 4096;

/// The registers of a CPU in `crash_notes`, where each CPU has an ELF note like those of
/// `/proc/vmcore`; none if the kernel did not crash, or did not reach that CPU.
pub(super) fn of_cpu(program: &Arc<Program>, cpu: u64) -> Result<Option<Registers>> {
    let read = |address, size| program.read_uint(AddressSpace::Virtual, address, size);
    let Some(notes) = program.symbol_named("crash_notes")? else {
        return Ok(None);
    };
    let own_copy = match program.symbol_named("__per_cpu_offset")? {
        Some(offsets) => read(offsets.address.wrapping_add(cpu.wrapping_mul(8)), 8)?,
        // Without SMP there is one of each.
        None => 0,
    };
    let note = read(notes.address, 8)?.wrapping_add(own_copy);
    let (name_size, size) = (read(note, 4)?, read(note.wrapping_add(4), 4)?);
    if read(note.wrapping_add(8), 4)? != NT_PRSTATUS || size > MAX_CONTENT {
        return Ok(None);
    }
    let content = note
        .wrapping_add(HEADER)
        .wrapping_add(name_size.next_multiple_of(4));
    let status = program.read_bytes(AddressSpace::Virtual, content, size)?;
    program
        .stack_architecture()?
        .from_prstatus(&status)
        .map(Some)
        .map_err(|error| unwind_error(&error))
}
