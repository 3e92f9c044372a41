# SPDX-License-Identifier: Apache-2.0
"""Red-black trees (``struct rb_root``, include/linux/rbtree.h).

No traversal visits a node twice: a tree whose links form a cycle raises `ValidationError`.
"""

from collections.abc import Callable, Generator, Iterator
from typing import NamedTuple, TypeVar

from kdive import NULL, Object, Program, Type, container_of, offsetof
from kdive.helpers import ValidationError
from kdive.helpers.linux._walk import entries, inorder, pointer_value, pointers

__all__ = (
    "RB_EMPTY_NODE",
    "RB_EMPTY_ROOT",
    "rb_find",
    "rb_first",
    "rb_last",
    "rb_next",
    "rb_parent",
    "rb_prev",
    "rbtree_inorder_for_each",
    "rbtree_inorder_for_each_entry",
    "rbtree_preorder_for_each",
    "rbtree_preorder_for_each_entry",
    "validate_rbtree",
    "validate_rbtree_inorder_for_each_entry",
)

KeyType = TypeVar("KeyType")

# A red-black tree of n nodes is at most 2 * log2(n + 1) high.
_MAX_HEIGHT = 128


def RB_EMPTY_ROOT(root: Object) -> bool:
    """Return whether a tree is empty.

    :param root: ``struct rb_root *``
    """
    return not root.rb_node


def RB_EMPTY_NODE(node: Object) -> bool:
    """Return whether a node is in no tree. Such a node is its own parent.

    :param node: ``struct rb_node *``
    """
    return bool(node.member_("__rb_parent_color").value_() == node.value_())


def rb_parent(node: Object) -> Object:
    """Get the parent of a node.

    The lowest two bits of ``__rb_parent_color`` hold the colour and are masked.

    :param node: ``struct rb_node *``
    :return: ``struct rb_node *``
    """
    return Object(node.prog_, node.type_, node.member_("__rb_parent_color").value_() & ~3)


def _descend(node: Object, side: str) -> Object:
    for _ in range(_MAX_HEIGHT):
        below = node.member_(side).read_()
        if not below:
            return node
        node = below
    raise ValidationError(f"red-black tree is deeper than {_MAX_HEIGHT} nodes at {hex(node)}")


def _end(root: Object, side: str) -> Object:
    node = root.rb_node.read_()
    return _descend(node, side) if node else node


def rb_first(root: Object) -> Object:
    """Get the first node of a tree in sort order, or ``NULL`` if the tree is empty.

    :param root: ``struct rb_root *``
    :return: ``struct rb_node *``
    """
    return _end(root, "rb_left")


def rb_last(root: Object) -> Object:
    """Get the last node of a tree in sort order, or ``NULL`` if the tree is empty.

    :param root: ``struct rb_root *``
    :return: ``struct rb_node *``
    """
    return _end(root, "rb_right")


def _neighbour(node: Object, towards: str, away: str) -> Object:
    node = node.read_()
    if RB_EMPTY_NODE(node):
        return NULL(node.prog_, node.type_)
    below = node.member_(towards).read_()
    if below:
        return _descend(below, away)
    for _ in range(_MAX_HEIGHT):
        parent = rb_parent(node)
        if not parent or node != parent.member_(towards):
            return parent
        node = parent
    raise ValidationError(f"red-black tree is deeper than {_MAX_HEIGHT} nodes at {hex(node)}")


def rb_next(node: Object) -> Object:
    """Get the node after a node in sort order.

    :param node: ``struct rb_node *``
    :return: ``struct rb_node *``, ``NULL`` if *node* is the last one or in no tree.
    """
    return _neighbour(node, "rb_right", "rb_left")


def rb_prev(node: Object) -> Object:
    """Get the node before a node in sort order.

    :param node: ``struct rb_node *``
    :return: ``struct rb_node *``, ``NULL`` if *node* is the first one or in no tree.
    """
    return _neighbour(node, "rb_left", "rb_right")


class _Node(NamedTuple):
    """One node as read from memory, with the addresses it links to."""

    address: int
    parent: int
    black: bool
    left: int
    right: int


class _Nodes:
    """Reads the nodes of one tree, each in one piece and none twice."""

    def __init__(self, prog: Program) -> None:
        node_type = prog.type("struct rb_node")
        self._prog = prog
        self._type = prog.pointer_type(node_type)
        self._offsets = [
            offsetof(node_type, m) for m in ("__rb_parent_color", "rb_left", "rb_right")
        ]
        self._seen: set[int] = set()

    def read(self, address: int) -> _Node:
        if address in self._seen:
            raise ValidationError(f"red-black tree reaches node {hex(address)} twice")
        self._seen.add(address)
        read_word = self._prog.read_word
        parent_color, left, right = (read_word(address + offset) for offset in self._offsets)
        return _Node(address, parent_color & ~3, bool(parent_color & 1), left, right)


def _root_address(root: Object) -> int:
    pointer_value(root, "struct rb_root")
    address: int = root.rb_node.value_()
    return address


def _inorder(root: Object) -> Iterator[int]:
    prog = root.prog_
    left, right = (offsetof(prog.type("struct rb_node"), m) for m in ("rb_left", "rb_right"))
    return inorder(prog, _root_address(root), left, right, "red-black tree")


def _preorder(root: Object) -> Iterator[int]:
    nodes = _Nodes(root.prog_)
    pending = [_root_address(root)]
    while pending:
        address = pending.pop()
        if address:
            node = nodes.read(address)
            yield address
            pending += (node.right, node.left)


def rbtree_inorder_for_each(root: Object) -> Iterator[Object]:
    """Iterate over the nodes of a tree in sort order.

    :param root: ``struct rb_root *``
    :return: Iterator of ``struct rb_node *`` objects.
    :raises ValidationError: if the tree has a cycle
    """
    return pointers(root.prog_, "struct rb_node", _inorder(root))


def rbtree_inorder_for_each_entry(type: str | Type, root: Object, member: str) -> Iterator[Object]:
    """Iterate over the entries of a tree in sort order.

    :param type: Entry type.
    :param root: ``struct rb_root *``
    :param member: Name of the ``struct rb_node`` in the entry type.
    :return: Iterator of ``type *`` objects.
    :raises ValidationError: if the tree has a cycle
    """
    return entries(root.prog_, type, _inorder(root), member)


def rbtree_preorder_for_each(root: Object) -> Iterator[Object]:
    """Iterate over the nodes of a tree, each before its children.

    :param root: ``struct rb_root *``
    :return: Iterator of ``struct rb_node *`` objects.
    :raises ValidationError: if the tree has a cycle
    """
    return pointers(root.prog_, "struct rb_node", _preorder(root))


def rbtree_preorder_for_each_entry(type: str | Type, root: Object, member: str) -> Iterator[Object]:
    """Iterate over the entries of a tree, each before its children.

    :param type: Entry type.
    :param root: ``struct rb_root *``
    :param member: Name of the ``struct rb_node`` in the entry type.
    :return: Iterator of ``type *`` objects.
    :raises ValidationError: if the tree has a cycle
    """
    return entries(root.prog_, type, _preorder(root), member)


def rb_find(
    type: str | Type,
    root: Object,
    member: str,
    key: KeyType,
    cmp: Callable[[KeyType, Object], int],
) -> Object:
    """Find an entry of a tree by its key.

    :param type: Entry type.
    :param root: ``struct rb_root *``
    :param member: Name of the ``struct rb_node`` in the entry type.
    :param key: Key to find.
    :param cmp: Function of the key and a ``type *`` entry: negative if the key comes before the entry, positive if it
        comes after it, and 0 if the entry is the one.
    :return: ``type *``, ``NULL`` if there is no such entry.
    """
    prog = root.prog_
    entry_type = prog.type(type)
    node = root.rb_node.read_()
    for _ in range(_MAX_HEIGHT):
        if not node:
            return NULL(prog, prog.pointer_type(entry_type))
        entry = container_of(node, entry_type, member)
        order = cmp(key, entry)
        if not order:
            return entry
        node = (node.rb_left if order < 0 else node.rb_right).read_()
    raise ValidationError(f"red-black tree is deeper than {_MAX_HEIGHT} nodes at {hex(node)}")


def _check_links(node: _Node, parent: _Node | None) -> None:
    where = f"red-black tree node {hex(node.address)}"
    if node.parent != (parent.address if parent else 0):
        expected = f"of {hex(parent.address)}" if parent else "and the root"
        raise ValidationError(f"{where} is a child {expected} but has parent {hex(node.parent)}")
    if parent is None:
        if not node.black:
            raise ValidationError(f"root of red-black tree {hex(node.address)} is red")
    elif not node.black and not parent.black:
        raise ValidationError(f"{where} is red like its parent {hex(parent.address)}")


class _Level(NamedTuple):
    node: _Node
    parent: _Node | None
    blacks: int


def _validated_inorder(root: Object) -> Iterator[int]:
    """Yield the nodes in sort order, checking parents, colours and black heights."""
    nodes = _Nodes(root.prog_)
    pending: list[_Level] = []
    leaf_blacks: int | None = None
    address, parent, blacks = _root_address(root), None, 0
    while address or pending:
        while address:
            node = nodes.read(address)
            _check_links(node, parent)
            blacks += node.black
            pending.append(_Level(node, parent, blacks))
            if not node.left or not node.right:
                if leaf_blacks is None:
                    leaf_blacks = blacks
                elif leaf_blacks != blacks:
                    raise ValidationError(
                        f"red-black tree paths have different numbers of black nodes: {leaf_blacks} and, "
                        f"at {hex(node.address)}, {blacks}"
                    )
            address, parent = node.left, node
        node, _, blacks = pending.pop()
        yield node.address
        address, parent = node.right, node


def validate_rbtree_inorder_for_each_entry(
    type: str | Type,
    root: Object,
    member: str,
    cmp: Callable[[Object, Object], int],
    allow_equal: bool,
) -> Generator[Object, None, None]:
    """Iterate over the entries of a tree in sort order, checking it like `validate_rbtree()`.

    :param type: Entry type.
    :param root: ``struct rb_root *``
    :param member: Name of the ``struct rb_node`` in the entry type.
    :param cmp: See `validate_rbtree()`.
    :param allow_equal: See `validate_rbtree()`.
    :return: Iterator of ``type *`` objects.
    :raises ValidationError: if the tree is invalid
    """
    previous: Object | None = None
    for entry in entries(root.prog_, type, _validated_inorder(root), member):
        if previous is not None:
            order = cmp(previous, entry)
            if order > 0:
                raise ValidationError(
                    f"red-black tree entry {hex(previous)} should come after {hex(entry)}"
                )
            if order == 0 and not allow_equal:
                raise ValidationError(
                    f"red-black tree entries {hex(previous)} and {hex(entry)} are equal"
                )
        yield entry
        previous = entry


def validate_rbtree(
    type: str | Type,
    root: Object,
    member: str,
    cmp: Callable[[Object, Object], int],
    allow_equal: bool,
) -> None:
    """Check a red-black tree.

    The entries must be ordered, the parent pointers must agree with the child pointers, the root must be black, no red
    node may have a red child, and every path from the root to a missing child must have as many black nodes.

    :param type: Entry type.
    :param root: ``struct rb_root *``
    :param member: Name of the ``struct rb_node`` in the entry type.
    :param cmp: Function of two ``type *`` entries: negative if the first comes before the second, positive if it comes
        after it, and 0 if they are equal.
    :param allow_equal: Whether entries may be equal.
    :raises ValidationError: if the tree is invalid
    """
    for _ in validate_rbtree_inorder_for_each_entry(type, root, member, cmp, allow_equal):
        pass
