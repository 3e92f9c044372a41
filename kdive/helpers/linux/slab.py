# SPDX-License-Identifier: Apache-2.0
"""The slab allocator SLUB (mm/slub.c): caches, their slabs, and which objects are allocated.

SLAB and SLOB, which Linux 6.8 and 6.4 dropped, are not supported.
"""

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from operator import index
from typing import NamedTuple

from kdive import NULL, FaultError, IntegerLike, Object, Program, Type, cast, container_of, offsetof
from kdive.helpers.common.format import escape_ascii_string
from kdive.helpers.common.prog import takes_program_or_default
from kdive.helpers.linux._memory_map import page_words
from kdive.helpers.linux._page_flags import PageSlab, compound_head
from kdive.helpers.linux._slub import (
    SlabCorruptionError as SlabCorruptionError,
    SlabFreelistCycleError as SlabFreelistCycleError,
    SlabFreelistError as SlabFreelistError,
    SlabPartialListError as SlabPartialListError,
    SlubCache,
    as_slab,
    slab_type_name,
)
from kdive.helpers.linux._translation import in_direct_map, pfn_to_page, virt_to_page
from kdive.helpers.linux.kernfs import kernfs_children
from kdive.helpers.linux.list import list_for_each_entry
from kdive.helpers.linux.vmstat import global_node_page_state

__all__ = (
    "find_containing_slab_cache",
    "find_slab_cache",
    "for_each_slab_cache",
    "get_slab_cache_aliases",
    "print_slab_caches",
    "slab_cache_errors",
    "slab_cache_for_each_allocated_object",
    "slab_cache_is_merged",
    "slab_cache_objects_per_slab",
    "slab_cache_order",
    "slab_cache_pages_per_slab",
    "slab_cache_usage",
    "slab_object_info",
    "slab_total_usage",
)

# struct kmem_cache_order_objects holds the order above the number of objects.
_ORDER_SHIFT = 16
_OBJECTS_MASK = (1 << _ORDER_SHIFT) - 1
_KERNFS_TYPE_MASK = 0xF
_KERNFS_LINK = 0x4


class SlabCacheUsage(NamedTuple):
    """How many slabs and objects a slab cache has."""

    num_slabs: int
    """Slabs."""
    num_objs: int
    """Objects in all slabs, allocated or not."""
    free_objs: int
    """Objects that are not allocated."""

    @property
    def active_objs(self) -> int:
        """Objects that are allocated."""
        return self.num_objs - self.free_objs


class SlabTotalUsage(NamedTuple):
    """How many pages the slab allocator has."""

    reclaimable_pages: int
    """Pages of caches that can be shrunk."""
    unreclaimable_pages: int
    """Pages of caches that can't."""

    @property
    def total_pages(self) -> int:
        """Pages of all caches."""
        return self.reclaimable_pages + self.unreclaimable_pages


@dataclass(frozen=True)
class SlabObjectInfo:
    """An object of the slab allocator."""

    slab_cache: Object
    """``struct kmem_cache *`` that the object is from."""
    slab: Object
    """Slab that the object is in: ``struct slab *``, or ``struct page *`` before Linux 5.17."""
    address: int
    """Address where the object begins."""
    allocated: bool | None
    """Whether the object is allocated, None if that can't be told because a list of free objects is damaged."""


@takes_program_or_default
def for_each_slab_cache(prog: Program) -> Iterator[Object]:
    """Iterate over the caches on the list ``slab_caches``.

    :return: Iterator of ``struct kmem_cache *`` objects.
    """
    return list_for_each_entry("struct kmem_cache", prog["slab_caches"].address_of_(), "list")


@takes_program_or_default
def find_slab_cache(prog: Program, name: str | bytes) -> Object | None:
    """Find a cache by its name.

    A cache that was merged with another one is only found by the name of the first; see `get_slab_cache_aliases()`.

    :param name: Name.
    :return: ``struct kmem_cache *``, None if there is none.
    """
    wanted = name.encode() if isinstance(name, str) else name
    return next(
        (cache for cache in for_each_slab_cache(prog) if cache.name.string_() == wanted), None
    )


@takes_program_or_default
def print_slab_caches(prog: Program) -> None:
    """Print the caches, one per line: name and ``struct kmem_cache *``."""
    for cache in for_each_slab_cache(prog):
        name = escape_ascii_string(cache.name.string_(), escape_backslash=True)
        sys.stdout.write(f"{name} ({cache.type_.type_name()}){hex(cache)}\n")


def slab_cache_is_merged(slab_cache: Object) -> bool:
    """Return whether a cache is shared by several users, whose objects have about the same size.

    Objects of such a cache may be of different types.

    :param slab_cache: ``struct kmem_cache *``
    """
    return bool(slab_cache.refcount.value_() > 1)


def slab_cache_order(slab_cache: Object) -> int:
    """Get the allocation order of the slabs of a cache: 2 to that power is their size in pages.

    :param slab_cache: ``struct kmem_cache *``
    """
    return slab_cache.oo.x.value_() >> _ORDER_SHIFT


def slab_cache_pages_per_slab(slab_cache: Object) -> int:
    """Get the size of the slabs of a cache in pages.

    :param slab_cache: ``struct kmem_cache *``
    """
    return 1 << slab_cache_order(slab_cache)


def slab_cache_objects_per_slab(slab_cache: Object) -> int:
    """Get the number of objects in each slab of a cache.

    :param slab_cache: ``struct kmem_cache *``
    """
    return slab_cache.oo.x.value_() & _OBJECTS_MASK


def slab_cache_usage(slab_cache: Object) -> SlabCacheUsage:
    """Count the slabs and objects of a cache. Needs CONFIG_SLUB_DEBUG.

    :param slab_cache: ``struct kmem_cache *``
    :raises SlabCorruptionError: if a list of slabs or of free objects is damaged
    """
    return SlabCacheUsage(*SlubCache(slab_cache).usage())


def slab_cache_errors(slab_cache: Object) -> Iterator[SlabCorruptionError]:
    """Check the lists of a cache: of its slabs with free objects, and of the free objects in each.

    An object that is written to after it was freed, or freed twice, damages them. Those of a running kernel change
    while they are read, which looks the same.

    :param slab_cache: ``struct kmem_cache *``
    :return: Iterator of what is wrong, as exceptions that are not raised.
    """
    return SlubCache(slab_cache).errors()


@takes_program_or_default
def slab_total_usage(prog: Program) -> SlabTotalUsage:
    """Count the pages of the slab allocator."""
    return SlabTotalUsage(
        global_node_page_state(prog, prog["NR_SLAB_RECLAIMABLE_B"]),
        global_node_page_state(prog, prog["NR_SLAB_UNRECLAIMABLE_B"]),
    )


@takes_program_or_default
def get_slab_cache_aliases(prog: Program) -> dict[str, str]:
    """Get the names of caches that were merged into others. Needs CONFIG_SYSFS.

    The names are those of the symbolic links in ``/sys/kernel/slab``.

    :return: The name of the cache that was merged into, by the name of each one that was.
    :raises LookupError: if the kernel doesn't have these links
    """
    kset = prog["slab_kset"].read_()
    if not kset:
        raise LookupError("slab_kset is not set: the kernel has no /sys/kernel/slab")
    aliases = {}
    for node in kernfs_children(kset.kobj.sd.read_()):
        if node.flags.value_() & _KERNFS_TYPE_MASK != _KERNFS_LINK:
            continue
        kobject = cast("struct kobject *", node.symlink.target_kn.priv.read_())
        cache = container_of(kobject, "struct kmem_cache", "kobj")
        name, merged_into = node.name.string_().decode(), cache.name.string_().decode()
        if name != merged_into:
            aliases[name] = merged_into
    return aliases


def _slabs(slab_cache: Object) -> Iterator[Object]:
    """Yield the head page, ``struct page *``, of every slab of a cache.

    Slabs without free objects are on no list, so all pages are looked through.
    """
    prog = slab_cache.prog_
    wanted = slab_cache.value_()
    for first, words in page_words(prog, offsetof(prog.type(slab_type_name(prog)), "slab_cache")):
        for position, word in enumerate(words):
            if word != wanted:
                continue
            page = pfn_to_page(prog, first + position)
            # In tail pages and pages of other users the word is something else, if by chance of the same value.
            if PageSlab(page) and compound_head(page) == page:
                yield page


def slab_cache_for_each_allocated_object(slab_cache: Object, type: str | Type) -> Iterator[Object]:
    """Iterate over the allocated objects of a cache.

    >>> next(slab_cache_for_each_allocated_object(find_slab_cache("dentry"), "struct dentry"))
    *(struct dentry *)0xffff905e41404000 = {

    :param slab_cache: ``struct kmem_cache *``
    :param type: Type of the objects.
    :return: Iterator of ``type *`` objects.
    :raises SlabCorruptionError: if a list of free objects is damaged
    """
    prog = slab_cache.prog_
    pointer_type = prog.pointer_type(prog.type(type))
    cache = SlubCache(slab_cache)
    for page in _slabs(slab_cache):
        for address in cache.allocated_objects(page):
            yield Object(prog, pointer_type, address)


def _slab_page(prog: Program, address: int) -> Object | None:
    """Get the head page of the slab that an address is in, None if it is in none."""
    if not in_direct_map(prog, address):
        return None
    try:
        page = compound_head(virt_to_page(prog, address))
        return page if PageSlab(page) else None
    except FaultError:
        # There is no memory at that address, or its page is not in the dump.
        return None


@takes_program_or_default
def find_containing_slab_cache(prog: Program, addr: IntegerLike) -> Object:
    """Find the cache that an address was allocated from.

    :param addr: ``void *``
    :return: ``struct kmem_cache *``, ``NULL`` if the address is not from the slab allocator.
    """
    page = _slab_page(prog, index(addr))
    if page is None:
        return NULL(prog, "struct kmem_cache *")
    return as_slab(page).slab_cache.read_()


@takes_program_or_default
def slab_object_info(prog: Program, addr: IntegerLike) -> SlabObjectInfo | None:
    """Find out which object of the slab allocator an address is in.

    :param addr: ``void *``, to the object or into it.
    :return: Information, None if the address is not in an object.
    """
    address = index(addr)
    page = _slab_page(prog, address)
    if page is None:
        return None
    slab = as_slab(page)
    slab_cache = slab.slab_cache.read_()
    cache = SlubCache(slab_cache)
    start = cache.object_at(page, address)
    if start is None:
        return None
    allocated: bool | None
    try:
        allocated = start in cache.allocated_objects(page)
    except (SlabCorruptionError, FaultError):
        allocated = None
    return SlabObjectInfo(slab_cache, slab, start, allocated)
