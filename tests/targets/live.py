"""Run by `kdive -k` in a guest: what kdive says of the running kernel, and what /proc says of it, as JSON."""

import json
import os
import re
from pathlib import Path

from kdive import FaultError, Object
from kdive.helpers.linux import (
    cmdline,
    d_path,
    for_each_file,
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
            arguments_shown = [it.decode() for it in arguments]
            tasks[folder.name] = [name, rest.split()[0], arguments_shown, switches_of(folder)]
    mounts = Path("/proc/self/mountinfo").read_text().splitlines()
    modules = Path("/proc/modules").read_text().splitlines()
    return {
        "tasks": tasks,
        "mounts": sorted(line.split()[4] for line in mounts),
        "modules": sorted(line.split()[0] for line in modules),
        "release": os.uname().release,
        "files": {pid: files_of(Path("/proc", pid, "fd")) for pid in tasks},
        "stacks": {pid: stack_of(Path("/proc", pid, "stack")) for pid in tasks},
        "bpf": bpf_symbols(),
    }


def switches_of(folder: Path) -> int:
    """Return how often a task has been switched away from: as long as that is the same, it stays asleep."""
    counts = re.findall(r"voluntary_ctxt_switches:\t(\d+)", (folder / "status").read_text())
    return sum(map(int, counts))


def files_of(folder: Path) -> dict[str, str]:
    """Return the open files that have a path."""
    links = {}
    for entry in folder.iterdir():
        try:
            links[entry.name] = str(entry.readlink())
        except FileNotFoundError:
            # It has been closed since, as what this folder is read from.
            continue
    return {number: link for number, link in links.items() if link.startswith("/")}


def stack_of(file: Path) -> list[str]:
    """Return the functions that a task sleeps in: each as its name and the distance from its start."""
    return re.findall(r"\] (\S+)/0x", file.read_text())


def bpf_symbols() -> dict[str, int]:
    """Return the addresses of what the kernel has compiled of BPF."""
    lines = Path("/proc/kallsyms").read_text().splitlines()
    return {line.split()[2]: int(line.split()[0], 16) for line in lines if line.endswith("\t[bpf]")}


def of_memory() -> dict[str, object]:
    """Return the same from memory."""
    tasks, files, stacks = {}, {}, {}
    for task in for_each_task(prog):
        if task.pid == task.tgid:
            pid = str(task.pid.value_())
            arguments = cmdline(task) or []
            files[pid] = {
                str(number): d_path(file.f_path).decode() for number, file in for_each_file(task)
            }
            stacks[pid] = functions(task)
            tasks[pid] = [
                task.comm.string_().decode(),
                task_state_to_char(task),
                [it.decode() for it in arguments],
                (task.nvcsw + task.nivcsw).value_(),
            ]
    return {
        "tasks": tasks,
        "mounts": sorted(mount_dst(mount).decode() for mount in for_each_mount(prog)),
        "modules": sorted(module.name.string_().decode() for module in for_each_module(prog)),
        "release": prog["UTS_RELEASE"].string_().decode(),
        "files": files,
        "stacks": stacks,
        "bpf": {name: prog.symbol(name).address for name in bpf_symbols()},
    }


def functions(task: Object) -> list[str]:
    """Return what `stack_of` does, with the functions of the scheduler before that."""
    try:
        trace = prog.stack_trace(task)
    except (FaultError, ValueError):
        return []  # It runs.
    found = []
    for frame in trace:
        if not frame.is_inline and not frame.is_tail_call:
            try:
                symbol = frame.symbol()
            except LookupError:
                continue  # Of a program.
            found.append(f"{symbol.name}+0x{frame.pc - symbol.address:x}")
    return found


before = of_proc()
found = of_memory()
print(json.dumps({"before": before, "found": found, "after": of_proc()}))
