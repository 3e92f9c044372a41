"""Threads of running processes: their stacks, and that they go on afterwards as before."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from kdive import Program, StackTrace, program_from_pid
from tests.stacks.against_gdb import (
    HERE,
    assert_same,
    compile_program,
    frame_of,
    frames_of_gdb,
    running,
    value,
    wait_for_state,
)

PROBE = ("-ex", f"source {HERE / 'gdb_probe.py'}")

# Looks at all threads of a process until it is killed.
LOOKS_ON = """
import sys
import kdive
prog = kdive.program_from_pid(int(sys.argv[1]))
prog.load_debug_info([sys.argv[2]])
threads = list(prog.threads())
print("looking", flush=True)
while True:
    prog.stack_traces(threads)
"""


def open_process(pid: int, program: Path) -> Program:
    prog = program_from_pid(pid)
    prog.load_debug_info([program])
    return prog


def tracer_and_states(pid: int) -> set[tuple[str, str]]:
    """Who traces the threads of a process, and their states."""
    found = set()
    for thread in Path(f"/proc/{pid}/task").iterdir():
        lines = dict(line.split(":\t", 1) for line in (thread / "status").read_text().splitlines())
        found.add((lines["TracerPid"], lines["State"][0]))
    return found


def wait_until_left_alone(pid: int) -> None:
    """Wait until nobody traces the threads of a process and all of them sleep again, as they did before."""
    deadline = time.monotonic() + 10
    while tracer_and_states(pid) != {("0", "S")}:
        assert time.monotonic() < deadline, tracer_and_states(pid)
        time.sleep(0.01)


@pytest.mark.parametrize("level", ["-O0", "-O2"])
def test_all_threads(tmp_path: Path, level: str) -> None:
    program = compile_program(tmp_path, "threads.c", "gcc", level)
    with running(program) as pid:
        threads = list(open_process(pid, program).threads())
        assert len(threads) == 4
        # The others may still be on their way.
        time.sleep(0.2)
        waiting: dict[int, int | None] = {}
        for number, thread in enumerate(threads, start=1):
            expected = frames_of_gdb("-p", str(pid), "-ex", f"thread {number}", *PROBE)
            trace = thread.stack_trace()
            assert_same(trace, expected)
            frame = frame_of(trace, "wait_here")
            waiting[value(frame, "number") or number] = value(frame, "own")
        # With optimization nothing keeps the parameter: the function never returns.
        assert set(waiting.values()) == {20, 30, 40, 90}
        if level == "-O0":
            assert waiting == {9: 90, 2: 20, 3: 30, 4: 40}
        wait_until_left_alone(pid)


def test_the_vdso_of_a_stopped_process(tmp_path: Path) -> None:
    program = compile_program(tmp_path, "spinning.c", "gcc", "-O2")
    with running(program, until="R") as pid:
        prog = open_process(pid, program)
        trace = stopped_in_vdso(prog, pid)
        # It was stopped before kdive came, and stays so.
        assert tracer_and_states(pid) == {("0", "T")}
        expected = frames_of_gdb("-p", str(pid), *PROBE)
        wait_for_state(pid, "T")
        assert_same(trace, expected)
        assert {"now", "main"} <= {frame.function_name for frame in trace}
        assert trace.end_reason == "the stack ends here"
        first, again = (count_of(prog) for _ in range(2))
        assert first == again
        os.kill(pid, signal.SIGCONT)
        wait_for_state(pid, "R")
        time.sleep(0.1)
        assert count_of(prog) > first
        wait_for_state(pid, "R")


def count_of(prog: Program) -> int:
    """How often the program asked for the time."""
    count = value(frame_of(prog.main_thread().stack_trace(), "main"), "count")
    assert count is not None
    return count


def stopped_in_vdso(prog: Program, pid: int) -> StackTrace:
    """Stop a process until it is in code of the vDSO, and return its stack."""
    for _ in range(1000):
        os.kill(pid, signal.SIGSTOP)
        wait_for_state(pid, "T")
        trace = prog.main_thread().stack_trace()
        if prog.module(trace[0].pc).name == "linux-vdso.so.1":
            return trace
        os.kill(pid, signal.SIGCONT)
        wait_for_state(pid, "R")
    raise AssertionError("it never was in the vDSO")


def test_threads_go_on_when_kdive_is_killed(tmp_path: Path) -> None:
    program = compile_program(tmp_path, "threads.c", "gcc", "-O2")
    generator = random.Random(1)
    with running(program) as pid:
        for _ in range(10):
            command: list[str | Path] = [sys.executable, "-c", LOOKS_ON, str(pid), program]
            with subprocess.Popen(command, stdout=subprocess.PIPE) as looking:
                assert looking.stdout is not None
                assert looking.stdout.readline() == b"looking\n"
                time.sleep(generator.uniform(0, 0.05))
                looking.kill()
            wait_until_left_alone(pid)
        assert "wait_here" in [
            frame.function_name for frame in open_process(pid, program).main_thread().stack_trace()
        ]
