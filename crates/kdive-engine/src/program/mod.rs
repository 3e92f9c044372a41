//! Programs: a target, what is known of its types and symbols, and who is asked for more.
//!
//! A [`Program`] is shared by all its objects and by any number of threads. Finders answer
//! questions by name; what the built-in ones find is kept until finders or debug information
//! change.

mod builtin;
mod cache;
mod debug_info;
mod finders;
mod kernel;
mod lookup;
mod macros;
mod primitives;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock, PoisonError, RwLock, Weak};

pub use finders::{FinderRegistry, ObjectFinder, SymbolFinder, SymbolQuery, TypeFinder};
use kdive_debuginfo::TypeSource;
pub use kdive_debuginfo::description::ObjectKinds;
pub use kdive_debuginfo::symbols::{Symbol, SymbolBinding, SymbolKind};
use kdive_target::{
    AddressSpace, Architecture, ByteOrder, Memory, MemoryReader, Platform, Target, TargetKind,
};

use crate::module::ModuleRegistry;
use crate::stack::Stacks;
use crate::types::{ImportedTypes, Language, Type};
use crate::{Error, Result};
use builtin::Builtin;
use cache::Cache;
use debug_info::DebugInfo;
use primitives::Primitives;

/// A program: a kernel or process, running or dumped, or one made of parts by hand.
pub struct Program {
    platform: OnceLock<Platform>,
    target: OnceLock<Target>,
    memory: OnceLock<Arc<Memory>>,
    /// What is read before there is any memory.
    no_memory: Arc<Memory>,
    language: RwLock<Language>,
    /// Whether the language was set, and so follows no `main()`.
    is_language_set: AtomicBool,
    types: FinderRegistry<dyn TypeFinder>,
    objects: FinderRegistry<dyn ObjectFinder>,
    symbols: FinderRegistry<dyn SymbolFinder>,
    debug_info: DebugInfo,
    builtin: Builtin,
    pub(crate) modules: ModuleRegistry,
    primitives: Primitives,
    cache: Cache,
    stacks: Stacks,
    myself: Weak<Program>,
}

impl Program {
    /// A program without target or debug information. Its platform may be left to the target.
    pub fn new(platform: Option<Platform>) -> Arc<Program> {
        let program = Arc::new_cyclic(|myself| Program {
            platform: platform.map(OnceLock::from).unwrap_or_default(),
            target: OnceLock::new(),
            memory: OnceLock::new(),
            no_memory: Arc::new(Memory::new()),
            language: RwLock::new(Language::C),
            is_language_set: AtomicBool::new(false),
            types: FinderRegistry::new("type finder"),
            objects: FinderRegistry::new("object finder"),
            symbols: FinderRegistry::new("symbol finder"),
            debug_info: DebugInfo::default(),
            builtin: Builtin::default(),
            modules: ModuleRegistry::default(),
            primitives: Primitives::default(),
            cache: Cache::default(),
            stacks: Stacks::default(),
            myself: myself.clone(),
        });
        debug_info::register_finders(&program);
        builtin::register_finders(&program);
        program
    }

    /// A handle that does not keep the program alive.
    pub(crate) fn weak(&self) -> Weak<Program> {
        self.myself.clone()
    }

    /// What is kept for stacks.
    pub(crate) fn stacks(&self) -> &Stacks {
        &self.stacks
    }

    /// The sources of types that were loaded.
    pub(crate) fn imported_types(&self) -> Arc<[Arc<ImportedTypes>]> {
        self.debug_info.types()
    }

    /// A handle that keeps the program alive.
    pub(crate) fn shared(&self) -> Result<Arc<Program>> {
        self.myself
            .upgrade()
            .ok_or_else(|| Error::Value("the program is gone".to_owned()))
    }

    /// Gives the program its target. It must not have one yet, nor memory segments other than
    /// those of the target.
    pub fn set_target(&self, target: Target) -> Result<()> {
        let initialized = || Error::Value("program memory was already initialized".to_owned());
        let memory = self.memory.get_or_init(|| target.memory.clone());
        if !Arc::ptr_eq(memory, &target.memory) {
            return Err(initialized());
        }
        // A platform that was given goes before the one that was found.
        let _ = self.platform.set(target.platform);
        self.target.set(target).map_err(|_| initialized())?;
        self.forget();
        if self.is_kernel() {
            kernel::register_finder(&self.shared()?)?;
        }
        Ok(())
    }

    /// The target, if the program has one.
    pub fn target(&self) -> Option<&Target> {
        self.target.get()
    }

    /// Whether the target is a Linux kernel.
    pub fn is_kernel(&self) -> bool {
        self.target
            .get()
            .is_some_and(|target| target.kind.is_kernel())
    }

    /// Whether the target changes while it is looked at.
    pub fn is_live(&self) -> bool {
        self.target
            .get()
            .is_some_and(|target| target.kind.is_live())
    }

    /// Whether the target is on the machine that kdive runs on.
    pub fn is_local(&self) -> bool {
        self.target.get().is_some_and(|target| {
            matches!(target.kind, TargetKind::LiveKernel | TargetKind::Process)
        })
    }

    /// The platform, once it is known.
    pub fn platform(&self) -> Option<Platform> {
        self.platform.get().copied()
    }

    /// Sets the platform unless it is known already.
    pub fn set_default_platform(&self, platform: Platform) {
        let _ = self.platform.set(platform);
    }

    pub(crate) fn known_platform(&self) -> Result<Platform> {
        self.platform()
            .ok_or_else(|| Error::Value("program byte order is not known".to_owned()))
    }

    /// The architecture; unknown if the platform is.
    pub fn architecture(&self) -> Architecture {
        self.platform()
            .map_or(Architecture::Unknown, |platform| platform.architecture)
    }

    /// The order of bytes; the host's if the platform is not known.
    pub fn byte_order(&self) -> ByteOrder {
        self.platform()
            .map_or(ByteOrder::HOST, |platform| platform.byte_order)
    }

    /// The greatest address; that of 64 bits if the platform is not known.
    pub fn address_mask(&self) -> u64 {
        self.platform().map_or(u64::MAX, Platform::address_mask)
    }

    /// The size of an address in bytes.
    pub fn address_size(&self) -> Result<u8> {
        self.platform()
            .map(Platform::address_size)
            .ok_or_else(|| Error::Value("program address size is not known".to_owned()))
    }

    /// The language in which type names are parsed and literals typed.
    pub fn language(&self) -> Language {
        *self.language.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sets the language. It stays the same whatever is loaded later.
    pub fn set_language(&self, language: Language) {
        self.is_language_set.store(true, Ordering::Relaxed);
        self.change_language(language);
    }

    /// A program whose `main()` is written in C++ is looked into as C++, unless another language
    /// was set. `source` is what became known of it.
    pub(crate) fn take_language_of_main(&self, source: &dyn TypeSource) {
        let is_open = !self.is_kernel()
            && !self.is_language_set.load(Ordering::Relaxed)
            && self.language() == Language::C;
        // A main() that is damaged says nothing, and hides nothing else.
        let language = || {
            let found = source
                .find_objects(ObjectKinds::FUNCTION, "main", None)
                .ok()?;
            Some(source.describe(found.first()?.type_id?).ok()?.language)
        };
        if is_open && language() == Some(Language::Cpp) {
            self.change_language(Language::Cpp);
        }
    }

    fn change_language(&self, language: Language) {
        *self
            .language
            .write()
            .unwrap_or_else(PoisonError::into_inner) = language;
        self.forget();
    }

    /// The memory. Until it has a segment or the program a target, it has nothing to do with what
    /// will be the memory then.
    pub fn memory(&self) -> &Arc<Memory> {
        self.memory.get().unwrap_or(&self.no_memory)
    }

    /// Whether there is memory: that of a target, or segments.
    pub fn has_memory(&self) -> bool {
        self.memory.get().is_some()
    }

    /// Adds a segment of memory; it hides what was there before.
    pub fn add_memory_segment(
        &self,
        space: AddressSpace,
        address: u64,
        size: u64,
        reader: Arc<dyn MemoryReader>,
    ) {
        self.memory
            .get_or_init(|| Arc::new(Memory::new()))
            .add_segment(space, address, size, reader);
    }

    /// Fills `buffer` with the bytes at `address`.
    pub fn read(&self, space: AddressSpace, address: u64, buffer: &mut [u8]) -> Result<()> {
        Ok(self.memory().read(space, address, buffer)?)
    }

    /// The `size` bytes at `address`.
    pub fn read_bytes(&self, space: AddressSpace, address: u64, size: u64) -> Result<Vec<u8>> {
        let size = usize::try_from(size)
            .map_err(|_| Error::Overflow(format!("{size} bytes can't be read at once")))?;
        Ok(self.memory().read_bytes(space, address, size)?)
    }

    /// The bytes at `address` up to the first zero, at most `max_size`.
    pub fn read_c_string(
        &self,
        space: AddressSpace,
        address: u64,
        max_size: u64,
    ) -> Result<Vec<u8>> {
        let max_size = usize::try_from(max_size).unwrap_or(usize::MAX);
        Ok(self.memory().read_c_string(space, address, max_size)?)
    }

    /// The unsigned number of `size` (1, 2, 4 or 8) bytes at `address`.
    pub fn read_uint(&self, space: AddressSpace, address: u64, size: u8) -> Result<u64> {
        let order = self.known_platform()?.byte_order;
        let mut bytes = [0; 8];
        let buffer = bytes
            .get_mut(..usize::from(size))
            .ok_or_else(|| Error::Value(format!("a number of {size} bytes can't be read")))?;
        self.read(space, address, buffer)?;
        if order == ByteOrder::Big {
            buffer.reverse();
        }
        Ok(u64::from_le_bytes(bytes))
    }

    /// The same if it only takes copying; see [`Memory::read_at_hand`].
    pub fn read_uint_at_hand(&self, space: AddressSpace, address: u64, size: u8) -> Option<u64> {
        let order = self.platform()?.byte_order;
        let mut bytes = [0; 8];
        let buffer = bytes.get_mut(..usize::from(size))?;
        if !self.memory().read_at_hand(space, address, buffer) {
            return None;
        }
        if order == ByteOrder::Big {
            buffer.reverse();
        }
        Some(u64::from_le_bytes(bytes))
    }

    /// The finders of types.
    pub fn type_finders(&self) -> &FinderRegistry<dyn TypeFinder> {
        &self.types
    }

    /// The finders of variables, functions and constants.
    pub fn object_finders(&self) -> &FinderRegistry<dyn ObjectFinder> {
        &self.objects
    }

    /// The finders of symbols.
    pub fn symbol_finders(&self) -> &FinderRegistry<dyn SymbolFinder> {
        &self.symbols
    }

    /// Forgets what was found, since finders or debug information have changed.
    pub fn forget(&self) {
        self.cache.clear();
        self.primitives.clear();
        self.stacks.forget();
    }

    /// `void`.
    pub fn void_type(&self) -> Type {
        self.primitives.void(self.language())
    }
}
