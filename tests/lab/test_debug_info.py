"""The debug information of a kernel, read by kdive and by the tools of others."""

import json
import os
import random
import re
import subprocess
from collections import defaultdict
from collections.abc import Iterable, Iterator
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest

import kdive
import lab

pytestmark = [pytest.mark.lab, pytest.mark.scenario]

Location = tuple[str, str, int]


@pytest.fixture(scope="module")
def vmlinux() -> Path:
    return lab.target("idle").vmlinux


@pytest.fixture(scope="module")
def prog(vmlinux: Path) -> kdive.Program:
    program = kdive.Program()
    module = program.extra_module("kernel", create=True)
    module.try_file(vmlinux, force=True)
    return program


def output(*command: str | Path, stdin: str = "") -> str:
    done = subprocess.run(command, input=stdin, capture_output=True, text=True, check=True)
    return done.stdout


def test_every_layout_is_the_one_that_pahole_wrote(prog: kdive.Program, vmlinux: Path) -> None:
    """The kernel's BTF is what pahole makes of its DWARF when the kernel is built."""
    types: list[dict[str, Any]] = json.loads(
        output("bpftool", "-j", "btf", "dump", "file", vmlinux)
    )["types"]
    keywords = {"STRUCT": "struct", "UNION": "union", "ENUM": "enum", "ENUM64": "enum"}
    expected: dict[str, set[Any]] = defaultdict(set)
    for btf in types:
        if btf["kind"] in keywords and btf["name"] != "(anon)":
            expected[f"{keywords[btf['kind']]} {btf['name']}"].add(btf_layout(btf))
    assert len(expected) > 9_000
    local, different = [], []
    for name, layouts in expected.items():
        try:
            found = layout(prog.type(name))
        except LookupError:
            local.append(name)
            continue
        if found not in layouts:
            different.append(name)
    assert different == []
    # Types that are declared within a function have no name outside of it.
    assert 0 < len(local) < 30


def btf_layout(btf: dict[str, Any]) -> tuple[int, tuple[Any, ...]]:
    if "members" in btf:
        return btf["size"], tuple(
            (
                None if member["name"] == "(anon)" else member["name"],
                member["bits_offset"],
                member.get("bitfield_size", 0),
            )
            for member in btf["members"]
        )
    # bpftool extends the sign of numbers that have none.
    mask = (1 << 8 * btf["size"]) - 1
    return btf["size"], tuple((value["name"], value["val"] & mask) for value in btf["values"])


def layout(type_: kdive.Type) -> tuple[int, tuple[Any, ...]]:
    if type_.kind == kdive.TypeKind.ENUM:
        if type_.enumerators is None:
            # BTF can't tell an enumeration that is only declared from an empty one.
            return 4, ()
        size = kdive.sizeof(type_)
        mask = (1 << 8 * size) - 1
        return size, tuple((item.name, item.value & mask) for item in type_.enumerators)
    assert type_.size is not None
    assert type_.members is not None
    return type_.size, tuple(
        (member.name, member.bit_offset, member.bit_field_size or 0) for member in type_.members
    )


def symbols(vmlinux: Path) -> Iterator[tuple[int, str, str]]:
    for line in output("nm", vmlinux).splitlines():
        address, kind, name = line.rsplit(maxsplit=2)
        yield int(address, 16), kind, name


def test_symbols_are_those_of_nm(prog: kdive.Program, vmlinux: Path) -> None:
    expected: dict[str, set[int]] = defaultdict(set)
    for address, _, name in symbols(vmlinux):
        expected[name].add(address)
    assert len(expected) > 100_000
    found: dict[str, set[int]] = defaultdict(set)
    for symbol in prog.symbols():
        found[symbol.name].add(symbol.address)
    assert found == expected
    for name in random.Random(1).sample(sorted(expected), 5_000):
        assert prog.symbol(name).address in expected[name]


def test_source_locations_are_those_of_elfutils(prog: kdive.Program, vmlinux: Path) -> None:
    code = [address for address, kind, _ in symbols(vmlinux) if kind in "tT"]
    numbers = random.Random(2)
    start, end = min(code), prog.symbol("_etext").address
    addresses = [numbers.randrange(start, end) for _ in range(1_000)]
    text = output(
        *("eu-addr2line", "--functions", "--inlines", "--addresses", "--exe", vmlinux),
        stdin="\n".join(map(hex, addresses)),
    )
    different = {}
    for address, lines in zip(addresses, re.split(r"^0x.*\n", text, flags=re.M)[1:], strict=True):
        expected = without_repetitions(elfutils_locations(lines.splitlines()))
        found = without_repetitions(kdive_locations(prog, address))
        if expected[0][1] == "??":
            # Nothing is known of the line; elfutils names the last symbol before the address.
            expected, found = [expected[0][1:]], [found[0][1:]]
        elif expected[0][0] == "??":
            # Padding between functions is in none, whatever was inlined at its line.
            expected = expected[:1]
        # Elfutils leaves out the function around if that has the same line.
        if found[: len(expected)] != expected or len(found) > len(expected) + 1:
            different[hex(address)] = (expected, found)
    assert different == {}


def without_repetitions(locations: Iterable[Location]) -> list[Any]:
    return [location for location, _ in groupby(locations)]


def elfutils_locations(lines: list[str]) -> Iterator[Location]:
    for function, place in zip(lines[::2], lines[1::2], strict=True):
        file, line, *_ = place.split(":")
        yield function.split(" inlined at ")[0], source_file(file), int(line)


def kdive_locations(prog: kdive.Program, address: int) -> Iterator[Location]:
    try:
        locations = prog.source_location(address)
    except LookupError:
        yield "??", "??", 0
    else:
        for place in locations:
            yield place.name() or "??", source_file(place.filename), place.line


def source_file(path: str) -> str:
    """A path within the source of the kernel. Elfutils puts where it was compiled before it."""
    return os.path.normpath(re.sub(r"^debian/build/\w+/", "", path))
