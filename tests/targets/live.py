"""Run by `kdive -k` in a guest: what kdive says of the running kernel, and what /proc says of it, as JSON."""

import json
import os
import re
from pathlib import Path

from kdive.helpers.linux import (
    cmdline,
    for_each_module,
    for_each_mount,
    for_each_task,
    mount_dst,
    task_state_to_char,
)

prog = globals()["prog"]


def of_proc() -> dict[str, object]:
    """Return what /proc says."""
    tasks = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            stat = (folder / "stat").read_text()
            name, _, rest = stat.partition("(")[2].rpartition(")")
            arguments = (folder / "cmdline").read_bytes().split(b"\0")[:-1]
            if not arguments:
                # For kernel threads /proc says more than the member has: the workqueue, and all of a long name.
                name = re.split("[-+]", name)[0] if name.startswith("kworker/") else name[:15]
            tasks[folder.name] = [name, rest.split()[0], [it.decode() for it in arguments]]
    mounts = Path("/proc/self/mountinfo").read_text().splitlines()
    modules = Path("/proc/modules").read_text().splitlines()
    return {
        "tasks": tasks,
        "mounts": sorted(line.split()[4] for line in mounts),
        "modules": sorted(line.split()[0] for line in modules),
        "release": os.uname().release,
    }


def of_memory() -> dict[str, object]:
    """Return the same from memory."""
    tasks = {}
    for task in for_each_task(prog):
        if task.pid == task.tgid:
            arguments = cmdline(task) or []
            tasks[str(task.pid.value_())] = [
                task.comm.string_().decode(),
                task_state_to_char(task),
                [it.decode() for it in arguments],
            ]
    return {
        "tasks": tasks,
        "mounts": sorted(mount_dst(mount).decode() for mount in for_each_mount(prog)),
        "modules": sorted(module.name.string_().decode() for module in for_each_module(prog)),
        "release": prog["UTS_RELEASE"].string_().decode(),
    }


before = of_proc()
found = of_memory()
print(json.dumps({"before": before, "found": found, "after": of_proc()}))
