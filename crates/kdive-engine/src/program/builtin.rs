//! What a Linux kernel says of itself: its symbols and types out of its own memory, and the
//! types of its well-known variables, which are in neither.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use foldhash::fast::FixedState;
use kdive_debuginfo::btf::{Btf, BtfSource};
use kdive_debuginfo::kallsyms;
use kdive_debuginfo::symbols::SymbolTable;
use kdive_target::AddressSpace;

use super::{ObjectFinder, ObjectKinds, Program};
use crate::object::Object;
use crate::{Error, Result};

/// The BTF of a kernel has some megabytes.
const MAX_BTF_SIZE: u64 = 1 << 28;

impl Program {
    /// Takes the symbols and types that the kernel has of itself, where no file has them.
    /// Whether there were any types.
    pub fn load_builtin_debug_info(self: &Arc<Self>) -> Result<bool> {
        let Some(target) = self.target().filter(|target| target.kind.is_kernel()) else {
            return Ok(false);
        };
        let Some(info) = &target.vmcoreinfo else {
            return Ok(false);
        };
        let Some(symbols) = kallsyms::read(self.memory(), info, self.byte_order())? else {
            return Ok(false);
        };
        let symbols = SymbolTable::new(symbols);
        // Where per-CPU symbols are offsets (x86-64 until 6.15), they start at 0.
        let per_cpu_end = match (
            symbols.by_name("__per_cpu_start"),
            symbols.by_name("__per_cpu_end"),
        ) {
            (Some(start), Some(end)) if start.address == 0 => end.address,
            _ => 0,
        };
        let symbols = Arc::new(symbols.with_offsets(0..per_cpu_end));
        self.add_symbols(symbols.clone());
        let (Some(start), Some(stop)) = (
            symbols.by_name("__start_BTF"),
            symbols.by_name("__stop_BTF"),
        ) else {
            return Ok(false);
        };
        let size = stop.address.saturating_sub(start.address);
        if size == 0 || size > MAX_BTF_SIZE {
            return Ok(false);
        }
        let bytes = self.read_bytes(AddressSpace::Virtual, start.address, size)?;
        let btf = Arc::new(Btf::parse("BTF of the kernel", bytes.into(), None)?);
        let pointer_size = self.address_size()?;
        self.add_type_source(Arc::new(BtfSource::new(btf, Some(symbols), pointer_size)?));
        Ok(true)
    }
}

/// Answers for the variables of [`KNOWN`], at the addresses of their symbols.
struct KnownGlobals;

/// The types of variables by name, the type of the latest kernels last.
static KNOWN: LazyLock<HashMap<&str, Vec<&str>, FixedState>> = LazyLock::new(|| {
    let mut known: HashMap<&str, Vec<&str>, FixedState> = HashMap::default();
    for line in include_str!("known_globals.txt").lines() {
        if let (false, Some((name, ty))) = (line.starts_with('#'), line.split_once(": ")) {
            known.entry(name).or_default().push(ty);
        }
    }
    known
});

pub(crate) fn register_finder(program: &Program) {
    // A program that has just been made has no finder of that name.
    let _ = program
        .objects
        .register("known", Arc::new(KnownGlobals), Some(-1));
}

impl ObjectFinder for KnownGlobals {
    fn find(
        &self,
        program: &Arc<Program>,
        name: &str,
        kinds: ObjectKinds,
        file_name: Option<&str>,
    ) -> Result<Option<Object>> {
        if !kinds.contains(ObjectKinds::VARIABLE) || file_name.is_some() || !program.is_kernel() {
            return Ok(None);
        }
        let Some(types) = KNOWN.get(name) else {
            return Ok(None);
        };
        let Some(symbol) = program.symbol_named(name)? else {
            return Ok(None);
        };
        for ty in types {
            match program.find_type(ty, None) {
                Ok(ty) => {
                    return Object::reference(program, ty, symbol.address, 0, None).map(Some);
                }
                Err(Error::NotFound { .. } | Error::Lookup(_)) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }

    fn is_stable(&self) -> bool {
        true
    }
}
