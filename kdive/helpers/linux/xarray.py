# SPDX-License-Identifier: Apache-2.0
"""Arrays of pointers indexed by integers (``struct xarray``, include/linux/xarray.h).

An entry whose lowest bits are 10 is internal: a node of the tree, a reference to a sibling slot, or a special entry.
A node's ``shift`` must be smaller than its parent's, which bounds every walk.
"""

from collections.abc import Iterator
from operator import index as to_index
from typing import NamedTuple

from kdive import IntegerLike, Object, Program, offsetof, sizeof
from kdive.helpers import ValidationError
from kdive.helpers.linux._words import words_at

__all__ = ("xa_for_each", "xa_is_value", "xa_is_zero", "xa_load", "xa_to_value")

_INTERNAL_MASK = 3
_INTERNAL = 2
# Internal entries up to here are siblings and special entries; anything above is the address of a node.
_MAX_SPECIAL = 4096
_RETRY_ENTRY = 256 << 2 | _INTERNAL
_ZERO_ENTRY = 257 << 2 | _INTERNAL


def xa_is_value(entry: Object) -> bool:
    """Return whether an entry holds an integer instead of a pointer; see `xa_to_value()`.

    :param entry: ``void *``
    """
    return bool(entry.value_() & 1)


def xa_to_value(entry: Object) -> Object:
    """Get the integer that an entry holds, for which `xa_is_value()` is true.

    :param entry: ``void *``
    :return: ``unsigned long``
    """
    return Object(entry.prog_, "unsigned long", entry.value_() >> 1)


def xa_is_zero(entry: Object) -> bool:
    """Return whether an entry is reserved but holds nothing.

    Such entries are only seen through the functions below when *advanced* is true.

    :param entry: ``void *``
    """
    return bool(entry.value_() == _ZERO_ENTRY)


def _is_node(entry: int) -> bool:
    return entry & _INTERNAL_MASK == _INTERNAL and entry > _MAX_SPECIAL


class _Node(NamedTuple):
    """A node of the tree: entry *i* stands for ``1 << shift`` indices from ``i << shift``."""

    shift: int
    slots: list[int]


class _Reader:
    """Reads the nodes of one array, each in two reads."""

    def __init__(self, xa: Object) -> None:
        prog: Program = xa.prog_
        self._prog = prog
        node_type = prog.type("struct xa_node")
        self._shift_offset = offsetof(node_type, "shift")
        self._slots_offset = offsetof(node_type, "slots")
        slots = node_type.member("slots").type
        self.width = sizeof(slots) // prog.address_size()
        # Enough for every index to be covered by the root.
        self.max_shift = 8 * prog.address_size()

    def node(self, entry: int, parent_shift: int) -> _Node:
        address = entry - _INTERNAL
        shift = self._prog.read_u8(address + self._shift_offset)
        if shift >= parent_shift:
            raise ValidationError(
                f"xarray node {hex(address)} has shift {shift}, its parent {parent_shift}"
            )
        return _Node(shift, words_at(self._prog, address + self._slots_offset, self.width))


def _sibling_slot(entry: int, width: int) -> int | None:
    """Get the number of the slot that a sibling entry stands for, None if it is no such entry."""
    if entry & _INTERNAL_MASK == _INTERNAL and entry >> 2 < width - 1:
        return entry >> 2
    return None


def _visible(entry: int, advanced: bool) -> bool:
    if entry & _INTERNAL_MASK != _INTERNAL:
        return entry != 0
    return advanced and entry != _RETRY_ENTRY


def _load(xa: Object, index: int, advanced: bool) -> int:
    entry: int = xa.xa_head.value_()
    if not _is_node(entry):
        return entry if index == 0 and _visible(entry, advanced) else 0
    reader = _Reader(xa)
    shift = reader.max_shift
    while _is_node(entry):
        at_root = shift == reader.max_shift
        shift, slots = reader.node(entry, shift)
        slot = index >> shift
        if at_root:
            if slot >= reader.width:
                return 0
        else:
            slot %= reader.width
        entry = slots[slot]
        canonical = _sibling_slot(entry, reader.width)
        if canonical is not None:
            entry = slots[canonical]
    return entry if _visible(entry, advanced) else 0


def xa_load(xa: Object, index: IntegerLike, *, advanced: bool = False) -> Object:
    """Look up the entry at an index.

    >>> xa_load(inode.i_mapping.i_pages.address_of_(), 2)
    (void *)0xffffed6980356140

    :param xa: ``struct xarray *``
    :param index: Entry index.
    :param advanced: Whether to return entries that only the advanced API of the kernel sees. Otherwise a reserved entry
        (`xa_is_zero()`) is returned as ``NULL``.
    :return: ``void *``, ``NULL`` if there is no entry.
    :raises ValidationError: if the tree is damaged
    """
    return Object(xa.prog_, "void *", _load(xa, to_index(index), advanced))


def _walk(reader: _Reader, root: int, advanced: bool) -> Iterator[tuple[int, int]]:
    """Yield the visible entries below a node, from left to right."""
    # Nodes whose slots are being gone through, with the index of their first slot.
    width = reader.width
    shift, slots = reader.node(root, reader.max_shift)
    first_index, remaining = 0, enumerate(slots)
    above: list[tuple[int, int, enumerate[int]]] = []
    while True:
        for slot, child in remaining:
            if not child & _INTERNAL_MASK:
                # Most entries are pointers, and most slots are empty.
                if child:
                    yield first_index + (slot << shift), child
            elif _is_node(child):
                above.append((first_index, shift, remaining))
                first_index += slot << shift
                shift, slots = reader.node(child, shift)
                remaining = enumerate(slots)
                break
            elif _sibling_slot(child, width) is None and _visible(child, advanced):
                yield first_index + (slot << shift), child
        else:
            if not above:
                return
            first_index, shift, remaining = above.pop()


def xarray_entries(xa: Object, advanced: bool = False) -> Iterator[tuple[int, int]]:
    """Iterate over the entries of an array as (index, entry) integers; an entry of several indices comes once.

    :param xa: ``struct xarray *``
    :param advanced: See `xa_for_each()`.
    :raises ValidationError: if the tree is damaged
    """
    head: int = xa.xa_head.value_()
    if _is_node(head):
        return _walk(_Reader(xa), head, advanced)
    return iter([(0, head)] if _visible(head, advanced) else [])


def xa_for_each(xa: Object, *, advanced: bool = False) -> Iterator[tuple[int, Object]]:
    """Iterate over the entries of an array in the order of their indices.

    :param xa: ``struct xarray *``
    :param advanced: Whether to include entries that only the advanced API of the kernel sees, like reserved entries
        (`xa_is_zero()`).
    :return: Iterator of (index, ``void *``) tuples. An entry that covers several indices is given once, with the first.
    :raises ValidationError: if the tree is damaged
    """
    prog = xa.prog_
    void_pointer = prog.type("void *")
    for index, entry in xarray_entries(xa, advanced):
        yield index, Object(prog, void_pointer, entry)
