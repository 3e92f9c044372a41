"""Measures the whole command "open a dump and its vmlinux, print one variable" against drgn's.

    python benches/startup.py PEER_PYTHON [--runs N] [--dump PATH --vmlinux PATH]

PEER_PYTHON is the interpreter of an installation of drgn 0.3.0; kdive is the one of the interpreter that runs this.
Without a dump, the lab's idle target is used (and made, if need be). The two tools take turns. kdive runs once with an
empty cache, as after installing it, once with the cache that the run before has left, once without the vmlinux, when
symbols and types come out of the dump, and once on the sample that kdive ships (whose pages are compressed). The
interpreter alone is the least that any of these can take.
"""

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass

from kdive.sample import DUMP

# Installed packages are compiled; so is kdive here, even where the environment forbids to write what was compiled.
WRITES_BYTECODE = {"PYTHONDONTWRITEBYTECODE": ""}
CODE = 'print(prog["init_task"].comm)'
EXPECTED = '(char [16])"swapper/0"\n'


@dataclass(frozen=True)
class Run:
    """What one run of a command took."""

    wall_ms: float
    cpu_ms: float
    peak_mib: float


def measure(command: list[str], environment: Mapping[str, str]) -> Run:
    """Run a command, check what it prints, and return what it took."""
    with tempfile.TemporaryFile() as output:
        start = time.perf_counter()
        pid = os.posix_spawnp(
            command[0],
            command,
            {**os.environ, **WRITES_BYTECODE, **environment},
            file_actions=[(os.POSIX_SPAWN_DUP2, output.fileno(), 1)],
        )
        _, status, usage = os.wait4(pid, 0)
        wall_s = time.perf_counter() - start
        output.seek(0)
        printed = output.read().decode()
    if status != 0 or printed != EXPECTED:
        sys.exit(f"{' '.join(command)}: status {status}, printed {printed!r}")
    return Run(wall_s * 1e3, (usage.ru_utime + usage.ru_stime) * 1e3, usage.ru_maxrss / 1024)


def row(name: str, runs: list[Run], peer: list[Run]) -> str:
    """Return a line with the median, the spread and the ratio to the peer of each quantity."""
    cells = []
    for field in ("wall_ms", "cpu_ms", "peak_mib"):
        values = [getattr(run, field) for run in runs]
        median = statistics.median(values)
        ratio = median / statistics.median(getattr(run, field) for run in peer)
        cells.append(f"{median:7.1f} [{min(values):7.1f} {max(values):7.1f}] {ratio:5.2f}x")
    return f"{name:22}" + "".join(f"{cell:>34}" for cell in cells)


def main() -> None:
    """Run both tools in turns and print a table."""
    parser = argparse.ArgumentParser(description="Time the start of kdive against that of drgn.")
    parser.add_argument("peer", help="the interpreter of an installation of drgn 0.3.0")
    parser.add_argument("--runs", type=int, default=9, help="how often (default: %(default)s)")
    parser.add_argument("--dump", help="a kernel dump; by default that of the lab's idle target")
    parser.add_argument("--vmlinux", help="its vmlinux")
    arguments = parser.parse_args()
    if arguments.dump is None:
        from lab import target

        idle = target("idle")
        arguments.dump, arguments.vmlinux = str(idle.dumps["elf"]), str(idle.vmlinux)
    elif arguments.vmlinux is None:
        parser.error("--dump needs --vmlinux")

    rest = ["-q", "-c", arguments.dump, "-s", arguments.vmlinux, "--main-symbols", "-e", CODE]
    kdive = [sys.executable, "-m", "kdive", *rest]
    alone_flags = ["--main-symbols", "--no-symbols-by", "standard", "-e", CODE]
    bare = [sys.executable, "-m", "kdive", "-q", "-c", arguments.dump, *alone_flags]
    shipped = [sys.executable, "-m", "kdive", "-q", "-c", DUMP, *alone_flags]
    interpreter = [sys.executable, "-c", f"print({EXPECTED.rstrip()!r})"]
    drgn = [arguments.peer, "-m", "drgn", *rest]
    first: list[Run] = []
    again: list[Run] = []
    alone: list[Run] = []
    sample: list[Run] = []
    empty: list[Run] = []
    peer: list[Run] = []
    measure(drgn, {})  # brings the files into memory for both
    for _ in range(arguments.runs):
        peer.append(measure(drgn, {}))
        with tempfile.TemporaryDirectory() as cache:
            first.append(measure(kdive, {"XDG_CACHE_HOME": cache}))
            again.append(measure(kdive, {"XDG_CACHE_HOME": cache}))
        with tempfile.TemporaryDirectory() as cache:
            alone.append(measure(bare, {"XDG_CACHE_HOME": cache}))
            sample.append(measure(shipped, {"XDG_CACHE_HOME": cache}))
        empty.append(measure(interpreter, {}))

    print(f"median [least, greatest] of {arguments.runs} runs each, ratio to drgn")
    print(f"{'':22}{'wall ms':>34}{'CPU ms':>34}{'peak MiB':>34}")
    print(row("drgn", peer, peer))
    print(row("kdive, empty cache", first, peer))
    print(row("kdive, cached", again, peer))
    print(row("kdive, no vmlinux", alone, peer))
    print(row("kdive, the sample", sample, peer))
    print(row("the interpreter", empty, peer))


if __name__ == "__main__":
    main()
