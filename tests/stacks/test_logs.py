"""Stacks that kernels wrote into their logs: those of a crash, and those of all tasks."""

import re
from collections import Counter

import pytest

import lab
from kdive import Program, StackTrace, program_from_core_dump
from kdive.helpers.linux import find_task, get_dmesg

pytestmark = [pytest.mark.lab, pytest.mark.scenario]


def opened(target: lab.Target) -> Program:
    prog = Program()
    prog.set_core_dump(next(iter(target.dumps.values())))
    prog.load_debug_info([target.vmlinux, *target.modules.values()])
    return prog


def logged(prog: Program) -> list[StackTrace]:
    stacks = prog.stack_traces_in_log(get_dmesg(prog).decode())
    assert [stack.unresolved for stack in stacks] == [[]] * len(stacks)
    return [stack.trace for stack in stacks]


def lines_of(trace: StackTrace) -> list[str]:
    """The frames without their numbers."""
    return [line.split(maxsplit=1)[1] for line in str(trace).splitlines()]


def test_an_oops_in_a_module_within_an_interrupt() -> None:
    prog = opened(lab.target("crash-in-irq"))
    (oops,) = logged(prog)
    # Functions, source lines and inlined functions, across the registers of the interrupt.
    assert str(oops) == str(prog.crashed_thread().stack_trace())
    names = [frame.name for frame in oops]
    assert names[:3] == ["lab_crash_here", "lab_timer_function", "__run_hrtimer"]
    assert next(frame.name for frame in oops if frame.is_inline) == "__run_hrtimer"
    assert oops[0].source().filename.endswith("lab_crash.c")


def test_a_panic() -> None:
    prog = opened(lab.target("panic"))
    (panic,) = logged(prog)
    crashed = lines_of(prog.crashed_thread().stack_trace())
    common = lines_of(panic)
    # The kernel printed it before it went on to the crash kernel, from the same function.
    at = next(number for number, line in enumerate(crashed) if line.startswith("panic ("))
    assert [line for line in common if line.startswith("panic (")]
    assert common[-len(crashed[at + 1 :]) :] == crashed[at + 1 :]


def test_the_stack_of_a_process_in_proc() -> None:
    target = lab.target("blocked")
    prog = opened(target)
    waiter, reader = (
        prog.stack_trace(target.truth["facts"][name]) for name in ("mutex_waiter", "rwsem_reader")
    )
    # Two files, one behind the other. They leave out the functions of scheduling and locking.
    (both,) = prog.stack_traces_in_log(target.truth["facts"]["stacks"])
    expected = []
    for trace in (waiter, reader):
        lines = lines_of(trace)
        expected += lines[next(at for at, line in enumerate(lines) if line.startswith("lab_")) :]
    assert lines_of(both.trace) == expected


TASK = re.compile(r"\[ *([\d.]+)\] task:.*? pid: *(\d+) ")
# Where functions return to that have a return probe. The kernel's log names what lies before it.
RETURN_PROBES = "arch_rethook_trampoline"
# Before the stack of a task comes a line of its own, and may come one of what it works for.
LINES_BEFORE = 3


@pytest.mark.parametrize("kernel", ["6.1-amd64", "6.12-amd64", "7.2-amd64"])
def test_all_tasks_have_the_stacks_that_the_kernel_said(kernel: str) -> None:
    """Without debug files: the tables are the kernel's ORC, of versions 1, 3 and 4, in the dump."""
    target = lab.target("stacks", kernel)
    prog = program_from_core_dump(target.dumps["elf"])
    log = get_dmesg(prog).decode()
    lines = log.splitlines()
    counts = Counter[str]()
    for stack in prog.stack_traces_in_log(log):
        before = "\n".join(lines[max(stack.line - LINES_BEFORE, 0) : stack.line])
        heading = TASK.search(before)
        assert heading, lines[stack.line]
        said_at_s, pid = float(heading[1]), int(heading[2])
        task = find_task(prog, pid)
        if not task or task.on_cpu or task.sched_info.last_arrival.value_() / 1e9 >= said_at_s:
            counts["have run since"] += 1
            continue
        trace = prog.stack_trace(task)
        differing = [
            said.pc for frame, said in zip(trace, stack.trace, strict=True) if frame.pc != said.pc
        ]
        assert differing in ([], [prog.symbol(RETURN_PROBES).address]), (pid, trace, stack.trace)
        assert not any(frame.is_guess for frame in trace)
        counts["probed" if differing else "equal"] += 1
    print(dict(counts))
    assert counts["equal"] > 40
    assert counts["probed"] >= 1
