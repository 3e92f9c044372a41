"""Prints, as JSON, what kdive or drgn reads of a dump: expressions, and digests of blocks of memory.

    python probe.py kdive|drgn VMLINUX DUMP...

All of the code below runs in either; several dumps are the files of a split one.
"""

import hashlib
import importlib
import json
import random
import sys
from typing import Any

BLOCKS = 100
VARIABLES = (
    "nr_cpu_ids",
    "init_mm.pgd",
    "init_task.comm",
    "init_task.flags",
    "init_task.sched_class",
    "init_uts_ns.name.machine",
    "init_uts_ns.name.nodename",
    "init_uts_ns.name.release",
    "init_uts_ns.name.sysname",
    "init_uts_ns.name.version",
    "jiffies_64",
    "kmalloc_caches",
    "max_pfn",
    "modules",
    "nr_threads",
    "panic_cpu",
    "init_task.thread",
    "system_state",
    "totalreserve_pages",
)
MEMBERS = ("comm", "pid", "tgid", "flags", "start_time", "stack", "real_parent", "prio", "cred.uid")


def main() -> None:
    """Print what one tool reads."""
    tool_name, vmlinux, *dumps = sys.argv[1:]
    tool = importlib.import_module(tool_name)
    prog = tool.Program()
    prog.set_core_dump(dumps[0] if len(dumps) == 1 else dumps)
    prog.load_debug_info([vmlinux])
    print(json.dumps({"expressions": expressions(tool, prog), "blocks": blocks(tool, prog)}))


def shown(tool: Any, value: Any) -> str:
    """Return how an object is printed, without the names of symbols, or that it can't be read."""
    try:
        text: str = value.format_(symbolize=False, columns=120)
    except tool.FaultError:
        return "fault"
    return text[:2000]


def expressions(tool: Any, prog: Any) -> dict[str, str]:
    """Return some variables and some members of all tasks."""
    found = {}
    for name in VARIABLES:
        head, _, path = name.partition(".")
        value = prog[head]
        found[name] = shown(tool, value.subobject_(path) if path else value)
    lists = importlib.import_module(f"{tool.__name__}.helpers.linux.list")
    head = prog["init_task"].tasks.address_of_()
    for index, task in enumerate(lists.list_for_each_entry("struct task_struct", head, "tasks")):
        for member in MEMBERS:
            value = task
            for name in member.split("."):
                value = value.member_(name)
            found[f"task {index} {member}"] = shown(tool, value)
    return found


def blocks(tool: Any, prog: Any) -> dict[str, str]:
    """Return digests of blocks of physical and of virtual memory."""
    choice = random.Random(5)
    start = prog.symbol("_stext").address
    end = prog.symbol("_edata").address
    # Where QEMU's machines have their memory.
    memory = 1 << 30 if prog.platform.arch == tool.Architecture.AARCH64 else 0
    places = [(memory + choice.randrange(1 << 20, 480 << 20), True) for _ in range(4 * BLOCKS)]
    places += [(choice.randrange(start, end), False) for _ in range(BLOCKS)]
    found = {}
    for address, is_physical in places:
        try:
            block = prog.read(address, choice.randrange(1, 20000), is_physical)
        except tool.FaultError:
            digest = "fault"
        else:
            digest = hashlib.sha256(block).hexdigest()
        found[f"{'physical' if is_physical else 'virtual'} {address:#x}"] = digest
    return found


if __name__ == "__main__":
    main()
