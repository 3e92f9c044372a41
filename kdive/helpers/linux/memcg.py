# SPDX-License-Identifier: Apache-2.0
"""Memory cgroups (``struct mem_cgroup``, include/linux/memcontrol.h) and what is charged to them."""

from collections.abc import Iterator
from typing import NamedTuple

from kdive import NULL, Object, Program, container_of, offsetof, sizeof
from kdive.helpers.common.format import decode_flags
from kdive.helpers.common.prog import takes_program_or_default
from kdive.helpers.linux._memory_map import for_each_valid_page_range, page_columns, page_words
from kdive.helpers.linux._page_flags import compound_head
from kdive.helpers.linux._slub import as_slab
from kdive.helpers.linux._words import words_at
from kdive.helpers.linux.cgroup import cgroup_path, css_for_each_descendant_pre
from kdive.helpers.linux.cpumask import for_each_possible_cpu
from kdive.helpers.linux.percpu import per_cpu_ptr

__all__ = (
    "ChargedPages",
    "charged_pages",
    "css_is_online",
    "decode_css_flags",
    "for_each_mem_cgroup",
    "for_each_page_memcg_data",
    "mem_cgroup_counter",
    "mem_cgroup_path",
    "memcg_data_mem_cgroup",
    "nr_dying_mem_cgroups",
    "nr_valid_pages",
    "obj_cgroup_was_handed_over",
    "page_mem_cgroup",
    "page_memcg_data",
    "percpu_ref_is_dying",
    "percpu_ref_sum",
    "slab_page_obj_cgroups",
)

# Flags of struct cgroup_subsys_state, enumerators of an anonymous type
_CSS_FLAGS = ("CSS_NO_REF", "CSS_ONLINE", "CSS_RELEASED", "CSS_VISIBLE", "CSS_DYING")
# Flags in the lowest bits of page.memcg_data: a vector of slab objects, kernel memory, and since Linux 6.10 one more.
_MEMCG_DATA_OBJECTS = 1 << 0
_MEMCG_DATA_KMEM = 1 << 1
_MEMCG_DATA_FLAGS = 0x7
# Flags in the lowest bits of percpu_ref.percpu_count_ptr
_REF_ATOMIC = 1 << 0
_REF_DEAD = 1 << 1
# What a counter in the per-CPU mode is above its value
_REF_BIAS_SHIFT_FROM_TOP = 1


def css_is_online(css: Object) -> bool:
    """Return whether a controller's state is online: it goes offline when its cgroup is removed.

    :param css: ``struct cgroup_subsys_state *``
    """
    return bool(css.flags.value_() & int(css.prog_["CSS_ONLINE"]))


def decode_css_flags(css: Object) -> str:
    """Name the flags of a controller's state.

    :param css: ``struct cgroup_subsys_state *``
    :return: Names joined by ``|``, e.g. ``"CSS_ONLINE|CSS_VISIBLE"``.
    """
    flags = []
    for name in _CSS_FLAGS:
        try:
            flags.append((name, int(css.prog_[name])))
        except KeyError:
            continue
    return decode_flags(css.flags, flags, bit_numbers=False)


def percpu_ref_is_dying(ref: Object) -> bool:
    """Return whether a per-CPU reference count was killed: nothing may take a new reference.

    :param ref: ``struct percpu_ref *``
    """
    return bool(ref.percpu_count_ptr.value_() & _REF_DEAD)


def percpu_ref_sum(ref: Object) -> int:
    """Add up a per-CPU reference count.

    :param ref: ``struct percpu_ref *``
    :return: Number of references; 0 for a count that was released.
    """
    prog = ref.prog_
    try:
        # "percpu_ref: reduce memory footprint of percpu_ref in fast path" (Linux 5.10)
        data = ref.data.read_()
    except AttributeError:
        data = ref
    pointer = ref.percpu_count_ptr.value_()
    bits = 8 * prog.address_size()
    if not data:
        # Once released, the count itself is kept above the flags.
        return int(pointer >> 2)
    count = data.count.counter.value_()
    if pointer & (_REF_ATOMIC | _REF_DEAD):
        return int(count)
    counts = Object(prog, "unsigned long *", pointer & ~(_REF_ATOMIC | _REF_DEAD))
    total = count + sum(per_cpu_ptr(counts, cpu)[0].value_() for cpu in for_each_possible_cpu(prog))
    # In this mode the shared count is biased so that it can't reach 0; the CPUs' counts wrap around.
    total = total - (1 << bits - _REF_BIAS_SHIFT_FROM_TOP) & (1 << bits) - 1
    return int(total)


@takes_program_or_default
def for_each_mem_cgroup(prog: Program) -> Iterator[Object]:
    """Iterate over the memory cgroups, parents before children, those that are dying included.

    A memory cgroup stays below its parent until its last reference is gone.

    :return: Iterator of ``struct mem_cgroup *`` objects.
    """
    root = prog["root_mem_cgroup"].read_()
    if not root:
        return
    for css in css_for_each_descendant_pre(root.css.address_of_()):
        yield container_of(css, "struct mem_cgroup", "css")


def mem_cgroup_path(memcg: Object) -> bytes:
    """Get the path of the cgroup of a memory cgroup; it outlives the removal of the cgroup.

    :param memcg: ``struct mem_cgroup *``
    """
    return cgroup_path(memcg.css.cgroup.read_())


@takes_program_or_default
def nr_dying_mem_cgroups(prog: Program) -> int:
    """Get how many cgroups were removed and live on, of the hierarchy with the memory controller."""
    cgroup = prog["root_mem_cgroup"].css.cgroup.root.cgrp
    try:
        # "cgroup: Show # of subsystem CSSes in cgroup.stat" (Linux 6.12) counts for each controller.
        return cgroup.nr_dying_subsys[int(prog["memory_cgrp_id"])].value_()
    except AttributeError:
        return cgroup.nr_dying_descendants.value_()


def mem_cgroup_counter(memcg: Object, name: str) -> int | None:
    """Get a statistic of a memory cgroup and those below it, as of the last time that the CPUs' parts were added up.

    :param memcg: ``struct mem_cgroup *``
    :param name: Enumerator of ``enum node_stat_item`` or ``enum memcg_stat_item``, such as ``"NR_FILE_PAGES"``.
    :return: Its value in pages, or in bytes if its name ends in ``_B``; None if this kernel does not count it.
    """
    prog = memcg.prog_
    try:
        number = int(prog[name])
    except KeyError:
        return None
    if "mem_cgroup_stats_index" in prog:
        # "memcg: reduce memory for the lruvec and memcg stats" (Linux 6.10) leaves out what no memory cgroup counts.
        entry = prog["mem_cgroup_stats_index"][number]
        # At first the numbers were signed and counted from 1, with 0 for none; later unsigned with 255 for none.
        number = entry.value_() - 1 if entry.type_.unaliased().is_signed else entry.value_()
        if number in (-1, 0xFF):
            return None
    vmstats = memcg.vmstats
    try:
        # "mm: memcontrol: switch to rstat" (Linux 5.13)
        value = vmstats.state[number].value_()
    except AttributeError:
        value = vmstats[number].counter.value_()
    # What CPUs have taken off before others have put on may make it negative for a moment.
    return max(0, int(value))


def _is_object_cgroup(prog: Program, memcg_data: int) -> bool:
    """Return whether a page points to its memory cgroup through a ``struct obj_cgroup``."""
    if memcg_data & _MEMCG_DATA_KMEM:
        # "mm: memcontrol: use obj_cgroup APIs to charge kmem pages" (Linux 5.13)
        return True
    # Since Linux 7.2 all pages do, so that they can be handed to the parent when a memory cgroup is removed.
    key = "kdive.memcg_pages_have_objcg"
    answer: bool | None = prog.cache.get(key)
    if answer is None:
        answer = prog.cache[key] = prog.type("struct obj_cgroup").has_member("is_root")
    return answer


def memcg_data_mem_cgroup(prog: Program, memcg_data: int) -> Object:
    """Get the memory cgroup that a page's ``memcg_data`` refers to.

    :return: ``struct mem_cgroup *``, ``NULL`` for a page of slab objects, which may be of several, and for the tail
        pages of compound pages.
    """
    # "mm: let _folio_nr_pages overlay memcg_data in first tail page" (Linux 6.15): that is no address.
    is_address = memcg_data >> 8 * prog.address_size() - 1
    if not is_address or memcg_data & _MEMCG_DATA_OBJECTS:
        return NULL(prog, "struct mem_cgroup *")
    address = memcg_data & ~_MEMCG_DATA_FLAGS
    if _is_object_cgroup(prog, memcg_data):
        return Object(prog, "struct obj_cgroup *", address).memcg.read_()
    return Object(prog, "struct mem_cgroup *", address)


def page_mem_cgroup(page: Object) -> Object:
    """Get the memory cgroup that a page is charged to.

    :param page: ``struct page *``
    :return: ``struct mem_cgroup *``, ``NULL`` if the page is charged to none, or holds slab objects, which may be
        charged to several.
    """
    page = compound_head(page)
    try:
        # "mm: memcontrol: Use helpers to read page's memcg data" (Linux 5.11)
        return memcg_data_mem_cgroup(page.prog_, page.memcg_data.value_())
    except AttributeError:
        return page.mem_cgroup.read_()


def page_memcg_data(page: Object) -> int:
    """Get the word of a page that says what it is charged to: see `memcg_data_mem_cgroup()`.

    :param page: ``struct page *``
    """
    return page.prog_.read_word(int(page) + _memcg_data_offset(page.prog_))


def slab_page_obj_cgroups(page: Object, memcg_data: int) -> list[int]:
    """Get what the objects of a slab are charged through.

    :param page: ``struct page *``, the head page of the slab.
    :param memcg_data: Its ``memcg_data``, which points to a vector of what is wanted.
    :return: The address of a ``struct obj_cgroup`` for each object, 0 where it is charged to no memory cgroup.
    """
    prog = page.prog_
    words_each = _words_for_each_object(prog)
    count = as_slab(page).objects.value_() * words_each
    return words_at(prog, memcg_data & ~_MEMCG_DATA_FLAGS, count)[::words_each]


def _words_for_each_object(prog: Program) -> int:
    """Return how many words a slab keeps of each object for what it is charged through."""
    key = "kdive.slabobj_ext_words"
    words: int | None = prog.cache.get(key)
    if words is None:
        try:
            # "mm: introduce slabobj_ext to support slab object extensions" (Linux 6.10) has them in a structure, first.
            words = sizeof(prog.type("struct slabobj_ext")) // prog.address_size()
        except LookupError:
            words = 1
        prog.cache[key] = words
    return words


def obj_cgroup_was_handed_over(objcg: Object) -> bool:
    """Return whether what is charged through it was charged to a memory cgroup that was removed since.

    Its objects belong to the parent of that memory cgroup then ("mm: memcg/slab: use a single set of kmem_caches for
    all accounted allocations", Linux 5.9), and so don't keep it.

    :param objcg: ``struct obj_cgroup *``
    """
    return bool(objcg.memcg.objcg.value_() != objcg.value_())


@takes_program_or_default
def for_each_page_memcg_data(prog: Program) -> Iterator[tuple[int, int]]:
    """Iterate over the pages that are charged to anything, many at a time.

    Tail pages of compound pages have no data of their own.

    :return: Iterator of (page frame number, ``memcg_data``) tuples; see `memcg_data_mem_cgroup()`.
    """
    for first, words in page_words(prog, _memcg_data_offset(prog)):
        # Most pages are charged to nothing: picking the others in one go is several times as fast as one by one.
        yield from [(first + position, word) for position, word in enumerate(words) if word]


def _memcg_data_offset(prog: Program) -> int:
    page_type = prog.type("struct page")
    # "mm: memcontrol: Use helpers to read page's memcg data" (Linux 5.11)
    return offsetof(page_type, "memcg_data" if page_type.has_member("memcg_data") else "mem_cgroup")


class ChargedPages(NamedTuple):
    """Members of the ``struct page`` of neighbouring page frames, those that are charged to nothing included."""

    first_pfn: int
    memcg_data: memoryview
    """A word for each page: see `memcg_data_mem_cgroup()`."""
    mapping: memoryview
    """A word for each page: what it is a page of."""
    flags: memoryview
    """A word for each page: its flags."""


@takes_program_or_default
def charged_pages(prog: Program) -> Iterator[ChargedPages]:
    """Iterate over all pages, tens of thousands at a time, to find those that are charged to memory cgroups.

    This is some hundred times as fast as to look at a page at a time. Pages that can't be read are left out.
    """
    page_type = prog.type("struct page")
    offsets = [
        _memcg_data_offset(prog),
        offsetof(page_type, "mapping"),
        offsetof(page_type, "flags"),
    ]
    for first, (memcg_data, mapping, flags) in page_columns(prog, offsets):
        yield ChargedPages(first, memcg_data, mapping, flags)


@takes_program_or_default
def nr_valid_pages(prog: Program) -> int:
    """Get how many page frames have a ``struct page``."""
    return sum(end - start for start, end, _ in for_each_valid_page_range(prog))
