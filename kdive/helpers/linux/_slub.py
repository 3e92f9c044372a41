# SPDX-License-Identifier: Apache-2.0
"""How SLUB keeps the objects of one cache (mm/slub.c): slabs, lists of free objects, sheaves."""

from collections.abc import Iterator

from kdive import Object, Program, cast
from kdive.helpers import ValidationError
from kdive.helpers.linux._translation import page_to_virt
from kdive.helpers.linux.cpumask import for_each_online_cpu
from kdive.helpers.linux.list import list_for_each_entry
from kdive.helpers.linux.nodemask import for_each_node_state
from kdive.helpers.linux.percpu import per_cpu_ptr

_WORD_MASK = 0xFFFFFFFFFFFFFFFF
# Sheaves hold a few dozen objects; the kernel sizes them by the size of the objects.
_MAX_SHEAF_OBJECTS = 1 << 16


class SlabCorruptionError(ValidationError):
    """A structure of the slab allocator is damaged."""


class SlabFreelistCycleError(SlabCorruptionError):
    """A list of free objects runs into a cycle."""


class SlabFreelistError(SlabCorruptionError):
    """A list of free objects leads to something else, or has not as many as its slab counts."""


class SlabPartialListError(SlabCorruptionError):
    """A list of partial slabs is damaged."""


def slab_type_name(prog: Program) -> str:
    """Get the name of the type that describes slabs."""
    name: str | None = prog.cache.get("kdive.slab_type")
    if name is None:
        name = "struct slab"
        try:
            # "mm: Split slab into its own type" (Linux 5.17)
            prog.type(name)
        except LookupError:
            name = "struct page"
        prog.cache["kdive.slab_type"] = name
    return name


def as_slab(page: Object) -> Object:
    """Get the structure that describes the slab whose head page is given.

    :param page: ``struct page *``
    :return: ``struct slab *``, or ``struct page *`` before Linux 5.17.
    """
    return cast(f"{slab_type_name(page.prog_)} *", page)


class SlubCache:
    """One slab cache: what is the same for all of its slabs, read once.

    :param slab_cache: ``struct kmem_cache *``
    :raises NotImplementedError: if the kernel uses another allocator than SLUB
    """

    def __init__(self, slab_cache: Object) -> None:
        prog: Program = slab_cache.prog_
        cache_type = prog.type("struct kmem_cache")
        if not cache_type.has_member("oo"):
            raise NotImplementedError("only the SLUB allocator is supported, not SLAB or SLOB")
        self._prog = prog
        self._cache = slab_cache
        self._size: int = slab_cache.size.value_()
        if self._size <= 0:
            raise SlabCorruptionError(
                f"slab cache {hex(slab_cache)} has objects of size {self._size}"
            )
        self._free_pointer_offset: int = slab_cache.offset.value_()
        # CONFIG_SLAB_FREELIST_HARDENED
        self._random: int | None = (
            slab_cache.random.value_() if cache_type.has_member("random") else None
        )
        # CONFIG_SLUB_DEBUG
        self._left_padding: int = (
            slab_cache.red_left_pad.value_() if cache_type.has_member("red_left_pad") else 0
        )
        # Sheaves came with "slab: add opt-in caching layer of percpu sheaves" (Linux 6.18), and the per-CPU slabs
        # went in Linux 7.0.
        self._has_cpu_slabs = cache_type.has_member("cpu_slab")
        self._has_sheaves = cache_type.has_member("cpu_sheaves")
        self._per_cpu_free: dict[int, set[int]] | None = None

    def _next_free(self, address: int) -> int:
        """Get the free object after one, decoding the pointer that is kept in the object."""
        pointer_address = address + self._free_pointer_offset & _WORD_MASK
        pointer = self._prog.read_word(pointer_address)
        if self._random is not None:
            # "slub: Improve bit diffusion for freelist ptr obfuscation" (Linux 5.7) added the swap of the bytes.
            swapped = int.from_bytes(pointer_address.to_bytes(8, "little"), "big")
            pointer ^= self._random ^ swapped
        return pointer

    def _free_chain(self, first: int, slab: Object) -> set[int]:
        """Collect the free objects of a list, all of which have to be in one slab."""
        free: set[int] = set()
        start = self._first_object(slab)
        stop = start + slab.objects.value_() * self._size
        address = first
        while address:
            if address in free:
                raise SlabFreelistCycleError(
                    f"freelist {hex(first)} of slab cache {hex(self._cache)} runs into a cycle at {hex(address)}"
                )
            if not start <= address < stop or (address - start) % self._size:
                raise SlabFreelistError(
                    f"freelist {hex(first)} of slab cache {hex(self._cache)} leads to {hex(address)}, "
                    f"which is no object of slab {hex(slab)}"
                )
            free.add(address)
            address = self._next_free(address)
        return free

    def _first_object(self, page: Object) -> int:
        start: int = page_to_virt(cast("struct page *", page)).value_()
        return start + self._left_padding

    def _nodes(self) -> Iterator[tuple[Object, Object | None]]:
        """Yield the ``struct kmem_cache_node *`` and ``struct node_barn *`` of each NUMA node with memory."""
        cache = self._cache
        per_node = self._prog.type("struct kmem_cache").has_member("per_node")
        for nid in for_each_node_state(self._prog, self._prog["N_NORMAL_MEMORY"]):
            if per_node:
                # Since Linux 7.1 both are behind one member.
                node, barn = cache.per_node[nid].node.read_(), cache.per_node[nid].barn.read_()
            else:
                node = cache.node[nid].read_()
                barn = node.barn.read_() if node and self._has_sheaves else None
            if node:
                yield node, barn

    def _sheaf(self, sheaf: Object) -> list[int]:
        """Get the objects in a sheaf; they are free."""
        if not sheaf:
            return []
        size = sheaf.size.value_()
        if size > _MAX_SHEAF_OBJECTS:
            raise SlabCorruptionError(f"sheaf {hex(sheaf)} has an implausible size of {size}")
        return [sheaf.objects[i].value_() for i in range(size)]

    def _sheaf_objects(self) -> Iterator[int]:
        """Yield the free objects in the sheaves of the CPUs and nodes, without those that wait for RCU."""
        for cpu in for_each_online_cpu(self._prog):
            sheaves = per_cpu_ptr(self._cache.cpu_sheaves.read_(), cpu)
            yield from self._sheaf(sheaves.main.read_())
            yield from self._sheaf(sheaves.spare.read_())
        for _, barn in self._nodes():
            if barn:
                full = list_for_each_entry(
                    "struct slab_sheaf", barn.sheaves_full.address_of_(), "barn_list"
                )
                for sheaf in full:
                    yield from self._sheaf(sheaf)

    def _cpu_slabs(self) -> Iterator[tuple[Object, Object]]:
        """Yield the per-CPU structure and the active slab, which may be NULL, of each CPU."""
        for cpu in for_each_online_cpu(self._prog):
            cpu_slab = per_cpu_ptr(self._cache.cpu_slab.read_(), cpu)
            try:
                active = cpu_slab.slab.read_()
            except AttributeError:
                active = cpu_slab.page.read_()
            yield cpu_slab, active

    def _cpu_partial_slabs(self, cpu_slab: Object) -> Iterator[Object]:
        """Yield the slabs on a CPU's list of partial slabs (CONFIG_SLUB_CPU_PARTIAL)."""
        try:
            slab = cpu_slab.partial.read_()
        except AttributeError:
            return
        seen: set[int] = set()
        while slab:
            if slab.value_() in seen:
                raise SlabPartialListError(
                    f"partial list of slab cache {hex(self._cache)} runs into a cycle at {hex(slab)}"
                )
            seen.add(slab.value_())
            yield slab
            slab = slab.next.read_()

    def _held_by_cpus(self) -> dict[int, set[int]]:
        """Get the free objects that are not on the list of their slab, by the address of the slab; 0 for sheaves."""
        if self._per_cpu_free is None:
            held: dict[int, set[int]] = {}
            if self._has_cpu_slabs and self._cache.cpu_slab:
                for cpu_slab, active in self._cpu_slabs():
                    if active:
                        free = self._free_chain(cpu_slab.freelist.value_(), active)
                        held.setdefault(active.value_(), set()).update(free)
            if self._has_sheaves and self._cache.cpu_sheaves:
                held[0] = set(self._sheaf_objects())
            self._per_cpu_free = held
        return self._per_cpu_free

    def allocated_objects(self, page: Object) -> list[int]:
        """Get the addresses of the allocated objects of a slab.

        :param page: ``struct page *``, the head page of the slab.
        """
        slab = as_slab(page)
        start = self._first_object(page)
        held = self._held_by_cpus()
        free = self._free_chain(slab.freelist.value_(), slab)
        not_allocated = free.union(held.get(page.value_(), ()), held.get(0, ()))
        stop = start + slab.objects.value_() * self._size
        return [
            address for address in range(start, stop, self._size) if address not in not_allocated
        ]

    def object_at(self, page: Object, address: int) -> int | None:
        """Get where the object begins that an address is in, None if it is outside of the slab's objects.

        :param page: ``struct page *``, the head page of the slab.
        """
        start = self._first_object(page)
        number = (address - start) // self._size
        if not 0 <= number < as_slab(page).objects.value_():
            return None
        return start + number * self._size

    def usage(self) -> tuple[int, int, int]:
        """Count the slabs, the objects, and the free objects of the cache."""
        slabs = objects = free = 0
        for node, _ in self._nodes():
            slabs += node.nr_slabs.counter.value_()
            objects += node.total_objects.counter.value_()
            free += self._free_in_partial_slabs(node)
        if self._has_cpu_slabs and self._cache.cpu_slab:
            for cpu_slab, active in self._cpu_slabs():
                if active:
                    free += active.objects.value_() - active.inuse.value_()
                    free += len(self._free_chain(cpu_slab.freelist.value_(), active))
                for slab in self._cpu_partial_slabs(cpu_slab):
                    free += slab.objects.value_() - slab.inuse.value_()
        if self._has_sheaves and self._cache.cpu_sheaves:
            free += sum(1 for _ in self._sheaf_objects())
        return slabs, objects, free

    def _free_in_partial_slabs(self, node: Object) -> int:
        return sum(
            slab.objects.value_() - slab.inuse.value_() for slab in self._partial_slabs(node)
        )

    def _partial_slabs(self, node: Object) -> Iterator[Object]:
        """Yield the slabs on the list of partial slabs of a node."""
        try:
            yield from list_for_each_entry(
                slab_type_name(self._prog), node.partial.address_of_(), "slab_list"
            )
        except ValidationError as error:
            raise SlabPartialListError(f"partial list of node {hex(node)}: {error}") from error

    def errors(self) -> Iterator[SlabCorruptionError]:
        """Check the lists of partial slabs and the lists of free objects of each slab on them or active on a CPU."""
        partial = [self._partial_slabs(node) for node, _ in self._nodes()]
        if self._has_cpu_slabs and self._cache.cpu_slab:
            for cpu_slab, active in self._cpu_slabs():
                partial.append(self._cpu_partial_slabs(cpu_slab))
                if active:
                    yield from self._freelist_errors(cpu_slab.freelist.value_(), active)
                    partial.append(iter((active,)))
        for slabs in partial:
            try:
                for slab in slabs:
                    free = slab.objects.value_() - slab.inuse.value_()
                    yield from self._freelist_errors(slab.freelist.value_(), slab, free)
            except SlabPartialListError as error:
                yield error

    def _freelist_errors(
        self, first: int, slab: Object, expected: int | None = None
    ) -> Iterator[SlabCorruptionError]:
        try:
            count = len(self._free_chain(first, slab))
        except SlabCorruptionError as error:
            yield error
            return
        if expected is not None and count != expected:
            yield SlabFreelistError(
                f"slab {hex(slab)} of slab cache {hex(self._cache)} counts {expected} free objects, "
                f"its freelist has {count}"
            )
