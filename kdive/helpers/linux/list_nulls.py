# SPDX-License-Identifier: Apache-2.0
"""Hash lists whose end is an odd "nulls" marker (``struct hlist_nulls_head``, include/linux/list_nulls.h)."""

from collections.abc import Callable, Iterator

from kdive import Object, Type, offsetof
from kdive.helpers.linux._walk import entries, follow, member_reader

__all__ = ("hlist_nulls_empty", "hlist_nulls_for_each_entry", "is_a_nulls")


def is_a_nulls(pos: Object) -> bool:
    """Return whether a pointer is a nulls marker rather than a node.

    :param pos: ``struct hlist_nulls_node *``
    """
    return bool(pos.value_() & 1)


def hlist_nulls_empty(head: Object) -> bool:
    """Return whether a nulls hash list is empty.

    :param head: ``struct hlist_nulls_head *``
    """
    return is_a_nulls(head.first)


def _end_at_marker(step: Callable[[int], int]) -> Callable[[int], int]:
    def next_node(address: int) -> int:
        after = step(address)
        return 0 if after & 1 else after

    return next_node


def hlist_nulls_for_each_entry(type: str | Type, head: Object, member: str) -> Iterator[Object]:
    """Iterate over the entries of a nulls hash list.

    :param type: Entry type.
    :param head: ``struct hlist_nulls_head *``
    :param member: Name of the list node in the entry type.
    :return: Iterator of ``type *`` objects.
    :raises ValidationError: if the list runs into a cycle
    """
    prog = head.prog_
    step = _end_at_marker(
        member_reader(prog, offsetof(prog.type("struct hlist_nulls_node"), "next"))
    )
    first: int = head.first.value_()
    return entries(
        prog, type, follow(step, 0 if first & 1 else first, 0, "nulls hash list"), member
    )
