"""The types that kdive knows of the kernel's variables are those of the DWARF of every lab kernel."""

from functools import cache
from pathlib import Path

import pytest

import kdive
import lab

pytestmark = pytest.mark.lab

AREAS = Path(__file__).parents[1] / "crates/kdive-engine/src/program/builtin/globals"
NAMES = sorted(
    {
        line.partition(": ")[0]
        for area in AREAS.glob("*.txt")
        for line in area.read_text().splitlines()
        if not line.startswith("#")
    }
)
KERNELS = ["5.10-amd64", "6.1-amd64", "6.1-arm64", "6.12-amd64"]


@cache
def sessions(kernel: str) -> tuple[kdive.Program, kdive.Program]:
    target = lab.target("idle", kernel)
    bare, full = kdive.Program(), kdive.Program()
    bare.set_core_dump(target.dumps["elf"])
    with pytest.raises(kdive.MissingDebugInfoError):
        bare.load_debug_info(main=True)
    full.set_core_dump(target.dumps["elf"])
    full.load_debug_info([target.vmlinux])
    return bare, full


def meaning(kind: kdive.Type) -> str:
    """What a type is, without the names of aliases, without qualifiers and the lengths of arrays."""
    match kind.kind:
        case kdive.TypeKind.TYPEDEF:
            return meaning(kind.type)
        case kdive.TypeKind.POINTER:
            return meaning(kind.type) + " *"
        case kdive.TypeKind.ARRAY:
            return meaning(kind.type) + " []"
        case kdive.TypeKind.INT:
            return f"int of {kind.size} bytes, {'signed' if kind.is_signed else 'unsigned'}"
        case kdive.TypeKind.STRUCT | kdive.TypeKind.UNION if kind.tag is None:
            members = "; ".join(
                f"{member.name} at {member.bit_offset}: {meaning(member.type)}"
                for member in kind.members or ()
            )
            return f"{{{members}}} of {kind.size} bytes"
        case kdive.TypeKind.STRUCT | kdive.TypeKind.UNION:
            return f"{kind.tag} of {kind.size} bytes"
    return kind.type_name()


@pytest.mark.parametrize("kernel", KERNELS)
def test_types_are_those_of_the_dwarf(kernel: str) -> None:
    bare, full = sessions(kernel)
    compared = 0
    for name in NAMES:
        try:
            mine = bare.variable(name)
        except LookupError:
            continue
        if mine.absent_:
            # BTF has its type, and kallsyms no symbol: Debian's arm64 kernels keep few of data.
            with pytest.raises(LookupError):
                bare.symbol(name)
            continue
        other = full.variable(name)
        assert mine.address_ == other.address_, name
        assert meaning(mine.type_) == meaning(other.type_), name
        if mine.type_.kind == kdive.TypeKind.ARRAY:
            length, exact = mine.type_.length, other.type_.length
            if length is not None and exact is not None:
                # Up to the next symbol, which may leave a gap.
                assert 0 <= (length - exact) * kdive.sizeof(other.type_.type) < 64, name
        compared += 1
    # Debian's arm64 kernels have symbols of exported variables only.
    assert compared > (25 if kernel == "6.1-arm64" else 450)


def test_every_variable_is_in_some_kernel() -> None:
    # Since Linux 6.17, which the lab does not have.
    newer = {"timekeeper_data"}
    missing = set(NAMES) - newer
    for kernel in KERNELS:
        _, full = sessions(kernel)
        for name in list(missing):
            try:
                full.variable(name)
            except LookupError:
                continue
            missing.remove(name)
    assert missing == set()
