"""Diagnoses of a dump with CTF: those whose types the kernel's headers have run, and say what they say with DWARF."""

import dataclasses
from pathlib import Path
from typing import Any

import pytest

import kdive
from kdive.lens import Result, Status, Task, all_diagnoses, run
from tests.lens.support import program, rows
from tests.test_ctf_kernel import ctf as ctf, with_ctf

pytestmark = [pytest.mark.lab, pytest.mark.scenario]


def results(prog: kdive.Program) -> dict[str, Result]:
    tasks = [Task(diagnosis, diagnosis.options()) for diagnosis in all_diagnoses().values()]
    return {result.name: result for result in run(prog, tasks)}


def test_what_can_run_says_the_same(ctf: Path) -> None:
    full, bare = results(program("idle")), results(with_ctf(ctf))
    lacking = {name for name, result in bare.items() if result.status == Status.SKIPPED}
    assert lacking == {
        *("btrfs", "delayed-works", "dmesg", "ib-mad", "irq-vectors", "mounts", "rds", "slabs"),
        "workqueues",
    }
    for name in lacking - {"ib-mad", "rds"}:
        assert bare[name].reason.startswith("the debugging symbols"), bare[name].reason
    for name, result in bare.items():
        assert result.findings == []
        if name in lacking:
            continue
        assert result.checked == full[name].checked, name
        if name == "sys":
            # The structure behind the clock is not in a header.
            assert [damage.where for damage in result.damages] == ["the clock"]
            unknown: dict[str, Any] = dict.fromkeys(("date", "uptime_s", "uptime", "jiffies"))
            assert result.rows == [dataclasses.replace(full[name].rows[0], **unknown)]
        elif name == "tasks":
            # Nor is that of the run queues.
            unknown = {"since_s": None}
            assert result.rows == [dataclasses.replace(r, **unknown) for r in full[name].rows]
        elif name == "stacks":
            assert sum(row.count for row in rows(result, "Stack")) == full[name].checked[0].count
        else:
            assert (result.status, result.rows) == (Status.OK, full[name].rows), name
