# SPDX-License-Identifier: Apache-2.0
"""Panics and what taints the kernel (kernel/panic.c)."""

import re

from kdive import NULL, Object, Program
from kdive.helpers.common.prog import takes_program_or_default
from kdive.helpers.linux.printk import get_printk_records

__all__ = ("panic_message", "panic_task", "tainted")

# Messages that begin the report of a crash, most telling first. The panic itself comes last: when an oops led to
# it, the oops says what happened and the panic only "Fatal exception".
_CRASH_MESSAGES = (
    re.compile(
        rb"(?:Internal error: |Oops: |BUG: unable to handle |general protection fault|kernel BUG at |"
        rb"Unable to handle kernel |divide error: |invalid opcode: |stack segment: |double fault: |"
        rb"int3: |sysrq: Trigger a crash)"
    ),
    re.compile(rb"Kernel panic - not syncing"),
)
_PANIC_PREFIX = b"Kernel panic - not syncing: "


@takes_program_or_default
def panic_task(prog: Program) -> Object:
    """Get the task that was running on the CPU that crashed.

    :return: ``struct task_struct *``, ``NULL`` if the kernel has not crashed.
    """
    try:
        thread = prog.crashed_thread()
    except (LookupError, ValueError):
        return NULL(prog, "struct task_struct *")
    return thread.object


@takes_program_or_default
def panic_message(prog: Program) -> bytes | None:
    """Get the message that the kernel logged when it crashed.

    :return: Message, None if the kernel has not crashed or the log doesn't hold the message.
    """
    if not panic_task(prog):
        return None
    return crash_message([record.text for record in get_printk_records(prog)])


def crash_message(texts: list[bytes]) -> bytes | None:
    """Find the message of a crash among the texts of a log: the last report of an oops, or else of a panic."""
    for pattern in _CRASH_MESSAGES:
        for text in reversed(texts):
            line = next((part for part in text.split(b"\n") if pattern.match(part)), None)
            if line is not None:
                return line.removeprefix(_PANIC_PREFIX)
    return None


def taint_letters(prog: Program) -> list[tuple[int, str, str]]:
    """Get the letters that stand for the flags in ``taint_flags[]``.

    :return: (bit number, letter when it is set, letter when it is clear) of each flag.
    """
    letters = []
    for bit, flag in enumerate(prog["taint_flags"]):
        set_letter, clear_letter = (
            chr(flag.member_(name).value_() & 0xFF) for name in ("c_true", "c_false")
        )
        letters.append((bit, set_letter, clear_letter))
    return letters


@takes_program_or_default
def tainted(prog: Program) -> str:
    """Get what taints the kernel, as the letters of "Tainted:" in the reports of crashes.

    Reads ``tainted_mask`` and ``taint_flags[]``.

    :return: One letter or space for each flag, empty if the kernel is not tainted.
    """
    mask = prog["tainted_mask"].value_()
    if not mask:
        return ""
    return "".join(on if mask >> bit & 1 else off for bit, on, off in taint_letters(prog))
