# SPDX-License-Identifier: Apache-2.0
"""Lock-less singly linked lists (``struct llist_head``, include/linux/llist.h)."""

from collections.abc import Iterator

from kdive import NULL, Object, Type, container_of, offsetof
from kdive.helpers.linux._walk import entries, follow, member_reader, pointer_value, pointers

__all__ = (
    "llist_empty",
    "llist_first_entry",
    "llist_first_entry_or_null",
    "llist_for_each",
    "llist_for_each_entry",
    "llist_is_singular",
    "llist_next_entry",
)


def llist_empty(head: Object) -> bool:
    """Return whether a list is empty.

    :param head: ``struct llist_head *``
    """
    return not head.first


def llist_is_singular(head: Object) -> bool:
    """Return whether a list has exactly one element.

    :param head: ``struct llist_head *``
    """
    first = head.first.read_()
    return bool(first) and not first.next


def llist_first_entry(head: Object, type: str | Type, member: str) -> Object:
    """Get the first entry of a list that is known not to be empty.

    :param head: ``struct llist_head *``
    :param type: Entry type.
    :param member: Name of the ``struct llist_node`` in the entry type.
    :return: ``type *``
    """
    return container_of(head.first.read_(), type, member)


def llist_first_entry_or_null(head: Object, type: str | Type, member: str) -> Object:
    """Get the first entry of a list, or ``NULL`` if the list is empty.

    :param head: ``struct llist_head *``
    :param type: Entry type.
    :param member: Name of the ``struct llist_node`` in the entry type.
    :return: ``type *``
    """
    first = head.first.read_()
    if not first:
        prog = head.prog_
        return NULL(prog, prog.pointer_type(prog.type(type)))
    return container_of(first, type, member)


def llist_next_entry(pos: Object, member: str) -> Object:
    """Get the entry after *pos*.

    :param pos: ``type *``
    :param member: Name of the ``struct llist_node`` in the entry type.
    :return: ``type *``
    """
    return container_of(pos[0].subobject_(member).next.read_(), pos.type_.unaliased().type, member)


def _nodes(node: Object) -> Iterator[int]:
    prog = node.prog_
    step = member_reader(prog, offsetof(prog.type("struct llist_node"), "next"))
    return follow(step, pointer_value(node, "struct llist_node"), 0, "llist")


def llist_for_each(node: Object) -> Iterator[Object]:
    """Iterate over the nodes of a list, starting from a given one.

    :param node: ``struct llist_node *``, e.g. the ``first`` member of a ``struct llist_head``.
    :return: Iterator of ``struct llist_node *`` objects.
    :raises ValidationError: if the list runs into a cycle
    """
    return pointers(node.prog_, "struct llist_node", _nodes(node))


def llist_for_each_entry(type: str | Type, node: Object, member: str) -> Iterator[Object]:
    """Iterate over the entries of a list, starting from a given node.

    :param type: Entry type.
    :param node: ``struct llist_node *``, e.g. the ``first`` member of a ``struct llist_head``.
    :param member: Name of the ``struct llist_node`` in the entry type.
    :return: Iterator of ``type *`` objects.
    :raises ValidationError: if the list runs into a cycle
    """
    return entries(node.prog_, type, _nodes(node), member)
