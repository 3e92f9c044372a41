# SPDX-License-Identifier: Apache-2.0
"""Trees of ranges (``struct maple_tree``, include/linux/maple_tree.h; since Linux 6.1)."""

from collections.abc import Iterator
from operator import index as to_index
from typing import NamedTuple

from kdive import IntegerLike, Object, Program, offsetof, sizeof
from kdive.helpers import ValidationError
from kdive.helpers.linux._words import words_at

__all__ = ("mt_for_each", "mtree_load")

# The pointer to a node carries its type: bits 3 to 6, below the alignment of 256.
_NODE_MASK = 0xFF
_NODE_TYPE_SHIFT = 3
_NODE_TYPE_MASK = 0xF
# The lowest bits of an entry that is not the address of anything outside the tree.
_INTERNAL_MASK = 3
_INTERNAL = 2
_MAX_SPECIAL = 4096
_ZERO_ENTRY = 257 << 2 | _INTERNAL
# The kernel keeps the height in five bits of ma_flags (MAPLE_HEIGHT_MAX).
_MAX_HEIGHT = 31


class _Layout(NamedTuple):
    """Where one type of node keeps its pivots and, after them, its slots."""

    # Offset of the pivots in bytes, and how many words there are from there to the last slot.
    offset: int
    words: int
    pivots: int
    # How many words the first slot is after the first pivot.
    first_slot: int


# A slot of a node: the range of indices it stands for, both ends included, and what it holds.
_Slot = tuple[int, int, int]


class _Layouts(NamedTuple):
    """The types of nodes of one program."""

    max_index: int
    # Nodes of lower types are leaves.
    range_64: int
    by_type: dict[int, _Layout]
    dense: int
    dense_offset: int
    dense_slots: int


def _layout(prog: Program, name: str) -> _Layout:
    type = prog.type(name)
    word = prog.address_size()
    offset = offsetof(type, "pivot")
    first_slot = (offsetof(type, "slot") - offset) // word
    slots = sizeof(type.member("slot").type) // word
    pivots = sizeof(type.member("pivot").type) // word
    return _Layout(offset, first_slot + slots, pivots, first_slot)


def _layouts(prog: Program) -> _Layouts:
    key = "kdive.maple_tree"
    cached: _Layouts | None = prog.cache.get(key)
    if cached is None:
        leaf = _layout(prog, "struct maple_range_64")
        range_64 = int(prog["maple_range_64"])
        node = prog.type("struct maple_node")
        cached = prog.cache[key] = _Layouts(
            (1 << 8 * prog.address_size()) - 1,
            range_64,
            {
                int(prog["maple_leaf_64"]): leaf,
                range_64: leaf,
                int(prog["maple_arange_64"]): _layout(prog, "struct maple_arange_64"),
            },
            int(prog["maple_dense"]),
            offsetof(node, "slot"),
            sizeof(node.member("slot").type) // prog.address_size(),
        )
    return cached


class _Reader:
    """Reads the nodes of maple trees of one program."""

    def __init__(self, prog: Program) -> None:
        self._prog = prog
        self._layouts = _layouts(prog)
        self.max_index = self._layouts.max_index

    def is_leaf(self, node: int) -> bool:
        return node >> _NODE_TYPE_SHIFT & _NODE_TYPE_MASK < self._layouts.range_64

    def slots(self, node: int, first: int, last: int) -> Iterator[_Slot]:
        """Yield the slots of a node that stands for the indices from *first* to *last*."""
        address = node & ~_NODE_MASK
        kind = node >> _NODE_TYPE_SHIFT & _NODE_TYPE_MASK
        layouts = self._layouts
        if kind == layouts.dense:
            entries = words_at(self._prog, address + layouts.dense_offset, layouts.dense_slots)
            for i, entry in enumerate(entries[: last - first + 1]):
                yield first + i, first + i, entry
            return
        layout = layouts.by_type.get(kind)
        if layout is None:
            raise ValidationError(f"maple tree node {hex(address)} has unknown type {kind}")
        words = words_at(self._prog, address + layout.offset, layout.words)
        for i, entry in enumerate(words[layout.first_slot :]):
            pivot = words[i] if i < layout.pivots else last
            if pivot == 0 and i > 0:
                # A pivot of 0 after the first marks the slots that are not in use: this is the last one.
                pivot = last
            if not first <= pivot <= last:
                raise ValidationError(
                    f"maple tree node {hex(address)} has pivot {hex(pivot)} outside of {hex(first)}-{hex(last)}"
                )
            yield first, pivot, entry
            if pivot == last:
                break
            first = pivot + 1


def _is_node(entry: int) -> bool:
    return entry & _INTERNAL_MASK == _INTERNAL and entry > _MAX_SPECIAL


def _walk(reader: _Reader, node: int, first: int, last: int, height: int) -> Iterator[_Slot]:
    if height > _MAX_HEIGHT:
        raise ValidationError(
            f"maple tree is higher than {_MAX_HEIGHT} nodes at {hex(node & ~_NODE_MASK)}"
        )
    slots = reader.slots(node, first, last)
    if reader.is_leaf(node):
        yield from slots
        return
    for first, last, entry in slots:
        if entry:
            yield from _walk(reader, entry, first, last, height + 1)


def maple_entries(mt: Object, advanced: bool = False) -> Iterator[tuple[int, int, int]]:
    """Iterate over the entries of a maple tree as (first index, last index, entry) integers.

    :param mt: ``struct maple_tree *``
    :param advanced: See `mt_for_each()`.
    :raises ValidationError: if the tree is damaged
    """
    root: int = mt.ma_root.value_()
    if _is_node(root):
        reader = _Reader(mt.prog_)
        slots = _walk(reader, root, 0, reader.max_index, 1)
    else:
        # A tree of one entry at index 0 has no nodes.
        slots = iter([(0, 0, root)])
    return (slot for slot in slots if slot[2] and (advanced or slot[2] != _ZERO_ENTRY))


def mt_for_each(mt: Object, *, advanced: bool = False) -> Iterator[tuple[int, int, Object]]:
    """Iterate over the entries of a maple tree and the ranges they stand for.

    >>> for first, last, entry in mt_for_each(task.mm.mm_mt.address_of_()):
    ...     print(hex(first), hex(last), entry)
    0x55d65cfaa000 0x55d65cfaafff (void *)0xffff97ad82bfc930

    :param mt: ``struct maple_tree *``
    :param advanced: Whether to include entries that only the advanced API of the kernel sees; otherwise reserved
        entries (`xa_is_zero()`) are left out.
    :return: Iterator of (first index, last index, ``void *``) tuples; both indices are included.
    :raises ValidationError: if the tree is damaged
    """
    prog = mt.prog_
    void_pointer = prog.type("void *")
    for first, last, entry in maple_entries(mt, advanced):
        yield first, last, Object(prog, void_pointer, entry)


def _load(mt: Object, index: int) -> int:
    entry: int = mt.ma_root.value_()
    if not _is_node(entry):
        return entry if index == 0 else 0
    reader = _Reader(mt.prog_)
    if not 0 <= index <= reader.max_index:
        return 0
    first, last = 0, reader.max_index
    for _ in range(_MAX_HEIGHT):
        node = entry
        slots = reader.slots(node, first, last)
        first, last, entry = next((slot for slot in slots if index <= slot[1]), (0, 0, 0))
        if not entry or reader.is_leaf(node):
            return entry if first <= index else 0
    raise ValidationError(
        f"maple tree is higher than {_MAX_HEIGHT} nodes at {hex(entry & ~_NODE_MASK)}"
    )


def mtree_load(mt: Object, index: IntegerLike, *, advanced: bool = False) -> Object:
    """Look up the entry of a maple tree at an index.

    :param mt: ``struct maple_tree *``
    :param index: Entry index.
    :param advanced: Whether to return entries that only the advanced API of the kernel sees; otherwise a reserved
        entry (`xa_is_zero()`) is returned as ``NULL``.
    :return: ``void *``, ``NULL`` if there is no entry.
    :raises ValidationError: if the tree is damaged
    """
    entry = _load(mt, to_index(index))
    if entry == _ZERO_ENTRY and not advanced:
        entry = 0
    return Object(mt.prog_, "void *", entry)
