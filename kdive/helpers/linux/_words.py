# SPDX-License-Identifier: Apache-2.0
"""Arrays of machine words and bitmaps, read from memory in one piece."""

from collections.abc import Iterator
from operator import index
from typing import Literal

from kdive import IntegerLike, Object, PlatformFlags, Program, TypeKind, sizeof
from kdive._native import _words_at
from kdive.helpers.linux._walk import pointer_value

# Larger than any bitmap of the kernel that is walked bit by bit (NR_CPUS, NR_IRQS, section maps).
_MAX_BITMAP_BITS = 1 << 24


def words_at(prog: Program, address: int, count: int) -> list[int]:
    """Read *count* words of the size of a pointer.

    :raises FaultError: if the memory can't be read
    """
    return _words_at(prog, address, count)


def byte_order(prog: Program) -> Literal["little", "big"]:
    """Get the byte order of a program as `int.from_bytes()` takes it."""
    platform = prog.platform
    if platform is None:
        raise ValueError("program byte order is not known")
    return "little" if platform.flags & PlatformFlags.IS_LITTLE_ENDIAN else "big"


def bitmap_value(bitmap: Object, size: IntegerLike) -> int:
    """Read a bitmap as one integer in which bit *n* of the bitmap is bit *n*.

    :param bitmap: ``unsigned long *`` or an array of ``unsigned long``
    :param size: Size of the bitmap in bits.
    :raises ValueError: if *size* is negative or larger than any bitmap in the kernel
    """
    bits = index(size)
    if not 0 <= bits <= _MAX_BITMAP_BITS:
        raise ValueError(f"bitmap of {bits} bits is not plausible")
    if bitmap.type_.unaliased_kind() == TypeKind.ARRAY:
        bitmap = bitmap + 0
    address = pointer_value(bitmap, "unsigned long")
    word_bits = 8 * sizeof(bitmap.type_.unaliased().type)
    prog = bitmap.prog_
    data = prog.read(address, (bits + word_bits - 1) // word_bits * (word_bits // 8))
    if byte_order(prog) == "big":
        word_size = word_bits // 8
        words = [data[i : i + word_size] for i in range(0, len(data), word_size)]
        data = b"".join(reversed(words))
        value = int.from_bytes(data, "big")
    else:
        value = int.from_bytes(data, "little")
    return value & ((1 << bits) - 1)


def set_bits(value: int) -> Iterator[int]:
    """Yield the numbers of the bits that are set in *value*, in ascending order."""
    # Going through the bits in words keeps the cost linear; removing the lowest bit of a long integer is not.
    for base in range(0, value.bit_length(), 64):
        word = value >> base & 0xFFFFFFFFFFFFFFFF
        while word:
            lowest = word & -word
            yield base + lowest.bit_length() - 1
            word ^= lowest
