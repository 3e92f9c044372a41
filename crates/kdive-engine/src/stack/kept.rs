//! Unwind tables of large files, kept on disk between processes.

use std::fmt::Write;
use std::ops::Range;

use kdive_debuginfo::cache::{IndexCache, ItemKind};
use kdive_debuginfo::elf::{ElfFile, ElfKind, Section};
use kdive_unwind::table::{FrameSection, UnwindTable};

use super::tables::UnwindSource;

/// A section with unwind information.
#[derive(Clone, Copy)]
pub(super) struct Part<'a> {
    pub(super) file: &'a ElfFile,
    pub(super) section: &'a Section,
}

impl<'a> Part<'a> {
    pub(super) fn frame_section(self) -> Option<FrameSection<'a>> {
        Some(FrameSection {
            bytes: self.file.data(self.section).ok()?,
            address: self.section.address,
            text_address: self.file.section(".text").map_or(0, |text| text.address),
        })
    }
}

/// A table as it is kept in the user's cache.
pub(super) struct KeptTable {
    cache: IndexCache,
    kind: ItemKind,
    build_id: Vec<u8>,
    /// What it was made of: whether a module's debug file is known changes that.
    origin: Vec<u8>,
}

/// Smaller tables are made faster than they are opened.
const MIN_KEPT_SIZE: usize = 1 << 17;

impl KeptTable {
    /// None if the table can't be told from others by the build ID of one linked file, of which
    /// there may be no more than the kernel in memory.
    pub(super) fn of(
        parts: [Option<Part<'_>>; 3],
        code: &Range<u64>,
        sources: &[UnwindSource],
    ) -> Option<Self> {
        let mut build_id = None;
        let mut kind = ItemKind::Unwind;
        let mut origin = format!("{code:x?}");
        for source in sources {
            let own = match source {
                UnwindSource::File(file) if file.kind() != ElfKind::Relocatable => {
                    file.build_id()?
                }
                UnwindSource::Orc {
                    build_id: Some(build_id),
                    count,
                    ..
                } => {
                    kind = ItemKind::Orc;
                    let _ = write!(origin, " {count:x}");
                    build_id
                }
                _ => return None,
            };
            if *build_id.get_or_insert(own) != own {
                return None;
            }
        }
        for part in parts.into_iter().flatten() {
            let (section, size) = (part.section, part.section.size);
            let _ = write!(origin, " {} {:x}+{size:x}", section.name, section.address);
        }
        Some(Self {
            cache: IndexCache::of_user()?,
            kind,
            build_id: build_id?.to_vec(),
            origin: origin.into_bytes(),
        })
    }

    pub(super) fn load(&self) -> Option<UnwindTable> {
        let kept = self.cache.load(self.kind, &self.build_id).ok().flatten()?;
        let size = self.origin.len();
        let table = (kept.bytes().get(..size)? == self.origin)
            .then(|| kept.part(size..kept.bytes().len()))??;
        UnwindTable::new(table).ok()
    }

    pub(super) fn save(&self, table: &UnwindTable) {
        if table.as_bytes().len() >= MIN_KEPT_SIZE {
            let contents = [&self.origin, table.as_bytes()].concat();
            // A table that is not kept is made again.
            let _ = self.cache.save(self.kind, &self.build_id, &contents);
        }
    }
}
