//! Constants of a Linux kernel that no debug information holds, as objects.

use std::sync::Arc;

use kdive_target::VmCoreInfo;

use super::{ObjectFinder, ObjectKinds, Program};
use crate::Result;
use crate::object::{Number, Object};
use crate::types::{PrimitiveType, Qualifiers, Type};

/// Answers for `UTS_RELEASE`, `PAGE_SIZE`, `PAGE_SHIFT`, `PAGE_MASK`, `VMCOREINFO`, `jiffies`.
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
        if kinds.contains(ObjectKinds::VARIABLE) && name == "jiffies" {
            return jiffies(program);
        }
        Ok(None)
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
    match (name, info.page_size()) {
        ("UTS_RELEASE", _) => info.os_release().map_or(Ok(None), |release| {
            // With its terminating zero, as the kernel's own constant.
            text(program, release.bytes().chain([0]).collect())
        }),
        ("VMCOREINFO", _) => text(program, info.raw().to_vec()),
        ("PAGE_SIZE", Some(size)) => number(PrimitiveType::UnsignedLong, size),
        ("PAGE_SHIFT", Some(size)) => {
            number(PrimitiveType::UnsignedInt, u64::from(size.trailing_zeros()))
        }
        ("PAGE_MASK", Some(size)) => number(PrimitiveType::UnsignedLong, size.wrapping_neg()),
        _ => Ok(None),
    }
}

fn text(program: &Arc<Program>, bytes: Vec<u8>) -> Result<Option<Object>> {
    let character = program
        .primitive_type(PrimitiveType::Char)?
        .qualified(Qualifiers::CONST);
    let ty = Type::array(character, Some(bytes.len() as u64), program.language());
    Object::from_bytes(program, ty, &bytes, 0, None).map(Some)
}

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
