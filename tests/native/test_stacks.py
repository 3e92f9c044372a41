"""Stacks of a process and of its dump, as Python sees them."""

import subprocess
from pathlib import Path

import pytest

from kdive import Object, Program, StackFrame, StackTrace, program_from_core_dump, program_from_pid

SOURCE = r"""
#include <stdlib.h>
volatile int sink;
__attribute__((noipa)) static int fail(int code) {
    int lost = code * 3;
    sink = lost;
    abort();
}
__attribute__((noipa)) static int middle(int kept) {
    int result = fail(kept + 1);
    return result + kept;
}
int main(int argc, char **argv) { return middle(argc + 4); }
"""


@pytest.fixture(scope="module")
def crashed(tmp_path_factory: pytest.TempPathFactory) -> Program:
    """A program at the signal that ended it."""
    directory = tmp_path_factory.mktemp("crashed")
    source, program, core = (directory / name for name in ("program.c", "program", "core"))
    source.write_text(SOURCE)
    subprocess.run(["gcc", "-g", "-O2", "-o", program, source], check=True)
    commands = ("set debuginfod enabled off", "run", f"generate-core-file {core}")
    arguments = [argument for command in commands for argument in ("-ex", command)]
    subprocess.run(
        ["gdb", "-nx", "-batch", *arguments, program],
        check=True,
        capture_output=True,
    )
    prog = program_from_core_dump(core)
    prog.load_debug_info([program])
    return prog


@pytest.fixture(scope="module")
def trace(crashed: Program) -> StackTrace:
    return crashed.crashed_thread().stack_trace()


def frame(trace: StackTrace, name: str) -> StackFrame:
    return next(frame for frame in trace if frame.function_name == name)


def test_the_reasons_for_what_is_missing(trace: StackTrace) -> None:
    assert trace.end_reason == "the stack ends here"
    assert not any(frame.is_guess for frame in trace)
    fail = frame(trace, "fail")
    assert fail.locals() == ["code", "lost"]
    assert fail["code"].value_() == 6
    assert fail.why_absent("code") is None
    assert fail.why_absent("nothing") is None
    result = frame(trace, "middle")["result"]
    assert result.absent_
    assert frame(trace, "middle").why_absent("result") == "optimized out"


def test_many_at_once(crashed: Program, trace: StackTrace) -> None:
    threads = list(crashed.threads())
    traces = crashed.stack_traces(threads * 3)
    assert [str(other) for other in traces] == [str(trace)] * 3
    assert crashed.stack_traces([]) == []
    with pytest.raises(TypeError, match="expected struct pt_regs"):
        crashed.stack_traces([Object(crashed, "int", 1)])
    with pytest.raises(TypeError):
        crashed.stack_traces([1])  # type: ignore[list-item]


def test_a_stack_that_can_not_be_unwound_does_not_hide_the_others(executable: Path) -> None:
    with subprocess.Popen([executable], stdout=subprocess.PIPE) as running:
        assert running.stdout is not None
        running.stdout.readline()
        prog = program_from_pid(running.pid)
        other = program_from_pid(running.pid)
        threads = [prog.main_thread(), other.main_thread()]
        (before,) = prog.stack_traces(threads[:1])
        assert "main" in [frame.function_name for frame in before]
        running.kill()
    (after,) = prog.stack_traces(threads[:1])
    assert len(after) == 0
    assert str(after) == ""
    assert "No such process" in after.end_reason
    with pytest.raises(Exception, match="No such process"):
        threads[0].stack_trace()


def test_stacks_in_a_log(crashed: Program, trace: StackTrace) -> None:
    lines = []
    for name in ("fail", "middle"):
        symbol = frame(trace, name).symbol()
        offset = frame(trace, name).pc - symbol.address
        lines.append(f"[    1.5] {symbol.name}+{offset:#x}/{symbol.size:#x}")
    log = "\n".join(["[    1.5] something else", "[    1.5] Call Trace:", *lines, " gone+0x1/0x2"])
    (found,) = crashed.stack_traces_in_log(log)
    assert found.line == 1
    assert [frame.function_name for frame in found.trace] == ["fail", "middle"]
    assert [frame.source().line for frame in found.trace] == [
        frame(trace, "fail").source().line,
        frame(trace, "middle").source().line,
    ]
    assert found.unresolved == ["gone+0x1"]
    assert str(found) == str(found.trace)
    assert crashed.stack_traces_in_log("nothing") == []
