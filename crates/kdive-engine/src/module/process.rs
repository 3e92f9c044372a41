//! The modules of a process: what is mapped from files.

use std::collections::BTreeMap;
use std::sync::Arc;

use kdive_debuginfo::elf::{LoadedImage, build_id_in_memory, loaded_image};
use kdive_target::Target;

use super::{Module, ModuleKind};
use crate::Result;
use crate::program::Program;

/// The type of the auxiliary vector's entry with the address of the program headers.
const AT_PHDR: u64 = 3;
/// The one with the address of the vDSO.
const AT_SYSINFO_EHDR: u64 = 33;

pub(crate) fn loaded_modules(
    program: &Arc<Program>,
    target: &Target,
) -> Result<Vec<(Arc<Module>, bool)>> {
    let Some(process) = &target.process else {
        return Ok(Vec::new());
    };
    let mut ranges: BTreeMap<&[u8], Vec<(u64, u64)>> = BTreeMap::new();
    for file in &process.files {
        ranges
            .entry(&file.path)
            .or_default()
            .push((file.start, file.end));
    }
    let auxiliary = |wanted| {
        process
            .auxiliary_vector
            .iter()
            .find(|(kind, _)| *kind == wanted)
            .map(|(_, value)| *value)
    };
    let headers = auxiliary(AT_PHDR);
    let starts: Vec<u64> = ranges
        .values()
        .filter_map(|ranges| ranges.iter().map(|range| range.0).min())
        .collect();
    let mut found = Vec::new();
    for (path, ranges) in ranges {
        let (Some(start), Some(end)) = (
            ranges.iter().map(|range| range.0).min(),
            ranges.iter().map(|range| range.1).max(),
        ) else {
            continue;
        };
        let name = String::from_utf8_lossy(path).into_owned();
        let is_main = headers.is_some_and(|headers| (start..end).contains(&headers));
        // Data files are mapped too; only what begins as an ELF file is a module.
        let mut magic = [0; 4];
        let is_elf = program
            .read(kdive_target::AddressSpace::Virtual, start, &mut magic)
            .map_or(is_main, |()| magic == *b"\x7fELF");
        if !is_elf {
            continue;
        }
        let image = Image::read(program, start);
        let kind = if is_main {
            ModuleKind::Main
        } else {
            ModuleKind::SharedLibrary {
                dynamic_address: image.dynamic_address(start),
            }
        };
        let (module, is_new) = program.get_or_create_module(kind, &name)?;
        if is_new {
            // Damaged headers don't give it what belongs to others.
            let next = starts.iter().filter(|other| **other > start).min();
            let end = image
                .place
                .map(|place| place.end)
                .filter(|end| next.is_none_or(|next| end <= next))
                .map_or(end, |whole| whole.max(end));
            module.set_address_ranges(Some(vec![(start, end)]));
            module.set_build_id(image.build_id);
        }
        found.push((module, is_new));
    }
    if let Some(start) = auxiliary(AT_SYSINFO_EHDR).filter(|address| *address != 0) {
        let image = Image::read(program, start);
        let kind = ModuleKind::Vdso {
            dynamic_address: image.dynamic_address(start),
        };
        let (module, is_new) = program.get_or_create_module(kind, "linux-vdso.so.1")?;
        if is_new {
            if let Some(place) = image.place {
                module.set_address_ranges(Some(vec![(start, place.end)]));
            }
            module.set_build_id(image.build_id);
        }
        found.push((module, is_new));
    }
    Ok(found)
}

/// What the first page of a loaded ELF file says.
#[derive(Default)]
struct Image {
    build_id: Option<Vec<u8>>,
    place: Option<LoadedImage>,
}

impl Image {
    /// Reads the page at `start`. What can't be read says nothing.
    fn read(program: &Program, start: u64) -> Self {
        const PAGE: u64 = 4096;
        program
            .read_bytes(kdive_target::AddressSpace::Virtual, start, PAGE)
            .map_or_else(
                |_| Self::default(),
                |bytes| Self {
                    build_id: build_id_in_memory(&bytes),
                    place: loaded_image(&bytes, start),
                },
            )
    }

    /// The address of the dynamic section; where it isn't known, the file's own tells it from others.
    fn dynamic_address(&self, start: u64) -> u64 {
        self.place
            .and_then(|place| place.dynamic_section)
            .unwrap_or(start)
    }
}
