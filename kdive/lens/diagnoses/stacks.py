"""The kernel stacks of all tasks, those that are alike shown once."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

from kdive import Object, StackTrace
from kdive.helpers.linux.pid import for_each_task
from kdive.helpers.linux.sched import task_state_to_char
from kdive.lens.context import Context
from kdive.lens.diagnosis import Checked, Item, Options, Row, column, diagnosis, option
from kdive.lens.needs import Needs
from kdive.lens.text import string

_PIDS_NAMED = 10
_UNWOUND_AT_ONCE = 256


class Stack(Row, title="Stacks", layout="record"):
    """A stack trace that some tasks have in common."""

    count: int = column("how many tasks have it")
    states: str = column("their states")
    tasks: str = column("their names and thread IDs, some of them if there are many")
    frames: tuple[str, ...] = column("functions, the innermost first")


class StacksOptions(Options):
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
    groups: dict[tuple[str, ...], list[_Member]] = {}
    count = 0
    for some in _batches(_members(context)):
        for member, trace in zip(
            some, context.prog.stack_traces([m.task for m in some]), strict=True
        ):
            with context.tolerate(f"the stack of task {hex(member.task)}"):
                count += 1
                groups.setdefault(_frames(member, trace), []).append(member)
    for frames, members in sorted(groups.items(), key=lambda group: (-len(group[1]), group[0])):
        yield Stack(
            count=len(members),
            states="".join(sorted({member.state for member in members})),
            tasks=_names(members),
            frames=frames,
        )
    yield Checked(count, "task")


@dataclass(frozen=True)
class _Member:
    """A task of a group."""

    task: Object
    tid: int
    command: str
    state: str


def _members(context: Context[StacksOptions]) -> Iterator[_Member]:
    for task in context.walk(for_each_task(context.prog), "the tasks"):
        with context.tolerate(f"task {hex(task)}"):
            state = task_state_to_char(task)
            if not context.options.state or state in context.options.state:
                yield _Member(task, task.pid.value_(), string(task.comm), state)


def _batches(members: Iterator[_Member]) -> Iterator[list[_Member]]:
    while batch := list(islice(members, _UNWOUND_AT_ONCE)):
        yield batch


def _frames(member: _Member, trace: StackTrace) -> tuple[str, ...]:
    if member.state in "ZX":
        return ("(has ended and has no stack any more)",)
    if not len(trace):
        return (f"(no stack: {trace.end_reason})",)
    return tuple(frame.name for frame in trace)


def _names(members: list[_Member]) -> str:
    names = ", ".join(f"{member.command} ({member.tid})" for member in members[:_PIDS_NAMED])
    more = len(members) - _PIDS_NAMED
    return f"{names} and {more} more" if more > 0 else names
