"""The types that a kernel carries with it are those of its DWARF, and bpftool reads them the same way.

What may differ, and why:

- BTF writes arrays of arrays as one array, and `[0]` like `[]`.
- Where several structures have one name, DWARF and BTF may give another one first.
- Structures declared within a function are found by name in BTF only.
- BTF before Linux 6.0 has enumerators of 32 bits, doesn't say whether they are signed, and knows the size of a
  bit field's type by its name only.
"""

import json
import subprocess
from collections import Counter
from typing import Any

import pytest

import kdive
import lab
from kdive import TypeKind

pytestmark = pytest.mark.lab

KERNELS = ["5.10-amd64", "6.1-amd64", "6.1-arm64", "6.12-amd64"]
KEYWORDS = {
    "STRUCT": "struct ",
    "UNION": "union ",
    "ENUM": "enum ",
    "ENUM64": "enum ",
    "TYPEDEF": "",
    "INT": "",
}

# Old BTF: enumerators that don't fit 32 bits, or whose highest bit doesn't mean a sign; `signed char` behind an alias.
DIFFERENT_IN = {
    "5.10-amd64": {
        "__s8",
        "enum blake2s_iv",
        "enum blk_default_limits",
        "enum e820_type",
        "enum hmm_pfn_flags",
        "enum perf_callchain_context",
        "enum perf_event_sample_format",
        "enum rt_class_t",
        "enum what",
        "struct gnet_estimator",
        "struct i8042_port",
        "struct inet_bind_bucket",
        "struct sctp_bind_bucket",
        "struct swap_info_struct",
    }
}
MOST_LOCAL_TYPES = 30


def shape(kind: kdive.Type) -> Any:
    """What a type is, down to the next names."""
    match kind.kind:
        case TypeKind.TYPEDEF:
            return "typedef", kind.name
        case TypeKind.POINTER:
            return "pointer", shape(kind.type)
        case TypeKind.ARRAY:
            length, element = kind.length or 0, shape(kind.type)
            if element[0] == "array":
                return "array", length * element[1], element[2]
            return "array", length, element
        case TypeKind.STRUCT | TypeKind.UNION | TypeKind.ENUM:
            return (kind.kind.name, kind.tag) if kind.tag else (kind.kind.name, content(kind))
        case TypeKind.FUNCTION:
            return shape(kind.type), [shape(one.type) for one in kind.parameters], kind.is_variadic
        case TypeKind.INT:
            return "int", kind.name, kind.size, kind.is_signed
        case TypeKind.VOID:
            return "void"
    return kind.kind.name, kind.name, kind.size


def content(kind: kdive.Type) -> Any:
    """What the definition of a named type holds."""
    if kind.kind == TypeKind.TYPEDEF:
        return shape(kind.type)
    if kind.kind == TypeKind.ENUM:
        return [(one.name, one.value) for one in kind.enumerators or ()]
    if kind.kind in (TypeKind.STRUCT, TypeKind.UNION):
        return kind.size, [
            (member.name, member.bit_offset, member.bit_field_size, shape(member.type))
            for member in kind.members or ()
        ]
    return shape(kind)


def open_target(kernel: str, files: list[Any]) -> kdive.Program:
    prog = kdive.Program()
    prog.set_core_dump(lab.target("idle", kernel).dumps["elf"])
    if files:
        prog.load_debug_info(files)
    else:
        with pytest.raises(kdive.MissingDebugInfoError):
            prog.load_debug_info(main=True)
    return prog


@pytest.mark.parametrize("kernel", KERNELS)
def test_types_are_those_of_the_dwarf_and_of_bpftool(kernel: str) -> None:
    vmlinux = lab.target("idle", kernel).vmlinux
    dump = subprocess.run(
        ["bpftool", "--json", "btf", "dump", "file", vmlinux], capture_output=True, check=True
    )
    records = [
        record
        for record in json.loads(dump.stdout)["types"]
        if record["kind"] in KEYWORDS
        and record["name"] != "(anon)"
        # An enumeration without values is only declared.
        and record.get("values") != []
    ]
    names = Counter(KEYWORDS[record["kind"]] + record["name"] for record in records)
    bare, full = open_target(kernel, []), open_target(kernel, [vmlinux])
    local: set[str] = set()
    ambiguous: set[str] = set()
    different: set[str] = set()
    for name in names:
        mine = bare.type(name)
        try:
            other = full.type(name)
        except LookupError:
            local.add(name)
            continue
        if content(mine) != content(other):
            (different if names[name] == 1 else ambiguous).add(name)
    assert different == DIFFERENT_IN.get(kernel, set())
    assert len(local) <= MOST_LOCAL_TYPES
    assert len(names) > 9000

    for record in records:
        name = KEYWORDS[record["kind"]] + record["name"]
        if record["kind"] in ("STRUCT", "UNION") and names[name] == 1:
            mine = bare.type(name)
            assert (
                mine.size,
                [
                    (member.name or "(anon)", member.bit_offset, member.bit_field_size or 0)
                    for member in mine.members or ()
                ],
            ) == (
                record["size"],
                [
                    (member["name"], member["bits_offset"], member.get("bitfield_size", 0))
                    for member in record["members"]
                ],
            ), name
