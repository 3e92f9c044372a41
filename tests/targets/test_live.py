"""kdive on the running kernel, in a guest that shares this machine's files."""

import json
import pwd
import sys
from pathlib import Path

import pytest

import lab

pytestmark = [pytest.mark.lab, pytest.mark.scenario]

ROOT = Path(__file__).parents[2]
SCRIPT = Path(__file__).with_name("live.py")
CONCURRENT = Path(__file__).with_name("concurrent.py")


def test_the_running_kernel_is_what_proc_says(idle: lab.Target) -> None:
    run = lab.run_in_guest(
        f"cd {ROOT} && $LAB_PYTHON -m kdive -k -s {idle.vmlinux} --main-symbols {SCRIPT}\n"
        f"$LAB_PYTHON -m kdive -c /proc/kcore -q -e 'prog.flags'\n",
        scenario_name="bare",
        memory_mib=2048,
        timeout_s=600,
    )
    assert run.status == 0, run.output
    answer, flags = (line for line in run.output.splitlines() if line[:1] in "{<P")
    assert "IS_LIVE" in flags
    assert "IS_LINUX_KERNEL" in flags
    said = json.loads(answer)
    before, found, after = said["before"], said["found"], said["after"]
    assert found["release"] == before["release"] == idle.kernel
    assert found["modules"] == before["modules"]
    stable = {pid: task for pid, task in before["tasks"].items() if after["tasks"].get(pid) == task}
    assert len(stable) > 40
    assert {pid: found["tasks"].get(pid) for pid in stable} == stable
    assert found["tasks"].keys() <= before["tasks"].keys() | after["tasks"].keys()
    assert set(before["mounts"]) <= set(found["mounts"])


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
