//! Answers questions about types and objects from one module's DWARF.

use std::collections::HashMap;
use std::rc::Rc;
use std::sync::{Arc, OnceLock};

use foldhash::fast::FixedState;
use gimli::AttributeValue;
use gimli::constants as dw;

use super::entry::Entry;
use super::file::{Companions, DwarfFile};
use super::index::{self, EntryFlags, EntryKinds};
use super::languages::{self, Languages};
use super::macros::Macros;
use super::split::{self, MissingFile};
use super::{objects, scopes, types};
use crate::cache::{CacheOutcome, IndexCache};
use crate::description::{
    EnumeratorDescription, Language, MemberDescription, ObjectDescription, ObjectKinds,
    TemplateParameterDescription, TypeDescription, TypeId, TypeKinds,
};
use crate::elf::ElfFile;
use crate::{Error, Result, TypeSource, path_ends_with};

/// The DWARF of one module.
pub struct DwarfSource {
    /// The module's own file, and after it the files that it refers to.
    files: Vec<FileSlot>,
    /// What to add to offsets in the supplementary file to get those in the source.
    supplementary_base: Option<u64>,
    /// By the number of a unit of the module's own file: the number in [`DwarfSource::files`] of
    /// the file that it was split into, and its number there.
    split: HashMap<usize, (usize, usize), FixedState>,
    missing: Vec<MissingFile>,
    bias: u64,
    /// Read when first asked for.
    macros: OnceLock<Macros>,
    /// Read when first asked for.
    languages: OnceLock<Languages>,
}

pub(super) struct FileSlot {
    pub(super) file: Arc<DwarfFile>,
    /// What to add to offsets in the file to get those in the source.
    pub(super) base: u64,
}

/// An entry that a name leads to.
pub(super) struct Found {
    pub(super) id: TypeId,
    pub(super) is_declaration: bool,
}

impl DwarfSource {
    /// Indexes the debug information of `elf`, which the running program has `bias` bytes behind
    /// where it was linked. `None` if it has none.
    pub fn open(elf: &Arc<ElfFile>, bias: u64) -> Result<Option<DwarfSource>> {
        DwarfSource::open_with_cache(elf, bias, None)
    }

    /// The same, with the index taken from the cache or saved there.
    pub fn open_with_cache(
        elf: &Arc<ElfFile>,
        bias: u64,
        cache: Option<&IndexCache>,
    ) -> Result<Option<DwarfSource>> {
        DwarfSource::open_with_supplementary(elf, bias, cache, None)
    }

    /// The same, with the file that [`ElfFile::supplementary_link`] names. Without it, what is
    /// there is absent.
    pub fn open_with_supplementary(
        elf: &Arc<ElfFile>,
        bias: u64,
        cache: Option<&IndexCache>,
        supplementary: Option<&Arc<ElfFile>>,
    ) -> Result<Option<DwarfSource>> {
        let supplementary = match supplementary {
            Some(elf) => DwarfFile::open(elf, cache, Companions::default())?.map(Arc::new),
            None => None,
        };
        let companions = Companions {
            supplementary: supplementary.clone(),
            skeletons: None,
        };
        let Some(file) = DwarfFile::open(elf, cache, companions)? else {
            return Ok(None);
        };
        let mut source = DwarfSource {
            files: Vec::new(),
            supplementary_base: None,
            split: HashMap::default(),
            missing: Vec::new(),
            bias,
            macros: OnceLock::new(),
            languages: OnceLock::new(),
        };
        let main = Arc::new(file);
        source.add_file(Arc::clone(&main));
        if let Some(supplementary) = supplementary {
            source.supplementary_base = Some(source.add_file(supplementary));
        }
        source.open_split(&main)?;
        Ok(Some(source))
    }

    /// Adds a file, and returns what to add to its offsets.
    fn add_file(&mut self, file: Arc<DwarfFile>) -> u64 {
        let base = self.files.last().map_or(0, |last| {
            last.base.saturating_add(last.file.entries_length())
        });
        self.files.push(FileSlot { file, base });
        base
    }

    /// Opens the files that units of the module's own file were split off into.
    fn open_split(&mut self, main: &Arc<DwarfFile>) -> Result<()> {
        let split = split::open(main)?;
        self.missing = split.missing;
        let skeletons: HashMap<u64, usize, FixedState> =
            main.skeletons().map(|(number, id)| (id, number)).collect();
        for file in split.files {
            let number = self.files.len();
            for (unit, id) in file.split_units() {
                if let Some(&skeleton) = skeletons.get(&id) {
                    self.split.entry(skeleton).or_insert((number, unit));
                }
            }
            self.add_file(Arc::new(file));
        }
        Ok(())
    }

    /// The files of split DWARF that were not found, of which types, variables and functions are
    /// absent.
    pub fn missing_files(&self) -> &[MissingFile] {
        &self.missing
    }

    /// Where the entries of a unit of the module's own file are: in another file, if they were
    /// split off.
    pub(super) fn unit_with_entries(&self, unit: usize) -> Option<(&FileSlot, usize)> {
        let (file, unit) = self.split.get(&unit).copied().unwrap_or((0, unit));
        Some((self.files.get(file)?, unit))
    }

    /// The entry at an offset in the supplementary file.
    pub(super) fn supplementary_entry(&self, offset: u64) -> Option<TypeId> {
        Some(TypeId(self.supplementary_base?.checked_add(offset)?))
    }

    /// What became of the index in the cache.
    pub fn cache_outcome(&self) -> CacheOutcome {
        self.main_file()
            .map_or(CacheOutcome::NotUsed, |file| file.cache_outcome().clone())
    }

    /// The module's own file, and after it the files that it refers to.
    pub(super) fn files(&self) -> &[FileSlot] {
        &self.files
    }

    /// The number of the supplementary file.
    pub(super) fn supplementary_number(&self) -> Option<usize> {
        self.supplementary_base?;
        Some(1)
    }

    /// The language of a unit that does not say it, by its offset in this source.
    pub(super) fn imported_language(&self, unit: u64) -> Language {
        let languages = self.languages.get_or_init(|| languages::read(self));
        languages.get(&unit).copied().unwrap_or_default()
    }

    pub(super) fn macros(&self) -> &Macros {
        self.macros.get_or_init(|| Macros::read(self))
    }

    /// The module's own file.
    pub(super) fn main_file(&self) -> Option<&DwarfFile> {
        self.files.first().map(|slot| &*slot.file)
    }

    /// How far behind where it was linked the module runs.
    pub fn bias(&self) -> u64 {
        self.bias
    }

    /// The entry at an offset of this source.
    pub(super) fn entry(&self, id: TypeId) -> Result<Entry<'_>> {
        let slot = self.slot(id)?;
        let offset = id.0.saturating_sub(slot.base);
        let view = slot.file.unit_at(offset)?;
        let die = view
            .unit
            .entry(gimli::UnitOffset((offset - view.offset) as usize))
            .map_err(|error| slot.file.bad_entry(offset, &error.to_string()))?;
        Ok(Entry {
            source: self,
            view: Rc::new(view),
            file_base: slot.base,
            die,
        })
    }

    fn slot(&self, id: TypeId) -> Result<&FileSlot> {
        let number = self.files.partition_point(|slot| slot.base <= id.0);
        number
            .checked_sub(1)
            .and_then(|number| self.files.get(number))
            .ok_or_else(|| Error::Bad {
                origin: "debug information".to_owned(),
                message: format!("there is no entry {:#x}", id.0),
            })
    }

    pub(super) fn type_with_signature(&self, signature: u64) -> Option<TypeId> {
        self.files.iter().find_map(|slot| {
            Some(TypeId(
                slot.base + slot.file.type_with_signature(signature)?,
            ))
        })
    }

    /// The address in the running program of what was linked at `address`.
    pub(super) fn loaded_address(&self, entry: &Entry<'_>, address: u64) -> u64 {
        entry.view.file.elf().loaded_address(address, self.bias)
    }

    /// The entries of `kinds` with a name, which may have scopes: definitions before declarations.
    pub(super) fn find(&self, kinds: EntryKinds, name: &str) -> Result<Vec<Found>> {
        let (scopes, last) = scopes::split(name);
        let mut found = Vec::new();
        for slot in &self.files {
            for entry in slot.file.index().find(&*slot.file, kinds, last) {
                let id = TypeId(slot.base + entry.die());
                if self.is_within(slot, entry, &scopes)? {
                    let is_declaration = entry.flags().contains(EntryFlags::DECLARATION);
                    found.push(Found { id, is_declaration });
                }
            }
        }
        found.sort_by_key(|found| found.is_declaration);
        Ok(found)
    }

    /// Whether the scopes of an entry of the index are `scopes`.
    fn is_within(&self, slot: &FileSlot, entry: index::Entry, scopes: &[&str]) -> Result<bool> {
        let flags = entry.flags();
        if !flags.intersects(EntryFlags::NESTED | EntryFlags::NAMED_ELSEWHERE) {
            return Ok(scopes.is_empty());
        }
        let around = self.scopes_of(&self.entry(TypeId(slot.base + entry.die()))?)?;
        Ok(around
            .iter()
            .map(|scope| &**scope)
            .eq(scopes.iter().copied()))
    }

    /// The names of the namespaces and types around an entry, outermost first. Those without a
    /// name are left out, as C++ finds names through them.
    pub(super) fn scopes_of(&self, entry: &Entry<'_>) -> Result<Vec<Arc<str>>> {
        // A definition outside of its class belongs to where it was declared.
        if let Some(origin) = entry.origin()? {
            return self.scopes_of_named(&origin);
        }
        self.scopes_of_named(entry)
    }

    fn scopes_of_named(&self, entry: &Entry<'_>) -> Result<Vec<Arc<str>>> {
        let mut offset = Some(entry.file_offset());
        let mut base = entry.file_base;
        let mut next = entry.origin()?;
        for _ in 0..8 {
            let Some(origin) = next else { break };
            offset = Some(origin.file_offset());
            base = origin.file_base;
            next = origin.origin()?;
        }
        let Some(offset) = offset else {
            return Ok(Vec::new());
        };
        let slot = self.slot(TypeId(base))?;
        let mut names = Vec::new();
        for scope in slot.file.index().scopes_of(offset) {
            if let Some(name) = self.entry(TypeId(base + scope))?.name()? {
                names.push(name);
            }
        }
        names.reverse();
        Ok(names)
    }

    /// An entry's name with its scopes.
    pub(super) fn full_name(&self, entry: &Entry<'_>) -> Result<Option<Arc<str>>> {
        let Some(name) = entry.find_in_origins(Entry::name)? else {
            return Ok(None);
        };
        let scopes = self.scopes_of(entry)?;
        if scopes.is_empty() {
            return Ok(Some(name));
        }
        let mut full = scopes.join("::");
        full.push_str("::");
        full.push_str(&name);
        Ok(Some(full.into()))
    }

    /// Whether the file that declares an entry ends with `file_name`, by path components.
    fn is_declared_in(&self, id: TypeId, file_name: &str) -> Result<bool> {
        let entry = self.entry(id)?;
        let path = entry.find_in_origins(|entry| {
            let Some(AttributeValue::FileIndex(file)) = entry.value(dw::DW_AT_decl_file) else {
                return Ok(None);
            };
            entry.view.file.source_file(&entry.view, file)
        })?;
        Ok(path.is_some_and(|path| path_ends_with(&path, file_name)))
    }

    fn filter_by_file(&self, found: Vec<Found>, file_name: Option<&str>) -> Result<Vec<Found>> {
        let Some(file_name) = file_name else {
            return Ok(found);
        };
        let mut kept = Vec::new();
        for item in found {
            if self.is_declared_in(item.id, file_name)? {
                kept.push(item);
            }
        }
        Ok(kept)
    }
}

impl TypeSource for DwarfSource {
    fn format(&self) -> &'static str {
        "dwarf"
    }

    fn find_types(
        &self,
        kinds: TypeKinds,
        name: &str,
        file_name: Option<&str>,
    ) -> Result<Vec<TypeId>> {
        let found = self.filter_by_file(self.find(kinds.into(), name)?, file_name)?;
        let mut ids: Vec<TypeId> = found.into_iter().map(|found| found.id).collect();
        let base_kinds = TypeKinds::INT | TypeKinds::BOOL | TypeKinds::FLOAT;
        if kinds.intersects(base_kinds) && !kinds.contains(base_kinds) {
            // The index doesn't tell these apart.
            let mut kept = Vec::new();
            for id in ids {
                let kind = self.describe(id)?.shape.kind();
                if kind.is_none_or(|kind| kinds.contains(kind)) {
                    kept.push(id);
                }
            }
            ids = kept;
        }
        Ok(ids)
    }

    fn find_objects(
        &self,
        kinds: ObjectKinds,
        name: &str,
        file_name: Option<&str>,
    ) -> Result<Vec<ObjectDescription>> {
        let found = self.filter_by_file(self.find(kinds.into(), name)?, file_name)?;
        let (_, last) = scopes::split(name);
        let mut described = Vec::with_capacity(found.len());
        for item in found {
            described.push(objects::describe(&self.entry(item.id)?, last)?);
        }
        described.sort_by_key(|object| {
            matches!(object.location, crate::description::Location::Absent(_))
        });
        Ok(described)
    }

    fn code(&self) -> Option<&dyn crate::CodeSource> {
        Some(self)
    }

    fn macros(&self) -> Option<&dyn crate::MacroSource> {
        Some(self)
    }

    fn describe(&self, id: TypeId) -> Result<TypeDescription> {
        types::describe(&self.entry(id)?)
    }

    fn members(&self, id: TypeId) -> Result<Vec<MemberDescription>> {
        types::members(&self.entry(id)?)
    }

    fn enumerators(&self, id: TypeId) -> Result<Vec<EnumeratorDescription>> {
        types::enumerators(&self.entry(id)?)
    }

    fn template_parameters(&self, id: TypeId) -> Result<Vec<TemplateParameterDescription>> {
        types::template_parameters(&self.entry(id)?)
    }

    fn type_names(&self, kinds: TypeKinds) -> Result<Vec<Arc<str>>> {
        let mut names = Vec::new();
        for slot in &self.files {
            for (name, entry) in slot.file.index().names(kinds.into()) {
                let is_global = !entry
                    .flags()
                    .intersects(EntryFlags::NESTED | EntryFlags::NAMED_ELSEWHERE);
                if is_global {
                    let name = index::Strings::string(&*slot.file, name);
                    names.push(String::from_utf8_lossy(name).into());
                } else {
                    names.extend(self.full_name(&self.entry(TypeId(slot.base + entry.die()))?)?);
                }
            }
        }
        names.sort_unstable();
        names.dedup();
        Ok(names)
    }
}
