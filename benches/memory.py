"""Measures reading memory against drgn, for each form of one dump.

    python benches/memory.py PEER_PYTHON [--rounds N] [--best] [--cpu] [--dump PATH...]

PEER_PYTHON is the interpreter of an installation of drgn 0.3.0. Without a dump, all forms of the lab's `panic` target
are used, which hold the same moment. Each round runs in a process of its own, the tools in turns, with one and with two
threads; a figure is the median over the rounds, or with --best the best of them. Pages are such that no read finds one
that was read before.

Figures are of the wall clock, or with --cpu of the time that processors spent, which tells more on a machine that is
busy with something else; it does not tell what a second thread is good for.

With two threads, drgn reads from two Python threads. kdive does so for single pages, and decodes in two threads of its
own when much is read at once.
"""

import argparse
import importlib
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
import timeit
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from threading import Thread
from typing import Any

import kdive

# Set by --cpu, for the processes that measure too.
CPU_CLOCK = "KDIVE_BENCH_CPU"
CLOCK = time.process_time if CPU_CLOCK in os.environ else time.perf_counter

PAGE = 4096
PAGES = 4096
BULK = 256 << 20
FORMS = (
    "vmcore",
    "kdump-d31-plain",
    "kdump-d0-zlib",
    "kdump-d1-lzo",
    "kdump-d31-snappy",
    "kdump-d31-zstd",
    "kdump-d31-zlib-flattened",
)
# What the figures are of, and what each is in.
ROWS = {
    "open": "ms",
    "4 KiB, random": "µs",
    "4 KiB, sequential": "µs",
    "256 MiB": "MB/s",
    "8 bytes, cached": "µs",
    "C string": "µs",
    "search": "MB/s",
    "verify": "MB/s",
}


@dataclass(frozen=True)
class Plan:
    """What both tools read of a dump."""

    random_pages: list[int]
    first_sequential: int
    bulk: int | None
    number: int
    string: int
    expected: str
    memory_size: int


def plan(dump: str) -> Plan:
    """Choose addresses that are in the dump."""
    prog = kdive.Program()
    prog.set_core_dump(dump)
    info = dict(
        line.split("=", 1)
        for line in prog["VMCOREINFO"].string_().decode().splitlines()
        if "=" in line
    )
    names = int(info["SYMBOL(init_uts_ns)"], 16)
    string = names + prog.read(names, 400).index(info["OSRELEASE"].encode() + b"\0")
    verification = prog.verify()
    whole = kdive.Program()
    whole.set_core_dump(dump, excluded_pages="zero")
    ends = [start + BULK for start in range(16 << 20, 4 << 30, 16 << 20)]
    bulk = next((end - BULK for end in ends if is_readable(whole, end - BULK, BULK)), None)
    choice = random.Random(1)
    candidates = range((32 << 20) // PAGE, (480 << 20) // PAGE)
    pages = [
        page
        for page in choice.sample(candidates, len(candidates))
        if is_readable(prog, page * PAGE, PAGE)
    ]
    return Plan(
        random_pages=pages[:PAGES],
        first_sequential=next(
            start
            for start in range((64 << 20) // PAGE, (400 << 20) // PAGE, 64)
            if is_readable(whole, start * PAGE, PAGES * PAGE)
        ),
        bulk=bulk,
        number=names,
        string=string,
        expected=info["OSRELEASE"],
        memory_size=verification.expected_bytes,
    )


def is_readable(prog: kdive.Program, address: int, size: int) -> bool:
    """Return whether a range of physical memory can be read."""
    try:
        prog.read(address, size, physical=True)
    except kdive.FaultError:
        return False
    return True


def open_dump(tool: Any, dump: str) -> Any:
    """Open a dump without debug information; excluded pages are zeros in both tools."""
    prog = tool.Program()
    if tool is kdive:
        prog.set_core_dump(dump, excluded_pages="zero")
    else:
        prog.set_core_dump(dump)
    return prog


def seconds(operation: Callable[[], object]) -> float:
    """Time one call."""
    start = CLOCK()
    operation()
    return CLOCK() - start


def in_threads(count: int, operation: Callable[[int], object]) -> Callable[[], None]:
    """Return a call that runs `operation` with 0, 1 … in as many threads and waits for them."""

    def run() -> None:
        threads = [Thread(target=operation, args=(index,)) for index in range(count)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    return run


def each_operation(operation: Callable[[], object]) -> float:
    """Time one of many calls that find what they read in a cache."""
    timer = timeit.Timer(operation, timer=CLOCK)
    count, _ = timer.autorange()
    return min(timer.repeat(3, count)) / count


def work(tool_name: str, dump: str, plan_file: str, threads: int) -> None:
    """Measure one round in this process and print the figures as JSON."""
    tool = importlib.import_module(tool_name)
    chosen = Plan(**json.loads(Path(plan_file).read_text()))
    figures = {"open": seconds(lambda: open_dump(tool, dump)) * 1e3}

    def read_pages(prog: Any, pages: Iterable[int]) -> None:
        for page in pages:
            prog.read(page * PAGE, PAGE, True)

    sequential = range(chosen.first_sequential, chosen.first_sequential + PAGES)
    for name, pages in (("4 KiB, random", chosen.random_pages), ("4 KiB, sequential", sequential)):
        prog = open_dump(tool, dump)
        share = len(pages) // threads
        took = seconds(
            in_threads(
                threads,
                lambda index, prog=prog, pages=pages, share=share: read_pages(
                    prog, pages[index * share : (index + 1) * share]
                ),
            )
        )
        figures[name] = took / len(pages) * 1e6
    if chosen.bulk is not None:
        prog = open_dump(tool, dump)
        search = prog.search_memory(bytes(range(200, 232)))
        search.set_address_range(chosen.bulk, chosen.bulk + BULK - 1, True)
        try:
            figures["search"] = BULK / seconds(lambda: sum(1 for _ in search)) / 1e6
        except tool.FaultError:
            pass  # drgn searches no range with excluded pages, nor reads it
        else:
            prog = open_dump(tool, dump)
            parts = 1 if tool is kdive else threads
            size = BULK // parts
            start = chosen.bulk
            took = seconds(
                in_threads(parts, lambda index: prog.read(start + index * size, size, True))
            )
            figures["256 MiB"] = BULK / took / 1e6
    prog = open_dump(tool, dump)
    assert prog.read_c_string(chosen.string).decode() == chosen.expected
    figures["8 bytes, cached"] = each_operation(lambda: prog.read_u64(chosen.number)) * 1e6
    figures["C string"] = each_operation(lambda: prog.read_c_string(chosen.string)) * 1e6
    if tool is kdive:
        prog = kdive.Program()
        prog.set_core_dump(dump)
        figures["verify"] = chosen.memory_size / seconds(prog.verify) / 1e6
    print(json.dumps(figures))


def measure(
    interpreter: str, tool_name: str, dump: str, plan_file: str, threads: int
) -> dict[str, float]:
    """Run one round in a process of its own."""
    command = [interpreter, __file__, "--work", tool_name, dump, plan_file, str(threads)]
    environment = {**os.environ, "RAYON_NUM_THREADS": str(threads)}
    result = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    if result.returncode != 0:
        sys.exit(result.stderr)
    figures: dict[str, float] = json.loads(result.stdout)
    return figures


def best(figures: Iterable[float], unit: str) -> float:
    """Return the greatest rate or the least time."""
    return max(figures) if unit == "MB/s" else min(figures)


def median(figures: Iterable[float], unit: str) -> float:
    """Return the median, whatever the unit."""
    del unit
    return statistics.median(figures)


def compare(
    peer: str, dump: str, rounds: int, summary: Callable[[Iterable[float], str], float]
) -> None:
    """Print a table of one dump."""
    with tempfile.NamedTemporaryFile("w", suffix=".json") as plan_file:
        json.dump(asdict(plan(dump)), plan_file)
        plan_file.flush()
        taken: dict[tuple[str, int], list[dict[str, float]]] = {}
        for _ in range(rounds):
            for threads in (1, 2):
                for tool, interpreter in (("drgn", peer), ("kdive", sys.executable)):
                    figures = measure(interpreter, tool, dump, plan_file.name, threads)
                    taken.setdefault((tool, threads), []).append(figures)
    print(
        f"{Path(dump).name}: {summary.__name__} of {rounds} rounds; how many times better kdive is"
    )
    heads = (f"{'drgn':>10}{'kdive':>10}{'':8}" for _ in range(2))
    print(f"  {'':24}" + "".join(heads) + "  (one thread, two threads)")
    for name, unit in ROWS.items():
        cells = []
        for threads in (1, 2):
            theirs, own = (
                summary((round_[name] for round_ in taken[tool, threads]), unit)
                if name in taken[tool, threads][0]
                else None
                for tool in ("drgn", "kdive")
            )
            ratio = ""
            if theirs and own:
                ratio = f"{own / theirs if unit == 'MB/s' else theirs / own:6.1f}x"
            cells += [f"{'-' if value is None else f'{value:.2f}':>10}" for value in (theirs, own)]
            cells.append(f"{ratio:>8}")
        print(f"  {f'{name}, {unit}':24}" + "".join(cells))
    print()


def main() -> None:
    """Compare the tools on each dump."""
    if sys.argv[1:2] == ["--work"]:
        tool, dump, plan_file, threads = sys.argv[2:]
        work(tool, dump, plan_file, int(threads))
        return
    parser = argparse.ArgumentParser(description="Time reading memory with kdive and with drgn.")
    parser.add_argument("peer", help="the interpreter of an installation of drgn 0.3.0")
    parser.add_argument("--rounds", type=int, default=3, help="how often (default: %(default)s)")
    parser.add_argument(
        "--best",
        dest="summary",
        action="store_const",
        const=best,
        default=median,
        help="print the best round's figures, on a machine that is busy with something else",
    )
    parser.add_argument(
        "--cpu", action="store_true", help="measure processor time instead of the wall clock's"
    )
    parser.add_argument("--dump", action="append", help="a kernel dump; may be given repeatedly")
    arguments = parser.parse_args()
    if arguments.cpu:
        os.environ[CPU_CLOCK] = "1"
    if arguments.dump is None:
        from lab import target

        arguments.dump = [str(target("panic").dumps[form]) for form in FORMS]
    for dump in arguments.dump:
        compare(arguments.peer, dump, arguments.rounds, arguments.summary)


if __name__ == "__main__":
    main()
