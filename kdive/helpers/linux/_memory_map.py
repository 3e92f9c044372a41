# SPDX-License-Identifier: Apache-2.0
"""Walks over all memory: page frames, vmalloc areas, hot-pluggable blocks, and totals."""

import sys
from array import array
from collections.abc import Iterable, Iterator, Sequence
from operator import index
from typing import Literal, NamedTuple

from kdive import NULL, FaultError, IntegerLike, Object, Program, container_of, sizeof
from kdive.helpers.common.format import decode_flags
from kdive.helpers.common.prog import takes_program_or_default
from kdive.helpers.linux._translation import _memory_map
from kdive.helpers.linux._words import bitmap_value, byte_order, set_bits
from kdive.helpers.linux.device import bus_for_each_dev
from kdive.helpers.linux.mmzone import for_each_present_section, section_nr_to_pfn
from kdive.helpers.linux.percpu import percpu_counter_sum_positive
from kdive.helpers.linux.rbtree import rb_find, rbtree_inorder_for_each_entry

# Flags in mem_section.section_mem_map: the section has a map, and was there when the kernel booted
# ("mm/sparsemem: introduce a SECTION_IS_EARLY flag", Linux 5.3).
_SECTION_HAS_MEM_MAP = 1 << 1
_SECTION_IS_EARLY = 1 << 3
_PAGES_PER_READ = 1 << 15
# Macros until Linux 6.18, flags of which only one is set.
_MEMORY_BLOCK_STATES = (
    ("MEM_ONLINE", 1 << 0),
    ("MEM_GOING_OFFLINE", 1 << 1),
    ("MEM_OFFLINE", 1 << 2),
    ("MEM_GOING_ONLINE", 1 << 3),
    ("MEM_CANCEL_ONLINE", 1 << 4),
    ("MEM_CANCEL_OFFLINE", 1 << 5),
)


class PageUsage(NamedTuple):
    """How many pages of a kind there are."""

    pages: int
    """All pages."""
    free_pages: int
    """Pages that are free."""

    @property
    def used_pages(self) -> int:
        """Pages that are in use."""
        return self.pages - self.free_pages


@takes_program_or_default
def for_each_valid_page_range(prog: Program) -> Iterator[tuple[int, int, Object]]:
    """Iterate over the ranges of page frames that have a ``struct page``.

    What lies in a range is not always memory: small holes have pages, too.

    >>> for start_pfn, end_pfn, mem_map in for_each_valid_page_range():
    ...     pages = mem_map[start_pfn:end_pfn]

    :return: Iterator of (first page frame number, page frame number after the last, ``struct page *`` of page
        frame number 0 as these have it) tuples. Neighbouring ranges are joined.
    """
    if "mem_section" not in prog:
        # CONFIG_FLATMEM
        first = prog["ARCH_PFN_OFFSET"].value_()
        yield first, first + prog["max_mapnr"].value_(), _memory_map(prog)
        return
    mem_map = _memory_map(prog)
    start = end = 0
    for first, last in _valid_ranges(prog):
        if first != end:
            if end:
                yield start, end, mem_map
            start = first
        end = last
    if end:
        yield start, end, mem_map


def _valid_ranges(prog: Program) -> Iterator[tuple[int, int]]:
    """Yield the ranges of page frames with a ``struct page``, section by section."""
    for number, section in for_each_present_section(prog):
        flags = section.section_mem_map.value_()
        if not flags & _SECTION_HAS_MEM_MAP:
            continue
        first = section_nr_to_pfn(prog, number).value_()
        last = section_nr_to_pfn(prog, number + 1).value_()
        try:
            # "mm/sparsemem: introduce struct mem_section_usage" (Linux 5.3), with CONFIG_SPARSEMEM_VMEMMAP
            subsections = section.usage.subsection_map
        except AttributeError:
            subsections = None
        if flags & _SECTION_IS_EARLY or subsections is None:
            yield first, last
            continue
        count = 8 * sizeof(subsections)
        pages_each = (last - first) // count
        for bit in set_bits(bitmap_value(subsections, count)):
            yield first + bit * pages_each, first + (bit + 1) * pages_each


@takes_program_or_default
def for_each_valid_pfn_and_page(prog: Program) -> Iterator[tuple[int, Object]]:
    """Iterate over the page frame numbers that have a ``struct page``.

    :return: Iterator of (page frame number, ``struct page *``) tuples.
    """
    for start, end, mem_map in for_each_valid_page_range(prog):
        pointer_type = mem_map.type_
        size = sizeof(pointer_type.unaliased().type)
        base = mem_map.value_()
        for pfn in range(start, end):
            yield pfn, Object(prog, pointer_type, base + pfn * size)


@takes_program_or_default
def for_each_page(prog: Program) -> Iterator[Object]:
    """Iterate over every ``struct page``.

    :return: Iterator of ``struct page *`` objects.
    """
    return (page for _, page in for_each_valid_pfn_and_page(prog))


def page_words(prog: Program, offset: int) -> Iterator[tuple[int, list[int]]]:
    """Read one word of every ``struct page``, many pages at a time.

    Pages whose structures can't be read (they may be left out of a dump) are skipped.

    :param offset: Offset of the word in ``struct page``.
    :return: Iterator of (page frame number, words of this page and those that follow it) tuples.
    """
    for first, (words,) in page_columns(prog, [offset]):
        yield first, words.tolist()


def page_columns(
    prog: Program, offsets: Sequence[int]
) -> Iterator[tuple[int, tuple[memoryview, ...]]]:
    """Read some words of every ``struct page``, many pages at a time.

    Pages whose structures can't be read (they may be left out of a dump) are skipped.

    :param offsets: Offsets of the words in ``struct page``.
    :return: Iterator of (page frame number, for each offset the words of this page and those that follow it) tuples.
    """
    word = prog.address_size()
    stride = sizeof(prog.type("struct page")) // word
    for start, end, mem_map in for_each_valid_page_range(prog):
        for first in range(start, end, _PAGES_PER_READ):
            count = min(end - first, _PAGES_PER_READ)
            for pfn, words in _readable_words(prog, mem_map.value_(), first, count, stride):
                yield pfn, tuple(words[offset // word :: stride] for offset in offsets)


def _readable_words(
    prog: Program, mem_map: int, first: int, count: int, stride: int
) -> Iterator[tuple[int, memoryview]]:
    """Read the structures of pages as words, halving what can't be read until only single pages are left out."""
    word = prog.address_size()
    size = stride * word
    code: Literal["Q", "I"] = "Q" if word == 8 else "I"
    try:
        content = prog.read(mem_map + first * size, count * size)
    except FaultError:
        if count > 1:
            half = count // 2
            yield from _readable_words(prog, mem_map, first, half, stride)
            yield from _readable_words(prog, mem_map, first + half, count - half, stride)
        return
    if byte_order(prog) == sys.byteorder:
        yield first, memoryview(content).cast(code)
    else:
        words = array(code, content)
        words.byteswap()
        yield first, memoryview(words)


def _busy_vmap_trees(prog: Program) -> Iterator[Object]:
    """Yield the trees of vmalloc areas in use, ``struct rb_root *`` each."""
    if "vmap_nodes" in prog:
        # "mm: vmalloc: remove global vmap_area_root rb-tree" (Linux 6.9)
        nodes = prog["vmap_nodes"]
        for number in range(prog["nr_vmap_nodes"].value_()):
            yield nodes[number].busy.root.address_of_()
    else:
        yield prog["vmap_area_root"].address_of_()


@takes_program_or_default
def for_each_vmap_area(prog: Program) -> Iterator[Object]:
    """Iterate over the areas of vmalloc, vmap and ioremap.

    :return: Iterator of ``struct vmap_area *`` objects.
    """
    for root in _busy_vmap_trees(prog):
        yield from rbtree_inorder_for_each_entry("struct vmap_area", root, "rb_node")


def _compare_address(address: int, area: Object) -> int:
    if address < area.va_start.value_():
        return -1
    return int(address >= area.va_end.value_())


@takes_program_or_default
def find_vmap_area(prog: Program, addr: IntegerLike) -> Object:
    """Find the area of vmalloc, vmap or ioremap that holds an address.

    :param addr: Address.
    :return: ``struct vmap_area *``, ``NULL`` if there is none.
    """
    address = index(addr)
    # An area is in the tree for the zone of its start, which need not be that of the address: all trees are asked.
    for root in _busy_vmap_trees(prog):
        area = rb_find("struct vmap_area", root, "rb_node", address, _compare_address)
        if area:
            return area
    return NULL(prog, "struct vmap_area *")


@takes_program_or_default
def totalram_pages(prog: Program) -> int:
    """Get the number of pages of memory that the kernel manages."""
    total: int = prog["_totalram_pages"].counter.value_()
    return total


@takes_program_or_default
def vm_commit_limit(prog: Program) -> int:
    """Get the limit of committed virtual memory in pages (``CommitLimit`` of ``/proc/meminfo``)."""
    from kdive.helpers.linux.hugetlb import hugetlb_total_pages

    kbytes = prog["sysctl_overcommit_kbytes"].value_()
    if kbytes:
        allowed = kbytes >> prog["PAGE_SHIFT"].value_() - 10
    else:
        ratio = prog["sysctl_overcommit_ratio"].value_()
        allowed = (totalram_pages(prog) - hugetlb_total_pages(prog)) * ratio // 100
    return int(allowed + prog["total_swap_pages"].value_())


@takes_program_or_default
def vm_memory_committed(prog: Program) -> int:
    """Get the number of pages of committed virtual memory (``Committed_AS`` of ``/proc/meminfo``)."""
    return percpu_counter_sum_positive(prog["vm_committed_as"].address_of_())


@takes_program_or_default
def for_each_memory_block(prog: Program) -> Iterable[Object]:
    """Iterate over the blocks of memory that can be plugged and unplugged.

    :return: Iterator of ``struct memory_block *`` objects.
    """
    for device in bus_for_each_dev(prog["memory_subsys"].address_of_()):
        yield container_of(device, "struct memory_block", "dev")


@takes_program_or_default
def memory_block_size_bytes(prog: Program) -> Object:
    """Get the size of the blocks of memory that can be plugged and unplugged.

    :return: ``unsigned long``, bytes
    """
    return prog["sections_per_block"] * (
        Object(prog, "unsigned long", 1) << prog["SECTION_SIZE_BITS"]
    )


@takes_program_or_default
def decode_memory_block_state_value(prog: Program, state: IntegerLike) -> str:
    """Name the state of a memory block.

    :param state: ``enum memory_block_state``, or ``unsigned long`` before Linux 6.18
    :return: Name like ``MEM_ONLINE``; several states that are changing are joined by ``|``.
    """
    value = index(state)
    try:
        states: list[tuple[str, int]] = [
            (name, number)
            for name, number in prog.type("enum memory_block_state").enumerators or ()
        ]
        return next((name for name, number in states if number == value), str(value))
    except LookupError:
        return decode_flags(value, _MEMORY_BLOCK_STATES, bit_numbers=False)


def decode_memory_block_state(mem: Object) -> str:
    """Name the state of a memory block.

    :param mem: ``struct memory_block *``
    """
    return decode_memory_block_state_value(mem.prog_, mem.state)
