# SPDX-License-Identifier: Apache-2.0
"""Radix trees (include/linux/radix-tree.h).

Since "xarray: Replace exceptional entries" and the commits around it (Linux 4.20), ``struct radix_tree_root`` is
another name of ``struct xarray``, and these helpers are the ones of `kdive.helpers.linux.xarray` under the old names.
"""

from collections.abc import Iterator

from kdive import IntegerLike, Object
from kdive.helpers.linux.xarray import xa_for_each, xa_load

__all__ = ("radix_tree_for_each", "radix_tree_lookup")


def radix_tree_lookup(root: Object, index: IntegerLike) -> Object:
    """Look up the entry at an index.

    :param root: ``struct radix_tree_root *`` (``struct xarray *``)
    :param index: Entry index.
    :return: ``void *``, ``NULL`` if there is no entry.
    :raises ValidationError: if the tree is damaged
    """
    return xa_load(root, index, advanced=True)


def radix_tree_for_each(root: Object) -> Iterator[tuple[int, Object]]:
    """Iterate over the entries of a tree in the order of their indices.

    :param root: ``struct radix_tree_root *`` (``struct xarray *``)
    :return: Iterator of (index, ``void *``) tuples.
    :raises ValidationError: if the tree is damaged
    """
    return xa_for_each(root, advanced=True)
