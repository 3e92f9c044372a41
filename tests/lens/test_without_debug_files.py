"""Diagnoses of a dump alone: types and symbols out of the kernel's own memory say what DWARF says."""

import contextlib
import re

import pytest

import kdive
import lab
from kdive.lens import Result, Status, Task, all_diagnoses, run
from tests.lens.support import program, rows

pytestmark = [pytest.mark.lab, pytest.mark.scenario]

# Stacks have inlined functions and lines with DWARF only.
OF_STACKS = {"stacks", "panic"}


def without_files(name: str, form: str = "elf", kernel: str = lab.DEFAULT_KERNEL) -> kdive.Program:
    prog = kdive.Program()
    prog.set_core_dump(lab.target(name, kernel).dumps[form])
    with contextlib.suppress(kdive.MissingDebugInfoError):
        prog.load_debug_info(default=True)
    return prog


def results(prog: kdive.Program) -> dict[str, Result]:
    tasks = [Task(diagnosis, diagnosis.options()) for diagnosis in all_diagnoses().values()]
    return {result.name: result for result in run(prog, tasks)}


@pytest.mark.parametrize(
    "name",
    [
        *("idle", "btrfs-eexist", "memcg-zombies", "delayed-work", "blocked"),
        *("rds-tcp", "rds-rdma", "irq-vectors"),
    ],
)
def test_rows_and_findings_are_the_same(name: str) -> None:
    bare, full = results(without_files(name)), results(program(name))
    assert set(bare) == set(full) == set(all_diagnoses())
    for diagnosis, mine in bare.items():
        other = full[diagnosis]
        assert mine.status == other.status, (mine.reason, mine.details, mine.damages)
        assert mine.status in (Status.OK, Status.SKIPPED)
        assert mine.findings == other.findings
        assert mine.checked == other.checked
        if diagnosis not in OF_STACKS:
            assert mine.rows == other.rows
    assert sum(stack.count for stack in rows(bare["stacks"], "Stack")) == sum(
        stack.count for stack in rows(full["stacks"], "Stack")
    )


def test_a_panic_is_found_with_its_stack() -> None:
    bare = results(without_files("crash-in-irq", "vmcore"))["panic"]
    full = results(program("crash-in-irq", "vmcore"))["panic"]
    assert [f.sentence for f in bare.findings] == [f.sentence for f in full.findings]
    assert rows(bare, "Panic") == rows(full, "Panic")
    assert rows(bare, "Register") == rows(full, "Register")
    names, own = (
        [re.split(r"[+. ]", frame.function)[0] for frame in rows(result, "Frame")]
        for result in (full, bare)
    )
    # The functions that were not inlined, in the same order.
    assert {"lab_crash_here", "lab_timer_function"} <= set(own)
    remaining = iter(names)
    assert all(name in remaining for name in own)


@pytest.mark.parametrize("kernel", ["5.10-amd64", "6.12-amd64", "6.1-arm64"])
def test_other_kernels_without_files(kernel: str) -> None:
    for result in results(without_files("idle", kernel=kernel)).values():
        assert result.findings == []
        # Debian's kernels for arm64 have no symbols of data but those that modules may use.
        unknown = [d for d in result.damages if d.error.startswith("could not find")]
        if "arm64" in kernel and result.status == Status.PARTIAL:
            assert result.damages == unknown, result.name
        else:
            assert result.status in (Status.OK, Status.SKIPPED), (
                result.name,
                result.reason,
                result.details,
                result.damages[:3],
            )
