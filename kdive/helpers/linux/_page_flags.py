# SPDX-License-Identifier: Apache-2.0
"""Flags and types of pages, and compound pages (include/linux/page-flags.h)."""

from collections.abc import Callable
from operator import index

from kdive import IntegerLike, Object, Program, TypeKind
from kdive.helpers.common.format import decode_flags
from kdive.helpers.common.prog import takes_program_or_default

# The type of a page is in the highest byte of page_type since "mm: support only one page_type per page"
# (Linux 6.12).
_PAGE_TYPE_SHIFT = 24
# In Linux 6.10 ("mm: free up PG_slab") and 6.11 a type was a bit that is clear when the page has the type, while the
# bits of a mask are set. These are macros in 6.10 and enumerators, of other values, in 6.11.
_PAGE_TYPE_BASE = 0xF0000000
_PG_SLAB_TYPE_BIT = 0x00001000


def page_flags(page: Object) -> Object:
    """Get the flags word of a page.

    It is wrapped in ``memdesc_flags_t`` since Linux 6.18.

    :param page: ``struct page *``
    :return: ``unsigned long``
    """
    flags = page.flags
    if flags.type_.unaliased_kind() == TypeKind.STRUCT:
        return flags.f
    return flags


def _flag_bit(prog: Program, flag: str) -> int | None:
    """Get the bit number of a flag, None if this kernel doesn't have it."""
    key = f"kdive.page_flag.{flag}"
    bit: int | None
    try:
        bit = prog.cache[key]
    except KeyError:
        try:
            bit = int(prog.constant(flag))
        except LookupError:
            bit = None
        prog.cache[key] = bit
    return bit


def _flag_getter(name: str, flag: str) -> Callable[[Object], bool]:
    def getter(page: Object) -> bool:
        bit = _flag_bit(page.prog_, flag)
        return bit is not None and bool(page_flags(page).value_() >> bit & 1)

    getter.__name__ = getter.__qualname__ = name
    getter.__doc__ = f"""Return whether the flag ``{flag}`` is set on a page; false on kernels that don't have it.

    :param page: ``struct page *``
    """
    return getter


PageActive = _flag_getter("PageActive", "PG_active")
PageChecked = _flag_getter("PageChecked", "PG_checked")
PageDirty = _flag_getter("PageDirty", "PG_dirty")
PageDoubleMap = _flag_getter("PageDoubleMap", "PG_double_map")
PageError = _flag_getter("PageError", "PG_error")
PageForeign = _flag_getter("PageForeign", "PG_foreign")
PageHWPoison = _flag_getter("PageHWPoison", "PG_hwpoison")
PageHasHWPoisoned = _flag_getter("PageHasHWPoisoned", "PG_has_hwpoisoned")
PageIdle = _flag_getter("PageIdle", "PG_idle")
PageIsolated = _flag_getter("PageIsolated", "PG_isolated")
PageLRU = _flag_getter("PageLRU", "PG_lru")
PageLocked = _flag_getter("PageLocked", "PG_locked")
PageMappedToDisk = _flag_getter("PageMappedToDisk", "PG_mappedtodisk")
PageMlocked = _flag_getter("PageMlocked", "PG_mlocked")
PageOwnerPriv1 = _flag_getter("PageOwnerPriv1", "PG_owner_priv_1")
PagePinned = _flag_getter("PagePinned", "PG_pinned")
PagePrivate = _flag_getter("PagePrivate", "PG_private")
PagePrivate2 = _flag_getter("PagePrivate2", "PG_private_2")
PageReadahead = _flag_getter("PageReadahead", "PG_readahead")
PageReclaim = _flag_getter("PageReclaim", "PG_reclaim")
PageReferenced = _flag_getter("PageReferenced", "PG_referenced")
PageReported = _flag_getter("PageReported", "PG_reported")
PageReserved = _flag_getter("PageReserved", "PG_reserved")
PageSavePinned = _flag_getter("PageSavePinned", "PG_savepinned")
PageSkipKASanPoison = _flag_getter("PageSkipKASanPoison", "PG_skip_kasan_poison")
PageSlobFree = _flag_getter("PageSlobFree", "PG_slob_free")
PageSwapBacked = _flag_getter("PageSwapBacked", "PG_swapbacked")
PageUncached = _flag_getter("PageUncached", "PG_uncached")
PageUnevictable = _flag_getter("PageUnevictable", "PG_unevictable")
PageUptodate = _flag_getter("PageUptodate", "PG_uptodate")
PageVmemmapSelfHosted = _flag_getter("PageVmemmapSelfHosted", "PG_vmemmap_self_hosted")
PageWaiters = _flag_getter("PageWaiters", "PG_waiters")
PageWorkingset = _flag_getter("PageWorkingset", "PG_workingset")
PageWriteback = _flag_getter("PageWriteback", "PG_writeback")
PageXenRemapped = _flag_getter("PageXenRemapped", "PG_xen_remapped")
PageYoung = _flag_getter("PageYoung", "PG_young")


def _compound_word(page: Object) -> int:
    """Get the first word of a page's union, whose bit 0 marks a tail page."""
    word: int
    try:
        word = page.compound_head.value_()
    except AttributeError:
        # "mm: rename page->compound_head to compound_info" (Linux 7.1)
        word = page.compound_info.value_()
    return word


def PageTail(page: Object) -> bool:
    """Return whether a page is a tail page of a compound page.

    :param page: ``struct page *``
    """
    return bool(_compound_word(page) & 1)


def PageHead(page: Object) -> bool:
    """Return whether a page is the head page of a compound page.

    :param page: ``struct page *``
    """
    bit = _flag_bit(page.prog_, "PG_head")
    if bit is None or not page_flags(page).value_() >> bit & 1:
        return False
    # Tail pages of huge pages may share a copy of the head page's structure
    # ("mm: hugetlb: free the vmemmap pages associated with each HugeTLB page", Linux 5.14).
    return _fake_head(page) is None


def PageCompound(page: Object) -> bool:
    """Return whether a page is part of a compound page.

    :param page: ``struct page *``
    """
    bit = _flag_bit(page.prog_, "PG_head")
    return PageTail(page) or (bit is not None and bool(page_flags(page).value_() >> bit & 1))


def _fake_head(page: Object) -> int | None:
    """Get the address of the real head page if *page* is a tail page that is mapped to the memory of its head page."""
    prog = page.prog_
    # Such a page is at the beginning of a page of structures, and the structure after it is a tail page.
    if page.value_() % prog["PAGE_SIZE"].value_() or not prog.type("struct page").has_member(
        "compound_head"
    ):
        return None
    # The name changed in "mm: hugetlb_vmemmap: introduce the name HVO" and its neighbours (Linux 6.0).
    if (
        "hugetlb_optimize_vmemmap_key" not in prog
        and "hugetlb_free_vmemmap_enabled_key" not in prog
    ):
        return None
    following = page[1].compound_head.value_()
    if following & 1 and following - 1 != page.value_():
        head: int = following - 1
        return head
    return None


def compound_head(page: Object) -> Object:
    """Get the head page of the compound page that a page belongs to; the page itself if it is no tail page.

    :param page: ``struct page *``
    :return: ``struct page *``
    """
    page = page.read_()
    prog = page.prog_
    word = _compound_word(page)
    if not word & 1:
        bit = _flag_bit(prog, "PG_head")
        if bit is not None and page_flags(page).value_() >> bit & 1:
            head = _fake_head(page)
            if head is not None:
                return Object(prog, page.type_, head)
        return page
    # Where the size of struct page allows it, the word is a mask that leads from a tail page to its head page
    # (CONFIG_HUGETLB_PAGE_OPTIMIZE_VMEMMAP, Linux 7.1). A mask has its highest bits set; the address of a
    # page in the direct map of pages has not as many.
    mask = word & ~1
    if (mask | mask - 1) & 0xFFFFFFFFFFFFFFFF == 0xFFFFFFFFFFFFFFFF and not prog.type(
        "struct page"
    ).has_member("compound_head"):
        return Object(prog, page.type_, page.value_() & mask)
    return Object(prog, page.type_, mask)


def compound_order(page: Object) -> Object:
    """Get the allocation order of a compound page, whose size is 2 to that power in pages.

    :param page: ``struct page *``, the head page.
    :return: ``unsigned int``, 0 if the page is not the head of a compound page.
    """
    prog = page.prog_
    order = 0
    if PageHead(page):
        first_tail = page[1]
        if prog.type("struct page").has_member("compound_order"):
            order = first_tail.compound_order.value_()
        else:
            # "mm: convert struct page to folio order" and its neighbours: since "mm: free up a word in the first tail
            # page" (Linux 6.6) the order is in the lowest byte of the flags of the first tail page.
            order = page_flags(first_tail.address_of_()).value_() & 0xFF
    return Object(prog, "unsigned int", order)


def compound_nr(page: Object) -> Object:
    """Get the number of pages of a compound page.

    :param page: ``struct page *``, the head page.
    :return: ``unsigned long``, 1 if the page is not the head of a compound page.
    """
    return Object(page.prog_, "unsigned long", 1 << compound_order(page).value_())


def page_size(page: Object) -> Object:
    """Get the size of a page or compound page in bytes.

    :param page: ``struct page *``, the head page.
    :return: ``unsigned long``
    """
    return page.prog_["PAGE_SIZE"] << compound_order(page)


def PageSlab(page: Object) -> bool:
    """Return whether a page belongs to the slab allocator.

    :param page: ``struct page *``
    """
    prog = page.prog_
    page = compound_head(page)
    slab_type = _slab_page_type(prog)
    if slab_type is not None:
        return bool(page.page_type.value_() >> _PAGE_TYPE_SHIFT == slab_type)
    bit = _flag_bit(prog, "PG_slab")
    if bit is not None and bit < 8 * prog.address_size():
        return bool(page_flags(page).value_() >> bit & 1)
    base = _flag_bit(prog, "PAGE_TYPE_BASE") or _PAGE_TYPE_BASE
    return bool(page.page_type.value_() & (base | (bit or _PG_SLAB_TYPE_BIT)) == base)


def _slab_page_type(prog: Program) -> int | None:
    """Get the type of slab pages (``PGTY_slab``), None before Linux 6.12."""
    return _flag_bit(prog, "PGTY_slab")


def page_index(page: Object) -> Object:
    """Get the offset of a page in the file or other object that it is mapped from, in pages.

    :param page: ``struct page *``
    :return: ``pgoff_t``
    """
    try:
        # "mm: rename page->index to page->__folio_index" (Linux 6.16)
        return page.__folio_index.read_()
    except AttributeError:
        return page.index.read_()


@takes_program_or_default
def decode_page_flags_value(prog: Program, flags: IntegerLike) -> str:
    """Name the flags that are set in the flags word of a page, without the node, zone and section that are in it too.

    :param flags: ``unsigned long``
    :return: Names joined by ``|``.
    """
    names = [
        (name, bit)
        for name, bit in prog.type("enum pageflags").enumerators or ()
        if name != "__NR_PAGEFLAGS"
    ]
    mask = (1 << int(prog["__NR_PAGEFLAGS"])) - 1
    return decode_flags(index(flags) & mask, names)


def decode_page_flags(page: Object) -> str:
    """Name the flags that are set on a page.

    :param page: ``struct page *``
    :return: Names joined by ``|``.
    """
    return decode_page_flags_value(page.prog_, page_flags(page))
