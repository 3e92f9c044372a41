//! The modules of a Linux kernel: the kernel itself and what is on its list of modules.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::registry::Loaded;
use super::{Module, ModuleKind};
use crate::object::{Object, container_of};
use crate::program::{ObjectKinds, Program};
use crate::types::TypeKinds;
use crate::{Error, Result};

/// The name of the main module of a kernel.
const KERNEL: &str = "kernel";

/// A kernel has some hundreds of modules; a list that is much longer is damaged.
const MAX_MODULES: usize = 1 << 16;

/// The section of a module's file that has its per-CPU variables.
const PER_CPU_SECTION: &str = ".data..percpu";

/// `struct module` has this many sections at most before its section list counts as damaged.
const MAX_SECTIONS: u64 = 1 << 12;

/// The kernel and its modules, as far as they can be read, and what ended the walk too early.
pub(crate) fn loaded_modules(program: &Arc<Program>) -> Result<Loaded> {
    let (main, is_new) = program.get_or_create_module(ModuleKind::Main, KERNEL)?;
    if is_new
        && let Some(info) = program
            .target()
            .and_then(|target| target.vmcoreinfo.clone())
    {
        main.set_build_id(info.build_id());
    }
    let mut found = vec![(main.clone(), is_new)];
    let walked = walk(program, &main, &mut found);
    Ok((found, walked.err()))
}

fn walk(
    program: &Arc<Program>,
    main: &Arc<Module>,
    found: &mut Vec<(Arc<Module>, bool)>,
) -> Result<()> {
    // Without types nothing can be said about loaded modules.
    let Some(head) = program.find_object_if_any("modules", ObjectKinds::VARIABLE, None)? else {
        return Ok(());
    };
    if main.address_ranges().is_none() {
        main.set_address_ranges(kernel_range(program)?);
    }
    let Ok(ty) = program.find_named_type(TypeKinds::STRUCT, "module", None) else {
        return Ok(());
    };
    let head_address = head.address();
    let mut node = head.member("next")?;
    for _ in 0..MAX_MODULES {
        let address = node.number()?.to_bits() as u64;
        if Some(address) == head_address {
            break;
        }
        let object = container_of(&node, &ty, "list")?;
        match describe(program, &object) {
            Ok(module) => found.push(module),
            // One damaged module doesn't hide the others.
            Err(Error::Target(_)) => {}
            Err(error) => return Err(error),
        }
        node = node.member("next")?.read()?;
    }
    Ok(())
}

fn kernel_range(program: &Arc<Program>) -> Result<Option<Vec<(u64, u64)>>> {
    let (Some(start), Some(end)) = (
        program.symbol_named("_text")?,
        program.symbol_named("_end")?,
    ) else {
        return Ok(None);
    };
    Ok(Some(vec![(start.address, end.address)]))
}

fn describe(program: &Arc<Program>, object: &Object) -> Result<(Arc<Module>, bool)> {
    let name = String::from_utf8_lossy(&object.member("name")?.string(None)?).into_owned();
    let ranges = address_ranges(object)?;
    let address = ranges.first().map_or(0, |(start, _)| *start);
    let (module, is_new) =
        program.get_or_create_module(ModuleKind::Relocatable { address }, &name)?;
    if is_new {
        module.set_address_ranges(Some(ranges));
        module.set_object(Some(object.clone()));
        // What follows can be unreadable in a filtered dump; the module is there all the same.
        module.set_build_id(build_id(object).unwrap_or(None));
        let mut sections = section_addresses(object).unwrap_or_default();
        if let Ok(Some(address)) = per_cpu_address(object) {
            sections.insert(PER_CPU_SECTION.to_owned(), address);
        }
        module.set_section_addresses(sections);
    }
    Ok((module, is_new))
}

fn integer(object: &Object) -> Result<u64> {
    Ok(object.number()?.to_bits() as u64)
}

/// Where the module's code and data are.
fn address_ranges(module: &Object) -> Result<Vec<(u64, u64)>> {
    let range = |layout: &Object| -> Result<(u64, u64)> {
        let start = integer(&layout.member("base")?)?;
        Ok((start, start.wrapping_add(integer(&layout.member("size")?)?)))
    };
    // "module: replace module_layout with module_memory", Linux 6.4.
    if let Some(memory) = module.find_member("mem")? {
        let count = memory.length()?.unwrap_or(0);
        let ranges = (0..count as i64).map(|index| range(&memory.subscript(index)?));
        let ranges: Vec<_> = ranges.collect::<Result<_>>()?;
        return Ok(ranges
            .into_iter()
            .filter(|(start, end)| end > start)
            .collect());
    }
    range(&module.member("core_layout")?).map(|range| vec![range])
}

/// The GNU build ID among the module's notes, as `/sys/module/NAME/notes` shows them.
fn build_id(module: &Object) -> Result<Option<Vec<u8>>> {
    let attributes = module.member("notes_attrs")?;
    if !attributes.is_truthy()? {
        return Ok(None);
    }
    // "module: Constify 'struct module_notes_attrs'" and its neighbours, Linux 6.14, left the
    // attributes to an attribute group.
    let (list, count) = match attributes.find_member("attrs")? {
        Some(list) if attributes.find_member("notes")?.is_some() => {
            (list, integer(&attributes.member("notes")?)?)
        }
        _ => (attributes.member("bin_attrs")?, MAX_SECTIONS),
    };
    for index in 0..count.min(MAX_SECTIONS) {
        let attribute = list.subscript(index as i64)?;
        let (address, size) = (
            integer(&attribute.member("private")?)?,
            integer(&attribute.member("size")?)?,
        );
        if address == 0 || size == 0 || size > 4096 {
            break;
        }
        let notes =
            module
                .program()
                .read_bytes(kdive_target::AddressSpace::Virtual, address, size)?;
        let order = module.program().byte_order();
        if let Some(id) = kdive_debuginfo::elf::build_id_in_notes(&notes, order) {
            return Ok(Some(id));
        }
    }
    Ok(None)
}

/// Where the module's per-CPU variables begin among those of each CPU. Their section is not loaded
/// like others, so sysfs does not show it.
fn per_cpu_address(module: &Object) -> Result<Option<u64>> {
    // With CONFIG_SMP only.
    let Some(address) = module.find_member("percpu")? else {
        return Ok(None);
    };
    Ok(Some(integer(&address)?).filter(|address| *address != 0))
}

/// The addresses of the module's sections, as `/sys/module/NAME/sections` shows them.
fn section_addresses(module: &Object) -> Result<BTreeMap<String, u64>> {
    let attributes = module.member("sect_attrs")?;
    let mut found = BTreeMap::new();
    if !attributes.is_truthy()? {
        return Ok(found);
    }
    let list = attributes.member("attrs")?;
    let has_count = attributes.find_member("nsections")?;
    let count = match &has_count {
        Some(count) => integer(count)?,
        None => MAX_SECTIONS,
    };
    for index in 0..count.min(MAX_SECTIONS) {
        let attribute = list.subscript(index as i64)?;
        // "module: sysfs: Drop 'struct module_sect_attr'", Linux 6.14: plain binary attributes.
        let (name, address) = match attribute.find_member("battr")? {
            Some(binary) => {
                // "module: Refactor section attr into bin attribute", Linux 5.8.
                (
                    binary.member("attr")?.member("name")?,
                    attribute.member("address")?,
                )
            }
            None => (
                attribute.member("attr")?.member("name")?,
                attribute.member("private")?,
            ),
        };
        if !name.is_truthy()? {
            break;
        }
        let name = String::from_utf8_lossy(&name.string(None)?).into_owned();
        found.insert(name, integer(&address)?);
    }
    Ok(found)
}
