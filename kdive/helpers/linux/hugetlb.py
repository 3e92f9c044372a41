# SPDX-License-Identifier: Apache-2.0
"""Huge pages of hugetlbfs (include/linux/hugetlb.h)."""

from collections.abc import Iterator

from kdive import Object, Program
from kdive.helpers.common.prog import takes_program_or_default
from kdive.helpers.linux._memory_map import PageUsage

__all__ = ("for_each_hstate", "huge_page_size", "hugetlb_total_pages", "hugetlb_total_usage")


@takes_program_or_default
def for_each_hstate(prog: Program) -> Iterator[Object]:
    """Iterate over the sizes of huge pages that the kernel offers.

    :return: Iterator of ``struct hstate *`` objects.
    """
    try:
        states, count = prog["hstates"], prog["hugetlb_max_hstate"].value_()
    except KeyError:
        # Without CONFIG_HUGETLB_PAGE there are none.
        return
    for number in range(count):
        yield states[number].address_of_()


def huge_page_size(hstate: Object) -> Object:
    """Get the size of a huge page in bytes.

    :param hstate: ``struct hstate *``
    :return: ``unsigned long``
    """
    return hstate.prog_["PAGE_SIZE"] << hstate.order


@takes_program_or_default
def hugetlb_total_usage(prog: Program) -> PageUsage:
    """Get how many pages of normal size the huge pages of all sizes take, and how many of them are free."""
    pages = free = 0
    for state in for_each_hstate(prog):
        size_pages = 1 << state.order.value_()
        pages += state.nr_huge_pages.value_() * size_pages
        free += state.free_huge_pages.value_() * size_pages
    return PageUsage(pages, free)


@takes_program_or_default
def hugetlb_total_pages(prog: Program) -> int:
    """Get how many pages of normal size the huge pages of all sizes take."""
    return hugetlb_total_usage(prog).pages
