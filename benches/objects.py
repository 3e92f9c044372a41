"""Measures what a script does all day with objects and types against drgn, one operation at a time.

    python benches/objects.py PEER_PYTHON [--rounds N] [--dump PATH... --vmlinux PATH]

PEER_PYTHON is the interpreter of an installation of drgn 0.3.0. Without a dump, the ELF and the compressed dump of the
lab's idle target are used. The same operations run in both tools, which take turns; each figure is the median over the
rounds of the time of one operation.
"""

import argparse
import importlib
import json
import statistics
import subprocess
import sys
import timeit
from collections.abc import Callable
from pathlib import Path
from typing import Any

# drgn does not find the architecture of QEMU's compressed dumps by itself.
PEER_ARCHITECTURE = "X86_64"


def operations(tool: Any, prog: Any) -> dict[str, Callable[[], object]]:
    """Return the operations to measure, with everything they need made before."""
    helpers = importlib.import_module(f"{tool.__name__}.helpers.linux.list")
    init_task = prog["init_task"]
    tasks = init_task.tasks
    pid = init_task.pid
    value = pid.read_()
    head = tasks.address_of_()
    node = tasks.next
    length = len(list(helpers.list_for_each_entry("struct task_struct", head, "tasks")))
    assert length > 10
    return {
        "prog[name]": lambda: prog["init_task"],
        "member": lambda: init_task.pid,
        "member value": lambda: init_task.pid.value_(),
        "pointer chain": lambda: init_task.nsproxy.uts_ns.name,
        "string": lambda: init_task.comm.string_(),
        "arithmetic": lambda: value + 1,
        "comparison": lambda: pid == 0,
        "container_of": lambda: tool.container_of(node, "struct task_struct", "tasks"),
        "cast": lambda: tool.cast("unsigned long", node),
        "type(name)": lambda: prog.type("struct task_struct *"),
        "list walk": lambda: sum(
            1 for _ in helpers.list_for_each_entry("struct task_struct", head, "tasks")
        ),
        "print init_task": lambda: str(init_task),
    }


def work(tool_name: str, dump: str, vmlinux: str) -> None:
    """Measure one round in this process and print the seconds of each operation as JSON."""
    tool = importlib.import_module(tool_name)
    platform = None
    if tool_name == "drgn" and "kdump" in Path(dump).name:
        platform = tool.Platform(tool.Architecture[PEER_ARCHITECTURE])
    prog = tool.Program(platform) if platform else tool.Program()
    prog.set_core_dump(dump)
    prog.load_debug_info([vmlinux])
    seconds = {}
    for name, operation in operations(tool, prog).items():
        timer = timeit.Timer(operation)
        count, _ = timer.autorange()
        seconds[name] = min(timer.repeat(3, count)) / count
    print(json.dumps(seconds))


def measure(interpreter: str, tool_name: str, dump: str, vmlinux: str) -> dict[str, float]:
    """Run one round in a process of its own."""
    command = [interpreter, __file__, "--work", tool_name, dump, vmlinux]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    seconds: dict[str, float] = json.loads(output)
    return seconds


def compare(peer: str, dump: str, vmlinux: str, rounds: int) -> None:
    """Print a table of one dump."""
    mine: list[dict[str, float]] = []
    theirs: list[dict[str, float]] = []
    for _ in range(rounds):
        theirs.append(measure(peer, "drgn", dump, vmlinux))
        mine.append(measure(sys.executable, "kdive", dump, vmlinux))
    print(f"{Path(dump).name}: median of {rounds} rounds, µs an operation")
    print(f"  {'':18}{'drgn':>12}{'kdive':>12}{'drgn / kdive':>14}")
    ratios = []
    for name in mine[0]:
        other = statistics.median(round_[name] for round_ in theirs)
        own = statistics.median(round_[name] for round_ in mine)
        ratios.append(other / own)
        print(f"  {name:18}{other * 1e6:12.2f}{own * 1e6:12.2f}{ratios[-1]:14.2f}")
    print(f"  {'geometric mean':18}{'':24}{statistics.geometric_mean(ratios):14.2f}\n")


def main() -> None:
    """Compare the tools on each dump."""
    if sys.argv[1:2] == ["--work"]:
        work(*sys.argv[2:])
        return
    parser = argparse.ArgumentParser(description="Time operations of kdive against those of drgn.")
    parser.add_argument("peer", help="the interpreter of an installation of drgn 0.3.0")
    parser.add_argument("--rounds", type=int, default=5, help="how often (default: %(default)s)")
    parser.add_argument("--dump", action="append", help="a kernel dump; may be given repeatedly")
    parser.add_argument("--vmlinux", help="its vmlinux")
    arguments = parser.parse_args()
    if arguments.dump is None:
        from lab import target

        idle = target("idle")
        arguments.dump = [str(idle.dumps[form]) for form in ("elf", "kdump-zlib")]
        arguments.vmlinux = str(idle.vmlinux)
    elif arguments.vmlinux is None:
        parser.error("--dump needs --vmlinux")
    for dump in arguments.dump:
        compare(arguments.peer, dump, arguments.vmlinux, arguments.rounds)


if __name__ == "__main__":
    main()
