"""Why and where the kernel crashed."""

from collections.abc import Iterator
from dataclasses import fields
from typing import Any

from kdive import Program, StackFrame, StackTrace
from kdive.helpers.linux.module import address_to_module
from kdive.helpers.linux.panic import crash_message, panic_message, panic_task, taint_letters
from kdive.helpers.linux.printk import get_printk_records
from kdive.helpers.linux.sched import task_cpu
from kdive.lens.context import Context
from kdive.lens.diagnosis import (
    Checked,
    Finding,
    Item,
    NoOptions,
    Row,
    Severity,
    column,
    diagnosis,
)
from kdive.lens.needs import Needs
from kdive.lens.text import string

_EVIDENCE = 5


class Panic(Row, title="Panic", layout="record"):
    """The crash."""

    message: str | None = column("what the kernel logged")
    cpu: int | None = column("the CPU that crashed", "CPU")
    tid: int | None = column("the thread that ran on it", "TID")
    command: str | None = column("its name")
    task: int | None = column("struct task_struct", hexadecimal=True)
    tainted: str | None = column("what tainted the kernel before, as letters")


class Frame(Row, title="Stack"):
    """A frame of the stack that crashed."""

    number: int = column("its number, the innermost is 0", "#")
    address: int = column("where it was", "PC", hexadecimal=True)
    function: str = column("the function, with the kernel module")
    source: str = column("the line of source, if it is known")
    interrupted: bool = column(
        "whether it was interrupted, by a fault for example, rather than called the one above"
    )


class Register(Row, title="Registers"):
    """A register as it was when the CPU crashed."""

    name: str = column("its name")
    value: int = column("its value", hexadecimal=True)


@diagnosis(
    "panic",
    "Whether the kernel has crashed: the message, the task, its stack and registers, and what tainted the kernel.",
    rows=(Panic, Frame, Register),
    options=NoOptions,
    needs=Needs(variables={"tainted_mask": "unsigned long"}, target="dump"),
)
def panic(context: Context[NoOptions]) -> Iterator[Item]:
    """Read the log and the registers that the dump has of the CPU that crashed."""
    prog = context.prog
    yield Checked(1, "kernel log")
    if not _has_crashed(prog):
        return
    values: dict[str, Any] = {made.name: None for made in fields(Panic)}
    with context.tolerate("the kernel's log"):
        text = crash_message([(r.timestamp, r.text) for r in get_printk_records(prog)])
        values["message"] = text.decode(errors="replace") if text is not None else None
    with context.tolerate("the thread that crashed"):
        task = panic_task(prog)
        values |= {
            "task": int(task),
            "cpu": task_cpu(task),
            "tid": task.pid.value_(),
            "command": string(task.comm),
        }
    with context.tolerate("the taints"):
        mask = prog["tainted_mask"].value_()
        values["tainted"] = "".join(on for bit, on, _ in taint_letters(prog) if mask >> bit & 1)
    row = Panic(**values)
    yield row
    functions = []
    with context.tolerate("the stack that crashed"):
        trace = prog.crashed_thread().stack_trace()
        functions = [_function(prog, frame) for frame in trace]
        yield from _frames(trace, functions)
    yield Finding(
        Severity.CRITICAL,
        f"the kernel has crashed: {row.message or 'the log does not say why'}",
        (
            *([f"on CPU {row.cpu} in {row.command} (TID {row.tid})"] if row.command else []),
            *([f"it was in {' < '.join(functions[:_EVIDENCE])}"] if functions else []),
            *([f"it was tainted: {row.tainted}"] if row.tainted else []),
        ),
        "panic",
    )


def _has_crashed(prog: Program) -> bool:
    """Tell a crash from a dump that was taken from outside: only the former leaves panic_cpu set."""
    try:
        # "panic: make "panic_cpu" a plain atomic_t" and its neighbours: -1 (PANIC_CPU_INVALID) until it panics.
        return prog["panic_cpu"].counter.value_() != -1
    except LookupError:
        return panic_message(prog) is not None


def _function(prog: Program, frame: StackFrame) -> str:
    """Name the function of a frame, with its kernel module.

    The address that a function returns to may be in the next one already, if what it called never returns.
    """
    module = address_to_module(prog, frame.pc if frame.interrupted else frame.pc - 1)
    return f"{frame.name} [{string(module.name)}]" if module else frame.name


def _frames(trace: StackTrace, functions: list[str]) -> Iterator[Item]:
    for number, (frame, function) in enumerate(zip(trace, functions, strict=True)):
        try:
            place = frame.source()
            source = f"{place[0]}:{place[1]}"
        except LookupError:
            source = ""
        yield Frame(number, frame.pc, function, source, frame.interrupted)
    if len(trace):
        for name, value in trace[0].registers().items():
            yield Register(name, value)
