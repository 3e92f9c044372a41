# SPDX-License-Identifier: Apache-2.0
"""Panics and what taints the kernel (kernel/panic.c)."""

import re

from kdive import Object, Program, sizeof
from kdive.helpers.common.prog import takes_program_or_default
from kdive.helpers.linux.printk import get_printk_records

__all__ = ("panic_message", "panic_task", "tainted")

_PANIC = re.compile(rb"Kernel panic - not syncing: (.*)")
# What the kernel panics with after it has reported an oops, whose message tells more
_PANIC_AFTER_OOPS = re.compile(
    rb"Fatal exception|Aiee, killing interrupt handler|Attempted to kill init"
)
# First lines of reports of oopses
_OOPS = re.compile(
    rb"BUG: |Oops: |Oops - |Internal error: |general protection fault|kernel BUG at |Unable to handle kernel |"
    rb"divide error: |invalid opcode: |stack segment: |double fault: |int3: |PANIC: double fault|traps: PANIC"
)
# A report is a burst of lines: what is further before the panic or apart in time belongs to something else.
_MAX_REPORT_NS = 5_000_000_000


@takes_program_or_default
def panic_task(prog: Program) -> Object:
    """Get the task that was running on the CPU that crashed.

    :return: ``struct task_struct *``
    :raises LookupError: if the kernel has not crashed
    :raises ValueError: if it is running
    """
    return prog.crashed_thread().object


@takes_program_or_default
def panic_message(prog: Program) -> bytes | None:
    """Get the message that the kernel logged when it crashed.

    :return: Message, None if the kernel has not crashed or the log doesn't hold the message.
    """
    try:
        panic_task(prog)
    except (LookupError, ValueError):
        return None
    return crash_message([(record.timestamp, record.text) for record in get_printk_records(prog)])


def crash_message(log: list[tuple[int, bytes]]) -> bytes | None:
    """Find what a crash was reported with in a log, given as timestamps in nanoseconds and texts.

    This is the first line of the report of the oops that led to the panic, or else the line of the panic.
    """
    panics = [(time, text, reason) for time, text in log if (reason := _PANIC.match(text))]
    panic_text = None
    if panics:
        panic_time, panic_text, reason = panics[-1]
        if not _PANIC_AFTER_OOPS.match(reason[1]):
            return panic_text
        log = [(time, text) for time, text in log if 0 <= panic_time - time <= _MAX_REPORT_NS]
    # An oops that goes wrong itself is followed by others: the first one is the cause.
    oops = next((text for _, text in log if _OOPS.match(text)), None)
    return panic_text if oops is None else oops.split(b"\n")[0]


def taint_letters(prog: Program) -> list[tuple[int, str, str]]:
    """Get the letters that stand for the flags in ``taint_flags[]``.

    :return: (bit number, letter when it is set, letter when it is clear) of each flag.
    """
    flags = prog["taint_flags"]
    count = flags.type_.length
    if count is None:
        # Without DWARF only the symbol tells how many there are; padding may follow them.
        count = prog.symbol("taint_flags").size // sizeof(flags.type_.type)
    letters = []
    for bit in range(min(count, 8 * prog.address_size())):
        flag = flags[bit]
        set_letter, clear_letter = (
            chr(flag.member_(name).value_() & 0xFF) for name in ("c_true", "c_false")
        )
        if set_letter == "\0":
            break
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
