"""Diagnoses of a dump alone: types and symbols out of the kernel's own memory say what DWARF says."""

import contextlib

import pytest

import kdive
import lab
from kdive.lens import Result, Status, Task, all_diagnoses, run
from tests.lens.support import program

pytestmark = [pytest.mark.lab, pytest.mark.scenario]

# Stacks have inlined functions and lines with DWARF only.
DIAGNOSES = sorted(set(all_diagnoses()) - {"stacks", "panic"})


def without_files(name: str) -> kdive.Program:
    prog = kdive.Program()
    prog.set_core_dump(lab.target(name).dumps["elf"])
    with contextlib.suppress(kdive.MissingDebugInfoError):
        prog.load_debug_info(default=True)
    return prog


def results(prog: kdive.Program) -> dict[str, Result]:
    known = all_diagnoses()
    tasks = [Task(known[name], known[name].options()) for name in DIAGNOSES]
    return {result.name: result for result in run(prog, tasks)}


@pytest.mark.parametrize(
    "name",
    ["idle", "btrfs-eexist", "memcg-zombies", "delayed-work", "rds-tcp", "rds-rdma", "irq-vectors"],
)
def test_rows_and_findings_are_the_same(name: str) -> None:
    bare, full = results(without_files(name)), results(program(name))
    for diagnosis in DIAGNOSES:
        mine, other = bare[diagnosis], full[diagnosis]
        assert mine.status == other.status, (mine.reason, mine.details, mine.damages)
        assert mine.status in (Status.OK, Status.SKIPPED)
        assert mine.rows == other.rows
        assert mine.findings == other.findings
        assert mine.checked == other.checked
