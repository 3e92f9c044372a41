# SPDX-License-Identifier: Apache-2.0
"""What the tests of helpers run on: dumps from the lab, and memory made up here where it has to be broken."""

import contextlib
import struct
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import kdive
from kdive import Architecture, Object, Platform, Program, Type, TypeKindSet, TypeMember


class MadeUpMemory:
    """A 64-bit little-endian program whose memory and types a test writes itself.

    Structures are given as words: ``define("struct list_head", next=0, prev=8)`` makes members that are
    pointers to the structure itself.
    """

    BASE = 0xFFFF888000000000
    SIZE = 1 << 20

    def __init__(self) -> None:
        self.prog = Program(Platform(Architecture.X86_64))
        self._data = bytearray(self.SIZE)
        self._types: dict[str, Type] = {}
        self.prog.add_memory_segment(self.BASE, self.SIZE, self._read)
        self.prog.register_type_finder("made up", self._find_type, enable_index=0)

    def _read(self, _address: int, count: int, offset: int, _physical: bool) -> bytes:
        return bytes(self._data[offset : offset + count])

    def _find_type(
        self, _prog: Program, kinds: TypeKindSet, name: str, _filename: str | None
    ) -> Type | None:
        found = self._types.get(name)
        return found if found is not None and found.kind in kinds else None

    def address(self, slot: int) -> int:
        """Get the address of the slot of 256 bytes with a number; slot 0 is never used."""
        return self.BASE + slot * 256

    def write(self, address: int, *words: int) -> None:
        """Write words of eight bytes."""
        data = struct.pack(f"<{len(words)}Q", *words)
        offset = address - self.BASE
        self._data[offset : offset + len(data)] = data

    def write_bytes(self, address: int, data: bytes) -> None:
        offset = address - self.BASE
        self._data[offset : offset + len(data)] = data

    def define(
        self, name: str, size: int, members: dict[str, tuple[int, Callable[[], Type]]]
    ) -> Type:
        """Define ``struct NAME`` by the offsets in bytes and the types of its members."""
        made = [TypeMember(make, member, 8 * offset) for member, (offset, make) in members.items()]
        self._types[name] = self.prog.struct_type(name, size, made)
        return self._types[name]

    def pointer_to(self, name: str) -> Callable[[], Type]:
        return lambda: self.prog.pointer_type(self.prog.type(f"struct {name}"))

    def integer(self, size: int) -> Callable[[], Type]:
        name = {1: "unsigned char", 4: "unsigned int", 8: "unsigned long"}[size]
        return lambda: self.prog.int_type(name, size, False)

    def pointer(self, name: str, address: int) -> Object:
        return Object(self.prog, self.prog.pointer_type(self.prog.type(f"struct {name}")), address)


@pytest.fixture
def memory() -> MadeUpMemory:
    return MadeUpMemory()


_programs: dict[str, tuple[Program, dict[str, Any]]] = {}


def open_target(name: str, form: str, kernel: str | None = None) -> tuple[Program, dict[str, Any]]:
    """Open a dump of a lab target, once in a session; and get its truth."""
    import lab

    key = f"{name}/{form}/{kernel}"
    if key not in _programs:
        target = lab.target(name) if kernel is None else lab.target(name, kernel)
        prog = kdive.program_from_core_dump(target.dumps[form])
        # The modules that a scenario does not name have no debug files here.
        with contextlib.suppress(kdive.MissingDebugInfoError):
            prog.load_debug_info([target.vmlinux, *target.modules.values()])
        _programs[key] = prog, target.truth
    return _programs[key]


@pytest.fixture
def idle() -> Iterator[tuple[Program, dict[str, Any]]]:
    """The dump of a guest that does nothing, the default program for a test, and what the guest said of itself."""
    prog, truth = open_target("idle", "elf")
    kdive.set_default_prog(prog)
    yield prog, truth["after"]
    kdive.set_default_prog(None)


@pytest.fixture
def prog(idle: tuple[Program, dict[str, Any]]) -> Program:
    return idle[0]


@pytest.fixture
def truth(idle: tuple[Program, dict[str, Any]]) -> dict[str, Any]:
    return idle[1]


@pytest.fixture
def before() -> dict[str, Any]:
    """What the guest said of itself before the dump was made; ``truth`` is from after."""
    before: dict[str, Any] = open_target("idle", "elf")[1]["before"]
    return before


@pytest.fixture
def scenario() -> Callable[..., tuple[Program, dict[str, Any]]]:
    """Open any scenario of the lab by name, dump format and, unless it is the default one, kernel."""
    return open_target
