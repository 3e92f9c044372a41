"""Diagnoses of a guest in which nothing is wrong: no findings, and the same as the guest said of itself."""

import re

import pytest

import kdive
import lab
from kdive.lens import Status, Task, all_diagnoses, run
from tests.lens.support import diagnose, findings_of_everything, program, rows

pytestmark = pytest.mark.lab

FORMS = ["elf", "kdump-zlib"]


@pytest.fixture(params=FORMS)
def prog(request: pytest.FixtureRequest) -> kdive.Program:
    return program("idle", request.param)


def test_nothing_is_found_and_what_was_checked_is_said(prog: kdive.Program) -> None:
    assert findings_of_everything(prog) == {}
    known = all_diagnoses().values()
    results = {r.name: r for r in run(prog, [Task(d, d.options()) for d in known])}
    skipped = {name: r.reason for name, r in results.items() if r.status == Status.SKIPPED}
    assert skipped == {
        "rds": "the kernel module rds is not loaded",
        "ib-mad": "the kernel module ib_core is not loaded",
    }
    for name, result in results.items():
        assert result.checked or name in skipped


def test_sys(prog: kdive.Program, idle: lab.Target) -> None:
    (row,) = rows(diagnose(prog, "sys"), "System")
    before, after = idle.truth["before"], idle.truth["after"]
    uname = after["uname"]
    for name in ("nodename", "release", "version", "machine"):
        assert getattr(row, name) == uname[name]
    assert row.command_line == after["command_line"]
    assert float(before["uptime_s"]) - 1 <= row.uptime_s <= float(after["uptime_s"]) + 1
    assert row.memory_bytes == after["tables"]["meminfo_kib"]["MemTotal"] * 1024
    assert row.cpus == "2 of 2"
    assert (row.mode, row.tainted) == ("dump", "")


def test_dmesg(prog: kdive.Program, idle: lab.Target) -> None:
    texts = [row.text for row in rows(diagnose(prog, "dmesg"), "Message")]
    # "level,number,microseconds,flags;text" with what is not printable escaped, and lines of details after that
    known = [
        re.sub(
            r"\\x([0-9a-f]{2})",
            lambda escaped: chr(int(escaped[1], 16)),
            line.split("\n")[0].partition(";")[2],
        )
        for line in idle.truth["before"]["kernel_log"]
    ]
    assert texts[: len(known)] == known
    important = rows(diagnose(prog, "dmesg", level=3), "Message")
    assert all(row.level <= 3 for row in important)
    assert len(important) < len(texts)


def test_tasks(prog: kdive.Program, idle: lab.Target) -> None:
    listed = {row.tid: row for row in rows(diagnose(prog, "tasks"), "Task")}
    assert len(idle.stable_tasks) > 50
    for task in idle.stable_tasks:
        row = listed[task["pid"]]
        assert (row.pid, row.ppid, row.state) == (task["tgid"], task["ppid"], task["state"])
        assert row.command.strip("[]") == task["comm"]
        assert row.vsize_bytes == task["vm_bytes"]
    facts = idle.truth["facts"]
    assert listed[facts["stopped"]].state == "T"
    zombies = rows(diagnose(prog, "tasks", state="Z"), "Task")
    assert [row.tid for row in zombies] == [facts["zombie"]]


def test_stacks(prog: kdive.Program, idle: lab.Target) -> None:
    result = diagnose(prog, "stacks")
    stacks = rows(result, "Stack")
    assert sum(stack.count for stack in stacks) == result.checked[0].count >= len(idle.stable_tasks)
    assert len({stack.frames for stack in stacks}) == len(stacks)
    (rescuers,) = [stack for stack in stacks if "rescuer_thread" in stack.frames]
    assert rescuers.frames[-2:] == ("kthread", "ret_from_fork")
    assert rescuers.states == "I"
    assert rescuers.count > 20
    kthreadd = [stack for stack in stacks if stack.tasks == "kthreadd (2)"]
    assert [stack.frames[-2:] for stack in kthreadd] == [("kthreadd", "ret_from_fork")]


def test_modules(prog: kdive.Program, idle: lab.Target) -> None:
    listed = {row.name: row for row in rows(diagnose(prog, "modules"), "Module")}
    known = {row["name"]: row for row in idle.truth["after"]["modules"]}
    assert set(listed) == set(known)
    for name, module in known.items():
        row = listed[name]
        assert row.size_bytes == module["size"]
        if name != "virtio_console":  # which the guest has open while it waits for its dump
            assert row.references == module["references"]
        assert row.start == module["address"]
        assert set(filter(None, row.used_by.split(", "))) == set(module["users"])


def test_mounts(prog: kdive.Program, idle: lab.Target) -> None:
    listed = {row.id: row for row in rows(diagnose(prog, "mounts"), "Mount")}
    for mount in idle.truth["after"]["mounts"]:
        row = listed[mount["id"]]
        assert (row.directory, row.type, row.state) == (
            mount["directory"],
            mount["type"],
            "mounted",
        )
    assert "DETACHED" not in {row.state for row in listed.values()}


def test_workqueues(prog: kdive.Program) -> None:
    result = diagnose(prog, "workqueues", idle=True)
    pools = {row.id: row for row in rows(result, "Pool")}
    # Two CPUs have a pool of normal and one of high priority each.
    assert [(pools[i].cpu, pools[i].nice) for i in range(4)] == [(0, 0), (0, -20), (1, 0), (1, -20)]
    for pool in pools.values():
        assert pool.workers == pool.idle + pool.busy
    # Every worker is a task called kworker/…
    workers = [
        row
        for row in rows(diagnose(prog, "tasks"), "Task")
        if row.command.startswith("[kworker/") and row.state == "I"
    ]
    assert sum(pool.workers for pool in pools.values()) == len(workers)
    names = {row.name for row in rows(result, "Queue")}
    assert {"events", "events_highpri", "events_unbound"} <= names


@pytest.mark.parametrize("form", FORMS)
def test_panic_finds_none(form: str) -> None:
    result = diagnose(program("idle", form), "panic")
    assert (result.rows, result.findings) == ([], [])
