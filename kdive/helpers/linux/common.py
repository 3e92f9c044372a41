# SPDX-License-Identifier: Apache-2.0
"""What addresses in the kernel may be identified as; see `kdive.helpers.common.memory`."""

import bisect
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

from kdive import FaultError, Object, Program, sizeof
from kdive.helpers.linux._memory_map import find_vmap_area, for_each_valid_page_range
from kdive.helpers.linux._translation import in_direct_map, page_to_pfn
from kdive.helpers.linux.pid import for_each_task
from kdive.helpers.linux.slab import SlabObjectInfo, slab_object_info

__all__ = ()


class IdentifiedAddress(Protocol):
    """An address of which something is known."""

    @property
    def address(self) -> int:
        """Address."""


def _offset(distance: int) -> str:
    return f" +{hex(distance)}" if distance else ""


@dataclass(frozen=True)
class IdentifiedTaskStruct:
    """An address in a ``struct task_struct``."""

    address: int
    """Address."""
    task: Object
    """``struct task_struct *``"""

    def __str__(self) -> str:
        return f"task: {_task(self.task)}{_offset(self.address - self.task.value_())}"


@dataclass(frozen=True)
class IdentifiedTaskStack:
    """An address in the kernel stack of a task."""

    address: int
    """Address."""
    task: Object
    """``struct task_struct *``"""

    def __str__(self) -> str:
        return f"task stack: {_task(self.task)} +{hex(self.address - self.task.stack.value_())}"


@dataclass(frozen=True)
class IdentifiedSlabObject:
    """An address from the slab allocator."""

    address: int
    """Address."""
    slab_object_info: SlabObjectInfo
    """The object that the address is in."""

    def __str__(self) -> str:
        info = self.slab_object_info
        name = info.slab_cache.name.string_().decode(errors="replace")
        state = {True: "", False: "free ", None: "corrupted "}[info.allocated]
        return f"{state}slab object: {name}+{hex(self.address - info.address)}"


@dataclass(frozen=True)
class IdentifiedVmap:
    """An address in an area of vmalloc, vmap or ioremap."""

    address: int
    """Address."""
    vmap_area: Object
    """``struct vmap_area *``"""
    vm_struct: Object
    """``struct vm_struct *``, which may be ``NULL``"""

    def __str__(self) -> str:
        area = self.vmap_area
        text = f"vmap: {hex(area.va_start)}-{hex(area.va_end)}"
        if self.vm_struct and self.vm_struct.caller:
            caller = self.vm_struct.caller.value_()
            try:
                symbol = area.prog_.symbol(caller)
            except LookupError:
                return text
            text += f" caller {symbol.name}+{hex(caller - symbol.address)}"
        return text


@dataclass(frozen=True)
class IdentifiedPage:
    """An address in a ``struct page``."""

    address: int
    """Address."""
    page: Object
    """``struct page *``"""
    pfn: int
    """Page frame number."""

    def __str__(self) -> str:
        return f"page: pfn {self.pfn}{_offset(self.address - self.page.value_())}"


def _task(task: Object) -> str:
    return f"{task.pid.value_()} ({task.comm.string_().decode(errors='replace')})"


def _stack_owner(prog: Program, address: int, cache: dict[Any, Any]) -> Object | None:
    """Find the task whose stack an address is in."""
    stacks: list[tuple[int, Object]] | None = cache.get("stacks")
    if stacks is None:
        owners = ((task.stack.value_(), task) for task in for_each_task(prog, idle=True))
        stacks = cache["stacks"] = sorted(owners, key=lambda owner: owner[0])
    place = bisect.bisect_right(stacks, address, key=lambda owner: owner[0])
    if place:
        start, task = stacks[place - 1]
        if start and address < start + prog["THREAD_SIZE"].value_():
            return task
    return None


def _page_at(prog: Program, address: int) -> IdentifiedPage | None:
    size = sizeof(prog.type("struct page"))
    for start, end, mem_map in for_each_valid_page_range(prog):
        if mem_map.value_() + start * size <= address < mem_map.value_() + end * size:
            first = mem_map.value_()
            page = Object(prog, mem_map.type_, first + (address - first) // size * size)
            return IdentifiedPage(address, page, page_to_pfn(page).value_())
    return None


def _slab_object(prog: Program, address: int) -> SlabObjectInfo | None:
    try:
        return slab_object_info(prog, address)
    except (FaultError, NotImplementedError):
        return None


def identify_task(prog: Program, address: int) -> Iterator[IdentifiedAddress]:
    """Say that an address is in the initial task or its stack, which are variables of the kernel besides."""
    task = prog["init_task"].address_of_()
    if task.value_() <= address < task.value_() + sizeof(task[0]):
        yield IdentifiedTaskStruct(address, task)
    stack = task.stack.value_()
    if stack <= address < stack + prog["THREAD_SIZE"].value_():
        yield IdentifiedTaskStack(address, task)


def identify_kernel_address(
    prog: Program, address: int, cache: dict[Any, Any]
) -> Iterator[IdentifiedAddress]:
    """Identify an address of the kernel that no symbol covers, from what tells most to what tells least.

    :param cache: Keeps the stacks of the tasks between calls.
    """
    info = _slab_object(prog, address)
    if info is not None:
        if info.slab_cache == prog["task_struct_cachep"] and info.allocated is not False:
            yield IdentifiedTaskStruct(address, Object(prog, "struct task_struct *", info.address))
        yield IdentifiedSlabObject(address, info)
        return
    page = _page_at(prog, address)
    if page is not None:
        yield page
        return
    area = find_vmap_area(prog, address)
    # Stacks are mapped like vmalloc with CONFIG_VMAP_STACK, and are pages of the direct map without it.
    if area or in_direct_map(prog, address):
        owner = _stack_owner(prog, address, cache)
        if owner is not None:
            yield IdentifiedTaskStack(address, owner)
    if area:
        yield IdentifiedVmap(address, area, area.vm.read_())
