"""Times whole commands of several tools that print the same, and lays the figures out as a table."""

import os
import statistics
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass

# Installed packages are compiled; so is kdive here, even where the environment forbids to write what was compiled.
_WRITES_BYTECODE = {"PYTHONDONTWRITEBYTECODE": ""}


@dataclass(frozen=True)
class Run:
    """What one run of a command took, and what it printed."""

    wall_ms: float
    cpu_ms: float
    peak_mib: float
    printed: str


def measure(command: list[str], environment: Mapping[str, str]) -> Run:
    """Run a command, which must succeed, and return what it took."""
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
        start = time.perf_counter()
        pid = os.posix_spawnp(
            command[0],
            command,
            {**os.environ, **_WRITES_BYTECODE, **environment},
            file_actions=[
                (os.POSIX_SPAWN_DUP2, output.fileno(), 1),
                (os.POSIX_SPAWN_DUP2, errors.fileno(), 2),
            ],
        )
        _, status, usage = os.wait4(pid, 0)
        wall_s = time.perf_counter() - start
        output.seek(0)
        printed = output.read().decode()
        errors.seek(0)
        said = errors.read().decode(errors="replace")
    if status != 0:
        sys.exit(f"{' '.join(command)}: status {os.waitstatus_to_exitcode(status)}\n{said}")
    cpu_s = usage.ru_utime + usage.ru_stime
    return Run(wall_s * 1e3, cpu_s * 1e3, usage.ru_maxrss / 1024, printed)


def print_table(runs_of: Mapping[str, list[Run]]) -> None:
    """Print the median, the spread and the ratio to the first command for each quantity of each command."""
    first = next(iter(runs_of.values()))
    print(f"median [least, greatest] of {len(first)} runs each, ratio to the first")
    print(f"{'':22}{'wall ms':>34}{'CPU ms':>34}{'peak MiB':>34}")
    for name, runs in runs_of.items():
        cells = []
        for field in ("wall_ms", "cpu_ms", "peak_mib"):
            values = [getattr(run, field) for run in runs]
            median = statistics.median(values)
            ratio = median / statistics.median(getattr(run, field) for run in first)
            cells.append(f"{median:7.1f} [{min(values):7.1f} {max(values):7.1f}] {ratio:5.2f}x")
        print(f"{name:22}" + "".join(f"{cell:>34}" for cell in cells))
