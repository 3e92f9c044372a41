# SPDX-License-Identifier: Apache-2.0
"""Doubly linked lists (``struct list_head``) and hash lists (``struct hlist_head``) of include/linux/list.h.

Every walk ends: a list that runs into a cycle raises `ValidationError`. The ``validate_`` variants also
check that each node's ``prev`` is the node before it.
"""

from collections.abc import Iterator

from kdive import NULL, Object, Program, Type, container_of, offsetof
from kdive.helpers import ValidationError
from kdive.helpers.linux._walk import entries, follow, member_reader, pointer_value, pointers

__all__ = (
    "hlist_empty",
    "hlist_for_each",
    "hlist_for_each_entry",
    "list_count_nodes",
    "list_empty",
    "list_first_entry",
    "list_first_entry_or_null",
    "list_for_each",
    "list_for_each_entry",
    "list_for_each_entry_reverse",
    "list_for_each_reverse",
    "list_is_singular",
    "list_last_entry",
    "list_next_entry",
    "list_prev_entry",
    "validate_list",
    "validate_list_count_nodes",
    "validate_list_for_each",
    "validate_list_for_each_entry",
)

_LIST_HEAD = "struct list_head"


def list_empty(head: Object) -> bool:
    """Return whether a list is empty.

    :param head: ``struct list_head *``
    """
    head = head.read_()
    return head.next == head


def list_is_singular(head: Object) -> bool:
    """Return whether a list has exactly one element.

    :param head: ``struct list_head *``
    """
    head = head.read_()
    first = head.next.read_()
    return first != head and first == head.prev


def list_first_entry(head: Object, type: str | Type, member: str) -> Object:
    """Get the first entry of a list that is known not to be empty.

    :param head: ``struct list_head *``
    :param type: Entry type.
    :param member: Name of the list node in the entry type.
    :return: ``type *``
    """
    return container_of(head.next.read_(), type, member)


def list_first_entry_or_null(head: Object, type: str | Type, member: str) -> Object:
    """Get the first entry of a list, or ``NULL`` if the list is empty.

    :param head: ``struct list_head *``
    :param type: Entry type.
    :param member: Name of the list node in the entry type.
    :return: ``type *``
    """
    head = head.read_()
    first = head.next.read_()
    if first == head:
        prog = head.prog_
        return NULL(prog, prog.pointer_type(prog.type(type)))
    return container_of(first, type, member)


def list_last_entry(head: Object, type: str | Type, member: str) -> Object:
    """Get the last entry of a list that is known not to be empty.

    :param head: ``struct list_head *``
    :param type: Entry type.
    :param member: Name of the list node in the entry type.
    :return: ``type *``
    """
    return container_of(head.prev.read_(), type, member)


def list_next_entry(pos: Object, member: str) -> Object:
    """Get the entry after *pos*.

    :param pos: ``type *``
    :param member: Name of the list node in the entry type.
    :return: ``type *``
    """
    return container_of(pos[0].subobject_(member).next.read_(), pos.type_.unaliased().type, member)


def list_prev_entry(pos: Object, member: str) -> Object:
    """Get the entry before *pos*.

    :param pos: ``type *``
    :param member: Name of the list node in the entry type.
    :return: ``type *``
    """
    return container_of(pos[0].subobject_(member).prev.read_(), pos.type_.unaliased().type, member)


def _nodes(head: Object, link: str) -> Iterator[int]:
    prog = head.prog_
    start = pointer_value(head, _LIST_HEAD)
    step = member_reader(prog, offsetof(prog.type(_LIST_HEAD), link))
    return follow(step, step(start), start, "list")


def list_count_nodes(head: Object) -> int:
    """Count the nodes of a list.

    :param head: ``struct list_head *``
    :raises ValidationError: if the list runs into a cycle
    """
    return sum(1 for _ in _nodes(head, "next"))


def list_for_each(head: Object) -> Iterator[Object]:
    """Iterate over the nodes of a list.

    :param head: ``struct list_head *``
    :return: Iterator of ``struct list_head *`` objects.
    :raises ValidationError: if the list runs into a cycle
    """
    return pointers(head.prog_, _LIST_HEAD, _nodes(head, "next"))


def list_for_each_reverse(head: Object) -> Iterator[Object]:
    """Iterate over the nodes of a list from last to first.

    :param head: ``struct list_head *``
    :return: Iterator of ``struct list_head *`` objects.
    :raises ValidationError: if the list runs into a cycle
    """
    return pointers(head.prog_, _LIST_HEAD, _nodes(head, "prev"))


def list_for_each_entry(type: str | Type, head: Object, member: str) -> Iterator[Object]:
    """Iterate over the entries of a list.

    >>> for module in list_for_each_entry("struct module", prog["modules"].address_of_(), "list"):
    ...     print(module.name.string_())

    :param type: Entry type.
    :param head: ``struct list_head *``
    :param member: Name of the list node in the entry type.
    :return: Iterator of ``type *`` objects.
    :raises ValidationError: if the list runs into a cycle
    """
    return entries(head.prog_, type, _nodes(head, "next"), member)


def list_for_each_entry_reverse(type: str | Type, head: Object, member: str) -> Iterator[Object]:
    """Iterate over the entries of a list from last to first.

    :param type: Entry type.
    :param head: ``struct list_head *``
    :param member: Name of the list node in the entry type.
    :return: Iterator of ``type *`` objects.
    :raises ValidationError: if the list runs into a cycle
    """
    return entries(head.prog_, type, _nodes(head, "prev"), member)


def _validated_nodes(head: Object) -> Iterator[int]:
    prog = head.prog_
    list_head = prog.type(_LIST_HEAD)
    read_next = member_reader(prog, offsetof(list_head, "next"))
    read_prev = member_reader(prog, offsetof(list_head, "prev"))
    start = pointer_value(head, _LIST_HEAD)

    def step(node: int) -> int:
        after = read_next(node)
        back = read_prev(after)
        if back != node:
            raise ValidationError(
                f"({_LIST_HEAD} *){hex(node)} next {hex(after)} has prev {hex(back)}"
            )
        return after

    return follow(step, step(start), start, "list")


def validate_list_for_each(head: Object) -> Iterator[Object]:
    """Iterate over the nodes of a list, checking each link in both directions.

    :param head: ``struct list_head *``
    :return: Iterator of ``struct list_head *`` objects. Some may come twice before a cycle is found.
    :raises ValidationError: if the list is invalid
    """
    return pointers(head.prog_, _LIST_HEAD, _validated_nodes(head))


def validate_list_for_each_entry(type: str | Type, head: Object, member: str) -> Iterator[Object]:
    """Iterate over the entries of a list, checking each link in both directions.

    :param type: Entry type.
    :param head: ``struct list_head *``
    :param member: Name of the list node in the entry type.
    :return: Iterator of ``type *`` objects. Some may come twice before a cycle is found.
    :raises ValidationError: if the list is invalid
    """
    return entries(head.prog_, type, _validated_nodes(head), member)


def validate_list_count_nodes(head: Object) -> int:
    """Count the nodes of a list, checking each link in both directions.

    :param head: ``struct list_head *``
    :raises ValidationError: if the list is invalid
    """
    return sum(1 for _ in _validated_nodes(head))


def validate_list(head: Object) -> None:
    """Check that the links of a list agree in both directions and that it has no other cycle than itself.

    :param head: ``struct list_head *``
    :raises ValidationError: if the list is invalid
    """
    for _ in _validated_nodes(head):
        pass


def hlist_empty(head: Object) -> bool:
    """Return whether a hash list is empty.

    :param head: ``struct hlist_head *``
    """
    return not head.first


def _hlist_nodes(head: Object) -> Iterator[int]:
    prog: Program = head.prog_
    step = member_reader(prog, offsetof(prog.type("struct hlist_node"), "next"))
    return follow(step, head.first.value_(), 0, "hash list")


def hlist_for_each(head: Object) -> Iterator[Object]:
    """Iterate over the nodes of a hash list.

    :param head: ``struct hlist_head *``
    :return: Iterator of ``struct hlist_node *`` objects.
    :raises ValidationError: if the list runs into a cycle
    """
    return pointers(head.prog_, "struct hlist_node", _hlist_nodes(head))


def hlist_for_each_entry(type: str | Type, head: Object, member: str) -> Iterator[Object]:
    """Iterate over the entries of a hash list.

    :param type: Entry type.
    :param head: ``struct hlist_head *``
    :param member: Name of the list node in the entry type.
    :return: Iterator of ``type *`` objects.
    :raises ValidationError: if the list runs into a cycle
    """
    return entries(head.prog_, type, _hlist_nodes(head), member)
