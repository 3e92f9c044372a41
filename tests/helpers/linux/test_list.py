# SPDX-License-Identifier: Apache-2.0
from itertools import islice
from typing import Any

import pytest

from kdive import FaultError, Program
from kdive.helpers import ValidationError
from kdive.helpers.linux import list as lists, list_nulls, llist, plist


@pytest.fixture
def items(memory: Any) -> Any:
    """Memory with ``struct item { unsigned long value; struct list_head node; struct hlist_node hash; ... }``."""
    memory.define(
        "list_head",
        16,
        {"next": (0, memory.pointer_to("list_head")), "prev": (8, memory.pointer_to("list_head"))},
    )
    for name in ("hlist_node", "hlist_nulls_node", "llist_node"):
        memory.define(
            name, 16 if name != "llist_node" else 8, {"next": (0, memory.pointer_to(name))}
        )
    for name in ("hlist", "hlist_nulls", "llist"):
        memory.define(f"{name}_head", 8, {"first": (0, memory.pointer_to(f"{name}_node"))})
    prog = memory.prog
    memory.define(
        "item",
        64,
        {
            "value": (0, memory.integer(8)),
            "node": (8, lambda: prog.type("struct list_head")),
            "hash": (24, lambda: prog.type("struct hlist_node")),
            "nulls": (40, lambda: prog.type("struct hlist_nulls_node")),
            "lockless": (56, lambda: prog.type("struct llist_node")),
        },
    )
    return memory


NODE, HASH, NULLS, LOCKLESS = 8, 24, 40, 56


def make_list(memory: Any, count: int) -> Any:
    """Make a list whose head is slot 1 and whose items are the slots from 2 on, with their numbers as values."""
    nodes = [memory.address(1)] + [memory.address(2 + i) + NODE for i in range(count)]
    for i, node in enumerate(nodes):
        memory.write(node, nodes[(i + 1) % len(nodes)], nodes[i - 1])
        if i:
            memory.write(node - NODE, i)
    return memory.pointer("list_head", nodes[0])


def values(entries: Any) -> list[int]:
    return [entry.value.value_() for entry in entries]


def test_an_empty_list(items: Any) -> None:
    head = make_list(items, 0)
    assert lists.list_empty(head)
    assert not lists.list_is_singular(head)
    assert lists.list_count_nodes(head) == 0
    assert list(lists.list_for_each(head)) == []
    assert not lists.list_first_entry_or_null(head, "struct item", "node")
    lists.validate_list(head)


def test_one_entry(items: Any) -> None:
    head = make_list(items, 1)
    assert not lists.list_empty(head)
    assert lists.list_is_singular(head)
    assert lists.list_first_entry(head, "struct item", "node") == lists.list_last_entry(
        head, "struct item", "node"
    )


def test_entries_in_both_directions(items: Any) -> None:
    head = make_list(items, 5)
    assert not lists.list_is_singular(head)
    assert lists.list_count_nodes(head) == lists.validate_list_count_nodes(head) == 5
    assert values(lists.list_for_each_entry("struct item", head, "node")) == [1, 2, 3, 4, 5]
    assert values(lists.list_for_each_entry_reverse("struct item", head, "node")) == [5, 4, 3, 2, 1]
    assert values(lists.validate_list_for_each_entry("struct item", head, "node")) == [
        1,
        2,
        3,
        4,
        5,
    ]
    addresses = [items.address(2 + i) + NODE for i in range(5)]
    assert [node.value_() for node in lists.list_for_each(head)] == addresses
    assert [node.value_() for node in lists.list_for_each_reverse(head)] == addresses[::-1]


def test_neighbours(items: Any) -> None:
    head = make_list(items, 3)
    first = lists.list_first_entry_or_null(head, "struct item", "node")
    second = lists.list_next_entry(first, "node")
    assert second.value.value_() == 2
    assert lists.list_prev_entry(second, "node") == first


@pytest.mark.parametrize("length", [1, 2, 63, 64, 65, 500])
@pytest.mark.parametrize("back_to", [1, 2])
def test_a_cycle_ends_in_an_error(items: Any, length: int, back_to: int) -> None:
    head = make_list(items, length)
    target = min(back_to, length)
    items.write(items.address(1 + length) + NODE, items.address(1 + target) + NODE)
    with pytest.raises(ValidationError, match="runs into a cycle"):
        lists.list_count_nodes(head)
    with pytest.raises(ValidationError):
        lists.validate_list(head)


def test_what_comes_before_a_cycle_is_still_found(items: Any) -> None:
    head = make_list(items, 100)
    items.write(items.address(101) + NODE, items.address(50) + NODE)
    assert values(islice(lists.list_for_each_entry("struct item", head, "node"), 100)) == list(
        range(1, 101)
    )


def test_links_that_disagree_are_named(items: Any) -> None:
    head = make_list(items, 3)
    items.write(items.address(3) + NODE + 8, 0xDEAD)
    assert lists.list_count_nodes(head) == 3
    with pytest.raises(ValidationError, match=r"next 0x\w+ has prev 0xdead"):
        lists.validate_list(head)


def test_a_link_to_nowhere_is_a_fault_with_its_address(items: Any) -> None:
    head = make_list(items, 3)
    items.write(items.address(3) + NODE, 0xDEAD000000000100)
    with pytest.raises(FaultError) as error:
        lists.list_count_nodes(head)
    assert error.value.address == 0xDEAD000000000100


def test_a_head_must_be_a_pointer(items: Any) -> None:
    head = make_list(items, 1)
    with pytest.raises(TypeError, match=r"expected struct list_head \*"):
        list(lists.list_for_each(head[0]))


def make_chain(memory: Any, count: int, member: int, end: int = 0) -> int:
    """Make a singly linked list of the slots from 2 on whose head is slot 1; the first node is returned."""
    nodes = [memory.address(2 + i) + member for i in range(count)] + [end]
    memory.write(memory.address(1), nodes[0])
    for i, node in enumerate(nodes[:-1]):
        memory.write(memory.address(2 + i), i + 1)
        memory.write(node, nodes[i + 1])
    first: int = nodes[0]
    return first


def test_hash_lists(items: Any) -> None:
    make_chain(items, 0, HASH)
    head = items.pointer("hlist_head", items.address(1))
    assert lists.hlist_empty(head)
    assert list(lists.hlist_for_each(head)) == []
    make_chain(items, 3, HASH)
    assert not lists.hlist_empty(head)
    assert values(lists.hlist_for_each_entry("struct item", head, "hash")) == [1, 2, 3]
    items.write(items.address(4) + HASH, items.address(3) + HASH)
    with pytest.raises(ValidationError, match="hash list 0x"):
        list(lists.hlist_for_each(head))


def test_nulls_hash_lists_end_at_any_odd_marker(items: Any) -> None:
    make_chain(items, 0, NULLS, end=0xB)
    head = items.pointer("hlist_nulls_head", items.address(1))
    assert list_nulls.hlist_nulls_empty(head)
    assert list_nulls.is_a_nulls(head.first)
    assert list(list_nulls.hlist_nulls_for_each_entry("struct item", head, "nulls")) == []
    make_chain(items, 3, NULLS, end=0x1235)
    assert not list_nulls.hlist_nulls_empty(head)
    assert values(list_nulls.hlist_nulls_for_each_entry("struct item", head, "nulls")) == [1, 2, 3]


def test_lockless_lists(items: Any) -> None:
    make_chain(items, 1, LOCKLESS)
    head = items.pointer("llist_head", items.address(1))
    assert llist.llist_is_singular(head)
    make_chain(items, 3, LOCKLESS)
    assert not llist.llist_empty(head)
    assert not llist.llist_is_singular(head)
    assert values(llist.llist_for_each_entry("struct item", head.first, "lockless")) == [1, 2, 3]
    assert len(list(llist.llist_for_each(head.first))) == 3
    first = llist.llist_first_entry(head, "struct item", "lockless")
    assert llist.llist_next_entry(first, "lockless").value.value_() == 2
    make_chain(items, 0, LOCKLESS)
    assert llist.llist_empty(head)
    assert not llist.llist_first_entry_or_null(head, "struct item", "lockless")


@pytest.mark.lab
def test_the_list_of_modules_is_what_the_guest_listed(prog: Program, truth: dict[str, Any]) -> None:
    head = prog["modules"].address_of_()
    lists.validate_list(head)
    modules = lists.list_for_each_entry("struct module", head, "list")
    assert [m.name.string_().decode() for m in modules] == [m["name"] for m in truth["modules"]]


@pytest.mark.lab
def test_priority_lists(prog: Program) -> None:
    nodes = list(plist.plist_for_each(prog["swap_active_head"].address_of_()))
    assert nodes == []
    assert plist.plist_head_empty(prog["swap_active_head"].address_of_())
