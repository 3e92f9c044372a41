//! CTF in the section `.ctf` of an ELF file.

use std::sync::Arc;

use super::objects::SymbolOrder;
use super::{Archive, ArrayOrder, CtfSource, Environment};
use crate::Result;
use crate::elf::ElfFile;
use crate::symbols::{SymbolKind, SymbolTable, symbols_in_order};

const SECTION: &str = ".ctf";

/// What a dictionary in an ELF file leaves to the file's symbols.
pub(super) struct OfElf {
    file: Arc<ElfFile>,
    pub(super) symbols: SymbolTable,
}

impl OfElf {
    /// The names of the symbols of `.dynsym` or `.symtab`, and in which order they come.
    pub(super) fn names(&self, is_dynamic: bool) -> (Vec<u8>, SymbolOrder) {
        let (names, symbols) = symbols_in_order(&self.file, is_dynamic);
        let mut order = SymbolOrder::default();
        for symbol in symbols {
            match symbol.kind {
                SymbolKind::Object => order
                    .objects
                    .push(symbol.name | super::dictionary::EXTERNAL),
                SymbolKind::Function => {
                    order
                        .functions
                        .push(symbol.name | super::dictionary::EXTERNAL);
                }
                _ => {}
            }
        }
        (names.to_vec(), order)
    }
}

impl CtfSource {
    /// The types of an ELF file that brings CTF with it, and its variables, to whose addresses
    /// `bias` is added; none if it has no section `.ctf`.
    pub fn from_elf(file: &Arc<ElfFile>, bias: u64) -> Result<Option<CtfSource>> {
        let Some(bytes) = file
            .section_data(SECTION)?
            .filter(|bytes| !bytes.is_empty())
        else {
            return Ok(None);
        };
        let origin = format!("{}: {SECTION}", file.path().display());
        let archive = Archive::parse(&origin, bytes.into())?;
        let comment = file.section_data(".comment").ok().flatten();
        let compiler = String::from_utf8_lossy(comment.unwrap_or_default());
        let platform = file.platform();
        let environment = Environment {
            pointer_size: if platform.is_64_bit { 8 } else { 4 },
            byte_order: platform.byte_order,
            arrays: ArrayOrder::of_compiler(&compiler).unwrap_or(ArrayOrder::OutermostFirst),
        };
        let of_elf = OfElf {
            file: Arc::clone(file),
            symbols: SymbolTable::from_elf(file, bias)?,
        };
        CtfSource::open(archive, environment, Some(of_elf)).map(Some)
    }
}

impl ElfFile {
    /// Whether the file has types in CTF.
    pub fn has_ctf(&self) -> bool {
        self.section(SECTION)
            .is_some_and(crate::elf::Section::has_data)
    }
}
