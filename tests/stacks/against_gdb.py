"""Compiles programs, asks gdb for their stacks, and compares kdive's with them."""

import contextlib
import itertools
import json
import subprocess
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from kdive import StackFrame, StackTrace

HERE = Path(__file__).parent
GDB = ("gdb", "-nx", "-batch", "-iex", "set debuginfod enabled off", "-ex", "set pagination off")

Frames = list[dict[str, Any]]


def compile_program(
    folder: Path, source: str, compiler: str, *flags: str, link: Sequence[str] = ()
) -> Path:
    program = folder / "program"
    command: tuple[str | Path, ...] = (
        compiler,
        "-g",
        *flags,
        "-pthread",
        "-o",
        program,
        HERE / "programs" / source,
        *link,
    )
    subprocess.run(command, check=True)
    return program


def frames_of_gdb(*arguments: str | Path) -> Frames:
    """The frames of the thread that gdb selects, after it was made to come there."""
    done = subprocess.run(
        [*GDB, *arguments], capture_output=True, text=True, check=True, errors="replace"
    )
    lines = [line for line in done.stdout.splitlines() if line.startswith("FRAMES ")]
    assert lines, done.stdout + done.stderr
    frames: Frames = json.loads(lines[-1].removeprefix("FRAMES "))
    return frames


def frame_of(trace: StackTrace, function: str) -> StackFrame:
    return next(frame for frame in trace if frame.function_name == function)


def value(frame: StackFrame, path: str) -> int | None:
    """The value of a variable, or of a member of one (`pair.low`); None if it has none."""
    name, *members = path.split(".")
    found = frame[name]
    for member in members:
        if not found.absent_:
            found = found.member_(member)
    if found.absent_:
        return None
    result: int = found.value_()
    return result


# gdb takes these from a register that has another value by now; that they are right is checked.
WRONG_IN_GDB = {("doubled", "value")}
# Where a call never returns, clang says that a variable is in a register that the call may overwrite.
# gdb shows what is in there now.
OVERWRITTEN = [
    f"register {number} is not known in this frame" for number in (0, 1, 2, 4, 5, 8, 9, 10, 11)
]


def comparable(trace: Iterable[StackFrame]) -> Iterator[StackFrame]:
    """The frames that gdb has too: one for each jump, whatever was inlined around it."""
    jumped_from = None
    for frame in trace:
        if frame.is_tail_call and frame.pc == jumped_from:
            continue
        jumped_from = frame.pc if frame.is_tail_call else None
        yield frame


def assert_same(trace: Iterable[StackFrame], expected: Frames) -> int:
    """Compare what both know of all frames up to main(); return how many values were compared."""
    compared = 0
    for number, (frame, other) in enumerate(
        itertools.zip_longest(comparable(trace), expected[: expected_length(expected)])
    ):
        if other is None:
            break
        where = f"frame {number}: {frame}, {other}"
        assert frame is not None, where
        assert frame.pc == other["pc"], where
        assert frame.is_tail_call == (other["kind"] == "tail call"), where
        assert frame.is_tail_call or frame.is_inline == (other["kind"] == "inline"), where
        assert not frame.is_guess, where
        if frame.function_name is None or "/programs/" not in frame.source().filename:
            # In libraries gdb prefers the names of symbols.
            continue
        assert bare(frame.function_name) == bare(other["name"]), where
        assert frame.source().line == other["line"], where
        for name, number_ in other["variables"].items():
            if number_ is None or (frame.function_name, name) in WRONG_IN_GDB:
                continue
            own = value(frame, name)
            why = frame.why_absent(name.split(".")[0])
            if own is None and why in OVERWRITTEN:
                continue
            assert own is not None, f"{where}: {name} is absent: {why}"
            assert own == number_, f"{where}: {name}"
            compared += 1
    return compared


def expected_length(frames: Frames) -> int:
    """How many of gdb's frames there are up to main()."""
    return next((at + 1 for at, frame in enumerate(frames) if frame["name"] == "main"), len(frames))


def bare(name: str) -> str:
    """The name of a function without its parameters and template arguments, or its class if it is a lambda."""
    if "operator()" in name:
        return "operator()"
    return name.split("(")[0].split("<")[0]


@contextlib.contextmanager
def running(program: Path, *arguments: str | Path, until: str = "S") -> Iterator[int]:
    """The process ID of a program that has said that it is ready, and then came to this state."""
    with subprocess.Popen([program, *arguments], stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == b"ready\n"
            wait_for_state(process.pid, until)
            yield process.pid
        finally:
            process.kill()


def state(pid: int) -> str:
    """The state of a process's first thread: `S` sleeps, `T` was stopped, `t` is traced."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def wait_for_state(pid: int, wanted: str) -> None:
    deadline = time.monotonic() + 60
    while state(pid) != wanted:
        assert time.monotonic() < deadline, f"process {pid} is in state {state(pid)}"
        time.sleep(0.01)
