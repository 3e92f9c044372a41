"""A kernel built with CTF (`lab.ctfkernel`): its types against its DWARF and BTF, and its dump with CTF only."""

import json
import subprocess
from collections import Counter
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest

import kdive
import lab
from kdive import TypeKind
from kdive.helpers.linux import (
    for_each_task,
    load_ctf,
)
from lab import ctfkernel, kernels
from tests.support import Kdive
from tests.test_without_debug_files import FACTS as FACTS_OF_A_DUMP

pytestmark = [pytest.mark.lab, pytest.mark.scenario]

KERNEL = "6.1-ctf"
# binutils makes every enumeration as large as an int, and so the structure that ends with one of 1 byte.
CHANGED_BY_THE_LINKER = {"struct trace_event_raw_netfs_rreq"}
# gcc writes no CTF of an enumeration of which only the constants are used.
LEFT_OUT_BY_GCC = {"enum slab_modes"}
KEYWORDS = {"STRUCT": "struct ", "UNION": "union ", "ENUM": "enum ", "TYPEDEF": "", "INT": ""}


def archive() -> Path:
    kernel = kernels.get(KERNEL)
    return kernel.modules_root / "lib" / "modules" / kernel.release / ctfkernel.ARCHIVE


@cache
def session(kind: str) -> kdive.Program:
    """The dump with the kernel's CTF, its DWARF, or what it has in memory."""
    target = lab.target("idle", KERNEL)
    prog = kdive.Program()
    prog.set_core_dump(target.dumps["elf"])
    if kind == "dwarf":
        prog.load_debug_info([target.vmlinux, *target.modules.values()])
        return prog
    prog.set_enabled_type_finders([kind])
    prog.set_enabled_object_finders(["linux", kind])
    if kind == "ctf":
        load_ctf(prog, archive())
    else:
        with pytest.raises(kdive.MissingDebugInfoError):
            prog.load_debug_info(main=True)
    return prog


def stacks(prog: kdive.Program) -> dict[int, Any]:
    found: dict[int, Any] = {}
    for task in for_each_task(prog):
        try:
            trace = prog.stack_trace(task)
        except kdive.FaultError as error:
            found[task.pid.value_()] = str(error)
            continue
        frames = [frame.pc for frame in trace if not frame.is_inline and not frame.is_tail_call]
        found[task.pid.value_()] = frames
    return found


FACTS: dict[str, Callable[[kdive.Program], Any]] = {**FACTS_OF_A_DUMP, "stacks": stacks}


def shape(kind: kdive.Type) -> Any:
    """What a type is, down to the next names."""
    own = kind.qualifiers.value
    match kind.kind:
        case TypeKind.TYPEDEF:
            return own, "typedef", kind.name
        case TypeKind.POINTER:
            return own, "pointer", shape(kind.type)
        case TypeKind.ARRAY:
            # CTF that was linked doesn't tell `[0]` from `[]`, and BTF has no arrays of arrays.
            length, element = kind.length or 0, shape(kind.type)
            if element[1] == "array":
                return own, "array", length * element[2], element[3]
            return own, "array", length, element
        case TypeKind.STRUCT | TypeKind.UNION | TypeKind.ENUM:
            return own, kind.kind.name, kind.tag or content(kind)
        case TypeKind.FUNCTION:
            parameters = [shape(one.type) for one in kind.parameters]
            return own, shape(kind.type), parameters, kind.is_variadic
        case TypeKind.VOID:
            return own, "void"
    return own, kind.kind.name, kind.name, kind.size


def content(kind: kdive.Type) -> Any:
    """What the definition of a named type holds."""
    if kind.kind == TypeKind.ENUM:
        # What doesn't fit 32 bits with a sign is not in CTF.
        values = kind.enumerators or ()
        return [(one.name, one.value) for one in values if -(1 << 31) <= one.value < 1 << 31]
    if kind.kind in (TypeKind.STRUCT, TypeKind.UNION):
        return kind.size, [
            (member.name, member.bit_offset, member.bit_field_size, shape(member.type))
            for member in kind.members or ()
        ]
    return shape(kind.type) if kind.kind == TypeKind.TYPEDEF else shape(kind)


@pytest.mark.parametrize("other", ["dwarf", "btf"])
def test_types_are_those_of_the_other_formats(other: str) -> None:
    vmlinux = lab.target("idle", KERNEL).vmlinux
    dump = subprocess.run(
        ["bpftool", "--json", "btf", "dump", "file", vmlinux], capture_output=True, check=True
    )
    names = Counter(
        KEYWORDS[record["kind"]] + record["name"]
        for record in json.loads(dump.stdout)["types"]
        if record["kind"] in KEYWORDS and record["name"] != "(anon)"
    )
    mine, theirs = session("ctf"), session(other)
    different: set[str] = set()
    missing: set[str] = set()
    both = 0
    for name in (name for name, count in names.items() if count == 1):
        try:
            full = theirs.type(name)
        except LookupError:
            continue
        try:
            one = mine.type(name)
        except LookupError:
            missing.add(name)
            continue
        both += 1
        if content(one) != content(full):
            different.add(name)
    assert different == CHANGED_BY_THE_LINKER
    # In DWARF, `slab_modes` has a namesake.
    assert missing <= LEFT_OUT_BY_GCC
    assert both > 4000


def test_variables_are_those_of_the_dwarf_session() -> None:
    mine, theirs = session("ctf"), session("dwarf")
    for name in (
        "init_task",
        "jiffies",
        "runqueues",
        "modules",
        "vm_swappiness",
        "saved_command_line",
    ):
        one, other = mine[name], theirs[name]
        assert (one.address_, shape(one.type_)) == (other.address_, shape(other.type_)), name


@pytest.mark.parametrize("fact", FACTS)
def test_facts_are_those_of_the_dwarf_session(fact: str) -> None:
    describe = FACTS[fact]
    expected = describe(session("dwarf"))
    assert len(expected) > 3
    assert describe(session("ctf")) == expected


def told(report: dict[str, Any]) -> dict[str, Any]:
    """What a report in JSON tells of each diagnosis, without times and inlined functions, which CTF doesn't have."""
    diagnoses = {}
    for result in report["diagnoses"]:
        tables = {table["name"]: table for table in result["tables"]}
        if "Stack" in tables:
            tables["Stack"] = sum(row["count"] for row in tables["Stack"]["rows"])
        timeless = {key: value for key, value in result.items() if key != "seconds"}
        diagnoses[result["name"]] = timeless | {"tables": tables}
    return report | {"diagnoses": diagnoses}


def test_diagnoses_find_the_same_with_ctf_only(kdive: Kdive) -> None:
    target = lab.target("idle", KERNEL)
    files = [flag for file in (target.vmlinux, *target.modules.values()) for flag in ("-s", file)]
    with_ctf, with_dwarf = (
        kdive("lens", "-c", target.dumps["elf"], *flags, "--json")
        for flags in (("--ctf-file", archive()), files)
    )
    assert (with_ctf.returncode, with_dwarf.returncode) == (0, 0)
    found, expected = (told(json.loads(done.stdout)) for done in (with_ctf, with_dwarf))
    assert len(found["diagnoses"]) > 15
    assert found == expected


def test_the_command_as_it_was_published(kdive: Kdive, tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "from drgn.helpers.linux.pid import for_each_task\n"
        "print(len(list(for_each_task(prog))), prog['vm_swappiness'].value_())\n"
    )
    dump = lab.target("idle", KERNEL).dumps["elf"]
    root = kernels.get(KERNEL).modules_root
    done = kdive("--ctf", "-c", dump, "--kernel-directory", root, script)
    count = len(list(for_each_task(session("dwarf"))))
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{count} 60\n", "")
