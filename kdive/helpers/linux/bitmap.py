# SPDX-License-Identifier: Apache-2.0
"""Bitmaps (include/linux/bitmap.h)."""

from kdive import IntegerLike, Object
from kdive.helpers.linux._words import bitmap_value

__all__ = ("bitmap_weight",)


def bitmap_weight(bitmap: Object, size: IntegerLike) -> int:
    """Count the bits that are set in a bitmap.

    :param bitmap: ``unsigned long *``
    :param size: Size of *bitmap* in bits.
    """
    return bitmap_value(bitmap, size).bit_count()
