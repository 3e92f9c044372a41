# SPDX-License-Identifier: Apache-2.0
"""NUMA nodes, zones and sections of memory (include/linux/mmzone.h)."""

from collections.abc import Iterator
from operator import index

from kdive import NULL, IntegerLike, Object, Program, TypeKind, cast, sizeof
from kdive.helpers.common.format import decode_flags
from kdive.helpers.common.prog import takes_program_or_default
from kdive.helpers.linux._words import words_at
from kdive.helpers.linux.nodemask import for_each_online_node

__all__ = (
    "NODE_DATA",
    "decode_section_flags",
    "early_section",
    "early_section_nr",
    "for_each_online_pgdat",
    "for_each_present_section",
    "high_wmark_pages",
    "low_wmark_pages",
    "min_wmark_pages",
    "nr_to_section",
    "online_section",
    "online_section_nr",
    "pfn_to_section",
    "pfn_to_section_nr",
    "present_section",
    "present_section_nr",
    "section_decode_mem_map",
    "section_mem_map_addr",
    "section_nr_to_pfn",
    "valid_section",
    "valid_section_nr",
    "wmark_pages",
)

# Flags in the lowest bits of mem_section.section_mem_map; macros before Linux 6.3. SECTION_IS_EARLY came with
# "mm/sparsemem: introduce a SECTION_IS_EARLY flag" (Linux 5.3).
_PRESENT = 1 << 0
_HAS_MEM_MAP = 1 << 1
_ONLINE = 1 << 2
_EARLY = 1 << 3
_FLAG_NAMES = (
    ("SECTION_MARKED_PRESENT", 0),
    ("SECTION_HAS_MEM_MAP", 1),
    ("SECTION_IS_ONLINE", 2),
    ("SECTION_IS_EARLY", 3),
)
# These may be left out by the configuration, so their bits differ.
_OPTIONAL_FLAGS = ("SECTION_TAINT_ZONE_DEVICE", "SECTION_IS_VMEMMAP_PREINIT")
# The map's address is a multiple of the page size, so masking more bits than there are flags does no harm.
_FLAGS_MASK = 0x3F


@takes_program_or_default
def NODE_DATA(prog: Program, nid: IntegerLike) -> Object:
    """Get what the kernel knows about the memory of a NUMA node.

    :param nid: NUMA node ID.
    :return: ``struct pglist_data *``
    """
    try:
        return prog["node_data"][index(nid)].read_()
    except KeyError:
        # Without CONFIG_NUMA there is one node.
        return prog["contig_page_data"].address_of_()


@takes_program_or_default
def for_each_online_pgdat(prog: Program) -> Iterator[Object]:
    """Iterate over the NUMA nodes that are online.

    :return: Iterator of ``struct pglist_data *`` objects.
    """
    for node in for_each_online_node(prog):
        yield NODE_DATA(prog, node)


def wmark_pages(zone: Object, i: IntegerLike) -> int:
    """Get a watermark of a zone, with the boost that it has at the moment.

    :param zone: ``struct zone *``
    :param i: ``enum zone_watermarks``
    :return: Number of pages.
    """
    watermark: int = zone._watermark[index(i)].value_() + zone.watermark_boost.value_()
    return watermark


def min_wmark_pages(zone: Object) -> int:
    """Get the watermark of a zone below which allocations reclaim memory themselves.

    :param zone: ``struct zone *``
    :return: Number of pages.
    """
    return wmark_pages(zone, zone.prog_["WMARK_MIN"])


def low_wmark_pages(zone: Object) -> int:
    """Get the watermark of a zone below which kswapd wakes up.

    :param zone: ``struct zone *``
    :return: Number of pages.
    """
    return wmark_pages(zone, zone.prog_["WMARK_LOW"])


def high_wmark_pages(zone: Object) -> int:
    """Get the watermark of a zone above which kswapd goes to sleep.

    :param zone: ``struct zone *``
    :return: Number of pages.
    """
    return wmark_pages(zone, zone.prog_["WMARK_HIGH"])


def _pages_per_section_shift(prog: Program) -> int:
    shift: int = prog["SECTION_SIZE_BITS"].value_() - prog["PAGE_SHIFT"].value_()
    return shift


@takes_program_or_default
def pfn_to_section_nr(prog: Program, pfn: IntegerLike) -> Object:
    """Get the number of the section that a page frame is in.

    :param pfn: ``unsigned long``
    :return: ``unsigned long``
    """
    return Object(prog, "unsigned long", index(pfn) >> _pages_per_section_shift(prog))


@takes_program_or_default
def section_nr_to_pfn(prog: Program, nr: IntegerLike) -> Object:
    """Get the number of the first page frame of a section.

    :param nr: ``unsigned long``
    :return: ``unsigned long``
    """
    return Object(prog, "unsigned long", index(nr) << _pages_per_section_shift(prog))


@takes_program_or_default
def nr_to_section(prog: Program, nr: IntegerLike) -> Object:
    """Get a section by its number.

    :param nr: ``unsigned long``
    :return: ``struct mem_section *``, ``NULL`` if there is none.
    """
    missing = NULL(prog, "struct mem_section *")
    root_number, number = divmod(index(nr), prog["SECTIONS_PER_ROOT"].value_())
    if not 0 <= root_number < prog["NR_SECTION_ROOTS"].value_():
        return missing
    roots = prog["mem_section"]
    # With CONFIG_SPARSEMEM_EXTREME the table of roots is allocated when the kernel boots, or never.
    if not roots:
        return missing
    root = roots[root_number]
    if not root:
        return missing
    return root[number].address_of_()


@takes_program_or_default
def pfn_to_section(prog: Program, pfn: IntegerLike) -> Object:
    """Get the section that a page frame is in.

    :param pfn: ``unsigned long``
    :return: ``struct mem_section *``, ``NULL`` if there is none.
    """
    return nr_to_section(prog, pfn_to_section_nr(prog, pfn))


def _has_flag(section: Object, flag: int) -> bool:
    return bool(section) and bool(section.section_mem_map.value_() & flag)


def present_section(section: Object) -> bool:
    """Return whether a section is present.

    :param section: ``struct mem_section *``
    """
    return _has_flag(section, _PRESENT)


def valid_section(section: Object) -> bool:
    """Return whether a section is valid, that is, whether its pages have a ``struct page``.

    :param section: ``struct mem_section *``
    """
    return _has_flag(section, _HAS_MEM_MAP)


def online_section(section: Object) -> bool:
    """Return whether a section is online.

    :param section: ``struct mem_section *``
    """
    return _has_flag(section, _ONLINE)


def early_section(section: Object) -> bool:
    """Return whether a section was there when the kernel booted, rather than plugged in later.

    :param section: ``struct mem_section *``
    """
    return _has_flag(section, _EARLY)


@takes_program_or_default
def present_section_nr(prog: Program, nr: IntegerLike) -> bool:
    """Return whether the section of a number is present.

    :param nr: ``unsigned long``
    """
    return present_section(nr_to_section(prog, nr))


@takes_program_or_default
def valid_section_nr(prog: Program, nr: IntegerLike) -> bool:
    """Return whether the section of a number is valid; see `valid_section()`.

    :param nr: ``unsigned long``
    """
    return valid_section(nr_to_section(prog, nr))


@takes_program_or_default
def online_section_nr(prog: Program, nr: IntegerLike) -> bool:
    """Return whether the section of a number is online.

    :param nr: ``unsigned long``
    """
    return online_section(nr_to_section(prog, nr))


@takes_program_or_default
def early_section_nr(prog: Program, nr: IntegerLike) -> bool:
    """Return whether the section of a number was there when the kernel booted.

    :param nr: ``unsigned long``
    """
    return early_section(nr_to_section(prog, nr))


def section_mem_map_addr(section: Object) -> Object:
    """Get the map of a section as it is encoded: indexed by page frame numbers.

    :param section: ``struct mem_section *``
    :return: ``struct page *`` whose element *pfn* is the page of that page frame number.
    """
    return cast("struct page *", section.section_mem_map & ~_FLAGS_MASK)


def section_decode_mem_map(section: Object, nr: IntegerLike) -> Object:
    """Get the map of a section.

    :param section: ``struct mem_section *``
    :param nr: Number of the section.
    :return: ``struct page *`` of the first page of the section.
    """
    return section_mem_map_addr(section) + section_nr_to_pfn(section.prog_, nr)


def decode_section_flags(section: Object) -> str:
    """Name the flags of a section.

    :param section: ``struct mem_section *``
    :return: Names joined by ``|``.
    """
    prog = section.prog_
    flags = [*_FLAG_NAMES]
    for name in _OPTIONAL_FLAGS:
        try:
            flags.append((name, int(prog.constant(f"{name}_BIT"))))
        except LookupError:
            continue
    return decode_flags(section.section_mem_map.value_() & _FLAGS_MASK, flags)


@takes_program_or_default
def for_each_present_section(prog: Program) -> Iterator[tuple[int, Object]]:
    """Iterate over the sections that are present.

    :return: Iterator of (number, ``struct mem_section *``) tuples.
    """
    roots = prog["mem_section"]
    if not roots:
        return
    per_root = prog["SECTIONS_PER_ROOT"].value_()
    section_type = prog.type("struct mem_section")
    section_pointer = prog.pointer_type(section_type)
    size = sizeof(section_type)
    flags_offset = section_type.member("section_mem_map").offset
    for root_number, root in enumerate(_section_roots(prog, roots)):
        if not root:
            continue
        for number in range(per_root):
            address = root + number * size
            if prog.read_word(address + flags_offset) & _PRESENT:
                yield root_number * per_root + number, Object(prog, section_pointer, address)


def _section_roots(prog: Program, roots: Object) -> list[int]:
    """Get the addresses of the arrays of sections; 0 for those that were not allocated."""
    count = prog["NR_SECTION_ROOTS"].value_()
    if (
        roots.type_.unaliased_kind() == TypeKind.POINTER
        or roots[0].type_.unaliased_kind() == TypeKind.POINTER
    ):
        # CONFIG_SPARSEMEM_EXTREME
        return words_at(prog, (roots + 0).value_(), count)
    return [roots[number].address_of_().value_() for number in range(count)]
