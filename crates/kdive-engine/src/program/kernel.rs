//! Constants of a Linux kernel that no debug information holds, as objects.

use std::sync::Arc;

use kdive_target::VmCoreInfo;

use super::{ObjectFinder, ObjectKinds, Program};
use crate::Result;
use crate::object::{Number, Object};
use crate::types::{PointerKind, PrimitiveType, Qualifiers, TypeKinds};

/// Answers for constants from VMCOREINFO (`UTS_RELEASE`, `PAGE_SIZE` …), for such as follow from
/// types (`THREAD_SIZE`, `SECTIONS_PER_ROOT`), and for `jiffies` and `vmemmap`.
struct KernelConstants;

pub(crate) fn register_finder(program: &Arc<Program>) -> Result<()> {
    program
        .objects
        .register("linux", Arc::new(KernelConstants), Some(0))
}

impl ObjectFinder for KernelConstants {
    fn find(
        &self,
        program: &Arc<Program>,
        name: &str,
        kinds: ObjectKinds,
        file_name: Option<&str>,
    ) -> Result<Option<Object>> {
        let Some(info) = program
            .target()
            .and_then(|target| target.vmcoreinfo.clone())
        else {
            return Ok(None);
        };
        if file_name.is_some() {
            return Ok(None);
        }
        if kinds.contains(ObjectKinds::CONSTANT)
            && let Some(constant) = constant(program, name, &info)?
        {
            return Ok(Some(constant));
        }
        match name {
            "jiffies" if kinds.contains(ObjectKinds::VARIABLE) => jiffies(program),
            "vmemmap" if kinds.contains(ObjectKinds::CONSTANT) => vmemmap(program, &info),
            _ => Ok(None),
        }
    }

    fn is_stable(&self) -> bool {
        true
    }
}

fn constant(program: &Arc<Program>, name: &str, info: &VmCoreInfo) -> Result<Option<Object>> {
    let number = |primitive, value: u64| {
        let ty = program.primitive_type(primitive)?;
        Object::from_number(program, ty, Number::from(value), None).map(Some)
    };
    let int = |value: Option<i64>| match value {
        Some(value) => number(PrimitiveType::Int, value as u64),
        None => Ok(None),
    };
    match (name, info.page_size()) {
        // With its terminating zero, as the kernel's own constant.
        ("UTS_RELEASE", _) => match info.os_release() {
            Some(release) => {
                Object::from_text(program, &release.bytes().chain([0]).collect::<Vec<_>>())
                    .map(Some)
            }
            None => Ok(None),
        },
        ("VMCOREINFO", _) => {
            let text: Vec<u8> = info.raw().iter().copied().chain([0]).collect();
            Object::from_text(program, &text).map(Some)
        }
        ("PAGE_SIZE", Some(size)) => number(PrimitiveType::UnsignedLong, size),
        ("PAGE_SHIFT", Some(size)) => int(Some(i64::from(size.trailing_zeros()))),
        ("PAGE_MASK", Some(size)) => number(PrimitiveType::UnsignedLong, size.wrapping_neg()),
        ("SECTION_SIZE_BITS" | "MAX_PHYSMEM_BITS", _) => int(info.number(name)),
        ("NR_SECTION_ROOTS", _) => match info.length("mem_section") {
            Some(length) => number(PrimitiveType::UnsignedLong, length),
            None => Ok(None),
        },
        ("SECTIONS_PER_ROOT", Some(page_size)) => {
            let size = match info.size("mem_section") {
                Some(size) => size,
                None => program
                    .find_named_type(TypeKinds::STRUCT, "mem_section", None)?
                    .size()?,
            };
            match page_size.checked_div(size) {
                Some(count) => number(PrimitiveType::UnsignedLong, count),
                None => Ok(None),
            }
        }
        ("THREAD_SIZE", _) => match stack_of_first_task(program)? {
            Some(size) => number(PrimitiveType::UnsignedLong, size),
            None => Ok(None),
        },
        _ => Ok(None),
    }
}

/// The size of the first task's stack, which the linker lays out between two symbols.
fn stack_of_first_task(program: &Arc<Program>) -> Result<Option<u64>> {
    // Their names changed with the move of the stack out of the task, Linux 6.9.
    for (start, end) in [
        ("__start_init_task", "__end_init_task"),
        ("__start_init_stack", "__end_init_stack"),
    ] {
        if let (Some(start), Some(end)) = (program.symbol_named(start)?, program.symbol_named(end)?)
        {
            return Ok(end.address.checked_sub(start.address));
        }
    }
    Ok(None)
}

/// The virtual array of all `struct page`, the first one's address included.
///
/// A present `struct mem_section` holds the address that page 0 would have, with flags in the
/// lowest bits: `section_mem_map` is `vmemmap` itself where the kernel has a virtual memory map.
fn vmemmap(program: &Arc<Program>, info: &VmCoreInfo) -> Result<Option<Object>> {
    const PRESENT: u64 = 1;
    const FLAGS: u64 = 0x3f;
    let page = program.find_named_type(TypeKinds::STRUCT, "page", None)?;
    let ty = program.pointer_type(&page, PointerKind::Pointer)?;
    let variable = |name| program.find_object_if_any(name, ObjectKinds::VARIABLE, None);
    if let Some(sections) = variable("mem_section")? {
        let per_root = constant(program, "SECTIONS_PER_ROOT", info)?;
        let per_root = match per_root {
            Some(count) => count.number()?.to_bits() as i64,
            None => 1,
        };
        let roots = info
            .length("mem_section")
            .unwrap_or(0)
            .min(MAX_SECTION_ROOTS);
        for root in 0..roots as i64 {
            let root = sections.subscript(root)?;
            if !root.is_truthy()? {
                continue;
            }
            for index in 0..per_root {
                let map = root.subscript(index)?.member("section_mem_map")?;
                let map = map.number()?.to_bits() as u64;
                if map & PRESENT != 0 {
                    let address = Number::from(map & !FLAGS);
                    return Object::from_number(program, ty, address, None).map(Some);
                }
            }
        }
    }
    // x86-64 places the map at random ("x86/mm: Enable KASLR for vmemmap memory region", 4.8).
    match variable("vmemmap_base")? {
        Some(base) => Object::from_number(program, ty, base.number()?, None).map(Some),
        None => Ok(None),
    }
}

/// How many roots of memory sections are looked at: those of 52 bits of physical memory.
const MAX_SECTION_ROOTS: u64 = 1 << 18;

/// `jiffies` is an alias of `jiffies_64` that the linker makes; debug information only declares
/// it. On 32-bit machines it is the lower half.
fn jiffies(program: &Arc<Program>) -> Result<Option<Object>> {
    let Some(wide) = program.find_object_if_any("jiffies_64", ObjectKinds::VARIABLE, None)? else {
        return Ok(None);
    };
    let Some(address) = wide.address() else {
        return Ok(None);
    };
    let ty = program.primitive_type(PrimitiveType::UnsignedLong)?;
    let is_upper_first = !program.known_platform()?.is_64_bit
        && program.byte_order() == kdive_target::ByteOrder::Big;
    let address = if is_upper_first { address + 4 } else { address };
    Object::reference(
        program,
        ty.qualified(Qualifiers::VOLATILE),
        address,
        0,
        None,
    )
    .map(Some)
}
