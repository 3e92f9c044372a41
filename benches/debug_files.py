"""Measures how long debug files take from nothing to the size of one type, against drgn and gdb.

    python benches/debug_files.py PEER_PYTHON TYPE FILE... [--runs N]

PEER_PYTHON is the interpreter of an installation of drgn 0.3.0; kdive is the one of the interpreter that runs this.
Each file is a module of its own, at the addresses where it was linked: a large C++ library, or a hundred kernel
modules. gdb takes part if there is one file. The tools take turns; kdive runs once with an empty cache and once with
what that run has left.
"""

import argparse
import sys
import tempfile
from pathlib import Path

from _commands import Run, measure, print_table

PROGRAM = """
import sys
from PEER import Program, host_platform, sizeof
prog = Program(host_platform)
for path in sys.argv[2:]:
    prog.extra_module(path, create=True).try_file(path, force=True)
print(sizeof(prog.type(sys.argv[1])))
"""


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

    answers = {run.printed.split()[-1] for runs in tools.values() for run in runs}
    if len(answers) != 1:
        sys.exit(f"the tools do not agree: {answers}")
    size_mib = sum(Path(path).stat().st_size for path in arguments.files) / (1 << 20)
    print(
        f"{len(arguments.files)} files, {size_mib:.0f} MiB, sizeof({arguments.type}) = {answers.pop()}"
    )
    print_table(tools)


if __name__ == "__main__":
    main()
