"""kdive on the running kernel, in a guest that shares this machine's files."""

import json
import pwd
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import lab
from lab import kernels

pytestmark = [pytest.mark.lab, pytest.mark.scenario]

ROOT = Path(__file__).parents[2]
SCRIPT = Path(__file__).with_name("live.py")
CONCURRENT = Path(__file__).with_name("concurrent.py")


BPF_SOURCE = """
__attribute__((section("socket"))) int lab_filter(void *context) { return 1; }
char lab_license[] __attribute__((section("license"))) = "GPL";
"""


def check(output: str, release: str) -> dict[str, Any]:
    """Compare what `live.py` printed with what /proc says; returns all of it."""
    (answer,) = (line for line in output.splitlines() if line.startswith("{"))
    said: dict[str, Any] = json.loads(answer)
    before, found, after = said["before"], said["found"], said["after"]
    assert found["release"] == before["release"] == release
    assert found["modules"] == before["modules"]
    # Those that slept all the time, and were not switched to.
    stable = {
        pid: task
        for pid, task in before["tasks"].items()
        if after["tasks"].get(pid) == task and task[1] != "R"
    }
    assert len(stable) > 40
    assert {pid: found["tasks"].get(pid) for pid in stable} == stable
    assert found["tasks"].keys() <= before["tasks"].keys() | after["tasks"].keys()
    assert set(before["mounts"]) <= set(found["mounts"])
    for pid in stable:
        files = before["files"][pid]
        if files == after["files"][pid]:
            assert files.items() <= found["files"][pid].items(), pid
    return said


def test_the_running_kernel_is_what_proc_says(idle: lab.Target) -> None:
    run = lab.run_in_guest(
        f"cd {ROOT} && $LAB_PYTHON -m kdive -k -s {idle.vmlinux} --main-symbols {SCRIPT}\n"
        f"$LAB_PYTHON -m kdive -c /proc/kcore -q -e 'prog.flags'\n",
        scenario_name="bare",
        memory_mib=2048,
        timeout_s=600,
    )
    assert run.status == 0, run.output
    (flags,) = (line for line in run.output.splitlines() if line[:1] in "<P")
    assert "IS_LIVE" in flags
    assert "IS_LINUX_KERNEL" in flags
    check(run.output, idle.kernel)


def test_the_running_kernel_without_debug_files(idle: lab.Target, tmp_path: Path) -> None:
    source, program = tmp_path / "filter.c", tmp_path / "filter.o"
    source.write_text(BPF_SOURCE)
    subprocess.run(["clang", "-target", "bpf", "-O2", "-c", "-o", program, source], check=True)
    run = lab.run_in_guest(
        "echo 1 >/proc/sys/net/core/bpf_jit_kallsyms\n"
        "mount -t bpf bpf /sys/fs/bpf\n"
        f"bpftool prog load {program} /sys/fs/bpf/lab_filter || exit 1\n"
        f"cd {ROOT} && $LAB_PYTHON -m kdive -k {SCRIPT}\n",
        scenario_name="bare",
        memory_mib=1024,
        timeout_s=600,
    )
    assert run.status == 0, run.output
    assert "using the symbols and types (BTF) in its own memory" in run.output
    said = check(run.output, idle.kernel)
    before, found, after = said["before"], said["found"], said["after"]
    assert any(name.endswith("_lab_filter") for name in before["bpf"])
    assert found["bpf"] == before["bpf"]
    asleep = {
        pid: it for pid, it in before["stacks"].items() if it and after["stacks"].get(pid) == it
    }
    assert len(asleep) > 40
    moved = {pid for pid, it in asleep.items() if found["stacks"][pid][-len(it) :] != it}
    # A thread that wakes up all the time, such as RCU's, may have been elsewhere in between.
    assert len(moved) <= 2, {pid: (asleep[pid], found["stacks"][pid]) for pid in moved}


def test_the_running_kernel_with_ctf_only() -> None:
    """The archive that is installed with the kernel is found; the command is that of published examples."""
    run = lab.run_in_guest(
        f"cd {ROOT} && $LAB_PYTHON -m kdive --ctf -c /proc/kcore {SCRIPT}\n",
        scenario_name="idle",
        kernel="6.1-ctf",
        memory_mib=1024,
        timeout_s=600,
    )
    assert run.status == 0, run.output
    check(run.output, kernels.get("6.1-ctf").release)


def test_who_is_not_root_gets_it_with_sudo(idle: lab.Target) -> None:
    """Once sudo refuses, then it opens the file for the command, which stays without privileges."""
    code = (
        'print(prog["UTS_RELEASE"].string_().decode(), os.getuid(), "IS_LIVE" in str(prog.flags))'
    )
    run = (
        "setpriv --reuid=nobody --regid=nogroup --clear-groups env HOME=/nonexistent"
        f" $LAB_PYTHON -m kdive -k --no-default-symbols -e 'import os; {code}'; echo status $?"
    )
    # The interpreter may be in a folder of root's, which is opened in the guest only.
    folders = " ".join(map(str, Path(sys.executable).resolve().parents))
    guest = lab.run_in_guest(
        f"cd {ROOT}; chmod a+x {folders}\n{run}\n"
        "(umask 337; echo 'nobody ALL=(root) NOPASSWD: ALL' > /etc/sudoers.d/nobody)\n"
        f"{run}\n",
        memory_mib=2048,
        timeout_s=600,
    )
    refused, allowed, _ = guest.output.split("status ")
    message = "kdive: cannot read the running kernel: Permission denied; run kdive as root"
    assert message in refused.splitlines()
    status, *lines = allowed.splitlines()
    assert status == "1"
    assert f"{idle.kernel} {pwd.getpwnam('nobody').pw_uid} True" in lines
    assert guest.output.endswith("status 0\n")


def test_threads_and_processes_that_read_at_once_get_what_they_asked_for(idle: lab.Target) -> None:
    run = lab.run_in_guest(
        f"cd {ROOT} && $LAB_PYTHON -m kdive -k -s {idle.vmlinux} --main-symbols {CONCURRENT}\n",
        scenario_name="bare",
        memory_mib=2048,
        timeout_s=600,
    )
    assert run.status == 0, run.output
    (answer,) = (line for line in run.output.splitlines() if line[:1] == "{")
    assert json.loads(answer) == {"threads": [0, 0, 0], "processes": [0, 0, 0]}
