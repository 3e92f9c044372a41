# SPDX-License-Identifier: Apache-2.0
"""Virtual addresses, physical addresses, page frame numbers and pages, and how each leads to the others."""

from operator import index

from kdive import FaultError, IntegerLike, Object, Program, cast
from kdive.helpers.common.prog import takes_program_or_default
from kdive.helpers.linux import _arch

_ADDRESS_MASK = 0xFFFFFFFFFFFFFFFF


def direct_mapping_offset(prog: Program) -> int:
    """Get the difference between virtual and physical addresses in the direct map."""
    key = "kdive.direct_mapping_offset"
    offset: int
    try:
        offset = prog.cache[key]
    except KeyError:
        offset = prog.cache[key] = _arch.of(prog).direct_mapping_offset(prog)
    return offset


def _page_shift(prog: Program) -> int:
    shift: int = prog["PAGE_SHIFT"].value_()
    return shift


def _memory_map(prog: Program) -> Object:
    """Get the ``struct page *`` that page frame number 0 has or would have."""
    try:
        return prog["vmemmap"]
    except KeyError:
        # CONFIG_FLATMEM
        return prog["mem_map"] - prog["ARCH_PFN_OFFSET"]


@takes_program_or_default
def PFN_PHYS(prog: Program, pfn: IntegerLike) -> Object:
    """Get the physical address of a page frame.

    :param pfn: ``unsigned long``
    :return: ``phys_addr_t``
    """
    return Object(prog, "phys_addr_t", index(pfn) << _page_shift(prog))


@takes_program_or_default
def PHYS_PFN(prog: Program, addr: IntegerLike) -> Object:
    """Get the number of the page frame that a physical address is in.

    :param addr: ``phys_addr_t``
    :return: ``unsigned long``
    """
    return Object(prog, "unsigned long", index(addr) >> _page_shift(prog))


@takes_program_or_default
def pfn_to_page(prog: Program, pfn: IntegerLike) -> Object:
    """Get the page of a page frame number.

    :param pfn: ``unsigned long``
    :return: ``struct page *``
    """
    return _memory_map(prog) + index(pfn)


def page_to_pfn(page: Object) -> Object:
    """Get the page frame number of a page.

    :param page: ``struct page *``
    :return: ``unsigned long``
    """
    return cast("unsigned long", page - _memory_map(page.prog_))


@takes_program_or_default
def phys_to_page(prog: Program, addr: IntegerLike) -> Object:
    """Get the page that holds a physical address.

    :param addr: ``phys_addr_t``
    :return: ``struct page *``
    """
    return _memory_map(prog) + (index(addr) >> _page_shift(prog))


def page_to_phys(page: Object) -> Object:
    """Get the physical address of a page.

    :param page: ``struct page *``
    :return: ``phys_addr_t``
    """
    return PFN_PHYS(page.prog_, page_to_pfn(page))


@takes_program_or_default
def phys_to_virt(prog: Program, addr: IntegerLike) -> Object:
    """Get the address of a physical address in the direct map.

    :param addr: ``phys_addr_t``
    :return: ``void *``
    """
    return Object(prog, "void *", index(addr) + direct_mapping_offset(prog) & _ADDRESS_MASK)


@takes_program_or_default
def virt_to_phys(prog: Program, addr: IntegerLike) -> Object:
    """Get the physical address of an address in the direct map (kmalloc, slab and page allocator).

    It is not right for other addresses: see `vmalloc_to_pfn()` for vmalloc, and `follow_phys()` for any.

    :param addr: ``void *``
    :return: ``phys_addr_t``
    """
    return Object(prog, "phys_addr_t", index(addr) - direct_mapping_offset(prog) & _ADDRESS_MASK)


@takes_program_or_default
def pfn_to_virt(prog: Program, pfn: IntegerLike) -> Object:
    """Get the address of a page frame in the direct map.

    :param pfn: ``unsigned long``
    :return: ``void *``
    """
    return phys_to_virt(prog, PFN_PHYS(prog, pfn))


@takes_program_or_default
def virt_to_pfn(prog: Program, addr: IntegerLike) -> Object:
    """Get the page frame number of an address in the direct map; see `virt_to_phys()`.

    :param addr: ``void *``
    :return: ``unsigned long``
    """
    return PHYS_PFN(prog, virt_to_phys(prog, addr))


def page_to_virt(page: Object) -> Object:
    """Get the address of a page in the direct map.

    :param page: ``struct page *``
    :return: ``void *``
    """
    return pfn_to_virt(page.prog_, page_to_pfn(page))


@takes_program_or_default
def virt_to_page(prog: Program, addr: IntegerLike) -> Object:
    """Get the page of an address in the direct map; see `virt_to_phys()`.

    :param addr: ``void *``
    :return: ``struct page *``
    """
    return pfn_to_page(prog, virt_to_pfn(prog, addr))


@takes_program_or_default
def in_direct_map(prog: Program, addr: IntegerLike) -> bool:
    """Return whether an address is in the direct map.

    :param addr: Address.
    """
    physical = index(addr) - direct_mapping_offset(prog)
    start = prog["min_low_pfn"].value_() if "min_low_pfn" in prog else 0
    shift = _page_shift(prog)
    return bool(start << shift <= physical < prog["max_pfn"].value_() << shift)


def translate(mm: Object, address: int) -> tuple[int, int]:
    """Translate a virtual address of an address space.

    :param mm: ``struct mm_struct *``
    :return: Physical address, and how many bytes from there are mapped in one piece.
    :raises FaultError: if the address is not mapped
    :raises NotImplementedError: if page tables of this architecture are not known
    """
    prog = mm.prog_
    physical, size = _arch.of(prog).translate(prog, mm.pgd.value_(), address & _ADDRESS_MASK)
    return physical, size


def follow_phys(mm: Object, addr: IntegerLike) -> Object:
    """Get the physical address that a virtual address is mapped to.

    :param mm: ``struct mm_struct *``
    :param addr: ``void *``
    :return: ``phys_addr_t``
    :raises FaultError: if the address is not mapped
    :raises NotImplementedError: if page tables of this architecture are not known
    """
    return Object(mm.prog_, "phys_addr_t", translate(mm, index(addr))[0])


def follow_pfn(mm: Object, addr: IntegerLike) -> Object:
    """Get the page frame number that a virtual address is mapped to.

    :param mm: ``struct mm_struct *``
    :param addr: ``void *``
    :return: ``unsigned long``
    :raises FaultError: if the address is not mapped
    :raises NotImplementedError: if page tables of this architecture are not known
    """
    return PHYS_PFN(mm.prog_, follow_phys(mm, addr))


def follow_page(mm: Object, addr: IntegerLike) -> Object:
    """Get the page that a virtual address is mapped to.

    :param mm: ``struct mm_struct *``
    :param addr: ``void *``
    :return: ``struct page *``
    :raises FaultError: if the address is not mapped
    :raises NotImplementedError: if page tables of this architecture are not known
    """
    return phys_to_page(mm.prog_, follow_phys(mm, addr))


@takes_program_or_default
def vmalloc_to_page(prog: Program, addr: IntegerLike) -> Object:
    """Get the page of an address from vmalloc or vmap, by the kernel's own page tables.

    :param addr: ``void *``
    :return: ``struct page *``
    :raises FaultError: if the address is not mapped
    """
    return follow_page(prog["init_mm"].address_of_(), addr)


@takes_program_or_default
def vmalloc_to_pfn(prog: Program, addr: IntegerLike) -> Object:
    """Get the page frame number of an address from vmalloc or vmap, by the kernel's own page tables.

    :param addr: ``void *``
    :return: ``unsigned long``
    :raises FaultError: if the address is not mapped
    """
    return follow_pfn(prog["init_mm"].address_of_(), addr)


def access_remote_vm(mm: Object, address: IntegerLike, size: IntegerLike) -> bytes:
    """Read memory of an address space.

    :param mm: ``struct mm_struct *``
    :param address: Starting address.
    :param size: Number of bytes.
    :raises FaultError: if part of it is not mapped or not in the dump
    :raises NotImplementedError: if page tables of this architecture are not known
    """
    prog = mm.prog_
    position, remaining = index(address), index(size)
    if remaining < 0:
        raise ValueError("size must not be negative")
    pieces = []
    while remaining:
        physical, mapped = translate(mm, position)
        length = min(mapped, remaining)
        try:
            pieces.append(prog.read(physical, length, True))
        except FaultError as error:
            raise FaultError(
                f"memory mapped at {hex(position)} can't be read", error.address
            ) from error
        position += length
        remaining -= length
    return b"".join(pieces)


def access_process_vm(task: Object, address: IntegerLike, size: IntegerLike) -> bytes:
    """Read memory of a task's address space.

    :param task: ``struct task_struct *``
    :param address: Starting address.
    :param size: Number of bytes.
    :raises FaultError: if part of it is not mapped or not in the dump
    :raises NotImplementedError: if page tables of this architecture are not known
    """
    return access_remote_vm(task.mm.read_(), address, size)
