"""The stacks of all tasks of real kernels, compared with drgn and crash frame by frame.

docs/differences.md explains the differences that are allowed here.
"""

import itertools
import re
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

import lab
from kdive import Program
from kdive.helpers.linux import idle_task

Facts = dict[str, Any]
Ask = Callable[[str, lab.Target], Facts]
Crash = Callable[[lab.Target, str], str]

TARGETS = [
    pytest.param(("idle", "6.1-amd64"), id="idle", marks=pytest.mark.lab),
    *(
        pytest.param(target, id=" ".join(target), marks=[pytest.mark.lab, pytest.mark.scenario])
        for target in (
            ("busy", "6.1-amd64"),
            ("panic", "6.1-amd64"),
            ("crash-in-irq", "6.1-amd64"),
            ("idle", "5.10-amd64"),
            ("idle", "6.12-amd64"),
            ("idle", "6.1-arm64"),
        )
    ),
]

USER_MODE = "the kernel was entered from user mode here"
HAS_ENDED = "the task has ended, and its stack was freed"
SAME_IN_BOTH = ("name", "function", "pc", "symbol", "source", "inline", "interrupted")


@pytest.fixture
def target(request: pytest.FixtureRequest) -> lab.Target:
    name, kernel = request.param
    return lab.target(name, kernel)


def tasks_of_both(ask: Ask, target: lab.Target) -> list[tuple[Facts, Facts]]:
    """What kdive and drgn say of each task that still has a stack."""
    ours, theirs = ask("kdive", target), ask("drgn", target)
    assert ours["crashed"] == theirs["crashed"]
    assert ours["tasks"].keys() == theirs["tasks"].keys()
    pairs = [(ours["tasks"][task], theirs["tasks"][task]) for task in ours["tasks"]]
    alive = [pair for pair in pairs if pair[0]["error"] is None]
    assert len(alive) > 40
    for ended, _ in (pair for pair in pairs if pair[0]["error"] is not None):
        # drgn fails as well, or shows what is in memory that is somebody else's now.
        assert ended["error"] == ["FaultError", HAS_ENDED]
        assert ended["state"] in "XZ"
    return alive


@pytest.mark.parametrize("target", TARGETS, indirect=True)
def test_frames_are_those_of_drgn(ask: Ask, target: lab.Target) -> None:
    compared = 0
    for own, peer in tasks_of_both(ask, target):
        frames, expected = own["frames"], peer["frames"]
        for frame, other in zip(frames, expected, strict=False):
            assert {key: frame[key] for key in SAME_IN_BOTH} == {
                key: other[key] for key in SAME_IN_BOTH
            }
            compared += 1
        assert not any(frame["guess"] for frame in frames)
        # drgn goes on where the kernel was entered, with a program counter of the user's.
        invented = [frame["pc"] for frame in expected[len(frames) :]]
        assert len(frames) == len(expected) - len(invented)
        if invented:
            assert own["end"] == USER_MODE
            in_user_mode = frames[0]["pc"] >> 63 == 0
            entry = ("entry_", "asm_", "ret_from_fork", "el0")
            assert in_user_mode or frames[-1]["name"].startswith(entry)
    assert compared > 300


@pytest.mark.parametrize("target", TARGETS, indirect=True)
def test_variables_are_those_of_drgn(ask: Ask, target: lab.Target) -> None:
    counts = Counter[str]()
    for own, peer in tasks_of_both(ask, target):
        for frame, other in zip(own["frames"], peer["frames"], strict=False):
            ours = iter(frame["locals"])
            for name, expected in other["locals"]:
                for own_name, value in ours:
                    if own_name == name:
                        break
                    # A static variable that only the abstract instance of its function has.
                    assert value is not None, (frame["name"], own_name)
                    counts["listed by kdive alone"] += 1
                else:
                    raise AssertionError((frame["name"], name))
                if expected is not None:
                    assert (frame["name"], name, value) == (frame["name"], name, expected)
                    counts["equal"] += 1
                else:
                    counts["absent in both" if value is None else "known by kdive alone"] += 1
    print(dict(counts))
    assert counts["equal"] > 1000


def annotated_lines(task: Facts) -> list[str]:
    """The lines of an annotated stack, without the functions that left by a jump and the numbers of frames."""
    jumped = {f"[stack frame {frame}]" for frame in task["jumped"]}
    return [
        re.sub(r"^(\[stack frame) #\d+", r"\1", line)
        for line in task["annotated"].splitlines()
        if line not in jumped
    ]


@pytest.mark.parametrize("target", TARGETS, indirect=True)
def test_annotated_stacks_are_those_of_drgn(ask: Ask, target: lab.Target) -> None:
    counts = Counter[str]()
    for own, peer in tasks_of_both(ask, target):
        if own["annotated"] is None:
            continue
        mine, expected = annotated_lines(own), annotated_lines(peer)
        if own["running"] and len(mine) > len(expected):
            # Where the stack changes, drgn leaves out the memory of all frames.
            remaining = iter(mine)
            assert all(line in remaining for line in expected[: len(own["frames"]) + 1])
            counts["on several stacks"] += 1
            continue
        # drgn goes on where the kernel was entered.
        goes_on = len(own["frames"]) < len(peer["frames"])
        assert goes_on or len(mine) == len(expected)
        for line, other in itertools.zip_longest(mine, expected[: len(mine)]):
            # kdive knows a label by what follows it, drgn not if a function ends in between.
            assert line == other or line.partition(" [symbol: ")[0] == other
        counts["equal up to user mode" if goes_on else "equal"] += 1
    print(dict(counts))
    assert counts["equal"] > 20


@pytest.mark.lab
@pytest.mark.scenario
def test_stacks_from_saved_registers_are_those_of_drgn(ask: Ask) -> None:
    target = lab.target("crash-in-irq")
    ours, theirs = (ask(tool, target)["interrupted"] for tool in ("kdive", "drgn"))
    assert ours == theirs
    ((by_pointer, by_value),) = ours.values()
    assert by_pointer == by_value
    assert [frame[0] for frame in by_pointer][:3] == ["lab_spin_inner", "lab_spin", "kthread"]


@pytest.mark.lab
@pytest.mark.scenario
@pytest.mark.parametrize("form", ["raw", "lime"])
def test_registers_that_only_the_memory_has(form: str) -> None:
    # In these forms there are no notes: the kernel's own copy of them is in `crash_notes`.
    target = lab.target("panic")

    def stacks(name: str) -> list[str]:
        prog = Program()
        prog.set_core_dump(target.dumps[name])
        prog.load_debug_info([target.vmlinux])
        tasks = [idle_task(prog, 0), prog.crashed_thread().object]
        return [str(prog.stack_trace(task)) for task in tasks]

    idle, crashed = stacks(form)
    assert "native_safe_halt" in idle
    assert "sysrq_handle_crash" in crashed
    assert [idle, crashed] == stacks("vmcore")


@pytest.mark.lab
@pytest.mark.scenario
@pytest.mark.parametrize(
    ("name", "reached"),
    [
        ("crash-in-irq", "lab_crash_here"),
        ("panic", "sysrq_handle_crash"),
        ("crash-in-bpf", "lab_call_nowhere"),
    ],
)
def test_the_crashed_stack_reaches_the_faulting_function(ask: Ask, name: str, reached: str) -> None:
    target = lab.target(name)
    facts = ask("kdive", target)
    crashed = facts["tasks"][facts["crashed"]]
    functions = [frame["function"] for frame in crashed["frames"]]
    assert reached in functions
    wanted = target.truth["facts"].get("functions", [])
    found = iter(functions)
    assert all(function in found for function in wanted), functions


@pytest.mark.lab
@pytest.mark.scenario
def test_a_call_of_a_null_pointer_in_a_probe_of_a_bpf_program(ask: Ask) -> None:
    target = lab.target("crash-in-bpf")
    ours, theirs = ask("kdive", target), ask("drgn", target)
    task = ours["crashed"]
    assert task == theirs["crashed"]
    frames = ours["tasks"][task]["frames"]
    assert ours["tasks"][task]["end"] == USER_MODE
    first, caller = frames[:2]
    assert (first["pc"], caller["function"]) == (0, "lab_call_nowhere")
    source = (target.modules["lab_nowhere"].with_suffix(".c")).name
    assert caller["source"][0].endswith(source)
    # What was found by the return address of a bad call is a guess, and so is all that follows.
    assert [frame["guess"] for frame in frames] == [False] + [True] * (len(frames) - 1)
    # drgn goes from the probe's trampoline by the frame pointer, which is still that of the BPF
    # program's caller: it misses the program and the function that it called.
    pcs = [frame["pc"] for frame in frames]
    shown = [frame["pc"] for frame in theirs["tasks"][task]["frames"] if frame["pc"] >> 63]
    remaining = iter(pcs)
    assert all(pc in remaining for pc in shown)
    missed = [frame for frame in frames if frame["pc"] and frame["pc"] not in shown]
    probed, program = missed
    assert (probed["function"], program["function"]) == ("bpf_user_rnd_u32", None)
    at = pcs.index(program["pc"])
    assert frames[at + 1]["function"] == "bpf_dispatcher_nop_func"


FRAME = re.compile(r"^ *#\d+ \[[0-9a-f]+\] (\S+) at ([0-9a-f]+)", re.MULTILINE)
EXCEPTION = re.compile(
    r"^ +\[exception RIP: ([^+\]]+).*\n +RIP: ([0-9a-f]{16})|^ +(RIP): ([0-9a-f]{16})", re.MULTILINE
)

# A function and a program counter in it.
Place = tuple[str, int]


def stacks_of_crash(text: str) -> dict[str, list[Place]]:
    """The frames that crash shows, by the task's address; without those of user mode."""
    stacks = {}
    for task in re.split(r"^(?=PID: )", text, flags=re.MULTILINE):
        address = re.search(r"TASK: ([0-9a-f]+)", task)
        if address is None:
            continue
        found = [*FRAME.finditer(task), *EXCEPTION.finditer(task)]
        found.sort(key=re.Match.start)
        groups = [[group for group in match.groups() if group] for match in found]
        places = [(name, int(pc, 16)) for name, pc in groups]
        stacks[f"0x{address[1]}"] = [
            place for place, _ in itertools.groupby(places, lambda place: place) if place[1] >> 63
        ]
    return stacks


def pcs_of(task: Facts) -> list[int]:
    """The program counters of a task; inlined frames share theirs with their caller."""
    return [pc for pc, _ in itertools.groupby(frame["pc"] for frame in task["frames"])]


OF_CRASH = [
    pytest.param(target, id=" ".join(target))
    for target in (
        ("idle", "6.1-amd64"),
        ("busy", "6.1-amd64"),
        ("panic", "6.1-amd64"),
        ("crash-in-irq", "6.1-amd64"),
        ("idle", "5.10-amd64"),
        ("idle", "6.12-amd64"),
    )
]


@pytest.mark.lab
@pytest.mark.scenario
@pytest.mark.parametrize("target", OF_CRASH, indirect=True)
def test_frames_are_those_of_crash(ask: Ask, crash: Crash, target: lab.Target) -> None:
    tasks = ask("kdive", target)["tasks"]
    stacks = stacks_of_crash(crash(target, "foreach bt"))
    assert stacks.keys() == tasks.keys()
    counts = Counter[str]()
    for address, task in tasks.items():
        shown = stacks[address]
        if task["error"] is not None:
            assert (task["error"], shown) == (["FaultError", HAS_ENDED], [])
            counts["without a stack"] += 1
            continue
        own = pcs_of(task)
        if own[0] >> 63 == 0:
            # The CPU was in user mode: what crash shows was left by an earlier system call.
            assert (len(own), task["end"]) == (1, USER_MODE)
            counts["in user mode"] += 1
            continue
        pcs = [pc for _, pc in shown]
        if pcs == own:
            counts["equal"] += 1
            continue
        # crash begins in what saved the registers (an NMI, the way to a crash kernel), kdive with the
        # registers; the crashing function may have saved its own, and called that way afterwards.
        assert task["running"], (task["comm"], shown, task["frames"])
        assert pcs[-len(own) + 1 :] == own[1:], (task["comm"], shown, task["frames"])
        name, pc = shown[-len(own)]
        assert pc == own[0] or name == task["frames"][0]["symbol"][0]
        counts["equal from the saved registers on"] += 1
    print(dict(counts))
    assert counts["equal"] > 40
    assert counts["in user mode"] + counts["equal from the saved registers on"] <= 2


@pytest.mark.lab
@pytest.mark.scenario
@pytest.mark.parametrize("name", ["panic", "crash-in-irq"])
def test_crash_shows_the_same_of_active_tasks(ask: Ask, crash: Crash, name: str) -> None:
    target = lab.target(name)
    tasks = ask("kdive", target)["tasks"]
    stacks = stacks_of_crash(crash(target, "bt -a"))
    assert stacks.keys() == {address for address, task in tasks.items() if task["running"]}
    for address, shown in stacks.items():
        own = pcs_of(tasks[address])
        assert [pc for _, pc in shown][-len(own) + 1 :] == own[1:]
