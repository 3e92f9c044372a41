//! The registers that a stack is unwound from.

use std::sync::Arc;

use kdive_target::AddressSpace;
use kdive_unwind::{Register, Registers};

use super::crash_notes;
use super::replaced::{self, Replaced};
use crate::object::Object;
use crate::program::{ObjectKinds, Program};
use crate::types::{TypeKind, TypeKinds};
use crate::{Error, Result};

/// What a stack is unwound from.
pub(super) struct Start {
    pub(super) registers: Registers,
    /// Whether the registers were saved by an interruption.
    pub(super) is_interrupted: bool,
    pub(super) replaced: Replaced,
}

/// What an object tells of: `struct task_struct` or `struct pt_regs`, or a pointer to one.
pub(super) fn of_object(program: &Arc<Program>, object: &Object) -> Result<Start> {
    let real = object.ty().unaliased()?;
    let is_pointer = real.kind() == TypeKind::Pointer;
    let structure = if is_pointer {
        match real.target()? {
            Some(target) => target.unaliased()?,
            None => return Err(wrong_type(object)),
        }
    } else {
        real
    };
    match structure.tag().map(|tag| &**tag) {
        Some("task_struct") => {
            if !program.is_kernel() {
                return Err(wrong_type(object));
            }
            let (registers, is_interrupted) = of_task(program, object)?;
            Ok(Start {
                registers,
                is_interrupted,
                replaced: replaced::of_task(object),
            })
        }
        Some("pt_regs") => {
            let architecture = program.stack_architecture()?;
            let bytes = if is_pointer {
                let size = architecture.pt_regs_size as u64;
                program.read_bytes(AddressSpace::Virtual, integer(object)?, size)?
            } else {
                object.to_bytes()?
            };
            let registers = architecture
                .from_pt_regs(&bytes)
                .map_err(|error| unwind_error(&error))?;
            Ok(Start {
                registers,
                is_interrupted: true,
                replaced: Replaced::default(),
            })
        }
        _ => Err(wrong_type(object)),
    }
}

fn wrong_type(object: &Object) -> Error {
    Error::Type(format!(
        "expected struct pt_regs, struct pt_regs *, struct task_struct, or struct task_struct *, not {}",
        object.ty().kind_article()
    ))
}

/// The registers of a task: on a CPU of a dump those of the CPU, else where it sleeps.
fn of_task(program: &Arc<Program>, task: &Object) -> Result<(Registers, bool)> {
    if let Some(cpu) = cpu_of_running(task)? {
        if program.is_live() {
            return Err(Error::Value(
                "the task is running on a CPU, so that its stack changes; take it in a dump"
                    .to_owned(),
            ));
        }
        let registers = of_cpu(program, cpu)?;
        return Ok((registers, true));
    }
    let thread = task.member("thread")?;
    check_has_stack(task, &thread)?;
    let architecture = program.stack_architecture()?;
    if architecture.target == kdive_target::Architecture::Aarch64 {
        let context = thread.member("cpu_context")?;
        let mut saved = Vec::new();
        for number in 19..=28_u8 {
            saved.push((
                Register(number),
                integer(&context.member(&format!("x{number}"))?)?,
            ));
        }
        saved.push((architecture.frame_pointer, integer(&context.member("fp")?)?));
        let pc = integer(&context.member("pc")?)?;
        let sp = integer(&context.member("sp")?)?;
        return Ok((architecture.inactive_task(pc, sp, &saved), false));
    }
    let sp = integer(&thread.member("sp")?)?;
    // `struct inactive_task_frame` lies at the stack pointer of a task that is not running
    // ("sched/x86: Rewrite the switch_to() code", Linux 4.9).
    let ty = program.find_named_type(TypeKinds::STRUCT, "inactive_task_frame", None)?;
    let size = ty.size()?;
    let frame = Object::reference(program, ty, sp, 0, None)?;
    let mut saved = Vec::new();
    for (member, register) in [
        ("bx", "rbx"),
        ("bp", "rbp"),
        ("r12", "r12"),
        ("r13", "r13"),
        ("r14", "r14"),
        ("r15", "r15"),
    ] {
        if let (Some(value), Some(register)) =
            (frame.find_member(member)?, architecture.by_name(register))
        {
            saved.push((register, integer(&value)?));
        }
    }
    let pc = integer(&frame.member("ret_addr")?)?;
    Ok((
        architecture.inactive_task(pc, sp.wrapping_add(size), &saved),
        false,
    ))
}

/// Refuses a task that has ended. Its stack is freed before its parent asks for its status, and may
/// be another one's by now ("sched/core: Free the stack early if `CONFIG_THREAD_INFO_IN_TASK`",
/// Linux 4.9).
fn check_has_stack(task: &Object, thread: &Object) -> Result<()> {
    match task.find_member("stack")? {
        Some(stack) if integer(&stack)? == 0 => Err(kdive_target::Error::Fault {
            address: match thread.find_member("sp")? {
                Some(sp) => integer(&sp)?,
                None => 0,
            },
            reason: "the task has ended, and its stack was freed".to_owned(),
        }
        .into()),
        _ => Ok(()),
    }
}

/// The CPU that a task is running on, if it is.
fn cpu_of_running(task: &Object) -> Result<Option<u64>> {
    let is_running = match task.find_member("on_cpu")? {
        Some(on_cpu) => on_cpu.is_truthy()?,
        // Without SMP there is no such member, and one CPU.
        None => return Ok(None),
    };
    if !is_running {
        return Ok(None);
    }
    // "sched: move CPU field back into thread_info if THREAD_INFO_IN_TASK=y", Linux 5.16.
    if let Some(info) = task.find_member("thread_info")?
        && let Some(cpu) = info.find_member("cpu")?
    {
        return integer(&cpu).map(Some);
    }
    integer(&task.member("cpu")?).map(Some)
}

/// The registers of a CPU when the dump was made.
fn of_cpu(program: &Arc<Program>, cpu: u64) -> Result<Registers> {
    let target = program
        .target()
        .ok_or_else(|| Error::Value("the program has no target".to_owned()))?;
    let status = usize::try_from(cpu).ok().and_then(|cpu| {
        target
            .threads
            .get(number_among_saved(program, cpu, target.threads.len()))
    });
    if let Some(status) = status {
        return program
            .stack_architecture()?
            .from_user_regs(&status.registers)
            .map_err(|error| unwind_error(&error));
    }
    // What can't be read was not dumped.
    crash_notes::of_cpu(program, cpu)
        .unwrap_or_default()
        .ok_or_else(|| Error::Lookup(format!("registers of CPU {cpu} were not saved in the dump")))
}

/// Which of the registers in a dump are those of a CPU. QEMU saves those of all CPUs, a crashing
/// kernel those of CPUs that are online.
fn number_among_saved(program: &Arc<Program>, cpu: usize, saved: usize) -> usize {
    let online = program
        .find_object_if_any("__cpu_online_mask", ObjectKinds::VARIABLE, None)
        .and_then(|mask| mask.map(|mask| mask.to_bytes()).transpose());
    let Ok(Some(mask)) = online else {
        return cpu;
    };
    let is_online = |cpu: usize| {
        mask.get(cpu / 8)
            .is_some_and(|bits| bits >> (cpu % 8) & 1 == 1)
    };
    let online = (0..mask.len().saturating_mul(8)).filter(|cpu| is_online(*cpu));
    if online.count() == saved && is_online(cpu) {
        (0..cpu).filter(|other| is_online(*other)).count()
    } else {
        cpu
    }
}

pub(super) fn integer(object: &Object) -> Result<u64> {
    Ok(object.number()?.to_bits() as u64)
}

pub(super) fn unwind_error(error: &kdive_unwind::Error) -> Error {
    Error::Value(error.to_string())
}
