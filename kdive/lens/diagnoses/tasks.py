"""The tasks, and those that are blocked."""

from collections.abc import Iterator

from kdive import Object
from kdive.helpers.linux.mm import task_rss, task_vsize
from kdive.helpers.linux.pid import for_each_task
from kdive.helpers.linux.sched import task_cpu, task_on_cpu, task_state_to_char
from kdive.lens.clock import seconds_since_last_run
from kdive.lens.context import Context
from kdive.lens.diagnosis import (
    Checked,
    Finding,
    Item,
    Options,
    Row,
    Severity,
    column,
    diagnosis,
    option,
)
from kdive.lens.needs import Needs
from kdive.lens.text import count_text, string

# The kernel's own watchdog reports tasks that have been blocked for this long (hung_task_timeout_secs).
_BLOCKED_S = 120
_EVIDENCE = 5


class Task(Row, title="Tasks"):
    """A ``struct task_struct``."""

    tid: int = column("the thread", "TID")
    pid: int = column("the process", "PID")
    ppid: int = column("the parent process", "PPID")
    cpu: int = column("the CPU that it runs on or ran on last", "CPU")
    address: int = column("struct task_struct", "TASK", hexadecimal=True)
    state: str = column("R running, S sleeping, D blocked, I idle, T stopped, Z zombie, …", "ST")
    on_cpu: bool = column("whether it is on its CPU right now", "ON CPU")
    since_s: float | None = column("seconds since it last got a CPU", "SINCE (s)")
    vsize_bytes: int = column("size of its address space in bytes", "VSZ")
    rss_bytes: int = column("memory that it uses, in bytes", "RSS")
    command: str = column("its name; in brackets if it is a thread of the kernel", "COMMAND")


class TasksOptions(Options):
    """Options of the diagnosis."""

    state: str = option("", "list only tasks in one of these states, such as D")


@diagnosis(
    "tasks",
    "The tasks with their states and memory, and those that have been blocked for long.",
    rows=(Task,),
    options=TasksOptions,
    needs=Needs(types=("struct task_struct",)),
)
def tasks(context: Context[TasksOptions]) -> Iterator[Item]:
    """Walk all tasks of the system."""
    prog = context.prog
    # Threads share their memory, and to add it up takes longer the more of them there are.
    sizes: dict[int, tuple[int, int]] = {0: (0, 0)}
    count = 0
    blocked = []
    for task in context.walk(for_each_task(prog), "the tasks"):
        with context.tolerate(f"task {hex(task)}"):
            count += 1
            comm = string(task.comm)
            state = task_state_to_char(task)
            mm = task.mm.value_()
            if mm not in sizes:
                sizes[mm] = _sizes(task)
            row = Task(
                tid=task.pid.value_(),
                pid=task.tgid.value_(),
                ppid=task.real_parent.tgid.value_(),
                cpu=task_cpu(task),
                address=int(task),
                state=state,
                on_cpu=task_on_cpu(task),
                since_s=seconds_since_last_run(task),
                vsize_bytes=sizes[mm][0],
                rss_bytes=sizes[mm][1],
                command=comm if mm or state == "Z" else f"[{comm}]",
            )
            if not context.options.state or state in context.options.state:
                yield row
            if state == "D" and row.since_s is not None and row.since_s > _BLOCKED_S:
                blocked.append(row)
    if blocked:
        yield _blocked(blocked)
    yield Checked(count, "task")


def _sizes(task: Object) -> tuple[int, int]:
    """Get the size of the address space of a task and the memory that it uses, in bytes."""
    prog = task.prog_
    return task_vsize(task), task_rss(prog, task).total * prog["PAGE_SIZE"].value_()


def _blocked(rows: list[Task]) -> Finding:
    longest = sorted(rows, key=lambda row: -(row.since_s or 0))
    return Finding(
        Severity.WARNING,
        f"{count_text(len(rows), 'task')} {'has' if len(rows) == 1 else 'have'} been blocked "
        f"for more than {_BLOCKED_S} s",
        tuple(
            f"{row.command} (PID {row.pid}), for {row.since_s:.0f} s" for row in longest[:_EVIDENCE]
        ),
        "blocked",
    )
