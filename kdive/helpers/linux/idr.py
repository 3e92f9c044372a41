# SPDX-License-Identifier: Apache-2.0
"""Maps from small integers to pointers (``struct idr``, include/linux/idr.h)."""

from collections.abc import Iterator
from operator import index

from kdive import IntegerLike, Object, Type
from kdive.helpers.linux.xarray import xa_load, xarray_entries

__all__ = ("idr_find", "idr_for_each", "idr_for_each_entry")


def idr_find(idr: Object, id: IntegerLike) -> Object:
    """Look up the entry with an ID.

    :param idr: ``struct idr *``
    :param id: Entry ID.
    :return: ``void *``, ``NULL`` if there is no entry.
    :raises ValidationError: if the tree is damaged
    """
    position = index(id) - idr.idr_base.value_()
    prog = idr.prog_
    if position < 0:
        return Object(prog, "void *", 0)
    return xa_load(idr.idr_rt.address_of_(), position, advanced=True)


def idr_for_each(idr: Object) -> Iterator[tuple[int, Object]]:
    """Iterate over the entries in the order of their IDs.

    :param idr: ``struct idr *``
    :return: Iterator of (ID, ``void *``) tuples.
    :raises ValidationError: if the tree is damaged
    """
    return idr_for_each_entry(idr, "void")


def idr_for_each_entry(idr: Object, type: str | Type) -> Iterator[tuple[int, Object]]:
    """Iterate over the entries, given as pointers to a type, in the order of their IDs.

    :param idr: ``struct idr *``
    :param type: Entry type.
    :return: Iterator of (ID, ``type *``) tuples.
    :raises ValidationError: if the tree is damaged
    """
    prog = idr.prog_
    pointer_type = prog.pointer_type(prog.type(type))
    base = idr.idr_base.value_()
    for position, entry in xarray_entries(idr.idr_rt.address_of_(), advanced=True):
        yield base + position, Object(prog, pointer_type, entry)
