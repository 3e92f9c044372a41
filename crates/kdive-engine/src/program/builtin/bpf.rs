//! The symbols of BPF programs, trampolines and dispatchers, whose code the kernel makes while it
//! runs.

use std::sync::Arc;

use kdive_debuginfo::description::TypeKinds;
use kdive_debuginfo::symbols::{Symbol, SymbolBinding, SymbolKind, SymbolTable};

use super::super::Program;
use crate::Result;
use crate::object::{Object, container_of};
use crate::types::Type;

/// A kernel has some hundreds of programs; a list that is much longer is damaged.
const MAX_PROGRAMS: usize = 1 << 16;

impl Program {
    /// The symbols on the list `bpf_kallsyms`, read when they are first needed: `struct bpf_ksym`,
    /// since "bpf: Add struct `bpf_ksym`" and its neighbours, Linux 5.7. There are none as long as
    /// nothing is known of the kernel's types.
    pub(super) fn bpf_symbols(self: &Arc<Self>) -> Option<&SymbolTable> {
        if let Some(symbols) = self.builtin.bpf_symbols.get() {
            return Some(symbols);
        }
        if !self.is_kernel() {
            return None;
        }
        let find = |name| self.find_named_type(TypeKinds::STRUCT, name, None).ok();
        let (list, entry) = (find("list_head")?, find("bpf_ksym")?);
        let head = self.kernel_symbol("bpf_kallsyms")?;
        Some(self.builtin.bpf_symbols.get_or_init(|| {
            let mut found = Vec::new();
            if let Err(error) = self.read_bpf_symbols(head, list, &entry, &mut found) {
                self.note_problem(format!(
                    "not all symbols of BPF programs could be read: {error}"
                ));
            }
            SymbolTable::new(found)
        }))
    }

    fn read_bpf_symbols(
        self: &Arc<Self>,
        head: u64,
        list: Type,
        entry: &Type,
        found: &mut Vec<Symbol>,
    ) -> Result<()> {
        let mut node = Object::reference(self, list, head, 0, None)?.member("next")?;
        for _ in 0..MAX_PROGRAMS {
            if number(&node)? == head {
                break;
            }
            let entry = container_of(&node, entry, "lnode")?;
            let address = number(&entry.member("start")?)?;
            let end = number(&entry.member("end")?)?;
            let name = entry.member("name")?.string(None)?;
            found.push(Symbol {
                name: String::from_utf8_lossy(&name).into(),
                address,
                size: end.saturating_sub(address),
                binding: SymbolBinding::Local,
                kind: SymbolKind::Function,
            });
            node = entry.member("lnode")?.member("next")?.read()?;
        }
        Ok(())
    }
}

fn number(object: &Object) -> Result<u64> {
    Ok(object.number()?.to_bits() as u64)
}
