# SPDX-License-Identifier: Apache-2.0
"""Lists sorted by priority (``struct plist_head``, include/linux/plist.h)."""

from collections.abc import Iterator

from kdive import Object, Type
from kdive.helpers.linux.list import (
    list_empty,
    list_first_entry,
    list_for_each_entry,
    list_last_entry,
)

__all__ = (
    "plist_first_entry",
    "plist_for_each",
    "plist_for_each_entry",
    "plist_head_empty",
    "plist_last_entry",
    "plist_node_empty",
)


def plist_head_empty(head: Object) -> bool:
    """Return whether a list is empty.

    :param head: ``struct plist_head *``
    """
    return list_empty(head.node_list.address_of_())


def plist_node_empty(node: Object) -> bool:
    """Return whether a node is on no list.

    :param node: ``struct plist_node *``
    """
    return list_empty(node.node_list.address_of_())


def plist_first_entry(head: Object, type: str | Type, member: str) -> Object:
    """Get the entry of highest priority of a list that is known not to be empty.

    :param head: ``struct plist_head *``
    :param type: Entry type.
    :param member: Name of the ``struct plist_node`` in the entry type.
    :return: ``type *``
    """
    return list_first_entry(head.node_list.address_of_(), type, member + ".node_list")


def plist_last_entry(head: Object, type: str | Type, member: str) -> Object:
    """Get the entry of lowest priority of a list that is known not to be empty.

    :param head: ``struct plist_head *``
    :param type: Entry type.
    :param member: Name of the ``struct plist_node`` in the entry type.
    :return: ``type *``
    """
    return list_last_entry(head.node_list.address_of_(), type, member + ".node_list")


def plist_for_each(head: Object) -> Iterator[Object]:
    """Iterate over the nodes of a list, from the highest priority to the lowest.

    :param head: ``struct plist_head *``
    :return: Iterator of ``struct plist_node *`` objects.
    :raises ValidationError: if the list runs into a cycle
    """
    return list_for_each_entry("struct plist_node", head.node_list.address_of_(), "node_list")


def plist_for_each_entry(type: str | Type, head: Object, member: str) -> Iterator[Object]:
    """Iterate over the entries of a list, from the highest priority to the lowest.

    :param type: Entry type.
    :param head: ``struct plist_head *``
    :param member: Name of the ``struct plist_node`` in the entry type.
    :return: Iterator of ``type *`` objects.
    :raises ValidationError: if the list runs into a cycle
    """
    return list_for_each_entry(type, head.node_list.address_of_(), member + ".node_list")
