"""Blocked tasks: what each waits for, who holds that, and those that wait for each other."""

from collections.abc import Iterator

from kdive import Object, Program, StackTrace
from kdive.helpers.linux.locking import (
    LockWait,
    RwsemLocked,
    lock_waited_for,
    mutex_owner,
    rwsem_locked,
    rwsem_owner,
)
from kdive.helpers.linux.pid import for_each_task
from kdive.helpers.linux.sched import task_state_to_char
from kdive.lens.clock import seconds_since_last_run
from kdive.lens.context import Context
from kdive.lens.diagnosis import Checked, Finding, Item, NoOptions, Row, Severity, column, diagnosis
from kdive.lens.needs import Needs
from kdive.lens.text import count_text, string, symbol_name


class BlockedTask(Row, title="Blocked tasks"):
    """A task in the state D."""

    tid: int = column("the thread", "TID")
    pid: int = column("the process", "PID")
    command: str = column("its name", "COMMAND")
    since_s: float | None = column("seconds since it last got a CPU", "SINCE (s)")
    function: str = column(
        "where it waits: the innermost function that is not one of the scheduler or of locks"
    )
    waits_for: str = column(
        "the kind of lock that it waits for; empty if it waits for something else", "waits for"
    )
    lock: int | None = column("address of the lock", hexadecimal=True)
    lock_name: str = column("symbol of the lock, if it is a variable", "lock name")
    holder_tid: int | None = column(
        "the thread that holds the lock, if that is known", "holder TID"
    )
    holder: str = column("its name")


@diagnosis(
    "blocked",
    "Blocked tasks with the locks that they wait for and who holds them, and deadlocks.",
    rows=(BlockedTask,),
    options=NoOptions,
    needs=Needs(types=("struct task_struct",)),
)
def blocked(context: Context[NoOptions]) -> Iterator[Item]:
    """Look for the locks on the stacks of tasks in the state D."""
    prog = context.prog
    count = 0
    rows: dict[int, BlockedTask] = {}
    for task in context.walk(for_each_task(prog), "the tasks"):
        with context.tolerate(f"task {hex(task)}"):
            count += 1
            if task_state_to_char(task) == "D":
                row = _row(task, prog.stack_trace(task))
                rows[row.tid] = row
                yield row
    for cycle in _cycles(rows):
        yield _deadlock(cycle, rows)
    yield Checked(count, "task")


def _row(task: Object, trace: StackTrace) -> BlockedTask:
    prog = task.prog_
    wait = lock_waited_for(task, trace)
    holder = _holder(wait.lock) if wait else None
    return BlockedTask(
        tid=task.pid.value_(),
        pid=task.tgid.value_(),
        command=string(task.comm),
        since_s=seconds_since_last_run(task),
        function=_wait_channel(prog, trace),
        waits_for=_kind(wait) if wait else "",
        lock=int(wait.lock) if wait else None,
        lock_name=symbol_name(prog, int(wait.lock)) if wait else "",
        holder_tid=holder.pid.value_() if holder else None,
        holder=string(holder.comm) if holder else "",
    )


def _kind(wait: LockWait) -> str:
    name = wait.lock.type_.type.tag or ""
    if name != "rw_semaphore":
        return name
    is_reader = wait.waiter.type == wait.lock.prog_["RWSEM_WAITING_FOR_READ"]
    return f"{name}, to {'read' if is_reader else 'write'}"


def _holder(lock: Object) -> Object | None:
    """Get the task that holds a lock; None where the kernel does not record it: of semaphores and of readers."""
    match lock.type_.type.tag:
        case "mutex":
            return mutex_owner(lock)
        case "rw_semaphore" if rwsem_locked(lock) == RwsemLocked.WRITE_LOCKED:
            return rwsem_owner(lock)
    return None


def _wait_channel(prog: Program, trace: StackTrace) -> str:
    """Name the function that made a task sleep; functions that only do so lie in a section of their own."""
    start, end = (prog.symbol(f"__sched_text_{side}").address for side in ("start", "end"))
    names = (frame.name for frame in trace if not start <= frame.pc < end)
    return next(names, "")


def _cycles(rows: dict[int, BlockedTask]) -> Iterator[list[BlockedTask]]:
    """Find the tasks that wait for each other in a circle; each waits for one holder at most."""
    done: set[int] = set()
    for first in rows:
        path: list[int] = []
        tid: int | None = first
        while tid in rows and tid not in done and tid not in path:
            path.append(tid)
            tid = rows[tid].holder_tid
        if tid in path:
            yield [rows[member] for member in path[path.index(tid) :]]
        done.update(path)


def _deadlock(cycle: list[BlockedTask], rows: dict[int, BlockedTask]) -> Finding:
    members = {row.tid for row in cycle}
    behind = 0
    for row in rows.values():
        tid, seen = row.tid, set()
        while tid in rows and tid not in members and tid not in seen:
            seen.add(tid)
            tid = rows[tid].holder_tid or 0
        behind += tid in members and row.tid not in members
    evidence = [
        f"{row.command} (TID {row.tid}) waits for the {row.waits_for} {row.lock_name or hex(row.lock or 0)} "
        f"that {row.holder} (TID {row.holder_tid}) holds"
        for row in cycle
    ]
    if behind:
        evidence.append(f"{count_text(behind, 'more task')} wait behind them")
    return Finding(
        Severity.CRITICAL,
        f"{count_text(len(cycle), 'task')} wait for each other and will for ever: a deadlock"
        if len(cycle) > 1
        else f"{cycle[0].command} (TID {cycle[0].tid}) waits for a lock that it holds itself: a deadlock",
        tuple(evidence),
        "blocked stacks",
    )
