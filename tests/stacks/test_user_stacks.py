"""Stacks that tasks of a kernel's dump have in user mode, and stacks that tracers changed."""

import base64
import re
from pathlib import Path

import pytest

import lab
from kdive import Program, StackTrace, program_from_core_dump
from kdive.helpers.linux import find_task, task_program, task_state_to_char, user_stack_trace

ENDS = "the stack ends here"


def open_dump(target: lab.Target) -> Program:
    prog = Program()
    prog.set_core_dump(target.dumps["elf"])
    prog.load_debug_info([target.vmlinux])
    return prog


@pytest.mark.lab
def test_a_sleeping_process_is_followed_to_its_first_function(idle: lab.Target) -> None:
    prog = open_dump(idle)
    trace = user_stack_trace(find_task(prog, idle.truth["facts"]["sleeper"]))
    symbols = [frame.name for frame in trace]
    assert "nanosleep" in symbols[0]
    # The program itself has no symbols.
    assert symbols[-2] == "__libc_start_main"
    assert trace.end_reason == ENDS
    assert not any(frame.is_guess for frame in trace)


@pytest.mark.lab
def test_kernel_threads_have_no_stack_in_user_mode(idle: lab.Target) -> None:
    with pytest.raises(ValueError, match="kernel thread"):
        user_stack_trace(find_task(open_dump(idle), 2))


@pytest.mark.lab
@pytest.mark.scenario
@pytest.mark.parametrize("level", ["O0", "O2"])
def test_threads_of_a_process(tmp_path: Path, level: str) -> None:
    target = lab.target("stacks")
    facts = target.truth["facts"]
    program = tmp_path / "program"
    program.write_bytes(base64.b64decode(facts[f"program_{level}"]))
    process = facts[f"process_{level}"]
    user = task_program(find_task(open_dump(target), process), [program])
    traces = {thread.tid: thread.stack_trace() for thread in user.threads()}
    assert len(traces) == 2
    assert user.crashed_thread().tid == process
    for tid, trace in traces.items():
        # As the program's source says.
        argument = 10 if tid == process else 20
        named = {frame.function_name: frame for frame in trace if frame.function_name}
        names = ["innermost", "middle", "start"]
        assert list(named) == names + (["main"] if tid == process else [])
        assert named["middle"]["where"][0].value_() == 3 * argument
        assert named["start"]["local"].value_() == 3 * argument
        assert named["innermost"]["per_thread"].value_() == 5 + argument + 1
        if level == "O0":
            assert named["innermost"]["depth"].value_() == argument + 1
        assert trace.end_reason == ENDS
        assert not any(frame.is_guess for frame in trace)


def functions(trace: StackTrace) -> list[str]:
    """The functions that are not inlined and did not leave by a jump, as /proc/PID/stack has them."""
    return [
        frame.symbol().name for frame in trace if not frame.is_inline and not frame.is_tail_call
    ]


# The function graph tracer keeps return addresses in another form since Linux 6.11.
TRACED_KERNELS = pytest.mark.parametrize("kernel", ["6.1-amd64", "6.12-amd64"])


@pytest.mark.lab
@pytest.mark.scenario
@TRACED_KERNELS
@pytest.mark.parametrize("files", ["with files", "without files"])
@pytest.mark.parametrize("kind", ["probed", "traced"])
def test_return_addresses_that_tracers_replaced(kernel: str, files: str, kind: str) -> None:
    target = lab.target("stacks", kernel)
    facts = target.truth["facts"]
    if files == "with files":
        prog, entry = open_dump(target), "entry_SYSCALL_64"
    else:
        # The return address is behind a label, which is no function for DWARF.
        prog, entry = program_from_core_dump(target.dumps["elf"]), "entry_SYSCALL_64_after_hwframe"
    pid = facts["return_probed" if kind == "probed" else "graph_traced"]
    trace = prog.stack_trace(pid)
    told = re.findall(r"\] (\w+)\+", facts[f"{kind}_stack"])
    assert "hrtimer_nanosleep" in told
    shown = functions(trace)
    # The kernel leaves out what belongs to sleeping itself, and names the entry after another label.
    assert shown[:4] == ["__schedule", "schedule", "do_nanosleep", "hrtimer_nanosleep"]
    assert shown[3:-1] == told[:-1]
    assert shown[-1] == entry
    assert trace.end_reason == "the kernel was entered from user mode here"
    assert not any(frame.is_guess for frame in trace)
    assert task_state_to_char(find_task(prog, pid)) == "S"


@pytest.mark.lab
@pytest.mark.scenario
@TRACED_KERNELS
@pytest.mark.parametrize("files", ["with files", "without files"])
def test_names_of_bpf_programs(kernel: str, files: str) -> None:
    target = lab.target("stacks", kernel)
    # As /proc/kallsyms has it: address, kind, name, module.
    address, _, name, _ = target.truth["facts"]["bpf_symbol"].split()
    start = int(address, 16)
    if files == "with files":
        prog = open_dump(target)
    else:
        prog = program_from_core_dump(target.dumps["elf"])
    inside, before = prog.stack_trace_from_pcs([start + 5, start])
    symbol = inside.symbol()
    assert (inside.name, symbol.name, symbol.address) == (name, name, start)
    assert str(inside) == f"#0 at {start + 5:#x} ({name}+0x5/{symbol.size:#x})"
    # What a return address belongs to is what is before it.
    assert before.name != name
