"""Stacks of compiled programs, dumped and running, compared with gdb frame by frame."""

import itertools
import json
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from kdive import StackFrame, StackTrace, program_from_core_dump, program_from_pid

HERE = Path(__file__).parent
GDB = ("gdb", "-nx", "-batch", "-iex", "set debuginfod enabled off", "-ex", "set pagination off")

Frames = list[dict[str, Any]]
Dumped = Callable[..., tuple[StackTrace, Frames]]


def compile_program(folder: Path, source: str, compiler: str, *flags: str) -> Path:
    program = folder / "program"
    command: tuple[str | Path, ...] = (
        compiler,
        "-g",
        *flags,
        "-pthread",
        "-o",
        program,
        HERE / "programs" / source,
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


@pytest.fixture
def dumped(tmp_path: Path) -> Dumped:
    """Compile a program, let gdb run and dump it, and return kdive's trace and gdb's frames."""

    def dump(
        source: str, compiler: str, *flags: str, breakpoint_at: str | None = None
    ) -> tuple[StackTrace, Frames]:
        program = compile_program(tmp_path, source, compiler, *flags)
        core = tmp_path / "core"
        stop = [] if breakpoint_at is None else ["-ex", "start", "-ex", f"break *{breakpoint_at}"]
        run = "run" if breakpoint_at is None else "continue"
        expected = frames_of_gdb(
            *("-ex", "handle SIGSEGV nostop noprint pass"),
            *(*stop, "-ex", run, "-ex", f"generate-core-file {core}"),
            *("-ex", f"source {HERE / 'gdb_probe.py'}", program),
        )
        prog = program_from_core_dump(core)
        prog.load_debug_info([program])
        return prog.crashed_thread().stack_trace(), expected

    return dump


def value(frame: StackFrame, name: str) -> int | None:
    found = frame[name]
    if found.absent_:
        return None
    result: int = found.value_()
    return result


# gdb takes these from a register that has another value by now; that they are right is checked.
WRONG_IN_GDB = {("doubled", "value")}


# With optimization, gcc describes static variables only in the abstract instance of their function,
# where kdive does not look for them yet.
LEFT_OUT = {("wait_here", "own")}


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
            if (frame.function_name, name) in LEFT_OUT and name not in frame.locals():
                continue
            own = value(frame, name)
            assert own is not None, f"{where}: {name} is absent: {frame.why_absent(name)}"
            assert own == number_, f"{where}: {name}"
            compared += 1
    return compared


def expected_length(frames: Frames) -> int:
    """How many of gdb's frames there are up to main()."""
    return next((at + 1 for at, frame in enumerate(frames) if frame["name"] == "main"), len(frames))


def bare(name: str) -> str:
    """The name of a function without its parameters and template arguments."""
    return name.split("(")[0].split("<")[0]


POINTERS = ("-fomit-frame-pointer", "-fno-omit-frame-pointer")
MATRIX = [
    pytest.param(
        *case,
        id=" ".join(case),
        # The others differ in details of the compilers alone, and take a second each.
        marks=[]
        if case in (("gcc", "-O0", POINTERS[1]), ("gcc", "-O2", POINTERS[0]))
        else [pytest.mark.lab, pytest.mark.scenario],
    )
    for case in itertools.product(("gcc", "clang"), ("-O0", "-O2", "-O3"), POINTERS)
]
CPLUSPLUS = {"gcc": "g++", "clang": "clang++"}


@pytest.mark.parametrize(("compiler", "level", "pointer"), MATRIX)
def test_calls(dumped: Dumped, compiler: str, level: str, pointer: str) -> None:
    trace, expected = dumped("calls.c", compiler, level, pointer)
    assert assert_same(trace, expected) >= 8
    names = [frame.function_name for frame in trace]
    wanted = [
        "stop",
        "doubled",
        "reached_by_jump",
        "aligned",
        "variable",
        "busy",
        "main",
    ]
    assert [name for name in names if name in wanted] == wanted


@pytest.mark.parametrize(("compiler", "level", "pointer"), MATRIX)
def test_exceptions(dumped: Dumped, compiler: str, level: str, pointer: str) -> None:
    trace, expected = dumped("exceptions.cc", CPLUSPLUS[compiler], level, pointer)
    assert_same(trace, expected)
    names = [frame.function_name or "" for frame in trace]
    assert any(name.startswith("Worker<int>::work") for name in names), names
    assert "main" in names


@pytest.mark.parametrize(("compiler", "level", "pointer"), MATRIX)
def test_signals_on_another_stack(dumped: Dumped, compiler: str, level: str, pointer: str) -> None:
    trace, expected = dumped("signals.c", compiler, level, pointer)
    assert_same(trace, expected)
    names = [frame.name for frame in trace]
    assert names.index("handler") < names.index("fault") < names.index("main")
    assert next(frame for frame in trace if frame.name == "fault").interrupted


@pytest.mark.parametrize("level", ["-O0", "-O2"])
def test_a_hundred_thousand_frames(dumped: Dumped, level: str) -> None:
    trace, expected = dumped("recursion.c", "gcc", level)
    depths = [frame for frame in trace if frame.function_name == "deeper"]
    assert len(depths) == 100_000
    assert [frame["name"] for frame in expected].count("deeper") == 100_000
    innermost = list(itertools.islice(trace, 1000))
    assert assert_same(innermost, expected[:900]) > 800
    for number in (0, 1, 50_000, 99_999):
        assert value(depths[number], "depth") == 100_000 - number


def test_the_vdso(dumped: Dumped) -> None:
    trace, expected = dumped("clock.c", "gcc", "-O2", breakpoint_at="__vdso_clock_gettime")
    assert assert_same(trace, expected) >= 1
    assert trace[0].symbol().name in ("clock_gettime", "__vdso_clock_gettime")
    assert {"now", "main"} <= {frame.function_name for frame in trace}


@pytest.mark.parametrize("level", ["-O0", "-O2"])
def test_running_threads(tmp_path: Path, level: str) -> None:
    program = compile_program(tmp_path, "threads.c", "gcc", level)
    with subprocess.Popen([program], stdout=subprocess.PIPE) as running:
        try:
            assert running.stdout is not None
            assert running.stdout.readline() == b"ready\n"
            prog = program_from_pid(running.pid)
            prog.load_debug_info([program])
            threads = list(prog.threads())
            assert len(threads) == 4
            time.sleep(0.2)
            waiting = {}
            for number, thread in enumerate(threads, start=1):
                probe = ("-ex", f"thread {number}", "-ex", f"source {HERE / 'gdb_probe.py'}")
                expected = frames_of_gdb("-p", str(running.pid), *probe)
                trace = thread.stack_trace()
                assert_same(trace, expected)
                frame = next(frame for frame in trace if frame.function_name == "wait_here")
                if level == "-O0":
                    waiting[frame["number"].value_()] = frame["own"].value_()
            # With optimization, nothing keeps the variables: the function never returns.
            assert waiting == ({9: 90, 2: 20, 3: 30, 4: 40} if level == "-O0" else {})
            status = Path(f"/proc/{running.pid}/status").read_text()
            assert "TracerPid:\t0" in status
        finally:
            running.kill()
