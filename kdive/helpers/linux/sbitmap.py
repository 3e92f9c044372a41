# SPDX-License-Identifier: Apache-2.0
"""Bitmaps spread over cache lines (``struct sbitmap``, include/linux/sbitmap.h)."""

from collections.abc import Iterator

from kdive import Object
from kdive.helpers.linux._words import set_bits

__all__ = ("sbitmap_for_each_set",)


def sbitmap_for_each_set(sb: Object) -> Iterator[int]:
    """Iterate over the numbers of the bits that are set.

    Bits are freed lazily: those set in ``cleared`` of a word count as free ("sbitmap: ammortize cost of
    clearing bits", Linux 5.0).

    :param sb: ``struct sbitmap *``
    """
    shift = sb.shift.value_()
    depth = sb.depth.value_()
    words = sb.map.read_()
    for number in range(sb.map_nr.value_()):
        word = words[number].read_()
        bits = word.word.value_()
        bits &= ~word.cleared.value_()
        base = number << shift
        # The last word may be used only in part. "sbitmap: remove sbitmap_word's depth" (Linux 5.18) dropped the
        # number that each word kept.
        bits &= (1 << max(0, min(depth - base, 1 << shift))) - 1
        for bit in set_bits(bits):
            yield base + bit
