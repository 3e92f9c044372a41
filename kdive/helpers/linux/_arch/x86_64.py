# SPDX-License-Identifier: Apache-2.0
"""x86-64: four or five levels of page tables (arch/x86/include/asm/pgtable_64_types.h)."""

from kdive import FaultError, Program
from kdive.helpers.linux._symbols import variable

_PRESENT = 1
_HUGE = 1 << 7
_ADDRESS_MASK = (1 << 52) - (1 << 12)
_PAGE_SHIFT = 12
_LEVEL_BITS = 9
# Levels at which an entry may map memory instead of a table: the one of 2 MiB and the one of 1 GiB.
_HUGE_SHIFTS = (21, 30)


def pgtable_l5_enabled(prog: Program) -> bool:
    """Return whether the kernel uses five levels of page tables."""
    vmcoreinfo: bytes = prog["VMCOREINFO"].string_()
    return b"\nNUMBER(pgtable_l5_enabled)=1\n" in vmcoreinfo


def direct_mapping_offset(prog: Program) -> int:
    """Get the address of the direct map, which may be randomized (``page_offset_base``)."""
    base = variable(prog, "page_offset_base")
    if base is not None:
        return base
    # "x86/mm: Move LDT remap out of KASLR region on 5-level paging" (Linux 4.20) set these.
    return 0xFF11000000000000 if pgtable_l5_enabled(prog) else 0xFFFF888000000000


def translate(prog: Program, pgd: int, address: int) -> tuple[int, int]:
    """Translate a virtual address by walking page tables.

    :param pgd: Virtual address of the top table.
    :return: Physical address, and how many bytes from there are mapped in one piece.
    :raises FaultError: if the address is not mapped
    """
    levels = 5 if pgtable_l5_enabled(prog) else 4
    top_bit = _PAGE_SHIFT + levels * _LEVEL_BITS - 1
    if address >> top_bit not in (0, (1 << 64 - top_bit) - 1):
        raise FaultError("address is not mapped", address)
    # Memory encryption marks its pages by a bit among those of the address.
    mask = _ADDRESS_MASK & ~(variable(prog, "sme_me_mask") or 0)
    table, physical = pgd, False
    for level in reversed(range(levels)):
        shift = _PAGE_SHIFT + level * _LEVEL_BITS
        slot = address >> shift & (1 << _LEVEL_BITS) - 1
        entry = prog.read_u64(table + 8 * slot, physical)
        if not entry & _PRESENT:
            raise FaultError("address is not mapped", address)
        if level == 0 or (shift in _HUGE_SHIFTS and entry & _HUGE):
            size = 1 << shift
            offset = address & size - 1
            return (entry & mask & -size) + offset, size - offset
        table, physical = entry & mask, True
    raise AssertionError("the loop ends at the lowest level")
