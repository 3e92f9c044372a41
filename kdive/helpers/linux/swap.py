# SPDX-License-Identifier: Apache-2.0
"""Swap devices and files (include/linux/swap.h)."""

from collections.abc import Iterator

from kdive import Object, Program
from kdive.helpers.common.prog import takes_program_or_default
from kdive.helpers.linux._memory_map import PageUsage
from kdive.helpers.linux.fs import d_path
from kdive.helpers.linux.vmstat import global_node_page_state

__all__ = (
    "for_each_swap_info",
    "swap_file_path",
    "swap_is_file",
    "swap_total_usage",
    "swap_usage_in_pages",
    "total_swapcache_pages",
)

_SWP_USED = 1 << 0
# The counter says by a high bit whether the device is on the list of those that have room
# (SWAP_USAGE_OFFLIST_BIT, mm/swapfile.c).
_INUSE_COUNT_MASK = (1 << 62) - 1
_S_IFMT = 0o170000
_S_IFREG = 0o100000


@takes_program_or_default
def for_each_swap_info(prog: Program) -> Iterator[Object]:
    """Iterate over the swap devices and files in use: ``swap_info[]``.

    :return: Iterator of ``struct swap_info_struct *`` objects.
    """
    try:
        count = prog["nr_swapfiles"].value_()
    except KeyError:
        # Without CONFIG_SWAP there are none.
        return
    devices = prog["swap_info"]
    for number in range(min(count, len(devices))):
        device = devices[number].read_()
        if device and device.flags.value_() & _SWP_USED:
            yield device


def swap_file_path(si: Object) -> bytes:
    """Get the path of a swap device or file.

    :param si: ``struct swap_info_struct *``
    """
    file = si.swap_file.read_()
    return d_path(file.f_path) if file else b""


def swap_is_file(si: Object) -> bool:
    """Return whether swap space is a regular file rather than a device.

    :param si: ``struct swap_info_struct *``
    """
    return bool(si.swap_file.f_mapping.host.i_mode.value_() & _S_IFMT == _S_IFREG)


def swap_usage_in_pages(si: Object) -> int:
    """Get the number of pages in use on a swap device or file.

    :param si: ``struct swap_info_struct *``
    """
    try:
        # "mm: swap: use atomic inuse_counter for swap device" and its neighbours (Linux 6.14)
        return si.inuse_pages.counter.value_() & _INUSE_COUNT_MASK
    except AttributeError:
        return si.inuse_pages.value_()


@takes_program_or_default
def swap_total_usage(prog: Program) -> PageUsage:
    """Get the number of pages of all swap space, and how many of them are free."""
    try:
        return PageUsage(prog["total_swap_pages"].value_(), prog["nr_swap_pages"].counter.value_())
    except KeyError:
        # Without CONFIG_SWAP the first is a constant and the second doesn't exist.
        return PageUsage(0, 0)


@takes_program_or_default
def total_swapcache_pages(prog: Program) -> int:
    """Get the number of pages in memory that are still in swap space, too."""
    # "mm: memcg: add swapcache stat for memcg v2" (Linux 5.12)
    try:
        item = prog["NR_SWAPCACHE"]
    except KeyError:
        return sum(
            spaces[i].nrpages.value_()
            for spaces, count in zip(prog["swapper_spaces"], prog["nr_swapper_spaces"], strict=True)
            for i in range(count)
        )
    return global_node_page_state(prog, item)
