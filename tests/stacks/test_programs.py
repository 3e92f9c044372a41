"""Stacks of compiled programs, dumped and running, compared with gdb frame by frame."""

import itertools
import json
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from kdive import FaultError, StackFrame, StackTrace, program_from_core_dump, program_from_pid

HERE = Path(__file__).parent
GDB = ("gdb", "-nx", "-batch", "-iex", "set debuginfod enabled off", "-ex", "set pagination off")

Frames = list[dict[str, Any]]
Dumped = Callable[..., tuple[StackTrace, Frames]]


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


def frame_of(trace: StackTrace, function: str) -> StackFrame:
    return next(frame for frame in trace if frame.function_name == function)


def value(frame: StackFrame, name: str) -> int | None:
    found = frame[name]
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
            if own is None and frame.why_absent(name) in OVERWRITTEN:
                continue
            assert own is not None, f"{where}: {name} is absent: {frame.why_absent(name)}"
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
            waiting: dict[int, int | None] = {}
            for number, thread in enumerate(threads, start=1):
                probe = ("-ex", f"thread {number}", "-ex", f"source {HERE / 'gdb_probe.py'}")
                expected = frames_of_gdb("-p", str(running.pid), *probe)
                trace = thread.stack_trace()
                assert_same(trace, expected)
                frame = next(frame for frame in trace if frame.function_name == "wait_here")
                waiting[value(frame, "number") or number] = value(frame, "own")
            # With optimization nothing keeps the parameter: the function never returns.
            assert set(waiting.values()) == {20, 30, 40, 90}
            if level == "-O0":
                assert waiting == {9: 90, 2: 20, 3: 30, 4: 40}
            status = Path(f"/proc/{running.pid}/status").read_text()
            assert "TracerPid:\t0" in status
        finally:
            running.kill()


def test_pointers_to_variables_that_are_not_in_memory(dumped: Dumped) -> None:
    trace, expected = dumped("pointers.c", "gcc", "-O2")
    assert_same(trace, expected)
    through, implicit = frame_of(trace, "through"), frame_of(trace, "implicit")
    pointer = through["pointer"]
    assert through.why_absent("pointer") is None
    assert pointer[0].value_() == implicit["value"].value_() == 22
    # There is nothing around the variable, and it stays where it is.
    with pytest.raises(FaultError):
        pointer[1].value_()
    assert through["pointer"] == pointer


def test_static_variables_of_inlined_functions(dumped: Dumped) -> None:
    trace, expected = dumped("pointers.c", "gcc", "-O2")
    through = frame_of(trace, "through")
    assert through.is_inline
    theirs = next(frame for frame in expected if frame["name"] == "through")["variables"]
    assert through["calls"].value_() == 40 + 22 == theirs["calls"]
    assert through["name"].string_() == b"through"
    assert through.locals() == ["outer", "pointer", "calls", "name"]


def test_jumps_through_functions_with_many_of_them(dumped: Dumped) -> None:
    trace, expected = dumped("jumps.c", "gcc", "-O2")
    assert_same(trace, expected)
    frames = [(frame.function_name, frame.is_tail_call) for frame in trace]
    at = frames.index(("stop", False))
    assert frames[at + 1 : at + 4] == [("leads_on", True), ("dispatch", True), ("main", False)]


@pytest.mark.lab
@pytest.mark.scenario
def test_signed_return_addresses(tmp_path: Path) -> None:
    compiler, emulator = shutil.which("aarch64-linux-gnu-gcc"), shutil.which("qemu-aarch64")
    assert compiler, "install gcc-aarch64-linux-gnu and libc6-dev-arm64-cross"
    assert emulator, "install qemu-user"
    signing = ("-O1", "-static", "-mbranch-protection=pac-ret")
    program = compile_program(tmp_path, "signed.c", compiler, *signing)
    subprocess.run(
        ["bash", "-c", 'ulimit -c unlimited; "$0" -cpu max "$1"', emulator, program],
        cwd=tmp_path,
        check=False,
        capture_output=True,
    )
    (core,) = tmp_path.glob("*.core")
    prog = program_from_core_dump(core)
    # QEMU's dumps do not tell which files were mapped.
    module = prog.main_module(program, create=True)
    module.address_range = (0x400000, 0x500000)
    module.try_file(program, force=True)
    trace = prog.crashed_thread().stack_trace()
    own = [frame for frame in trace if frame.function_name]
    functions = [frame.function_name for frame in own]
    at = functions.index("stop")
    assert functions[at : at + 4] == ["stop", "middle", "outer", "main"]
    assert trace[-1].name == "_start"
    assert trace.end_reason == "the stack ends here"
    middle, outer = own[at + 1 : at + 3]
    assert (value(own[at], "code"), value(middle, "value"), value(outer, "value")) == (14, 7, 6)
    # gdb stops here without a note that tells which bits the signature has. One of them may be zero.
    signed = [prog.read_u64(frame.register("x29") + 8) for frame in (middle, outer)]
    callers = [outer.pc, own[at + 3].pc]
    assert signed != callers
    assert [address & (1 << 48) - 1 for address in signed] == callers


VARIABLES = ("same_name", "in_executable", "in_library", "in_later")


def test_thread_local_variables(tmp_path: Path) -> None:
    library = ("gcc", "-g", "-shared", "-fPIC", HERE / "programs/storage_library.c")
    together, later = tmp_path / "libtogether.so", tmp_path / "liblater.so"
    subprocess.run([*library, "-o", together], check=True)
    subprocess.run([*library, "-DLATER", "-o", later], check=True)
    program = compile_program(
        tmp_path, "storage.c", "gcc", f"-L{tmp_path}", f"-Wl,-rpath,{tmp_path}", link=["-ltogether"]
    )
    core = tmp_path / "core"
    with subprocess.Popen([program, later], stdout=subprocess.PIPE) as running:
        try:
            assert running.stdout is not None
            assert running.stdout.readline() == b"ready\n"
            printing = [("-ex", f"thread apply all -q -s p {name}") for name in VARIABLES[1:]]
            command = [*GDB, *itertools.chain(*printing), "-ex", f"generate-core-file {core}"]
            done = subprocess.run(
                [*command, "-p", str(running.pid)], capture_output=True, text=True, check=True
            )
            printed = sorted(re.findall(r"^\$\d+ = (\d+)$", done.stdout, re.MULTILINE))
            programs = [program_from_pid(running.pid), program_from_core_dump(core)]
            for prog in programs:
                prog.load_debug_info([program, together, later])
                found = {}
                for thread in prog.threads():
                    trace = thread.stack_trace()
                    waits, calls = (
                        frame_of(trace, "wait_here"),
                        frame_of(trace, "in_library_wait"),
                    )
                    number = calls["number"].value_()
                    found[number] = [value(waits, name) for name in VARIABLES]
                    # Each file has one of this name.
                    assert value(calls, "same_name") == 2 + 2 * number
                    if number == 2:
                        assert "has no copies" in (waits.why_absent("in_later") or "")
                assert found == {
                    1: [2, 101, 501, 7001],
                    2: [3, 102, 502, None],
                    3: [4, 103, 503, 7003],
                }
                known = [str(number) for row in found.values() for number in row[1:] if number]
                assert sorted(known) == printed
        finally:
            running.kill()
