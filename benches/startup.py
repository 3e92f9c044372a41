"""Measures the whole command "open a dump and its vmlinux, print one variable" against drgn's.

    python benches/startup.py PEER_PYTHON [--runs N] [--dump PATH --vmlinux PATH] [--modules FILE...]

PEER_PYTHON is the interpreter of an installation of drgn 0.3.0; kdive is the one of the interpreter that runs this.
Without a dump, the lab's idle target is used (and made, if need be). The two tools take turns. kdive runs once with an
empty cache, as after installing it, once with the cache that the run before has left, once without the vmlinux, when
symbols and types come out of the dump, and once on the sample that kdive ships (whose pages are compressed). With
`--modules` the debug files of all loaded modules are given, too, to drgn and to kdive without and with a cache. The
interpreter alone is the least that any of these can take.
"""

import argparse
import sys
import tempfile

from _commands import Run, measure, print_table

from kdive.sample import DUMP

CODE = 'print(prog["init_task"].comm)'
EXPECTED = '(char [16])"swapper/0"\n'


def main() -> None:
    """Run both tools in turns and print a table."""
    parser = argparse.ArgumentParser(description="Time the start of kdive against that of drgn.")
    parser.add_argument("peer", help="the interpreter of an installation of drgn 0.3.0")
    parser.add_argument("--runs", type=int, default=9, help="how often (default: %(default)s)")
    parser.add_argument("--dump", help="a kernel dump; by default that of the lab's idle target")
    parser.add_argument("--vmlinux", help="its vmlinux")
    parser.add_argument(
        "--modules", nargs="*", default=[], metavar="FILE", help="the debug files of its modules"
    )
    arguments = parser.parse_args()
    if arguments.dump is None:
        from lab import target

        idle = target("idle")
        arguments.dump, arguments.vmlinux = str(idle.dumps["elf"]), str(idle.vmlinux)
    elif arguments.vmlinux is None:
        parser.error("--dump needs --vmlinux")

    opened = ["-q", "-c", arguments.dump, "-s", arguments.vmlinux]
    rest = [*opened, "--main-symbols", "-e", CODE]
    given = [part for path in arguments.modules for part in ("-s", path)]
    all_modules = [*opened, *given, "--no-default-symbols", "-e", CODE]
    kdive = [sys.executable, "-m", "kdive", *rest]
    alone_flags = ["--main-symbols", "--no-symbols-by", "standard", "-e", CODE]
    bare = [sys.executable, "-m", "kdive", "-q", "-c", arguments.dump, *alone_flags]
    shipped = [sys.executable, "-m", "kdive", "-q", "-c", DUMP, *alone_flags]
    interpreter = [sys.executable, "-c", f"print({EXPECTED.rstrip()!r})"]
    drgn = [arguments.peer, "-m", "drgn", *rest]
    names = ("drgn", "kdive, empty cache", "kdive, cached", "kdive, no vmlinux")
    runs: dict[str, list[Run]] = {
        name: [] for name in (*names, "kdive, the sample", "the interpreter")
    }
    if given:
        all_names = ("drgn, modules", "kdive, modules, empty", "kdive, modules, cached")
        runs |= {name: [] for name in all_names}
    measure(drgn, {})  # brings the files into memory for both
    for _ in range(arguments.runs):
        runs["drgn"].append(measure(drgn, {}))
        with tempfile.TemporaryDirectory() as cache:
            runs["kdive, empty cache"].append(measure(kdive, {"XDG_CACHE_HOME": cache}))
            runs["kdive, cached"].append(measure(kdive, {"XDG_CACHE_HOME": cache}))
        with tempfile.TemporaryDirectory() as cache:
            runs["kdive, no vmlinux"].append(measure(bare, {"XDG_CACHE_HOME": cache}))
            runs["kdive, the sample"].append(measure(shipped, {"XDG_CACHE_HOME": cache}))
        runs["the interpreter"].append(measure(interpreter, {}))
        if not given:
            continue
        runs["drgn, modules"].append(measure([arguments.peer, "-m", "drgn", *all_modules], {}))
        with tempfile.TemporaryDirectory() as cache:
            command, environment = (
                [sys.executable, "-m", "kdive", *all_modules],
                {"KDIVE_CACHE": cache},
            )
            runs["kdive, modules, empty"].append(measure(command, environment))
            runs["kdive, modules, cached"].append(measure(command, environment))
    printed = {run.printed for of_one in runs.values() for run in of_one}
    if printed != {EXPECTED}:
        sys.exit(f"not all printed {EXPECTED!r}: {printed}")
    print_table(runs)


if __name__ == "__main__":
    main()
