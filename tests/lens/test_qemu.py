"""Diagnoses of a guest that runs, from outside through QEMU's monitor."""

import json
from pathlib import Path

import pytest

import lab
from kdive.lens import Severity, Status
from tests.lens import checks
from tests.lens.support import result_of_json, rows
from tests.support import Kdive

pytestmark = [pytest.mark.lab, pytest.mark.scenario]


def test_the_standard_set_on_a_guest_of_qemu(kdive: Kdive) -> None:
    files = lab.target("btrfs-eexist")
    flags: list[str | Path | int] = ["-s", files.vmlinux, "--main-symbols", "--time-limit", 300]
    for path in files.modules.values():
        flags += ["-s", path]
    with lab.held_guest("btrfs-eexist") as guest:
        done = kdive("lens", "--qemu", guest.monitor, *flags, "--json")
        assert (done.returncode, done.stderr) == (3, "")
        # A diagnosis that is stopped while QEMU owes it an answer spoils the connection, which is said.
        stopped = kdive(
            "lens",
            "--qemu",
            guest.monitor,
            *flags,
            "--json",
            "--time-limit",
            "0.001",
            "tasks",
            "sys",
        )
    results = {
        content["name"]: result_of_json(content) for content in json.loads(done.stdout)["diagnoses"]
    }
    skipped = {name for name, result in results.items() if result.status == Status.SKIPPED}
    assert skipped == {"rds", "ib-mad", "panic"}  # the last is about dumps
    assert {
        name: (result.status, result.reason)
        for name, result in results.items()
        if result.status not in (Status.OK, Status.SKIPPED)
    } == {}
    assert {
        name: [finding.severity for finding in result.findings]
        for name, result in results.items()
        if result.findings
    } == {"btrfs": [Severity.CRITICAL]}
    checks.btrfs(results["btrfs"], guest.truth["facts"])
    (system,) = rows(results["sys"], "System")
    assert system.mode == "live kernel"
    assert system.release == guest.truth["before"]["uname"]["release"]
    listed = {row.tid for row in rows(results["tasks"], "Task")}
    assert listed >= {guest.truth["facts"]["holder_cwd"], guest.truth["facts"]["holder_file"]}
    assert stopped.returncode == 1
    statuses = [content["status"] for content in json.loads(stopped.stdout)["diagnoses"]]
    assert statuses[0] == "timed out"
    assert statuses[1] in ("timed out", "failed")
