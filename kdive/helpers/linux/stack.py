# SPDX-License-Identifier: Apache-2.0
"""Kernel stack traces, divided where one context interrupted another."""

from __future__ import annotations

import enum
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kdive import IntegerLike, Object, Program
from kdive.helpers.common.prog import takes_program_or_default

if TYPE_CHECKING:
    from kdive import StackFrame

__all__ = ("LinuxKernelStack", "StackKind", "StackSegment", "kernel_stack_trace")


class StackKind(enum.Enum):
    """Context that part of a stack belongs to."""

    USER = enum.auto()
    """User space."""
    TASK = enum.auto()
    """The kernel, for a task."""
    IRQ = enum.auto()
    """Interrupt handler."""
    SOFTIRQ = enum.auto()
    """Soft interrupt."""
    NMI = enum.auto()
    """Non-maskable interrupt."""
    EXCEPTION = enum.auto()
    """Processor exception, like a page fault."""
    UNKNOWN = enum.auto()
    """Context that was not recognized."""


# The function at the outer end of a context tells what it is. The names are those of x86 (idtentry.h, entry_64.S) and
# of Arm (entry.S, entry-common.c).
_CONTEXTS = (
    (
        StackKind.NMI,
        re.compile(r"(asm_)?exc_nmi|end_repeat_nmi|nmi|first_nmi|nmi_restore|el1h?_(64_)?error\w*"),
    ),
    (
        StackKind.IRQ,
        re.compile(
            r"(asm_)?(sysvec|spurious)_\w+|(asm_)?common_interrupt|ret_from_intr|el[01]t?h?_(64_)?(irq|fiq)\w*"
        ),
    ),
    (
        StackKind.EXCEPTION,
        re.compile(
            r"(asm_)?exc_\w+|error_entry|page_fault|invalid_op|el[01]t?h?_(64_)?(sync|dbg|undef|inv)\w*"
        ),
    ),
)
# Soft interrupts run at the end of an interrupt, on its stack or their own.
_SOFTIRQ = re.compile(r"__do_softirq|handle_softirqs|__softirqentry_text_start")
# How many frames from the outer end are looked at.
_OUTER_FRAMES = 4


@dataclass(frozen=True)
class StackSegment:
    """Frames of a stack trace that belong to one context, innermost first."""

    kind: StackKind
    """Context."""
    frames: Sequence[StackFrame]
    """Frames."""


@dataclass(frozen=True)
class LinuxKernelStack:
    """A stack trace divided into the contexts that it goes through, each interrupted by the one before.

    It is a sequence of all frames, too.
    """

    prog: Program
    """Program that the stack is of."""
    segments: Sequence[StackSegment]
    """Contexts, innermost first."""

    def __iter__(self) -> Iterator[StackFrame]:
        for segment in self.segments:
            yield from segment.frames

    def __len__(self) -> int:
        return sum(len(segment.frames) for segment in self.segments)

    def __getitem__(self, index: int) -> StackFrame:
        return list(self)[index]

    def __str__(self) -> str:
        lines: list[str] = []
        number = 0
        for segment in self.segments:
            for frame in segment.frames:
                lines.append(f"#{number:<2} {_describe(frame)}")
                number += 1
            lines.append(f"  --- end {segment.kind.name} stack ---")
        return "\n".join(lines)

    def _repr_pretty_(self, p: Any, cycle: bool) -> None:
        p.text("LinuxKernelStack(...)" if cycle else str(self))


def _describe(frame: StackFrame) -> str:
    try:
        file, line, column = frame.source()
    except LookupError:
        return frame.name
    return f"{frame.name} ({file}:{line}:{column})"


def _in_kernel(prog: Program, frame: StackFrame) -> bool | None:
    """Tell a frame of the kernel by its address; None for an address that is in neither half of the address space."""
    bits = 8 * prog.address_size()
    top = frame.pc >> bits - 17
    if not top:
        return False
    return True if top == (1 << 17) - 1 else None


def _kind(prog: Program, frames: Sequence[StackFrame]) -> StackKind:
    in_kernel = _in_kernel(prog, frames[0])
    if in_kernel is None:
        return StackKind.UNKNOWN
    if not in_kernel:
        return StackKind.USER
    names = [frame.name for frame in reversed(frames[-_OUTER_FRAMES:])]
    if _SOFTIRQ.fullmatch(names[0]):
        return StackKind.SOFTIRQ
    for name in names:
        for kind, pattern in _CONTEXTS:
            if pattern.fullmatch(name):
                return kind
    return StackKind.TASK


def _divide(prog: Program, frames: Sequence[StackFrame]) -> Iterator[StackSegment]:
    """Yield the parts of a stack between which the context may have changed."""
    start = 0
    for position, frame in enumerate(frames):
        following = frames[position + 1] if position + 1 < len(frames) else None
        if (
            following is None
            or following.interrupted
            or _in_kernel(prog, frame) != _in_kernel(prog, following)
            or _SOFTIRQ.fullmatch(frame.name)
        ):
            segment = frames[start : position + 1]
            yield StackSegment(_kind(prog, segment), segment)
            start = position + 1


def _segments(prog: Program, frames: Sequence[StackFrame]) -> list[StackSegment]:
    segments: list[StackSegment] = []
    for segment in _divide(prog, frames):
        # A trace that begins with saved registers looks interrupted, but no other context came in between.
        if segments and segments[-1].kind == segment.kind == StackKind.TASK:
            segment = StackSegment(segment.kind, [*segments.pop().frames, *segment.frames])
        segments.append(segment)
    return segments


@takes_program_or_default
def kernel_stack_trace(prog: Program, task_arg: Object | IntegerLike) -> LinuxKernelStack:
    """Get the stack trace of a task, divided into contexts as far as they can be recognized.

    :param task_arg: ``struct task_struct *`` or thread ID
    """
    frames = list(prog.stack_trace(task_arg))
    return LinuxKernelStack(prog, _segments(prog, frames))
