"""kdive on Linux 7.2 without any debug file: what it reads is what the guest said about itself."""

import re
from functools import cache
from typing import Any

import pytest

import kdive
import lab
from kdive.helpers.linux import (
    d_path,
    find_task,
    for_each_file,
    for_each_module,
    for_each_mount,
    for_each_task,
    get_dmesg,
    mount_dst,
    mount_fstype,
    task_state_to_char,
)
from tests.lens.support import findings_of_everything

pytestmark = [pytest.mark.lab, pytest.mark.scenario]

KERNEL = "7.2-amd64"


@cache
def program() -> kdive.Program:
    """The idle guest's dump, opened with nothing beside it."""
    return kdive.program_from_core_dump(lab.target("idle", KERNEL).dumps["elf"])


@pytest.fixture
def prog() -> kdive.Program:
    return program()


@pytest.fixture
def truth() -> dict[str, Any]:
    return lab.target("idle", KERNEL).truth


def functions(prog: kdive.Program, tid: int) -> list[str]:
    return [frame.name or "?" for frame in prog.stack_trace(tid)]


def test_release_and_symbols(prog: kdive.Program, truth: dict[str, Any]) -> None:
    release = prog["UTS_RELEASE"].string_().decode()
    assert release.startswith("7.2.")
    assert release == truth["before"]["uname"]["release"]
    symbols = truth["before"]["symbols"]
    assert len(symbols) >= 8
    assert {name: prog.symbol(name).address for name in symbols} == symbols


def test_tasks(prog: kdive.Program) -> None:
    stable = lab.target("idle", KERNEL).stable_tasks
    assert len(stable) > 60
    for row in stable:
        task = find_task(prog, row["pid"])
        assert task.comm.string_().decode() == row["comm"]
        assert task_state_to_char(task) == row["state"]
        assert task.real_parent.tgid.value_() == row["ppid"]


def test_modules_and_their_types(prog: kdive.Program, truth: dict[str, Any]) -> None:
    names = {module.name.string_().decode() for module in for_each_module(prog)}
    assert names == {row["name"] for row in truth["before"]["modules"]}
    assert prog.type("struct btrfs_fs_info").has_member("fs_devices")


def test_mounts(prog: kdive.Program, truth: dict[str, Any]) -> None:
    found = {
        mount.mnt_id.value_(): (mount_dst(mount).decode(), mount_fstype(mount).decode())
        for mount in for_each_mount(prog)
    }
    seen = {row["id"]: (row["directory"], row["type"]) for row in truth["before"]["mounts"]}
    assert {number: found[number] for number in seen} == seen
    # Processes don't see what their root was laid over. Below it all Linux 7 has an empty file system.
    assert found[min(found)] == ("/", "nullfs")


def test_open_files(prog: kdive.Program, truth: dict[str, Any]) -> None:
    before = {row["pid"]: row["files"] for row in truth["before"]["processes"]}
    (sleeper,) = (truth["facts"][name] for name in ("sleeper",))
    found = {
        str(fd): d_path(file.f_path).decode()
        for fd, file in for_each_file(find_task(prog, sleeper))
    }
    assert found == before[sleeper]
    assert "/mnt/btrfs/file" in found.values()


def test_log(prog: kdive.Program) -> None:
    assert get_dmesg(prog).endswith(b"lab: idle scenario is established\n")


def test_stacks(prog: kdive.Program, truth: dict[str, Any]) -> None:
    facts = truth["facts"]
    assert "do_nanosleep" in functions(prog, facts["sleeper"])
    assert "do_signal_stop" in functions(prog, facts["stopped"])
    ends = {
        functions(prog, task.pid.value_())[-1]
        for task in for_each_task(prog)
        if task_state_to_char(task) != "Z"
    }
    assert ends == {"ret_from_fork_asm", "entry_SYSCALL_64_after_hwframe"}
    cleaner = next(task for task in for_each_task(prog) if task.comm.string_() == b"btrfs-cleaner")
    assert "cleaner_kthread" in functions(prog, cleaner.pid.value_())


def test_a_healthy_guest_has_no_findings(prog: kdive.Program) -> None:
    assert findings_of_everything(prog) == {}


def test_what_is_not_known_is_said(prog: kdive.Program) -> None:
    with pytest.raises(kdive.ObjectNotFoundError, match=re.escape("no debug information")):
        prog["watermark_boost_factor"]
