"""Walks along chains and down trees of pointers, and how objects lie in Python's memory."""

import gc
import itertools
import struct
import sys
from collections.abc import Iterator

import pytest

from kdive import (
    Architecture,
    FaultError,
    Object,
    Platform,
    PlatformFlags,
    Program,
    host_platform,
)
from kdive._native import _MemberReader, _Pointers, _words_at
from kdive.helpers import ValidationError
from kdive.helpers.linux._walk import follow, inorder, member_reader, pointers

BASE = 0x1000
BIG_ENDIAN = Platform(Architecture.S390X, PlatformFlags.IS_64_BIT)


def memory(words: list[int], platform: Platform = host_platform) -> Program:
    """A program with words at BASE."""
    order = "<" if platform.flags & PlatformFlags.IS_LITTLE_ENDIAN else ">"
    data = struct.pack(f"{order}{len(words)}Q", *words)
    prog = Program(platform)
    prog.add_memory_segment(
        BASE, len(data), lambda _address, count, offset, _physical: data[offset : offset + count]
    )
    return prog


def place(index: int) -> int:
    """The address of a word."""
    return BASE + 8 * index


@pytest.mark.parametrize("platform", [host_platform, BIG_ENDIAN])
def test_words(platform: Platform) -> None:
    prog = memory([1, 2**64 - 1, 0x0102030405060708], platform)
    assert _words_at(prog, BASE, 3) == [1, 2**64 - 1, 0x0102030405060708]
    assert _words_at(prog, place(1), 0) == []
    with pytest.raises(FaultError) as fault:
        _words_at(prog, place(1), 3)
    assert fault.value.address == place(3)


def test_member() -> None:
    prog = memory([10, 20, 30])
    read = member_reader(prog, 8)
    assert read(BASE) == 20
    # Addresses wrap as the processor's do.
    assert member_reader(prog, 16)((BASE - 16) % 2**64) == 10
    assert _MemberReader(prog, place(2))(0) == 30
    assert member_reader(prog, 2**64 - 8)(place(1)) == 10
    with pytest.raises(FaultError):
        read(place(2))


def test_chain_ends() -> None:
    prog = memory([place(2), 0, place(1)])
    walk = follow(member_reader(prog, 0), BASE, 0, "list")
    assert list(walk) == [BASE, place(2), place(1)]
    assert list(walk) == []
    assert list(follow(member_reader(prog, 0), BASE, place(1), "list")) == [BASE, place(2)]
    assert list(follow(member_reader(prog, 0), 0, 0, "list")) == []


def test_chain_reads_no_further_than_it_is_asked() -> None:
    steps = []

    def step(address: int) -> int:
        steps.append(address)
        return address + 8

    walk = follow(step, 8, 80, "list")
    assert [next(walk), next(walk)] == [8, 16]
    assert steps == [8]


def test_chain_faults_where_it_leads_out_of_memory() -> None:
    prog = memory([place(1), 0xDEAD000000000100])
    walk = follow(member_reader(prog, 0), BASE, 0, "list")
    assert [next(walk), next(walk), next(walk)] == [BASE, place(1), 0xDEAD000000000100]
    with pytest.raises(FaultError) as fault:
        next(walk)
    assert fault.value.address == 0xDEAD000000000100
    assert list(walk) == []


@pytest.mark.parametrize(("length", "back_to"), [(1, 0), (2, 1), (70, 0), (300, 290), (300, 3)])
def test_chain_finds_cycles(length: int, back_to: int) -> None:
    words = [place(index + 1) for index in range(length)]
    words[-1] = place(back_to)
    walk = follow(member_reader(memory(words), 0), BASE, 0, "chain")
    bounded = itertools.islice(walk, 10 * length + 100)
    with pytest.raises(ValidationError, match="chain 0x1000 runs into a cycle at 0x1"):
        list(bounded)
    assert list(walk) == []


def test_chain_is_not_entered_twice() -> None:
    walk: Iterator[int]

    def step(_address: int) -> int:
        return next(walk)

    walk = follow(step, 8, 80, "list")
    assert next(walk) == 8
    with pytest.raises(ValueError, match="already executing"):
        next(walk)


def test_tree() -> None:
    # Nodes of two words: 0 has 2 and 4 below it, 2 has nothing and 6.
    tree = [place(2), place(4), 0, place(6), 0, 0, 0, 0]
    prog = memory(tree)
    assert list(inorder(prog, BASE, 0, 8, "tree")) == [place(i) for i in (2, 6, 0, 4)]
    assert list(inorder(prog, BASE, 8, 0, "tree")) == [place(i) for i in (4, 0, 6, 2)]
    assert list(inorder(prog, 0, 0, 8, "tree")) == []


def test_tree_reaches_no_node_twice() -> None:
    tree = [place(2), 0, 0, BASE]
    walk = inorder(memory(tree), BASE, 0, 8, "tree")
    assert next(walk) == place(2)
    with pytest.raises(ValidationError, match="tree reaches node 0x1000 twice"):
        next(walk)
    assert list(walk) == []


def test_pointers() -> None:
    prog = memory([place(2), 0, 0])
    pointer_type = prog.pointer_type(prog.type("int"))
    chain = follow(member_reader(prog, 0), BASE, 0, "list")
    from_chain = list(_Pointers(pointer_type, chain, 8))
    from_list = list(_Pointers(pointer_type, [BASE, place(2)], 8))
    expected = [Object(prog, pointer_type, BASE - 8), Object(prog, pointer_type, place(1))]
    assert [repr(pointer) for pointer in from_chain] == [repr(pointer) for pointer in expected]
    assert [repr(pointer) for pointer in from_list] == [repr(pointer) for pointer in expected]
    (below,) = _Pointers(pointer_type, [0], 8)
    assert below.value_() == 2**64 - 8
    assert [node.value_() for node in pointers(prog, "int", iter([1, 2]))] == [1, 2]
    with pytest.raises(TypeError, match="pointers"):
        _Pointers(prog.type("int"), [1])


def test_objects_are_freed_with_what_they_hold() -> None:
    prog = memory([7])
    before = sys.getrefcount(prog), sys.getrefcount(Object)
    objects = [Object(prog, "unsigned long", address=BASE) for _ in range(1000)]
    objects += [value + value for value in objects]
    assert sys.getrefcount(prog) == before[0] + 2000
    assert sys.getrefcount(Object) == before[1] + 2000
    total = sum(objects, start=Object(prog, "unsigned long", 0))
    assert total.value_() == 1000 * 7 + 1000 * 14
    assert not gc.is_tracked(objects[0])
    del objects, total
    assert (sys.getrefcount(prog), sys.getrefcount(Object)) == before


def test_the_class_of_objects_is_final() -> None:
    with pytest.raises(TypeError, match="not an acceptable base type"):
        type("Sub", (Object,), {})
