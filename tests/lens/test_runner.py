"""The runner: limits are kept, one diagnosis does not hurt another, and what came before an end is kept."""

import contextlib
import faulthandler
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from kdive import FaultError, Program, program_from_core_dump
from kdive.lens import (
    Checked,
    Context,
    Damage,
    Diagnosis,
    Finding,
    Item,
    Limits,
    Needs,
    NoOptions,
    Progress,
    Result,
    Row,
    Severity,
    Status,
    Task,
    all_diagnoses,
    column,
    diagnosis,
    run,
    run_here,
)
from kdive.lens.runner import State
from kdive.sample import DUMP


class Number(Row, title="Numbers"):
    value: int = column("a number")


class Undeclared(Row, title="Undeclared"):
    value: int = column("a number")


def made(
    name: str,
) -> Callable[[Callable[[Context[NoOptions]], Iterator[Item]]], Diagnosis[NoOptions]]:
    """Make a diagnosis that needs nothing of the program."""
    return diagnosis(name, "A test.", rows=(Number,), options=NoOptions, needs=Needs(kernel=False))


@made("good")
def good(_context: Context[NoOptions]) -> Iterator[Item]:
    yield Number(1)
    yield Finding(Severity.WARNING, "something is odd")
    yield Checked(1, "number")


@made("loops")
def loops(_context: Context[NoOptions]) -> Iterator[Item]:
    yield Number(1)
    yield Number(2)
    while True:
        pass


@made("loops-and-catches-all")
def loops_and_catches_all(_context: Context[NoOptions]) -> Iterator[Item]:
    yield Number(1)
    while True:
        with contextlib.suppress(BaseException):
            time.sleep(0.01)


@made("waits-in-native-code")
def waits_in_native_code(_context: Context[NoOptions]) -> Iterator[Item]:
    yield Number(1)
    # Python code can't be told to stop while it has its signals blocked, as if it were in native code.
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
    while True:
        time.sleep(1)


@made("yields-for-ever")
def yields_for_ever(_context: Context[NoOptions]) -> Iterator[Item]:
    while True:
        yield Finding(Severity.NOTICE, "x" * 100_000)


@made("raises")
def raises(_context: Context[NoOptions]) -> Iterator[Item]:
    yield Number(1)
    raise RuntimeError("a mistake")


@made("faults")
def faults(_context: Context[NoOptions]) -> Iterator[Item]:
    yield Number(1)
    raise FaultError("address is not mapped", 0x1234)


@made("crashes")
def crashes(_context: Context[NoOptions]) -> Iterator[Item]:
    yield Number(1)
    faulthandler.disable()
    os.kill(os.getpid(), signal.SIGSEGV)
    yield Number(2)


@made("exits")
def exits(_context: Context[NoOptions]) -> Iterator[Item]:
    yield Number(1)
    raise SystemExit(7)


@made("eats-memory")
def eats_memory(_context: Context[NoOptions]) -> Iterator[Item]:
    yield Number(1)
    eaten = []
    while True:
        eaten.append(bytearray(1 << 20))


@made("partial")
def partial(context: Context[NoOptions]) -> Iterator[Item]:
    def walk() -> Iterator[int]:
        yield 1
        yield 2
        raise FaultError("address is not mapped", 0x1234)

    for value in context.walk(walk(), "the list"):
        yield Number(value)
    with context.tolerate("the count"):
        raise ValueError("the count is negative")
    yield Checked(2, "number")


@made("undeclared")
def undeclared(_context: Context[NoOptions]) -> Iterator[Item]:
    yield Undeclared(1)


@diagnosis("lacking", "A test.", rows=(Number,), options=NoOptions, needs=Needs(modules=("btrfs",)))
def lacking(_context: Context[NoOptions]) -> Iterator[Item]:
    yield Number(1)


@made("slow")
def slow(_context: Context[NoOptions]) -> Iterator[Item]:
    for done in range(3):
        yield Progress(done, 3)
        time.sleep(0.02)
    yield Number(1)


@pytest.fixture
def prog() -> Program:
    return Program()


def run_all(prog: Program, *diagnoses: Diagnosis[Any], **limits: Any) -> list[Result]:
    tasks = [Task(d, d.options()) for d in diagnoses]
    return run(prog, tasks, Limits(**limits), at_once=3)


def values(result: Result) -> list[int]:
    return [row.value for row in result.rows if isinstance(row, Number)]


def test_results_come_in_the_order_of_the_tasks(prog: Program) -> None:
    results = run_all(prog, slow, good, raises)
    assert [r.name for r in results] == ["slow", "good", "raises"]
    assert [r.status for r in results] == [Status.OK, Status.OK, Status.FAILED]
    assert values(results[1]) == [1]
    assert results[1].findings == [Finding(Severity.WARNING, "something is odd")]
    assert results[1].checked == [Checked(1, "number")]
    assert results[0].seconds >= 0.06


@pytest.mark.parametrize("looping", [loops, loops_and_catches_all, waits_in_native_code])
def test_a_loop_is_stopped_and_the_others_complete(
    prog: Program, looping: Diagnosis[NoOptions]
) -> None:
    stopped, *others = run_all(prog, looping, good, slow, good, seconds=2)
    assert stopped.status == Status.TIMED_OUT
    assert stopped.reason == "it was stopped after 2 s"
    assert values(stopped) == ([1, 2] if looping is loops else [1])
    assert [r.status for r in others] == [Status.OK] * 3


def test_the_standard_set_completes_beside_what_loops_and_what_eats_memory() -> None:
    prog = program_from_core_dump(DUMP)
    standard = [d for d in all_diagnoses().values() if d.standard]
    tasks = [Task(d, d.options()) for d in (loops, eats_memory, *standard)]
    stopped, hungry, *others = run(prog, tasks, Limits(seconds=15, memory_mib=256), at_once=3)
    assert (stopped.status, values(stopped)) == (Status.TIMED_OUT, [1, 2])
    assert (hungry.status, values(hungry)) == (Status.FAILED, [1])
    assert hungry.reason == "it reached its limit of memory"
    assert {r.status for r in others} == {Status.OK, Status.SKIPPED}
    assert {r.name for r in others if r.findings} == {"btrfs", "delayed-works", "memcg"}


def test_a_flood_of_rows_ends_at_the_limit_of_memory(prog: Program) -> None:
    flood, other = run_all(prog, yields_for_ever, good, seconds=30, memory_mib=8)
    assert flood.status == Status.FAILED
    assert flood.reason == "its rows take more than 8 MiB"
    assert 50 < len(flood.findings) < 200
    assert other.status == Status.OK


def test_memory_is_limited(prog: Program) -> None:
    eater, other = run_all(prog, eats_memory, good, seconds=30, memory_mib=64)
    assert (eater.status, eater.reason) == (Status.FAILED, "it reached its limit of memory")
    assert values(eater) == [1]
    assert other.status == Status.OK


def test_a_failure_keeps_the_rows_and_says_where(prog: Program) -> None:
    raised, faulted, crashed, ended, other = run_all(prog, raises, faults, crashes, exits, good)
    for result in raised, faulted, crashed, ended:
        assert (result.status, values(result)) == (Status.FAILED, [1])
    assert raised.reason == "RuntimeError: a mistake"
    assert 'raise RuntimeError("a mistake")' in raised.details
    assert faulted.reason.startswith("it met something that can't be read: ")
    assert "0x1234" in faulted.reason
    assert crashed.reason == "its process was ended by SIGSEGV"
    assert ended.reason == "its process ended with status 0 and without a word"
    assert other.status == Status.OK


@pytest.mark.parametrize("in_this_process", [False, True])
def test_damage_makes_a_result_partial(prog: Program, in_this_process: bool) -> None:
    result = run_here(prog, partial) if in_this_process else run_all(prog, partial)[0]
    assert (result.status, values(result)) == (Status.PARTIAL, [1, 2])
    assert result.reason == "2 structures could not be read"
    assert [damage.where for damage in result.damages] == ["the list", "the count"]
    assert "0x1234" in result.damages[0].error
    assert result.damages[1] == Damage("the count", "the count is negative")
    assert result.checked == [Checked(2, "number")]


def test_what_a_running_kernel_changes_is_left_out_and_is_no_damage() -> None:
    """A value that was read is taken only if what led to it is the same afterwards."""

    @made("changing")
    def changing(context: Context[NoOptions]) -> Iterator[Item]:
        def faults() -> int:
            raise FaultError("address is not mapped", 0x1234)

        for number, is_unchanged in enumerate((True, False)):
            value = context.read(lambda: number, "a number", lambda: is_unchanged)  # noqa: B023
            yield Number(-1 if value is None else value)
            value = context.read(faults, f"fault {number}", lambda: is_unchanged)  # noqa: B023
            yield Number(-2 if value is None else value)
        context.read(lambda: 1, "a number", lambda: faults() == 1)

    live = Program()
    live.set_pid(os.getpid())
    result = run_here(live, changing)
    assert values(result) == [0, -2, -1, -2]
    assert [damage.where for damage in result.damages] == ["fault 0"]
    assert [note.text for note in result.notes] == [
        "3 of what was read changed meanwhile, as a running kernel does, and was left out"
    ]
    # In a dump nothing changes, so nothing is looked at twice.
    result = run_here(Program(), changing)
    assert values(result) == [0, -2, 1, -2]
    assert [damage.where for damage in result.damages] == ["fault 0", "fault 1"]
    assert result.notes == []


def test_types_that_a_diagnosis_can_do_without_are_looked_up_before_it_runs() -> None:
    asked: list[str] = []

    def finder(_prog: Program, _kinds: object, name: str, _file: str | None) -> None:
        asked.append(name)

    @diagnosis(
        "optional",
        "A test.",
        rows=(Number,),
        options=NoOptions,
        needs=Needs(kernel=False, optional_types=("struct absent", "struct gone")),
    )
    def optional(_context: Context[NoOptions]) -> Iterator[Item]:
        yield Number(len(asked))

    prog = Program()
    prog.register_type_finder("test", finder, enable_index=0)
    result = run_here(prog, optional)
    assert (result.status, values(result)) == (Status.OK, [2])
    assert asked == ["absent", "gone"]


def test_what_is_missing_skips(prog: Program) -> None:
    (result,) = run_all(prog, lacking)
    assert (result.status, result.rows) == (Status.SKIPPED, [])
    assert result.reason == "the target is not a Linux kernel"


def test_rows_must_be_declared(prog: Program) -> None:
    (result,) = run_all(prog, undeclared)
    assert (result.status, result.rows) == (Status.FAILED, [])
    assert result.reason == "TypeError: undeclared yields Undeclared, which it does not declare"


def test_someone_can_watch(prog: Program) -> None:
    seen: list[tuple[int, dict[str, Progress | None]]] = []

    def watch(state: State) -> None:
        seen.append((state.done, dict(state.running)))

    run(prog, [Task(slow, NoOptions()), Task(good, NoOptions())], at_once=1, watch=watch)
    assert seen[0] == (0, {"slow": None})
    assert (0, {"slow": Progress(2, 3)}) in seen
    assert (1, {"good": None}) in seen
    assert seen[-1] == (2, {})


def test_a_connection_is_used_by_one_at_a_time(
    prog: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kdive.lens.runner._is_remote", lambda _: True)
    seen: list[int] = []
    tasks = [Task(d, NoOptions()) for d in (slow, loops, good, waits_in_native_code, good)]
    results = run(
        prog,
        tasks,
        Limits(seconds=2),
        at_once=4,
        watch=lambda state: seen.append(len(state.running)),
    )
    assert max(seen) == 1
    # One that can be told to stop leaves the connection as it was, one that has to be killed does not.
    assert [r.status for r in results] == [
        *(Status.OK, Status.TIMED_OUT, Status.OK, Status.TIMED_OUT, Status.FAILED)
    ]
    assert results[-1].reason == (
        "the target can't be asked any more since waits-in-native-code was ended"
    )


def children() -> set[int]:
    """The PIDs of this process's children, those that have ended and wait to be reaped among them."""
    pids = set()
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            # The name of a process may contain anything; what follows it doesn't contain a parenthesis.
            _, parent, *_ = stat.read_text().rpartition(")")[2].split()
            if int(parent) == os.getpid():
                pids.add(int(stat.parent.name))
    return pids


def test_no_process_is_left(prog: Program) -> None:
    before = children()
    run_all(prog, loops, good, crashes, seconds=0.2)
    # Other tests of this run may keep processes of their own.
    assert children() <= before
