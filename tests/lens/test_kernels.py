"""Diagnoses of other kernels than the usual one: idle guests, in which nothing is wrong."""

import pytest

import lab
from kdive.lens import Status, Task, all_diagnoses, run
from tests.lens.support import diagnose, findings_of_everything, program, rows

pytestmark = [pytest.mark.lab, pytest.mark.scenario]

KERNELS = ["5.10-amd64", "6.1-amd64", "6.12-amd64", "6.1-arm64"]


@pytest.mark.parametrize("kernel", KERNELS)
def test_all_that_can_run_do_and_find_nothing(kernel: str) -> None:
    prog = program("idle", "elf", kernel)
    assert findings_of_everything(prog) == {}
    known = all_diagnoses().values()
    results = run(prog, [Task(d, d.options()) for d in known])
    skipped = {r.name for r in results if r.status == Status.SKIPPED}
    assert skipped == {"rds", "ib-mad"} | ({"irq-vectors"} if "arm64" in kernel else set())


@pytest.mark.parametrize("kernel", KERNELS)
def test_what_they_say_is_what_the_guest_said(kernel: str) -> None:
    prog, target = program("idle", "elf", kernel), lab.target("idle", kernel)
    before, after = target.truth["before"], target.truth["after"]
    (system,) = rows(diagnose(prog, "sys"), "System")
    assert system.release == after["uname"]["release"]
    assert system.machine == after["uname"]["machine"]
    assert system.memory_bytes == after["tables"]["meminfo_kib"]["MemTotal"] * 1024

    modules = {row.name: row.size_bytes for row in rows(diagnose(prog, "modules"), "Module")}
    assert modules == {row["name"]: row["size"] for row in after["modules"]}

    mounts = {row.id: row for row in rows(diagnose(prog, "mounts"), "Mount")}
    for mount in after["mounts"]:
        row = mounts[mount["id"]]
        assert (row.directory, row.type) == (mount["directory"], mount["type"])

    tasks = {row.tid: row for row in rows(diagnose(prog, "tasks"), "Task")}
    for task in target.stable_tasks:
        assert tasks[task["pid"]].state == task["state"]

    stacks = rows(diagnose(prog, "stacks"), "Stack")
    assert any("rescuer_thread" in stack.frames for stack in stacks)

    # The root's statistics are those of the system, but for what CPUs have not added to them yet.
    (root,) = rows(diagnose(prog, "memcg", every=True), "MemoryCgroup")
    tables = [said["tables"]["meminfo_kib"] for said in (before, after)]
    cached = [(table["Cached"] + table["Buffers"]) * 1024 for table in tables]
    assert min(cached) * 0.8 < root.file_bytes < max(cached) * 1.2
