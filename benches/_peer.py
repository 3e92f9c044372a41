"""Runs the same operations in kdive and in drgn and prints how their times compare.

A benchmark gives a function that makes its operations for either tool. The tools take turns, each round in a process
of its own; each figure is the median over the rounds of the time of one operation. Times are those of the processor,
but a busy machine still lengthens them; so the ratio of the least times stands beside that of the medians.
"""

import argparse
import importlib
import json
import statistics
import subprocess
import sys
import time
import timeit
from collections.abc import Callable
from pathlib import Path
from typing import Any

Operations = dict[str, Callable[[], object]]

# drgn does not find the architecture of QEMU's compressed dumps by itself.
PEER_ARCHITECTURE = "X86_64"
# How long an operation is repeated to be measured once, in seconds, and how often that is done.
MEASUREMENT_S = 0.05
MEASUREMENTS = 3


def _measure(operation: Callable[[], object]) -> float:
    """Return the seconds that one call takes: the least of a few measurements of many calls."""
    timer = timeit.Timer(operation, timer=time.process_time)
    count = 1
    while (elapsed := timer.timeit(count)) < MEASUREMENT_S:
        count *= 2
    return min([elapsed, *timer.repeat(MEASUREMENTS - 1, count)]) / count


def _work(make: Callable[[Any, Any], Operations], tool_name: str, dump: str, vmlinux: str) -> None:
    """Measure one round in this process and print the seconds of each operation as JSON."""
    tool = importlib.import_module(tool_name)
    platform = None
    if tool_name == "drgn" and "kdump" in Path(dump).name:
        platform = tool.Platform(tool.Architecture[PEER_ARCHITECTURE])
    prog = tool.Program(platform) if platform else tool.Program()
    prog.set_core_dump(dump)
    prog.load_debug_info([vmlinux])
    print(json.dumps({name: _measure(call) for name, call in make(tool, prog).items()}))


def _round(interpreter: str, tool_name: str, dump: str, vmlinux: str) -> dict[str, float]:
    command = [interpreter, sys.argv[0], "--work", tool_name, dump, vmlinux]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    seconds: dict[str, float] = json.loads(output)
    return seconds


def _compare(peer: str, dump: str, vmlinux: str, rounds: int) -> None:
    """Print the table of one dump."""
    mine: list[dict[str, float]] = []
    theirs: list[dict[str, float]] = []
    for _ in range(rounds):
        theirs.append(_round(peer, "drgn", dump, vmlinux))
        mine.append(_round(sys.executable, "kdive", dump, vmlinux))
    print(f"{Path(dump).name}: median of {rounds} rounds, µs of processor time an operation")
    print(f"  {'':22}{'drgn':>12}{'kdive':>12}{'spread':>9}{'drgn / kdive':>14}{'least':>8}")
    ratios, least_ratios = [], []
    for name in mine[0]:
        own = [round_[name] for round_ in mine]
        other = [round_[name] for round_ in theirs]
        own_middle, other_middle = statistics.median(own), statistics.median(other)
        spread = (max(own) - min(own)) / own_middle
        ratios.append(other_middle / own_middle)
        least_ratios.append(min(other) / min(own))
        print(
            f"  {name:22}{other_middle * 1e6:12.3f}{own_middle * 1e6:12.3f}{spread:9.0%}"
            f"{ratios[-1]:14.2f}{least_ratios[-1]:8.2f}"
        )
    mean, least_mean = map(statistics.geometric_mean, (ratios, least_ratios))
    print(f"  {'geometric mean':22}{'':33}{mean:14.2f}{least_mean:8.2f}\n", flush=True)


def main(description: str, make: Callable[[Any, Any], Operations]) -> None:
    """Compare the tools on each dump that the command line names."""
    if sys.argv[1:2] == ["--work"]:
        _work(make, *sys.argv[2:])
        return
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("peer", help="the interpreter of an installation of drgn 0.3.0")
    parser.add_argument("--rounds", type=int, default=5, help="how often (default: %(default)s)")
    parser.add_argument("--dump", action="append", help="a kernel dump; may be given repeatedly")
    parser.add_argument("--vmlinux", help="its vmlinux")
    arguments = parser.parse_args()
    if arguments.dump is None:
        from lab import target

        idle, panic = target("idle"), target("panic")
        arguments.dump = [str(idle.dumps["elf"]), str(panic.dumps["vmcore"])]
        arguments.dump.append(str(idle.dumps["kdump-zlib"]))
        arguments.vmlinux = str(idle.vmlinux)
    elif arguments.vmlinux is None:
        parser.error("--dump needs --vmlinux")
    for dump in arguments.dump:
        _compare(arguments.peer, dump, arguments.vmlinux, arguments.rounds)
