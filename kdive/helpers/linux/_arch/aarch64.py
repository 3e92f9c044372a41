# SPDX-License-Identifier: Apache-2.0
"""AArch64: page tables of the granule and depth that the kernel was built with (arch/arm64/include/asm/memory.h)."""

import re

from kdive import FaultError, Program
from kdive.helpers.linux._symbols import variable

_VALID = 1
_TABLE_OR_PAGE = 2
_ENTRY_BYTES_SHIFT = 3


def _va_bits(prog: Program) -> int:
    vmcoreinfo: bytes = prog["VMCOREINFO"].string_()
    match = re.search(rb"^NUMBER\(VA_BITS\)=([0-9]+)$", vmcoreinfo, re.MULTILINE)
    if match is None:
        raise ValueError("VMCOREINFO does not tell VA_BITS")
    return int(match[1])


def direct_mapping_offset(prog: Program) -> int:
    """Get where the direct map would begin if it began with physical address 0.

    Since "arm64: mm: Flip kernel VA space" (Linux 5.4) it begins at the bottom of the kernel's addresses,
    with the memory at ``memstart_addr``.
    """
    memory_start = variable(prog, "memstart_addr", signed=True)
    if memory_start is None:
        raise LookupError("could not find 'memstart_addr'")
    return (1 << 64) - (1 << _va_bits(prog)) - memory_start


def _address_of(entry: int, page_shift: int, wide: bool) -> int:
    """Get the physical address in a page table entry; *wide* ones have 52 bits, the highest of them out of place."""
    address = entry & (1 << 48) - (1 << page_shift)
    if wide:
        if page_shift == 16:
            address |= (entry >> 12 & 0xF) << 48
        else:
            address = entry & (1 << 50) - (1 << page_shift) | (entry >> 8 & 3) << 50
    return address


def translate(prog: Program, pgd: int, address: int) -> tuple[int, int]:
    """Translate a virtual address by walking page tables.

    :param pgd: Virtual address of the top table.
    :return: Physical address, and how many bytes from there are mapped in one piece.
    :raises FaultError: if the address is not mapped
    """
    page_shift = prog["PAGE_SHIFT"].value_()
    va_bits = _va_bits(prog)
    level_bits = page_shift - _ENTRY_BYTES_SHIFT
    levels = -(-(va_bits - page_shift) // level_bits)
    if address >> va_bits not in (0, (1 << 64 - va_bits) - 1):
        raise FaultError("address is not mapped", address)
    table, physical = pgd, False
    for level in reversed(range(levels)):
        shift = page_shift + level * level_bits
        bits = min(level_bits, va_bits - shift)
        slot = address >> shift & (1 << bits) - 1
        entry = prog.read_u64(table + (slot << _ENTRY_BYTES_SHIFT), physical)
        if not entry & _VALID:
            raise FaultError("address is not mapped", address)
        target = _address_of(entry, page_shift, va_bits == 52)
        if level == 0 or not entry & _TABLE_OR_PAGE:
            size = 1 << shift
            offset = address & size - 1
            return (target & -size) + offset, size - offset
        table, physical = target, True
    raise AssertionError("the loop ends at the lowest level")
