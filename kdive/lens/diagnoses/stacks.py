"""The kernel stacks of all tasks, those that are alike shown once."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from kdive import FaultError, Object, Program
from kdive.helpers.linux.pid import for_each_task
from kdive.helpers.linux.sched import task_on_cpu, task_state_to_char
from kdive.lens.context import Context
from kdive.lens.diagnosis import Checked, Item, Row, column, diagnosis, option
from kdive.lens.needs import Needs
from kdive.lens.text import string

_PIDS_NAMED = 10


@dataclass(frozen=True)
class Stack(Row):
    """A stack trace that some tasks have in common."""

    title: ClassVar[str] = "Stacks"
    layout: ClassVar[str] = "record"
    count: int = column("how many tasks have it")
    states: str = column("their states")
    tasks: str = column("their names and thread IDs, some of them if there are many")
    frames: tuple[str, ...] = column("functions, the innermost first")


@dataclass(frozen=True)
class StacksOptions:
    """Options of the diagnosis."""

    state: str = option("", "only tasks in one of these states, such as D")


@diagnosis(
    "stacks",
    "The kernel stacks of all tasks; what many have in common is shown once, with its count.",
    rows=(Stack,),
    options=StacksOptions,
    needs=Needs(types=("struct task_struct",)),
)
def stacks(context: Context[StacksOptions]) -> Iterator[Item]:
    """Unwind every task and group by the functions."""
    prog = context.prog
    groups: dict[tuple[str, ...], list[tuple[int, str, str]]] = {}
    count = 0
    for task in context.walk(for_each_task(prog), "the tasks"):
        with context.tolerate(f"the stack of task {hex(task)}"):
            state = task_state_to_char(task)
            if context.options.state and state not in context.options.state:
                continue
            count += 1
            groups.setdefault(_frames(prog, task, state), []).append(
                (task.pid.value_(), string(task.comm), state)
            )
    for frames, tasks in sorted(groups.items(), key=lambda group: (-len(group[1]), group[0])):
        yield Stack(
            count=len(tasks),
            states="".join(sorted({state for _, _, state in tasks})),
            tasks=_names(tasks),
            frames=frames,
        )
    yield Checked(count, "task")


def _frames(prog: Program, task: Object, state: str) -> tuple[str, ...]:
    if state in "ZX":
        return ("(has ended and has no stack any more)",)
    try:
        trace = prog.stack_trace(task)
    except ValueError as error:
        # A task on a CPU whose registers are not known, as on a running system
        if task_on_cpu(task):
            return (f"(on its CPU: {error})",)
        raise
    except FaultError as error:
        return (f"(the stack can't be read: {error})",)
    return tuple(frame.name or hex(frame.pc) for frame in trace)


def _names(tasks: list[tuple[int, str, str]]) -> str:
    names = ", ".join(f"{comm} ({pid})" for pid, comm, _ in tasks[:_PIDS_NAMED])
    more = len(tasks) - _PIDS_NAMED
    return f"{names} and {more} more" if more > 0 else names
