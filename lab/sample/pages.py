"""Which pages of the guest the sample keeps: what debuggers read, as makedumpfile's highest level does, and no code."""

from collections.abc import Iterator

from kdive import Object, Program
from kdive.helpers.linux.mm import compound_nr, follow_phys, for_each_valid_page_range
from kdive.helpers.linux.module import for_each_module

PAGE = 4096
#: In these the firmware has its code and data; Linux leaves them alone.
FIRST_MIB = range(1 << 20)
ANONYMOUS = 1


def kept(prog: Program) -> list[tuple[int, bytes]]:
    """The numbers and contents of the page frames to keep of a kernel dump.

    Left out are free pages; pages of processes and of the page cache, whose ``struct page`` tells all that is of
    interest; the code of the kernel and of its modules; and the memory of the firmware.
    """
    code = set(_code(prog))
    frames = []
    for pfn, is_kept in _by_struct_page(prog):
        if is_kept and pfn not in code:
            frames.append((pfn, prog.read(pfn * PAGE, PAGE, physical=True)))
    return frames


def _by_struct_page(prog: Program) -> Iterator[tuple[int, bool]]:
    """Decide by the flags and the type of each page."""
    bits = {
        name: 1 << int(prog.constant(f"PG_{name}")) for name in ("lru", "slab", "head", "reserved")
    }
    free = _vmcoreinfo_number(prog, "PAGE_BUDDY_MAPCOUNT_VALUE")
    for first, end, mem_map in for_each_valid_page_range(prog):
        pfn = first
        while pfn < end:
            page = mem_map + pfn
            flags = page.flags.value_()
            count = 1
            if page.page_type.value_() == free & 0xFFFFFFFF:
                count, is_kept = 1 << page.private.value_(), False
            elif flags & bits["reserved"]:
                is_kept = pfn * PAGE not in FIRST_MIB and _is_memory(prog, pfn)
            else:
                if flags & bits["head"]:
                    count = compound_nr(page).value_()
                is_user = flags & bits["lru"] or page.mapping.value_() & ANONYMOUS
                is_kept = bool(flags & bits["slab"]) or not is_user
            for number in range(pfn, min(pfn + count, end)):
                yield number, is_kept
            pfn += count


def _is_memory(prog: Program, pfn: int) -> bool:
    """Whether the dump has a page; there are some that only have a ``struct page``."""
    try:
        prog.read(pfn * PAGE, 1, physical=True)
    except LookupError:
        return False
    return True


def _code(prog: Program) -> Iterator[int]:
    ranges = [(prog.symbol("_text").address, prog.symbol("_etext").address)]
    for module in for_each_module(prog):
        start = module.core_layout.base.value_()
        ranges.append((start, start + module.core_layout.text_size.value_()))
    kernel: Object = prog["init_mm"].address_of_()
    for start, end in ranges:
        for address in range(start, end - PAGE + 1, PAGE):
            yield follow_phys(kernel, address).value_() // PAGE


def _vmcoreinfo_number(prog: Program, name: str) -> int:
    lines = prog["VMCOREINFO"].string_().decode().splitlines()
    return int(next(line for line in lines if line.startswith(f"NUMBER({name})=")).split("=")[1])
