"""Measures `kdive lens`: the standard set on an idle guest's dump, and the scan of all pages against drgn.

    python benches/lens.py PEER_PYTHON [--rounds N]

PEER_PYTHON is the interpreter of an installation of drgn 0.3.0. There the pages are looked at one by one, as published
case studies do; kdive runs the diagnosis `memcg-pages`, which sums them up by memory cgroup and file. Both count the
pages of files charged to removed memory cgroups of the lab's target memcg-zombies, and have to agree. The types that
are needed have been read before: the dump is of half a GiB only, real ones take longer to scan than to open. The two
tools take turns; each figure is the median over the rounds, with the fastest and the slowest.
"""

import argparse
import contextlib
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import lab

# Flags in the lowest bits of page.memcg_data and page.mapping
FLAGS = 3


def open_program(tool: Any, dump: str, debug_files: list[str]) -> Any:
    """Open a dump with kdive or drgn."""
    prog = tool.Program()
    prog.set_core_dump(dump)
    with contextlib.suppress(tool.MissingDebugInfoError):
        prog.load_debug_info(debug_files)
    return prog


def peer_scan(dump: str, debug_files: list[str]) -> None:
    """Look at every page with drgn, and print how many were counted and the seconds as JSON."""
    import drgn  # type: ignore[import-not-found,unused-ignore]
    from drgn.helpers.linux.mm import (  # type: ignore[import-not-found,unused-ignore]
        for_each_page,
    )

    prog = open_program(drgn, dump, debug_files)
    online = int(prog["CSS_ONLINE"])
    first = next(iter(for_each_page(prog)))
    first.memcg_data.value_(), first.mapping.value_(), prog.type("struct mem_cgroup *")
    start = time.perf_counter()
    pages = found = 0
    for page in for_each_page(prog):
        pages += 1
        data = page.memcg_data.value_()
        mapping = page.mapping.value_()
        if not data or data & FLAGS or not mapping or mapping & FLAGS:
            continue
        memcg = drgn.Object(prog, "struct mem_cgroup *", data)
        if not memcg.css.flags.value_() & online:
            found += 1
    print(json.dumps([pages, found, time.perf_counter() - start]))


def own_scan(dump: str, debug_files: list[str]) -> None:
    """Run `memcg-pages`, and print the same."""
    import kdive
    from kdive.lens import all_diagnoses, run_here
    from kdive.lens.diagnoses.memcg_pages import PinnedPages

    prog = open_program(kdive, dump, debug_files)
    diagnosis = all_diagnoses()["memcg-pages"]
    run_here(prog, diagnosis, diagnosis.options(max_pages=1))
    start = time.perf_counter()
    result = run_here(prog, diagnosis)
    seconds = time.perf_counter() - start
    kinds = ("page cache", "shared memory")
    found = sum(r.pages for r in result.rows if isinstance(r, PinnedPages) and r.kind in kinds)
    print(json.dumps([result.checked[0].count, found, seconds]))


def in_process(interpreter: str, *arguments: str) -> Any:
    """Run this file in a process of its own and return what it prints."""
    command = [interpreter, __file__, *arguments]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def spread(values: list[float]) -> str:
    """Show the median of some values, the smallest and the largest."""
    return f"{statistics.median(values):10.3f} ({min(values):.3f} to {max(values):.3f})"


def compare_scans(peer: str, rounds: int) -> None:
    """Print how fast the scans are."""
    target = lab.target("memcg-zombies")
    files = [str(target.vmlinux), *map(str, target.modules.values())]
    dump = str(target.dumps["elf"])
    own_rates, peer_rates, ratios = [], [], []
    for _ in range(rounds):
        pages, found, seconds = in_process(sys.executable, "--own", dump, *files)
        peer_pages, peer_found, peer_seconds = in_process(peer, "--peer", dump, *files)
        assert (pages, found) == (peer_pages, peer_found)
        own_rates.append(pages / seconds / 1e6)
        peer_rates.append(peer_pages / peer_seconds / 1e6)
        ratios.append(peer_seconds / seconds)
    print(f"scan of {pages} pages, {found} of them counted, millions a second")
    print(f"  drgn   {spread(peer_rates)}")
    print(f"  kdive  {spread(own_rates)}")
    print(f"  ratio  {spread(ratios)}")


def measure_standard_set(rounds: int) -> None:
    """Print how long `kdive lens` takes from its start to its end."""
    target = lab.target("idle")
    flags = ["-s", str(target.vmlinux), "--main-symbols"]
    for path in target.modules.values():
        flags += ["-s", str(path)]
    for form, dump in target.dumps.items():
        command = [sys.executable, "-m", "kdive", "lens", "-c", str(dump), *flags]
        seconds = []
        for _ in range(rounds):
            start = time.perf_counter()
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
            seconds.append(time.perf_counter() - start)
        print(f"kdive lens, standard set on {form}, seconds {spread(seconds)}")


def main() -> None:
    """Do what the arguments say."""
    match sys.argv[1:]:
        case ["--own", dump, *files]:
            own_scan(dump, files)
        case ["--peer", dump, *files]:
            peer_scan(dump, files)
        case _:
            parser = argparse.ArgumentParser(description=__doc__)
            parser.add_argument("peer", type=Path)
            parser.add_argument("--rounds", type=int, default=5)
            arguments = parser.parse_args()
            measure_standard_set(arguments.rounds)
            compare_scans(str(arguments.peer), arguments.rounds)


if __name__ == "__main__":
    main()
