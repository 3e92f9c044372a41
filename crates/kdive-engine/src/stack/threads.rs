//! The threads of a program: tasks of a kernel, threads of a process.

use std::collections::HashSet;
use std::sync::Arc;

use kdive_target::{AddressSpace, TargetKind, process, with_stopped_thread};
use kdive_unwind::Registers;

use super::{StackTrace, start};
use crate::object::Object;
use crate::program::{ObjectKinds, Program};
use crate::types::{Type, TypeKind, TypeKinds};
use crate::{Error, Result};

/// More tasks than a kernel can have (`PID_MAX_LIMIT`); longer lists are damaged.
const MAX_TASKS: usize = 1 << 22;

/// A thread of a program.
#[derive(Clone)]
pub struct Thread {
    program: Arc<Program>,
    tid: u32,
    origin: Origin,
}

#[derive(Clone)]
enum Origin {
    /// A task of a kernel: `struct task_struct *`.
    Task(Object),
    /// A thread of a process dump, by its number there.
    Dumped(usize),
    /// A thread of a running process.
    Running { pid: u32 },
}

impl Thread {
    /// The program that it belongs to.
    pub fn program(&self) -> &Arc<Program> {
        &self.program
    }

    /// Its ID.
    pub fn tid(&self) -> u32 {
        self.tid
    }

    /// Its name, if it is known. Process dumps have only that of the main thread.
    pub fn name(&self) -> Result<Option<String>> {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        match &self.origin {
            Origin::Task(task) => Ok(Some(text(&task.member("comm")?.string(None)?))),
            Origin::Dumped(_) => {
                let process = self
                    .program
                    .target()
                    .and_then(|target| target.process.as_ref());
                Ok(process
                    .filter(|process| process.pid == Some(self.tid))
                    .map(|process| text(&process.command)))
            }
            Origin::Running { pid } => {
                let path = format!("/proc/{pid}/task/{}/comm", self.tid);
                // A thread that has just ended has no name any more.
                Ok(std::fs::read(path)
                    .ok()
                    .map(|name| text(name.trim_ascii_end())))
            }
        }
    }

    /// Its `struct task_struct *`.
    pub fn object(&self) -> Result<Object> {
        match &self.origin {
            Origin::Task(task) => Ok(task.clone()),
            _ => Err(Error::Value(
                "thread object is currently only defined for the Linux kernel".to_owned(),
            )),
        }
    }

    /// Its stack. A thread of a running process is stopped for as long as that takes.
    pub fn stack_trace(&self) -> Result<StackTrace> {
        match &self.origin {
            Origin::Task(task) => self.program.stack_trace_of(task),
            Origin::Dumped(number) => {
                let registers = self
                    .program
                    .target()
                    .and_then(|target| target.threads.get(*number))
                    .map(|status| self.registers(&status.registers))
                    .ok_or_else(|| Error::Lookup("the thread has no registers".to_owned()))??;
                self.program.stack_trace_from_registers(&registers, true)
            }
            Origin::Running { .. } => with_stopped_thread(self.tid, |bytes| {
                let registers = self.registers(bytes)?;
                self.program.stack_trace_from_registers(&registers, true)
            })?,
        }
    }

    fn registers(&self, bytes: &[u8]) -> Result<Registers> {
        self.program
            .stack_architecture()?
            .from_user_regs(bytes)
            .map_err(|error| start::unwind_error(&error))
    }
}

impl Program {
    /// All threads: a kernel's tasks but the idle ones, or those of the process.
    pub fn threads(self: &Arc<Self>) -> Result<Vec<Thread>> {
        let Some(target) = self.target() else {
            return Ok(Vec::new());
        };
        let thread = |tid, origin| Thread {
            program: self.clone(),
            tid,
            origin,
        };
        match (target.kind, &target.process) {
            (kind, _) if kind.is_kernel() => TaskWalk::new(self)?.threads(),
            (TargetKind::Process, Some(process)) => {
                let pid = process
                    .pid
                    .ok_or_else(|| Error::Lookup("the process ID is not known".to_owned()))?;
                Ok(process::thread_ids(pid)?
                    .into_iter()
                    .map(|tid| thread(tid, Origin::Running { pid }))
                    .collect())
            }
            _ => Ok(target
                .threads
                .iter()
                .enumerate()
                .map(|(number, status)| thread(status.tid, Origin::Dumped(number)))
                .collect()),
        }
    }

    /// The thread with an ID.
    pub fn thread(self: &Arc<Self>, tid: u32) -> Result<Thread> {
        self.threads()?
            .into_iter()
            .find(|thread| thread.tid == tid)
            .ok_or_else(|| Error::Lookup(format!("thread with ID {tid} not found")))
    }

    /// The first thread of a process.
    pub fn main_thread(self: &Arc<Self>) -> Result<Thread> {
        if self.is_kernel() {
            return Err(Error::Unsupported(
                "main thread is not defined for the Linux kernel".to_owned(),
            ));
        }
        let pid = self
            .target()
            .and_then(|target| target.process.as_ref())
            .and_then(|process| process.pid);
        let threads = self.threads()?;
        let main = threads
            .iter()
            .find(|thread| Some(thread.tid) == pid)
            .or(threads.first());
        main.cloned()
            .ok_or_else(|| Error::Lookup("main thread not found".to_owned()))
    }

    /// The thread that took the signal that ended a process, or the task that was on the CPU
    /// where the kernel panicked (`panic_cpu`, or `crashing_cpu` where a crash kernel started).
    pub fn crashed_thread(self: &Arc<Self>) -> Result<Thread> {
        if self.is_live() {
            return Err(Error::Unsupported(
                "crashed thread is only defined for core dumps".to_owned(),
            ));
        }
        if !self.is_kernel() {
            return self
                .threads()?
                .into_iter()
                .next()
                .ok_or_else(|| Error::Lookup("crashed thread not found".to_owned()));
        }
        let cpu = self.panic_cpu()?;
        let task = self.current_task(cpu)?;
        Ok(Thread {
            program: self.clone(),
            tid: start::integer(&task.member("pid")?)? as u32,
            origin: Origin::Task(task),
        })
    }

    /// The stack of the thread with an ID.
    pub fn stack_trace_of_thread(self: &Arc<Self>, tid: u32) -> Result<StackTrace> {
        let thread = self.threads()?.into_iter().find(|thread| thread.tid == tid);
        match thread {
            Some(thread) => thread.stack_trace(),
            None if self.is_kernel() && tid == 0 => Err(Error::Lookup(
                "task not found; use stack_trace(idle_task(cpu)) for PID 0".to_owned(),
            )),
            None if self.is_kernel() => Err(Error::Lookup("task not found".to_owned())),
            None => Err(Error::Lookup("thread not found".to_owned())),
        }
    }

    fn panic_cpu(self: &Arc<Self>) -> Result<u64> {
        for name in ["panic_cpu", "crashing_cpu"] {
            let Some(object) = self.find_object_if_any(name, ObjectKinds::VARIABLE, None)? else {
                continue;
            };
            let counter = match object.ty().unaliased_kind()? {
                TypeKind::Struct => object.find_member("counter")?,
                _ => None,
            };
            let number = match counter {
                Some(counter) => counter,
                None => object,
            };
            // -1 is no CPU.
            if let Ok(cpu) = u32::try_from(start::integer(&number)? as i64) {
                return Ok(u64::from(cpu));
            }
        }
        Err(Error::Lookup("panic_cpu is not set".to_owned()))
    }

    /// The task that was running on a CPU: `curr` of its run queue.
    fn current_task(self: &Arc<Self>, cpu: u64) -> Result<Object> {
        let runqueues = self.find_object("runqueues", ObjectKinds::VARIABLE, None)?;
        let offsets = self.find_object_if_any("__per_cpu_offset", ObjectKinds::VARIABLE, None)?;
        let offset = match offsets {
            Some(offsets) => start::integer(&offsets.subscript(cpu as i64)?)?,
            // Without SMP there is one of each.
            None => 0,
        };
        let address = runqueues
            .address()
            .ok_or_else(|| Error::Lookup("the run queues have no address".to_owned()))?;
        Object::reference(
            self,
            runqueues.ty().clone(),
            address.wrapping_add(offset),
            0,
            None,
        )?
        .member("curr")?
        .read()
    }
}

/// Walks the kernel's list of processes and their lists of threads.
struct TaskWalk<'a> {
    program: &'a Arc<Program>,
    task_pointer: Type,
    init_task: u64,
    tasks: u64,
    signal: u64,
    pid: u64,
    thread_node: u64,
    thread_head: u64,
    seen: HashSet<u64>,
}

impl<'a> TaskWalk<'a> {
    fn new(program: &'a Arc<Program>) -> Result<Self> {
        let init_task = program.find_object("init_task", ObjectKinds::VARIABLE, None)?;
        let task = init_task.ty().clone();
        let signal = program.find_named_type(TypeKinds::STRUCT, "signal_struct", None)?;
        Ok(Self {
            init_task: init_task
                .address()
                .ok_or_else(|| Error::Lookup("init_task has no address".to_owned()))?,
            task_pointer: program.pointer_type(&task, crate::types::PointerKind::default())?,
            tasks: task.offset_of("tasks")?,
            signal: task.offset_of("signal")?,
            pid: task.offset_of("pid")?,
            thread_node: task.offset_of("thread_node")?,
            thread_head: signal.offset_of("thread_head")?,
            program,
            seen: HashSet::new(),
        })
    }

    fn word(&self, address: u64) -> Result<u64> {
        self.program.read_uint(AddressSpace::Virtual, address, 8)
    }

    /// The tasks that can be reached. Damage ends the list that has it.
    fn threads(mut self) -> Result<Vec<Thread>> {
        let mut threads = Vec::new();
        let mut leader = self.word(self.init_task.wrapping_add(self.tasks))?;
        while leader != self.init_task.wrapping_add(self.tasks) {
            let task = leader.wrapping_sub(self.tasks);
            if self.add_process(task, &mut threads).is_err() {
                break;
            }
            match self.word(leader) {
                Ok(next) if threads.len() < MAX_TASKS => leader = next,
                _ => break,
            }
        }
        Ok(threads)
    }

    fn add_process(&mut self, leader: u64, threads: &mut Vec<Thread>) -> Result<()> {
        let signal = self.word(leader.wrapping_add(self.signal))?;
        let before = threads.len();
        if signal != 0 {
            let head = signal.wrapping_add(self.thread_head);
            let mut node = self.word(head)?;
            while node != head && threads.len() < MAX_TASKS {
                let task = node.wrapping_sub(self.thread_node);
                if self.add(task, threads).is_err() {
                    break;
                }
                match self.word(node) {
                    Ok(next) => node = next,
                    Err(_) => break,
                }
            }
        }
        if threads.len() == before {
            self.add(leader, threads)?;
        }
        Ok(())
    }

    fn add(&mut self, task: u64, threads: &mut Vec<Thread>) -> Result<()> {
        let pid = self
            .program
            .read_uint(AddressSpace::Virtual, task.wrapping_add(self.pid), 4)?;
        if !self.seen.insert(task) {
            return Err(Error::Lookup(
                "the list of tasks leads back to itself".to_owned(),
            ));
        }
        let object =
            Object::from_integer(self.program, self.task_pointer.clone(), i128::from(task))?;
        threads.push(Thread {
            program: self.program.clone(),
            tid: pid as u32,
            origin: Origin::Task(object),
        });
        Ok(())
    }
}
