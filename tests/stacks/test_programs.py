"""Stacks of compiled programs, dumped and running, compared with gdb frame by frame."""

import contextlib
import itertools
import re
import shutil
import struct
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from kdive import (
    AbsenceReason,
    FaultError,
    ObjectAbsentError,
    Program,
    StackTrace,
    program_from_core_dump,
    program_from_pid,
)
from tests.stacks.against_gdb import (
    GDB,
    HERE,
    Frames,
    assert_same,
    compile_program,
    frame_of,
    frames_of_gdb,
    running,
    value,
)

Seen = Callable[..., tuple[StackTrace, Frames]]
PROBE = ("-ex", f"source {HERE / 'gdb_probe.py'}")


@pytest.fixture
def dumped(tmp_path: Path) -> Seen:
    """Compile a program, let gdb run and dump it, and return kdive's trace and gdb's frames."""

    def dump(
        source: str, compiler: str, *flags: str, breakpoint_at: str | None = None
    ) -> tuple[StackTrace, Frames]:
        program = compile_program(tmp_path, source, compiler, *flags)
        core = tmp_path / "core"
        stop = [] if breakpoint_at is None else ["-ex", "start", "-ex", f"break *{breakpoint_at}"]
        run = "run" if breakpoint_at is None else "continue"
        expected = frames_of_gdb(
            *("-ex", "handle SIGSEGV nostop noprint pass", *stop, "-ex", run),
            *("-ex", f"generate-core-file {core}", *PROBE),
            program,
        )
        prog = program_from_core_dump(core)
        prog.load_debug_info([program])
        return prog.crashed_thread().stack_trace(), expected

    return dump


@pytest.fixture(params=["dumped", "running"])
def seen(request: pytest.FixtureRequest, tmp_path: Path, dumped: Seen) -> Iterator[Seen]:
    """Like `dumped`, and the same while the program runs, waiting where it would have ended."""
    if request.param == "dumped":
        yield dumped
        return
    with contextlib.ExitStack() as processes:

        def attach(source: str, compiler: str, *flags: str) -> tuple[StackTrace, Frames]:
            waiting = tmp_path / "waiting.o"
            subprocess.run(
                ["gcc", "-g", "-O2", "-c", HERE / "programs/waiting.c", "-o", waiting], check=True
            )
            program = compile_program(tmp_path, source, compiler, *flags, link=[str(waiting)])
            pid = processes.enter_context(running(program))
            prog = program_from_pid(pid)
            prog.load_debug_info([program])
            trace = prog.main_thread().stack_trace()
            return trace, frames_of_gdb("-p", str(pid), *PROBE)

        yield attach


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
def test_calls(seen: Seen, compiler: str, level: str, pointer: str) -> None:
    trace, expected = seen("calls.c", compiler, level, pointer)
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
def test_exceptions(seen: Seen, compiler: str, level: str, pointer: str) -> None:
    trace, expected = seen("exceptions.cc", CPLUSPLUS[compiler], level, pointer)
    assert_same(trace, expected)
    names = [frame.function_name or "" for frame in trace]
    assert any(name.startswith("Worker<int>::work") for name in names), names
    assert "main" in names


@pytest.mark.parametrize(("compiler", "level", "pointer"), MATRIX)
def test_signals_on_another_stack(seen: Seen, compiler: str, level: str, pointer: str) -> None:
    trace, expected = seen("signals.c", compiler, level, pointer)
    assert_same(trace, expected)
    names = [frame.name for frame in trace]
    assert names.index("handler") < names.index("fault") < names.index("main")
    assert next(frame for frame in trace if frame.name == "fault").interrupted


@pytest.mark.parametrize("level", ["-O0", "-O2"])
def test_a_hundred_thousand_frames(seen: Seen, level: str) -> None:
    trace, expected = seen("recursion.c", "gcc", level)
    depths = [frame for frame in trace if frame.function_name == "deeper"]
    assert len(depths) == 100_000
    assert [frame["name"] for frame in expected].count("deeper") == 100_000
    innermost = list(itertools.islice(trace, 1000))
    assert assert_same(innermost, expected[:900]) > 800
    for number in (0, 1, 50_000, 99_999):
        assert value(depths[number], "depth") == 100_000 - number


def test_the_vdso(dumped: Seen) -> None:
    trace, expected = dumped("clock.c", "gcc", "-O2", breakpoint_at="__vdso_clock_gettime")
    assert assert_same(trace, expected) >= 1
    assert trace[0].symbol().name in ("clock_gettime", "__vdso_clock_gettime")
    assert {"now", "main"} <= {frame.function_name for frame in trace}


def test_pointers_to_variables_that_are_not_in_memory(seen: Seen) -> None:
    trace, expected = seen("pointers.c", "gcc", "-O2")
    assert_same(trace, expected)
    through, implicit = frame_of(trace, "through"), frame_of(trace, "implicit")
    pointer = through["pointer"]
    assert through.why_absent("pointer") is None
    assert pointer[0].value_() == implicit["value"].value_() == 22
    # There is nothing around the variable, and it stays where it is.
    with pytest.raises(FaultError):
        pointer[1].value_()
    assert through["pointer"] == pointer


def test_structures_of_which_parts_are_known(seen: Seen) -> None:
    trace, expected = seen("pieces.c", "gcc", "-O2")
    assert_same(trace, expected)
    frame = frame_of(trace, "taken_apart")
    parts = frame["parts"]
    # The arguments were 7 and 9. What gdb says of a piece that only the caller knows, it says of all.
    known = ("needed", "inner.low", "inner.high", "constant")
    assert [value(frame, f"parts.{name}") for name in known] == [21, 107, 209, 4711]
    assert parts.inner.value_() == {"low": 107, "high": 209}
    assert not parts.absent_
    assert parts.lost.absence_reason_ == AbsenceReason.OPTIMIZED_OUT
    assert ".lost = <optimized out>," in str(parts)
    assert "'lost': Object(prog, 'long', absence_reason=" in repr(parts)
    # The second argument is needed no more, neither here nor by the caller.
    reason = "its value at the function's entry is not known"
    assert frame.why_absent("parts") == f"parts of it are not known: {reason}"
    for whole in (parts.value_, parts.to_bytes_):
        with pytest.raises(ObjectAbsentError, match="parts of the object are absent"):
            whole()
    assert parts.read_().needed.value_() == 21


def test_static_variables_of_inlined_functions(seen: Seen) -> None:
    trace, expected = seen("pointers.c", "gcc", "-O2")
    through = frame_of(trace, "through")
    assert through.is_inline
    theirs = next(frame for frame in expected if frame["name"] == "through")["variables"]
    assert through["calls"].value_() == 40 + 22 == theirs["calls"]
    assert through["name"].string_() == b"through"
    assert through.locals() == ["outer", "pointer", "calls", "name"]


def test_jumps_through_functions_with_many_of_them(seen: Seen) -> None:
    trace, expected = seen("jumps.c", "gcc", "-O2")
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

    def opened(core: Path) -> Program:
        prog = program_from_core_dump(core)
        # QEMU's dumps do not tell which files were mapped.
        module = prog.main_module(program, create=True)
        module.address_range = (0x400000, 0x500000)
        module.try_file(program, force=True)
        return prog

    prog = opened(core)
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

    # Linux says in its dumps which bits the signatures have; QEMU does not. With a wrong mask the
    # first signed address leads nowhere.
    noted = tmp_path / "noted"
    noted.write_bytes(with_signature_mask(core.read_bytes(), 0x007F << 48))
    assert str(opened(noted).crashed_thread().stack_trace()) == str(trace)
    noted.write_bytes(with_signature_mask(core.read_bytes(), 0))
    astray = opened(noted).crashed_thread().stack_trace()
    assert "outer" not in [frame.function_name for frame in astray]
    assert astray.end_reason == "there is no unwind information for this code"


def with_signature_mask(core: bytes, mask: int) -> bytes:
    """A core dump of 64 bits with a note NT_ARM_PAC_MASK more: the masks for data and for code."""
    note = struct.pack("<III8sQQ", 6, 16, 0x406, b"LINUX", mask, mask)
    (table,) = struct.unpack_from("<Q", core, 32)
    size, count = struct.unpack_from("<HH", core, 54)
    for entry in range(table, table + count * size, size):
        kind, _, offset = struct.unpack_from("<IIQ", core, entry)
        if kind == 4:
            (length,) = struct.unpack_from("<Q", core, entry + 32)
            changed = bytearray(core)
            struct.pack_into("<Q", changed, entry + 8, len(core))
            struct.pack_into("<Q", changed, entry + 32, length + len(note))
            return bytes(changed) + core[offset : offset + length] + note
    raise AssertionError("no notes")


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
