"""Compares what kdive and drgn print for the types and variables of a kernel dump.

    python benches/agreement.py PEER_PYTHON DUMP VMLINUX [--variables N] [--architecture NAME]

PEER_PYTHON is the interpreter of an installation of drgn 0.3.0; kdive is the one of the
interpreter that runs this. Names come from the symbols of VMLINUX and the types of its variables.
Intended differences are listed in docs/differences.md; every other one is a bug.
"""

import argparse
import collections
import json
import os
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

PROBE = r"""
import json, sys
package, dump, vmlinux, architecture = sys.argv[1:5]
if package == "kdive":
    import kdive as m
else:
    import drgn as m
# drgn does not find the architecture of QEMU's compressed dumps by itself.
prog = m.Program(m.Platform(m.Architecture[architecture]))
prog.set_core_dump(dump)
try:
    prog.load_debug_info([vmlinux])
except m.MissingDebugInfoError:
    pass

def attempt(function):
    try:
        return function()
    except Exception as error:
        return type(error).__name__

found = {}
for name in json.load(sys.stdin):
    variable = attempt(lambda: prog[name])
    if isinstance(variable, str):
        found[name] = variable
        continue
    size = attempt(lambda: m.sizeof(variable))
    if not isinstance(size, int) or size > 4096:
        continue
    facts = {
        "object str": lambda: variable.format_(symbolize=False),
        "object str, 80 columns": lambda: variable.format_(symbolize=False, columns=80),
        "object str, hexadecimal": lambda: variable.format_(
            symbolize=False, columns=100, integer_base=16, implicit_members=False,
            element_indices=True, members_same_line=True),
        "object repr": lambda: repr(variable),
        "object value": lambda: repr(variable.value_()),
    }
    pending = [variable.type_]
    for depth in range(3):
        inner = []
        for number, type_ in enumerate(pending):
            label = f"type {depth}.{number} "
            facts[label + "str"] = lambda type_=type_: str(type_)
            facts[label + "repr"] = lambda type_=type_: repr(type_)
            facts[label + "name"] = lambda type_=type_: type_.type_name()
            facts[label + "size"] = lambda type_=type_: m.sizeof(type_)
            facts[label + "alignment"] = lambda type_=type_: m.alignof(type_)
            inner += [member.type for member in getattr(type_, "members", None) or ()]
        pending = inner[:40]
    found[name] = {fact: attempt(function) for fact, function in facts.items()}
json.dump(found, sys.stdout)
"""


def variables_of(vmlinux: Path, count: int) -> list[str]:
    """The names of `count` variables, the same ones each time."""
    listing = subprocess.run(["nm", vmlinux], capture_output=True, text=True, check=True).stdout
    words = [line.split() for line in listing.splitlines()]
    names = sorted(
        {
            word[2]
            for word in words
            if len(word) == 3 and word[1] in "bBdDrR" and word[2].isidentifier()
        }
    )
    return random.Random(7).sample(names, min(count, len(names)))


def ask(
    python: str | Path, package: str, dump: Path, vmlinux: Path, architecture: str, names: list[str]
) -> dict[str, Any]:
    """What one debugger says about the variables and their types."""
    answer = subprocess.run(
        [python, "-c", PROBE, package, dump, vmlinux, architecture],
        input=json.dumps(names),
        stdout=subprocess.PIPE,
        # Of several definitions of a name, drgn takes the one that a thread finds first; kdive the first one.
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        text=True,
        check=True,
    )
    found: dict[str, Any] = json.loads(answer.stdout)
    return found


def compare(
    peer: str | Path, dump: Path, vmlinux: Path, architecture: str, names: list[str]
) -> tuple[collections.Counter[str], dict[str, list[str]]]:
    """How often each kind of fact was asked for, and the answers that differ."""
    theirs = ask(peer, "drgn", dump, vmlinux, architecture, names)
    ours = ask(sys.executable, "kdive", dump, vmlinux, architecture, names)
    asked: collections.Counter[str] = collections.Counter()
    different: dict[str, list[str]] = collections.defaultdict(list)
    for name, expected in theirs.items():
        found = ours.get(name)
        if isinstance(expected, str) or not isinstance(found, dict):
            asked["lookup"] += 1
            if expected != found:
                different["lookup"].append(f"{name}: {expected!s:.80} / {found!s:.80}")
            continue
        for fact, value in expected.items():
            words = fact.split()
            kind = f"type {words[-1]}" if words[0] == "type" else fact
            asked[kind] += 1
            if found.get(fact) != value:
                different[kind].append(f"{name}, {fact}: {value!s:.80} / {found.get(fact)!s:.80}")
    return asked, different


def main() -> None:
    """Print how many facts agree, and examples of those that do not."""
    parser = argparse.ArgumentParser(description="Compare what kdive and drgn print.")
    parser.add_argument("peer", help="the interpreter of an installation of drgn 0.3.0")
    parser.add_argument("dump", type=Path)
    parser.add_argument("vmlinux", type=Path)
    parser.add_argument("--variables", type=int, default=1000)
    parser.add_argument("--architecture", default="X86_64", help="that of the dump")
    arguments = parser.parse_args()
    names = ["init_task", "init_net", *variables_of(arguments.vmlinux, arguments.variables)]
    asked, different = compare(
        arguments.peer, arguments.dump, arguments.vmlinux, arguments.architecture, names
    )
    for kind, count in sorted(asked.items()):
        examples = different.get(kind, [])
        print(f"{kind}: {count - len(examples)} of {count} agree")
        for example in examples[:5]:
            print(f"    {example}")


if __name__ == "__main__":
    main()
