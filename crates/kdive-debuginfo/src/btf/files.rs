//! BTF in files: in sections of ELF files, or by itself as `/sys/kernel/btf` has it.

use std::path::Path;
use std::sync::Arc;

use super::{ArrayOrder, Btf, distilled};
use crate::elf::{ElfFile, Section};
use crate::{Error, Result};

const SECTION: &str = ".BTF";
/// What the types of a module go on from that was not built with its kernel.
const BASE_SECTION: &str = ".BTF.base";

/// The types that a file has, not yet put onto what they go on from.
pub struct BtfFile {
    origin: String,
    types: Arc<[u8]>,
    distilled_base: Option<Arc<[u8]>>,
    arrays: ArrayOrder,
}

impl BtfFile {
    /// The table that is all of a file with these contents.
    pub fn raw(path: &Path, contents: Vec<u8>) -> BtfFile {
        BtfFile {
            origin: path.display().to_string(),
            types: contents.into(),
            distilled_base: None,
            arrays: ArrayOrder::OutermostFirst,
        }
    }

    /// The table in an ELF file; none if that has no section `.BTF`.
    pub fn of_elf(file: &ElfFile) -> Option<BtfFile> {
        // Relocations, as objects of BPF programs have them, are for where variables are, which
        // symbols tell as well.
        let types = file.section_in_file(SECTION)?;
        let comment = file.section_in_file(".comment");
        Some(BtfFile {
            origin: format!("{}: {SECTION}", file.path().display()),
            types: types.into(),
            distilled_base: file.section_in_file(BASE_SECTION).map(Arc::from),
            arrays: arrays(&String::from_utf8_lossy(comment.unwrap_or_default())),
        })
    }

    /// Whether these are types of a module, which go on from those of its kernel: the names of
    /// others begin with the empty one.
    pub fn is_of_module(&self) -> bool {
        self.distilled_base.is_some() || Btf::goes_on(&self.types)
    }

    /// In which order arrays of arrays are written.
    pub fn arrays(&self) -> ArrayOrder {
        self.arrays
    }

    /// Reads the table; that of a module goes on from its kernel's.
    ///
    /// Without the kernel's, what a distilled base knows of those types must do: names and sizes.
    pub fn parse(self, kernel: Option<&Arc<Btf>>) -> Result<Btf> {
        if !self.is_of_module() {
            return Btf::parse(&self.origin, self.types, None);
        }
        let base = self.distilled_base.map(|bytes| {
            let origin = self.origin.replace(SECTION, BASE_SECTION);
            Btf::parse(&origin, bytes, None).map(Arc::new)
        });
        match (base.transpose()?, kernel) {
            (Some(base), Some(kernel)) => distilled::onto(kernel, &self.origin, self.types, &base),
            (Some(base), None) => Btf::parse(&self.origin, self.types, Some(base)),
            (None, Some(kernel)) => Btf::parse(&self.origin, self.types, Some(kernel.clone())),
            (None, None) => Err(Error::Bad {
                origin: self.origin,
                message: "these types go on from those of a kernel that are not known; load those \
                          first, from its vmlinux or a copy of /sys/kernel/btf/vmlinux"
                    .to_owned(),
            }),
        }
    }
}

/// A program that clang compiled names gcc all the same, for the start files of the C library.
fn arrays(compilers: &str) -> ArrayOrder {
    if compilers.contains("clang") {
        return ArrayOrder::OutermostFirst;
    }
    ArrayOrder::of_compiler(compilers).unwrap_or(ArrayOrder::OutermostFirst)
}

impl ElfFile {
    /// Whether the file has types in BTF.
    pub fn has_btf(&self) -> bool {
        self.section(SECTION).is_some_and(Section::has_data)
    }
}
