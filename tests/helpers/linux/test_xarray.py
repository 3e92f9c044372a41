# SPDX-License-Identifier: Apache-2.0
from typing import Any

import pytest

from kdive import Object, Program, Type
from kdive.helpers import ValidationError
from kdive.helpers.linux.idr import idr_find, idr_for_each
from kdive.helpers.linux.pid import for_each_pid
from kdive.helpers.linux.radixtree import radix_tree_for_each, radix_tree_lookup
from kdive.helpers.linux.xarray import xa_for_each, xa_is_value, xa_is_zero, xa_load, xa_to_value

WIDTH = 16
ZERO_ENTRY = 0x406
SLOTS = 8


@pytest.fixture
def array(memory: Any) -> Any:
    """Memory with arrays whose nodes have 16 slots."""
    prog: Program = memory.prog

    def void_pointer() -> Type:
        return prog.pointer_type(prog.void_type())

    memory.define("xarray", 8, {"xa_head": (0, void_pointer)})
    memory.define(
        "xa_node",
        SLOTS + 8 * WIDTH,
        {
            "shift": (0, memory.integer(1)),
            "slots": (SLOTS, lambda: prog.array_type(void_pointer(), WIDTH)),
        },
    )

    def head(entry: int) -> Object:
        memory.write(memory.address(1), entry)
        array: Object = memory.pointer("xarray", memory.address(1))
        return array

    def node(slot: int, shift: int, entries: dict[int, int]) -> int:
        memory.write_bytes(memory.address(slot), bytes([shift]))
        for position, entry in entries.items():
            memory.write(memory.address(slot) + SLOTS + 8 * position, entry)
        return int(memory.address(slot)) | 2

    memory.head, memory.node = head, node
    return memory


def found(xa: Object, **options: bool) -> list[tuple[int, int]]:
    return [(index, entry.value_()) for index, entry in xa_for_each(xa, **options)]


def test_an_empty_array_and_one_entry(array: Any) -> None:
    assert found(array.head(0)) == []
    assert not xa_load(array.head(0), 0)
    single = array.head(0x1000)
    assert found(single) == [(0, 0x1000)]
    assert xa_load(single, 0).value_() == 0x1000
    assert not xa_load(single, 1)


def test_two_levels(array: Any) -> None:
    low = array.node(2, 0, {1: 0x1000, 15: 0x2000})
    high = array.node(3, 0, {0: 0x3000})
    xa = array.head(array.node(4, 4, {0: low, 5: high}))
    assert found(xa) == [(1, 0x1000), (15, 0x2000), (80, 0x3000)]
    assert [xa_load(xa, i).value_() for i in (0, 1, 15, 16, 80, 81)] == [
        0,
        0x1000,
        0x2000,
        0,
        0x3000,
        0,
    ]
    assert not xa_load(xa, 256)
    assert not xa_load(xa, 1 << 63)
    assert [(i, e.value_()) for i, e in radix_tree_for_each(xa)] == found(xa)
    assert radix_tree_lookup(xa, 80).value_() == 0x3000


def test_an_entry_over_several_indices(array: Any) -> None:
    # A sibling entry holds the number of the slot that has the entry.
    xa = array.head(array.node(2, 0, {4: 0x1000, 5: 4 << 2 | 2, 6: 4 << 2 | 2, 7: 4 << 2 | 2}))
    assert found(xa) == [(4, 0x1000)]
    assert [xa_load(xa, i).value_() for i in (3, 4, 7, 8)] == [0, 0x1000, 0x1000, 0]


def test_values_and_reserved_entries(array: Any) -> None:
    xa = array.head(array.node(2, 0, {0: 100 << 1 | 1, 3: ZERO_ENTRY, 9: 0x1000}))
    assert found(xa) == [(0, 201), (9, 0x1000)]
    assert found(xa, advanced=True) == [(0, 201), (3, ZERO_ENTRY), (9, 0x1000)]
    value = xa_load(xa, 0)
    assert xa_is_value(value)
    assert xa_to_value(value).value_() == 100
    assert not xa_load(xa, 3)
    assert xa_is_zero(xa_load(xa, 3, advanced=True))
    assert not xa_is_value(xa_load(xa, 9))


def test_a_cycle_ends_in_an_error(array: Any) -> None:
    node = array.node(2, 4, {3: array.address(2) | 2})
    xa = array.head(node)
    with pytest.raises(ValidationError, match="has shift 4, its parent 4"):
        found(xa)
    with pytest.raises(ValidationError, match="has shift 4, its parent 4"):
        xa_load(xa, 0x30)


@pytest.mark.lab
def test_process_ids(prog: Program, truth: dict[str, Any]) -> None:
    idr = prog["init_pid_ns"].idr.address_of_()
    ids = [index for index, _ in idr_for_each(idr)]
    assert {task["pid"] for task in truth["tasks"]} - {truth["observer_pid"]} <= set(ids)
    assert [pid.numbers[0].nr.value_() for pid in for_each_pid(prog)] == ids
    assert idr_find(idr, 1) == next(for_each_pid(prog))
    assert not idr_find(idr, -1)
    assert not idr_find(idr, max(ids) + 1)
