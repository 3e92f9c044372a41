"""Measures stack traces against drgn: one, one with everything it can tell, all tasks of a guest, ten thousand tasks.

    python benches/stacks.py PEER_PYTHON [--rounds N]

PEER_PYTHON is the interpreter of an installation of drgn 0.3.0. The tools take turns, each round in processes of their
own on the lab's targets `idle` and `many-threads`; kdive's caches are filled before. Each figure is the median over the
rounds, with the fastest and the slowest.

- one: the first trace of a process, that of task 1, after the debug information was loaded
- one, all: that trace again, with names, lines and the values of all variables
- all tasks: the traces of all tasks, as text
- all tasks, all: the same with the values of all variables
"""

import argparse
import contextlib
import importlib
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from typing import Any


def values(module: Any, traces: Iterable[Any]) -> int:
    """Read the source line and all variables of all frames; return how many have a value."""
    count = 0
    for trace in traces:
        for frame in trace:
            with contextlib.suppress(LookupError):
                frame.source()
            for name in frame.locals():
                with contextlib.suppress(module.FaultError, module.ObjectAbsentError):
                    count += not frame[name].read_().absent_
    return count


def work(tool: str, name: str, form: str) -> None:
    """Measure one round in this process and print what was counted and how long it took, as JSON."""
    module = importlib.import_module(tool)
    dump, vmlinux = json.loads(form)
    prog = module.Program()
    prog.set_core_dump(dump)
    prog.load_debug_info([vmlinux])
    seconds: dict[str, float] = {}
    counted: dict[str, int] = {}

    def measure(label: str, function: Callable[[], Any]) -> Any:
        begin = time.perf_counter()
        result = function()
        seconds[label] = time.perf_counter() - begin
        return result

    def all_traces() -> list[Any]:
        if tool == "kdive":
            return list(prog.stack_traces(threads))
        traces = []
        for thread in threads:
            with contextlib.suppress(module.FaultError, LookupError):
                traces.append(thread.stack_trace())
        return traces

    threads = list(prog.threads())
    init = threads[0].object
    one = measure("one", lambda: prog.stack_trace(init))
    counted["one, all"] = measure("one, all", lambda: (str(one), values(module, [one]))[1])
    traces = measure("all tasks", all_traces)
    measure("all tasks, as text", lambda: [str(trace) for trace in traces])
    if name == "idle":
        counted["all tasks, all"] = measure("all tasks, all", lambda: values(module, traces))
    counted["threads"] = len(threads)
    counted["all tasks"] = sum(map(len, traces))
    json.dump({"seconds": seconds, "counted": counted}, sys.stdout)


def run(python: str, tool: str, name: str, files: list[str]) -> dict[str, Any]:
    """Measure one round in another process."""
    command = [python, __file__, "--work", tool, name, json.dumps(files)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def main() -> None:
    """Print the figures of both tools and their ratio."""
    if sys.argv[1:2] == ["--work"]:
        work(*sys.argv[2:])
        return
    parser = argparse.ArgumentParser(description="Compare the speed of stack traces.")
    parser.add_argument("peer", help="the interpreter of an installation of drgn 0.3.0")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--target", action="append", choices=["idle", "many-threads"], help="only this one"
    )
    arguments = parser.parse_args()
    from lab import target

    for name in arguments.target or ["idle", "many-threads"]:
        found = target(name)
        files = [str(found.dumps["elf"]), str(found.vmlinux)]
        run(sys.executable, "kdive", name, files)
        rounds = [
            (run(arguments.peer, "drgn", name, files), run(sys.executable, "kdive", name, files))
            for _ in range(arguments.rounds)
        ]
        theirs, own = (rounds[0][index]["counted"] for index in (0, 1))
        print(
            f"{name}: {own['threads']} tasks, {own['all tasks']} frames (drgn {theirs['all tasks']})"
        )
        print(f"  {'milliseconds':20} {'drgn':>32} {'kdive':>32} {'drgn/kdive':>11}")
        for label in rounds[0][1]["seconds"]:
            columns = []
            medians = []
            for index in (0, 1):
                times = [round_[index]["seconds"][label] * 1000 for round_ in rounds]
                medians.append(statistics.median(times))
                columns.append(f"{medians[-1]:.2f} ({min(times):.2f} to {max(times):.2f})")
            ratio = medians[0] / medians[1]
            values_ = f", {theirs[label]} and {own[label]} values" if label.endswith("all") else ""
            print(f"  {label:20} {columns[0]:>32} {columns[1]:>32} {ratio:11.1f}{values_}")


if __name__ == "__main__":
    main()
