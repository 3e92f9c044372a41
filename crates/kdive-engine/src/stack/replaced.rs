//! The return addresses that tracers replaced on the stack of a task.
//!
//! To see a function return, return probes and the function graph tracer let it return to code of
//! their own, and keep the real return address with the task.

use std::collections::HashMap;

use foldhash::fast::FixedState;
use kdive_unwind::FindTable;
use kdive_unwind::table::UnwindTable;

use super::start::integer;
use super::tables::Modules;
use crate::Result;
use crate::object::Object;
use crate::types::TypeKinds;

/// More than the functions on a stack.
const MAX_REPLACED: usize = 1024;

/// Real return addresses, by where they were.
pub(super) type Replaced = HashMap<u64, u64, FixedState>;

/// The tables of all modules, and what was replaced on the stack that is unwound.
pub(super) struct TracedTables<'a> {
    pub(super) modules: &'a Modules,
    pub(super) replaced: &'a Replaced,
}

impl FindTable for TracedTables<'_> {
    fn find_table(&self, address: u64) -> Option<(&UnwindTable, u64)> {
        self.modules.find_table(address)
    }

    fn is_code(&self, address: u64) -> bool {
        self.modules.is_code(address)
    }

    fn replaced_return_address(&self, place: u64) -> Option<u64> {
        self.replaced.get(&place).copied()
    }
}

/// What was replaced on the stack of a task. What can't be read is left out: the tracer's code then
/// shows up as a frame.
pub(super) fn of_task(task: &Object) -> Replaced {
    let mut replaced = Replaced::default();
    let _ = add_return_probes(task, &mut replaced);
    let _ = add_graph(task, &mut replaced);
    replaced
}

/// `struct rethook_node`, which return probes have since Linux 5.18 ("x86,rethook,kprobes: Replace
/// kretprobe with rethook on x86").
fn add_return_probes(task: &Object, replaced: &mut Replaced) -> Result<()> {
    let Some(hooks) = task.find_member("rethooks")? else {
        return Ok(());
    };
    let mut node = integer(&hooks.member("first")?)?;
    if node == 0 {
        return Ok(());
    }
    let program = task.program();
    let ty = program.find_named_type(TypeKinds::STRUCT, "rethook_node", None)?;
    let list = ty.offset_of("llist")?;
    for _ in 0..MAX_REPLACED {
        if node == 0 {
            break;
        }
        let hook = Object::reference(program, ty.clone(), node.wrapping_sub(list), 0, None)?;
        // The newest is first; of several at one place the oldest one has the real address.
        replaced.insert(
            integer(&hook.member("frame")?)?,
            integer(&hook.member("ret_addr")?)?,
        );
        node = integer(&hook.member("llist")?.member("next")?)?;
    }
    Ok(())
}

/// What the function graph tracer replaced: `struct ftrace_ret_stack`. A task had an array of them
/// until Linux 6.11 ("`function_graph`: Convert `ret_stack` to a series of longs"); since then each
/// is followed by words of those who trace, the last of which tells in its low ten bits how many
/// words there are before it.
fn add_graph(task: &Object, replaced: &mut Replaced) -> Result<()> {
    const WORDS_BEFORE: u64 = (1 << 10) - 1;
    let (Some(calls), Some(last)) = (
        task.find_member("ret_stack")?,
        task.find_member("curr_ret_stack")?,
    ) else {
        return Ok(());
    };
    if integer(&calls)? == 0 {
        return Ok(());
    }
    let program = task.program();
    let own_code = program.symbol_named("return_to_handler")?;
    let mut add = |call: &Object| -> Result<()> {
        let Some(place) = call.find_member("retp")? else {
            return Ok(());
        };
        let (place, address) = (integer(&place)?, integer(&call.member("ret")?)?);
        // A function may have a return probe as well; who came last saw the other's code.
        let probed = replaced.entry(place).or_insert(address);
        if own_code.as_ref().is_some_and(|own| own.address == *probed) {
            *probed = address;
        }
        Ok(())
    };
    let last = i64::from(integer(&last)? as i32);
    let real = calls.ty().unaliased()?;
    if real.target()?.is_some_and(|target| target.tag().is_some()) {
        for index in (0..=last).take(MAX_REPLACED) {
            add(&calls.subscript(index)?)?;
        }
        return Ok(());
    }
    let ty = program.find_named_type(TypeKinds::STRUCT, "ftrace_ret_stack", None)?;
    let mut end = last;
    for _ in 0..MAX_REPLACED {
        let word = end - 1;
        if word < 0 {
            break;
        }
        let before = integer(&calls.subscript(word)?)? & WORDS_BEFORE;
        end = word.saturating_sub_unsigned(before);
        if before == 0 || end < 0 {
            break;
        }
        let address = integer(&calls.subscript(end)?.address_of()?)?;
        add(&Object::reference(program, ty.clone(), address, 0, None)?)?;
    }
    Ok(())
}
