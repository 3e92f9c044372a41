//! The symbols of BPF programs and trampolines, which the kernel has in a list of its own.

use std::sync::Arc;

use super::start::integer;
use crate::Result;
use crate::object::Object;
use crate::program::{ObjectKinds, Program, Symbol, SymbolBinding, SymbolKind};
use crate::types::TypeKinds;

/// More programs than kernels have loaded.
const MAX_SYMBOLS: usize = 1 << 16;

/// The symbol of the BPF program, dispatcher or trampoline at an address of the kernel: one of the
/// `struct bpf_ksym` in the list `bpf_kallsyms`, since Linux 5.8 ("bpf: Add struct `bpf_ksym`").
/// Programs in the classic instruction set have none.
pub(super) fn symbol_at(program: &Arc<Program>, address: u64) -> Result<Option<Symbol>> {
    let list = program.find_object_if_any("bpf_kallsyms", ObjectKinds::VARIABLE, None)?;
    let Some(list) = list.filter(|_| program.is_kernel()) else {
        return Ok(None);
    };
    let ty = program.find_named_type(TypeKinds::STRUCT, "bpf_ksym", None)?;
    let node = ty.offset_of("lnode")?;
    let head = list.address();
    let mut place = integer(&list.member("next")?)?;
    for _ in 0..MAX_SYMBOLS {
        if Some(place) == head || place == 0 {
            break;
        }
        let object = Object::reference(program, ty.clone(), place.wrapping_sub(node), 0, None)?;
        let (start, end) = (
            integer(&object.member("start")?)?,
            integer(&object.member("end")?)?,
        );
        if (start..end).contains(&address) {
            let name = object.member("name")?.string(None)?;
            return Ok(Some(Symbol {
                name: String::from_utf8_lossy(&name).into(),
                address: start,
                size: end - start,
                binding: SymbolBinding::Local,
                kind: SymbolKind::Function,
            }));
        }
        place = integer(&object.member("lnode")?.member("next")?)?;
    }
    Ok(None)
}
