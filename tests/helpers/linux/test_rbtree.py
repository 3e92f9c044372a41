# SPDX-License-Identifier: Apache-2.0
import itertools
from collections.abc import Callable
from typing import Any

import pytest

from kdive import Object, Program
from kdive.helpers import ValidationError
from kdive.helpers.linux import rbtree

NODE = 8
BLACK = 1


@pytest.fixture
def tree(memory: Any) -> Callable[[dict[int, tuple[int, int, int, int]], int], Object]:
    """Make trees of ``struct item { unsigned long key; struct rb_node node; }``, each with its key as the slot."""
    link = memory.pointer_to("rb_node")
    memory.define(
        "rb_node",
        24,
        {"__rb_parent_color": (0, memory.integer(8)), "rb_right": (8, link), "rb_left": (16, link)},
    )
    memory.define("rb_root", 8, {"rb_node": (0, link)})
    memory.define(
        "item",
        32,
        {"key": (0, memory.integer(8)), "node": (NODE, lambda: memory.prog.type("struct rb_node"))},
    )

    def place(key: int) -> int:
        return memory.address(key) + NODE if key else 0

    def make(nodes: dict[int, tuple[int, int, int, int]], root: int) -> Object:
        """Write nodes as key: (parent, left, right, colour)."""
        for key, (parent, left, right, colour) in nodes.items():
            memory.write(memory.address(key), key)
            memory.write(place(key), place(parent) | colour, place(right), place(left))
        memory.write(memory.address(1000), place(root))
        root_pointer: Object = memory.pointer("rb_root", memory.address(1000))
        return root_pointer

    return make


#        40
#     20    60
#   10 30
FIVE = {
    40: (0, 20, 60, BLACK),
    20: (40, 10, 30, 0),
    60: (40, 0, 0, BLACK),
    10: (20, 0, 0, BLACK),
    30: (20, 0, 0, BLACK),
}


def compare(a: Object, b: Object) -> int:
    return int(a.key.value_()) - int(b.key.value_())


def keys(entries: Any) -> list[int]:
    return [entry.key.value_() for entry in entries]


def test_an_empty_tree(tree: Any) -> None:
    root = tree({}, 0)
    assert rbtree.RB_EMPTY_ROOT(root)
    assert not rbtree.rb_first(root)
    assert not rbtree.rb_last(root)
    assert list(rbtree.rbtree_inorder_for_each(root)) == []
    rbtree.validate_rbtree("struct item", root, "node", compare, False)


def test_orders(tree: Any) -> None:
    root = tree(FIVE, 40)
    assert keys(rbtree.rbtree_inorder_for_each_entry("struct item", root, "node")) == [
        10,
        20,
        30,
        40,
        60,
    ]
    assert keys(rbtree.rbtree_preorder_for_each_entry("struct item", root, "node")) == [
        40,
        20,
        10,
        30,
        60,
    ]
    assert len(list(rbtree.rbtree_preorder_for_each(root))) == 5
    rbtree.validate_rbtree("struct item", root, "node", compare, False)


def test_neighbours(tree: Any) -> None:
    root = tree(FIVE, 40)
    nodes = list(rbtree.rbtree_inorder_for_each(root))
    assert rbtree.rb_first(root) == nodes[0]
    assert rbtree.rb_last(root) == nodes[-1]
    for before, after in itertools.pairwise(nodes):
        assert rbtree.rb_next(before) == after
        assert rbtree.rb_prev(after) == before
    assert not rbtree.rb_next(nodes[-1])
    assert not rbtree.rb_prev(nodes[0])
    assert rbtree.rb_parent(nodes[0]) == nodes[1]


def test_a_node_that_is_its_own_parent_is_in_no_tree(tree: Any) -> None:
    root = tree({40: (40, 0, 0, 0)}, 40)
    node = root.rb_node.read_()
    assert rbtree.RB_EMPTY_NODE(node)
    assert not rbtree.rb_next(node)


def test_finding_by_key(tree: Any) -> None:
    root = tree(FIVE, 40)

    def by_key(key: int, entry: Object) -> int:
        return key - int(entry.key.value_())

    for key in FIVE:
        assert rbtree.rb_find("struct item", root, "node", key, by_key).key.value_() == key
    assert not rbtree.rb_find("struct item", root, "node", 41, by_key)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({10: (20, 0, 40, BLACK)}, "twice"),
        ({30: (40, 0, 0, BLACK)}, "is a child of .* but has parent"),
        ({40: (0, 20, 60, 0)}, "is red"),
        ({10: (20, 0, 0, 0)}, "is red like its parent"),
        ({60: (40, 0, 0, 0)}, "different numbers of black nodes"),
    ],
)
def test_broken_trees_are_told(tree: Any, change: dict[int, Any], message: str) -> None:
    root = tree({**FIVE, **change}, 40)
    with pytest.raises(ValidationError, match=message):
        rbtree.validate_rbtree("struct item", root, "node", compare, False)


def test_a_cycle_ends_every_walk(tree: Any) -> None:
    root = tree({**FIVE, 60: (40, 0, 20, BLACK)}, 40)
    for walk in (rbtree.rbtree_inorder_for_each, rbtree.rbtree_preorder_for_each):
        with pytest.raises(ValidationError, match="twice"):
            list(walk(root))
    left_loop = tree({**FIVE, 10: (20, 40, 0, BLACK)}, 40)
    with pytest.raises(ValidationError, match="deeper than"):
        rbtree.rb_first(left_loop)


def test_equal_entries(tree: Any, memory: Any) -> None:
    root = tree(FIVE, 40)
    memory.write(memory.address(30), 20)
    rbtree.validate_rbtree("struct item", root, "node", compare, True)
    with pytest.raises(ValidationError, match="are equal"):
        rbtree.validate_rbtree("struct item", root, "node", compare, False)
    memory.write(memory.address(30), 5)
    with pytest.raises(ValidationError, match="should come after"):
        rbtree.validate_rbtree("struct item", root, "node", compare, True)


@pytest.mark.lab
def test_the_tree_of_vmalloc_areas_is_valid(prog: Program) -> None:
    def by_start(a: Object, b: Object) -> int:
        return int(a.va_start.value_()) - int(b.va_start.value_())

    root = prog["vmap_area_root"].address_of_()
    areas = list(
        rbtree.validate_rbtree_inorder_for_each_entry(
            "struct vmap_area", root, "rb_node", by_start, False
        )
    )
    assert len(areas) > 100
