"""Runs in a guest and writes as JSON what its kernel says about itself in /proc and /sys.

Only the standard library's quick-to-import modules are used: a start takes seconds under emulation.
"""

import json
import os
import re
import sys
from pathlib import Path
from typing import Any

KTHREAD_FLAG = 0x00200000  # PF_KTHREAD
COMM_LENGTH = 15  # TASK_COMM_LEN without the terminating zero


def text(path: str | Path) -> str:
    """The content of a file without the last line's end."""
    with open(path, errors="surrogateescape") as file:
        return file.read().rstrip("\n")


def optional_text(path: str | Path) -> str | None:
    """The content of a file, or None where there is none or it is not readable."""
    try:
        return text(path)
    except OSError:
        return None


def names(directory: str | Path) -> list[str]:
    """The names of the entries of a directory."""
    return [entry.name for entry in Path(directory).iterdir()]


def task(directory: Path, tgid: int) -> dict[str, Any]:
    """One thread.

    ``comm`` is the member of task_struct. Elsewhere /proc shows a kernel thread's full name and a
    worker's current work (``shown_comm``); only "sched", which CONFIG_SCHED_DEBUG brings, shows the
    member itself.
    """
    stat = text(directory / "stat")
    opening, closing = stat.index("("), stat.rindex(")")
    fields = stat[closing + 2 :].split()
    shown = stat[opening + 1 : closing]
    scheduler = optional_text(directory / "sched")
    if scheduler:
        comm = scheduler.split("\n", 1)[0].rsplit(" (", 1)[0]
    else:
        comm = (re.sub(r"[-+].*", "", shown) if shown.startswith("kworker/") else shown)[
            :COMM_LENGTH
        ]
    flags = int(fields[6])
    status = dict(
        line.split(":\t", 1) for line in text(directory / "status").split("\n") if ":\t" in line
    )
    return {
        "pid": int(directory.name),
        "tgid": tgid,
        "ppid": int(fields[1]),
        "comm": comm,
        "shown_comm": shown,
        "state": fields[0],
        "kernel_thread": bool(flags & KTHREAD_FLAG),
        "flags": flags,
        "priority": int(fields[15]),
        "nice": int(fields[16]),
        "start_ticks": int(fields[19]),
        "vm_bytes": int(fields[20]),
        "rss_pages": int(fields[21]),
        "cpu": int(fields[36]),
        "uid": int(status["Uid"].split()[0]),
        "allowed_cpus": status["Cpus_allowed_list"],
        "switches": int(status["voluntary_ctxt_switches"])
        + int(status["nonvoluntary_ctxt_switches"]),
    }


def links(directory: Path) -> dict[str, str]:
    """What the symbolic links in a directory point to; those that go away meanwhile are left out."""
    found = {}
    for name in sorted(names(directory), key=lambda name: (len(name), name)):
        try:
            found[name] = str((directory / name).readlink())
        except OSError:
            continue
    return found


def process(directory: Path) -> dict[str, Any]:
    """What belongs to a whole process: its files, directories and command line."""
    row: dict[str, Any] = {"pid": int(directory.name), "files": links(directory / "fd")}
    for name in ("cwd", "root", "exe"):
        try:
            row[name] = str((directory / name).readlink())
        except OSError:
            row[name] = None
    row["cmdline"] = (optional_text(directory / "cmdline") or "").split("\0")[:-1]
    row["cgroup"] = (optional_text(directory / "cgroup") or "").split("::")[-1]
    row["maps"] = (optional_text(directory / "maps") or "").splitlines()
    return row


def tasks_and_processes() -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """All threads, and all processes that are not kernel threads."""
    tasks, processes = [], []
    for name in sorted((name for name in names("/proc") if name.isdigit()), key=int):
        directory = Path("/proc") / name
        try:
            threads = sorted(names(directory / "task"), key=int)
            rows = [task(directory / "task" / thread, int(name)) for thread in threads]
            if not rows[0]["kernel_thread"]:
                processes.append(process(directory))
            tasks.extend(rows)
        except (FileNotFoundError, ProcessLookupError):
            continue
    return tasks, processes


def modules() -> list[dict[str, Any]]:
    """The loaded modules with the addresses of their sections."""
    rows = []
    for line in text("/proc/modules").split("\n"):
        name, size, references, users, state, address = line.split()[:6]
        directory = Path("/sys/module") / name
        sections = directory / "sections"
        rows.append(
            {
                "name": name,
                "size": int(size),
                "references": int(references),
                "users": [user for user in users.split(",") if user not in ("", "-")],
                "state": state,
                "address": int(address, 16),
                "sections": {
                    part: int(text(sections / part), 16) for part in sorted(names(sections))
                }
                if sections.is_dir()
                else {},
            }
        )
    return rows


def mounts() -> list[dict[str, Any]]:
    """The mounts of the observer's namespace."""
    rows = []
    for line in text("/proc/self/mountinfo").split("\n"):
        before, after = line.split(" - ", 1)
        fields, tail = before.split(), after.split()
        rows.append(
            {
                "id": int(fields[0]),
                "parent": int(fields[1]),
                "device": fields[2],
                "root": fields[3],
                "directory": fields[4],
                "options": fields[5],
                "type": tail[0],
                "source": tail[1],
            }
        )
    return rows


def symbols() -> dict[str, int]:
    """Addresses of a few symbols, from /proc/kallsyms."""
    wanted = {
        "init_task",
        "_text",
        "_stext",
        "_etext",
        "jiffies_64",
        "init_net",
        "linux_banner",
        "modules",
        "schedule",
    }
    found = {}
    with open("/proc/kallsyms") as file:
        for line in file:
            address, _, name = line.split()[:3]
            if name in wanted and "[" not in line:
                found[name] = int(address, 16)
    return found


def interrupts() -> dict[str, dict[str, Any]]:
    """The lines of /proc/interrupts."""
    lines = text("/proc/interrupts").split("\n")
    cpus = len(lines[0].split())
    rows = {}
    for line in lines[1:]:
        name, _, rest = line.partition(":")
        words = rest.split()
        counts = [int(word) for word in words[:cpus] if word.isdigit()]
        rows[name.strip()] = {"counts": counts, "description": " ".join(words[len(counts) :])}
    return rows


def tables() -> dict[str, Any]:
    """What /proc shows as tables: memory, slabs, interrupts, …: counts that go on changing."""
    memory = {}
    for line in text("/proc/meminfo").split("\n"):
        name, value = line.split(":")
        memory[name] = int(value.split()[0])
    return {
        "meminfo_kib": memory,
        "vmstat": {
            name: int(value)
            for name, value in (row.split() for row in text("/proc/vmstat").split("\n"))
        },
        "slabinfo": {
            row.split()[0]: [int(word) for word in row.split()[1:6]]
            for row in text("/proc/slabinfo").split("\n")[2:]
        },
        "interrupts": interrupts(),
        "network_devices": sorted(names("/sys/class/net")),
        "block_devices": sorted(names("/sys/class/block")),
        "file_systems": [line.split()[-1] for line in text("/proc/filesystems").split("\n")],
        "sysctl": {
            name: text(f"/proc/sys/{name.replace('.', '/')}")
            for name in (
                "kernel.pid_max",
                "kernel.hostname",
                "kernel.panic",
                "vm.swappiness",
                "fs.file-max",
            )
        },
    }


def observe() -> dict[str, Any]:
    """Everything but the kernel's log."""
    uname = os.uname()
    tasks, processes = tasks_and_processes()
    return {
        "observer_pid": os.getpid(),
        "uname": {
            "sysname": uname.sysname,
            "nodename": uname.nodename,
            "release": uname.release,
            "version": uname.version,
            "machine": uname.machine,
        },
        "command_line": text("/proc/cmdline"),
        "cpus": {
            name: text(f"/sys/devices/system/cpu/{name}")
            for name in ("possible", "present", "online", "offline")
        },
        "boot_id": text("/proc/sys/kernel/random/boot_id"),
        "uptime_s": float(text("/proc/uptime").split()[0]),
        "page_size": os.sysconf("SC_PAGE_SIZE"),
        "notes": Path("/sys/kernel/notes").read_bytes().hex(),
        "vmcoreinfo": text("/sys/kernel/vmcoreinfo"),
        "symbols": symbols(),
        "tasks": tasks,
        "processes": processes,
        "modules": modules(),
        "mounts": mounts(),
        "tables": tables(),
    }


def kernel_log() -> list[str]:
    """The records of /dev/kmsg as ``priority,sequence,microseconds,flags;text``."""
    descriptor = os.open("/dev/kmsg", os.O_RDONLY | os.O_NONBLOCK)
    records = []
    try:
        while True:
            records.append(os.read(descriptor, 8192).decode(errors="surrogateescape").rstrip("\n"))
    except BlockingIOError:
        return records
    finally:
        os.close(descriptor)


if __name__ == "__main__":
    truth = observe()
    truth["kernel_log"] = kernel_log()
    with open(sys.argv[1], "w") as out:
        json.dump(truth, out)
