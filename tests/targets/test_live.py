"""kdive on the running kernel, in a guest that shares this machine's files."""

import json
from pathlib import Path

import pytest

import lab

pytestmark = [pytest.mark.lab, pytest.mark.scenario]

ROOT = Path(__file__).parents[2]
SCRIPT = Path(__file__).with_name("live.py")


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
