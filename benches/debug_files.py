"""Measures how long debug files take from nothing to the size of one type, against drgn and gdb.

    python benches/debug_files.py PEER_PYTHON TYPE FILE... [--runs N]

PEER_PYTHON is the interpreter of an installation of drgn 0.3.0; kdive is the one of the interpreter that runs this.
Each file is a module of its own, at the addresses where it was linked: a large C++ library, or a hundred kernel
modules. gdb takes part if there is one file. The tools take turns; kdive runs once with an empty cache and once with
what that run has left.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

PROGRAM = """
import sys
from PEER import Program, host_platform, sizeof
prog = Program(host_platform)
for path in sys.argv[2:]:
    prog.extra_module(path, create=True).try_file(path, force=True)
print(sizeof(prog.type(sys.argv[1])))
"""


@dataclass(frozen=True)
class Run:
    """What one run of a command took, and the last line that it printed."""

    wall_ms: float
    cpu_ms: float
    peak_mib: float
    printed: str


def measure(command: list[str], environment: Mapping[str, str]) -> Run:
    """Run a command and return what it took."""
    start = time.perf_counter()
    with subprocess.Popen(
        command,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as running:
        assert running.stdout is not None
        printed = running.stdout.read()
        _, status, usage = os.wait4(running.pid, 0)
        running.returncode = os.waitstatus_to_exitcode(status)
    wall_s = time.perf_counter() - start
    if status != 0:
        sys.exit(f"{command[0]} ended with status {running.returncode}")
    cpu_s = usage.ru_utime + usage.ru_stime
    last = printed.split()[-1]
    return Run(wall_s * 1e3, cpu_s * 1e3, usage.ru_maxrss / 1024, last)


def row(name: str, runs: list[Run], peer: list[Run]) -> str:
    """Return a line with the median, the spread and the ratio to the peer of each quantity."""
    cells = []
    for field in ("wall_ms", "cpu_ms", "peak_mib"):
        values = [getattr(run, field) for run in runs]
        median = statistics.median(values)
        ratio = median / statistics.median(getattr(run, field) for run in peer)
        cells.append(f"{median:8.0f} [{min(values):7.0f} {max(values):7.0f}] {ratio:5.2f}x")
    return f"{name:22}" + "".join(f"{cell:>34}" for cell in cells)


def main() -> None:
    """Run the tools in turns and print a table."""
    parser = argparse.ArgumentParser(description="Time how debug files are opened.")
    parser.add_argument("peer", help="the interpreter of an installation of drgn 0.3.0")
    parser.add_argument("type", help="the name of a type, as in C")
    parser.add_argument("files", metavar="FILE", nargs="+", help="a file with debugging symbols")
    parser.add_argument("--runs", type=int, default=5, help="how often (default: %(default)s)")
    arguments = parser.parse_args()

    rest = [arguments.type, *arguments.files]
    kdive = [sys.executable, "-c", PROGRAM.replace("PEER", "kdive"), *rest]
    drgn = [arguments.peer, "-c", PROGRAM.replace("PEER", "drgn"), *rest]
    gdb = ["gdb", "-q", "-nx", "-batch", "-ex", f"output sizeof({arguments.type})", *rest[1:]]
    tools: dict[str, list[Run]] = {"drgn": [], "kdive, empty cache": [], "kdive, cached": []}
    if len(arguments.files) == 1:
        tools["gdb"] = []
    for _ in range(arguments.runs):
        tools["drgn"].append(measure(drgn, {}))
        with tempfile.TemporaryDirectory() as cache:
            environment = {"KDIVE_CACHE": cache}
            tools["kdive, empty cache"].append(measure(kdive, environment))
            tools["kdive, cached"].append(measure(kdive, environment))
        if "gdb" in tools:
            tools["gdb"].append(measure(gdb, {}))

    answers = {run.printed for runs in tools.values() for run in runs}
    if len(answers) != 1:
        sys.exit(f"the tools do not agree: {answers}")
    size_mib = sum(Path(path).stat().st_size for path in arguments.files) / (1 << 20)
    print(
        f"{len(arguments.files)} files, {size_mib:.0f} MiB, sizeof({arguments.type}) = {answers.pop()}"
    )
    print(f"median [least, greatest] of {arguments.runs} runs each, ratio to drgn")
    print(f"{'':22}{'wall ms':>34}{'CPU ms':>34}{'peak MiB':>34}")
    for name, runs in tools.items():
        print(row(name, runs, tools["drgn"]))


if __name__ == "__main__":
    main()
