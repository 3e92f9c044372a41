# SPDX-License-Identifier: Apache-2.0
"""Stack memory and registers, printed with what they refer to."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from kdive import Architecture, FaultError, Program
from kdive.helpers.common.memory import annotated_words
from kdive.helpers.common.prog import takes_program_or_default

if TYPE_CHECKING:
    from kdive import StackTrace

__all__ = ("print_annotated_stack", "print_registers")

_REGISTERS_PER_LINE = 3
# Where crash(8) puts the registers of x86-64, and how many digits they have.
_X86_64_LINES = (
    (("rip", 16), ("rsp", 16), ("rflags", 8)),
    (("rax", 16), ("rbx", 16), ("rcx", 16)),
    (("rdx", 16), ("rsi", 16), ("rdi", 16)),
    (("rbp", 16), ("r8", 16), ("r9", 16)),
    (("r10", 16), ("r11", 16), ("r12", 16)),
    (("r13", 16), ("r14", 16), ("r15", 16)),
    (("cs", 4), ("ss", 4)),
)
# No frame is larger than this; a stack pointer that jumps further belongs to another stack.
_MAX_FRAME_BYTES = 1 << 20


def print_annotated_stack(trace: StackTrace) -> None:
    """Print the memory of a stack trace, frame by frame, with what the words refer to.

    :param trace: Stack trace.
    """
    prog = trace.prog
    cache: dict[Any, Any] = {}
    width = 2 * prog.address_size()
    sys.stdout.write(f"{'STACK POINTER':<{width}}  VALUE\n")
    frames = list(trace)
    for number, frame in enumerate(frames):
        sys.stdout.write(f"[stack frame {frame}]\n")
        is_last = number + 1 == len(frames)
        try:
            start = frame.sp
            # Where the last frame ends is not known; what its stack pointer points to is its own.
            end = start + prog.address_size() if is_last else frames[number + 1].sp
        except LookupError:
            continue
        # Frames that were inlined share their stack pointer with the one they are in.
        if start < end <= start + _MAX_FRAME_BYTES:
            try:
                words = prog.read(start, end - start)
            except FaultError:
                sys.stdout.write(f"{start:0{width}x}: <not readable>\n")
                continue
            for line in annotated_words(prog, start, words, cache):
                sys.stdout.write(line + "\n")


@takes_program_or_default
def print_registers(prog: Program, regs: dict[str, int], indent: str = "    ") -> None:
    """Print registers, several on a line, those of x86-64 in the places where crash(8) has them.

    :param regs: Values by the names of registers, as `StackFrame.registers()` returns them. Those of x86-64 that are
        missing are printed as question marks.
    :param indent: What each line begins with.
    """
    for line in _register_lines(prog, regs):
        sys.stdout.write(indent + "  ".join(line) + "\n")


def _register_lines(prog: Program, regs: dict[str, int]) -> Iterator[list[str]]:
    platform = prog.platform
    if platform is not None and platform.arch == Architecture.X86_64:
        for line in _X86_64_LINES:
            yield [
                f"{name.upper():>3}: "
                + (f"{regs[name]:0{digits}x}" if name in regs else "?" * digits)
                for name, digits in line
            ]
        return
    width = max((len(name) for name in regs), default=0)
    digits = 2 * prog.address_size()
    cells = [f"{name.upper():>{width}}: {value:0{digits}x}" for name, value in regs.items()]
    for start in range(0, len(cells), _REGISTERS_PER_LINE):
        yield cells[start : start + _REGISTERS_PER_LINE]
