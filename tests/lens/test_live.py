"""Diagnoses of a kernel that runs: the guest's own, through /proc/kcore."""

import json
import os
import shlex
import sys
from pathlib import Path
from typing import Any

import pytest

import lab
from lab import kernels, scenario

pytestmark = [pytest.mark.lab, pytest.mark.scenario]

ROOT = Path(__file__).parents[2]


def diagnose_live(name: str, *arguments: str) -> tuple[int, dict[str, Any]]:
    """Run `kdive lens` in a guest in which a scenario is established."""
    kernel = kernels.get(lab.DEFAULT_KERNEL)
    wanted = scenario.load(name)
    command = [sys.executable, "-m", "kdive", "lens", "-k", "-s", str(kernel.vmlinux)]
    for path in kernel.debug_modules(wanted.debug_modules).values():
        command += ["-s", str(path)]
    command += ["--main-symbols", "--json", "--time-limit", "300", *arguments]
    environment = f"PYTHONPATH={shlex.quote(str(ROOT))} HOME={shlex.quote(os.environ['HOME'])}"
    script = f"{environment} {shlex.join(command)} 2>/dev/null"
    # The debug information has to fit, and is read through a slow file system.
    ran = lab.run_in_guest(script, scenario_name=name, memory_mib=2048, timeout_s=900)
    return ran.status, json.loads(ran.output)


def rows(content: dict[str, Any], diagnosis: str, table: str) -> list[dict[str, Any]]:
    (found,) = [d for d in content["diagnoses"] if d["name"] == diagnosis]
    assert found["status"] == "ok", (found["reason"], found["details"])
    (wanted,) = [t for t in found["tables"] if t["name"] == table]
    listed: list[dict[str, Any]] = wanted["rows"]
    return listed


def test_a_live_kernel_names_who_holds_a_file_system() -> None:
    status, content = diagnose_live("btrfs-eexist", "btrfs", "delayed-works", "irq-vectors", "sys")
    assert status == 3
    assert [f["diagnosis"] for f in content["findings"]] == ["btrfs"]
    assert "/dev/loop0" in content["findings"][0]["sentence"]
    holders = rows(content, "btrfs", "Holder")
    assert {(row["command"], row["how"], row["path"]) for row in holders} == {
        ("sleep", "cwd", "/directory"),
        ("sleep", "fd 9", "/file"),
    }
    (system,) = rows(content, "sys", "System")
    assert system["mode"] == "live kernel"
    assert all(row["unexplained"] == 0 for row in rows(content, "irq-vectors", "CpuTotals"))


def test_a_live_kernel_has_work_on_an_offline_cpu() -> None:
    status, content = diagnose_live("delayed-work", "delayed-works", "workqueues", "tasks")
    assert status == 3
    assert [f["diagnosis"] for f in content["findings"]] == ["delayed-works"]
    works = rows(content, "delayed-works", "DelayedWork")
    assert sorted((row["cpu"], row["state"], row["workqueue"]) for row in works) == [
        (1, "offline", "events"),
        (1, "offline", "lab_queue"),
    ]


def test_a_live_kernel_has_connections_that_hang() -> None:
    status, content = diagnose_live("rds-tcp", "rds", "stacks", "mounts", "modules")
    assert status == 3
    assert [f["diagnosis"] for f in content["findings"]] == ["rds"]
    connections = rows(content, "rds", "Connection")
    assert {row["state"] for row in connections if row["remote"] == "192.0.2.99"} == {
        "RDS_CONN_CONNECTING"
    }
    assert {row["state"] for row in connections if row["remote"] == "192.0.2.2"} == {"RDS_CONN_UP"}
    (receiver,) = [row for row in rows(content, "rds", "Socket") if row["bound_port"] == 4000]
    assert receiver["bound"] == "192.0.2.2"
