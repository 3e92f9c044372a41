# SPDX-License-Identifier: Apache-2.0
"""Bits of bitmaps (include/linux/bitops.h, include/linux/find.h)."""

from collections.abc import Iterator
from operator import index

from kdive import IntegerLike, Object, sizeof
from kdive.helpers.linux._words import bitmap_value, set_bits

__all__ = ("for_each_clear_bit", "for_each_set_bit", "test_bit")


def for_each_set_bit(bitmap: Object, size: IntegerLike) -> Iterator[int]:
    """Iterate over the numbers of the bits that are set in a bitmap.

    :param bitmap: ``unsigned long *``
    :param size: Size of *bitmap* in bits.
    """
    return set_bits(bitmap_value(bitmap, size))


def for_each_clear_bit(bitmap: Object, size: IntegerLike) -> Iterator[int]:
    """Iterate over the numbers of the bits that are clear in a bitmap.

    :param bitmap: ``unsigned long *``
    :param size: Size of *bitmap* in bits.
    """
    return set_bits(bitmap_value(bitmap, size) ^ ((1 << index(size)) - 1))


def test_bit(nr: IntegerLike, bitmap: Object) -> bool:
    """Return whether a bit of a bitmap is set.

    :param nr: Bit number.
    :param bitmap: ``unsigned long *``
    """
    word, bit = divmod(index(nr), 8 * sizeof(bitmap.type_.unaliased().type))
    return bool(bitmap[word].value_() >> bit & 1)
