"""Where the memory is: what the kernel counts it for (mm/vmstat.c), and how much it counts for nothing."""

from collections.abc import Callable, Iterator

from kdive import Object, Program
from kdive.helpers.linux.hugetlb import for_each_hstate, huge_page_size
from kdive.helpers.linux.mm import totalram_pages
from kdive.helpers.linux.vmstat import global_node_page_state, global_zone_page_state
from kdive.lens.context import Context
from kdive.lens.diagnosis import Checked, Item, NoOptions, Note, Row, column, diagnosis
from kdive.lens.needs import Needs, variable

_KIB = 1024


class Use(Row, title="Memory"):
    """What a part of the memory is used for."""

    kind: str = column("what it is used for")
    size_bytes: int = column("how much, in bytes", "bytes")
    percent: float = column("share of the memory that the kernel manages, in percent", "%")
    source: str = column("the counter or variable that says so")


@diagnosis(
    "memory",
    "What the memory is used for: free, caches, processes, slabs, the kernel's own, and what is not accounted for.",
    rows=(Use,),
    options=NoOptions,
    needs=Needs(
        variables={"vm_node_stat": "atomic_long_t []", "vm_zone_stat": "atomic_long_t []"},
        types=("enum node_stat_item", "enum zone_stat_item"),
    ),
)
def memory(context: Context[NoOptions]) -> Iterator[Item]:
    """Read the counters of pages, which CPUs add to with some delay, so that the sum is off by a little."""
    prog = context.prog
    page_bytes = prog["PAGE_SIZE"].value_()
    total = totalram_pages(prog) * page_bytes
    uses: dict[str, tuple[int, str]] = {}
    for kind, pages_of, source in _USES:
        with context.tolerate(source):
            try:
                uses[kind] = pages_of(prog) * page_bytes, source
            except LookupError:
                yield Note(f"{kind} memory is not known: the kernel keeps no symbol for {source}")
    for hstate in context.walk(for_each_hstate(prog), "the sizes of huge pages"):
        with context.tolerate(f"struct hstate {hex(hstate)}"):
            size = huge_page_size(hstate).value_()
            count = hstate.nr_huge_pages.value_()
            if count:
                uses[f"huge pages of {size // _KIB} KiB"] = count * size, "hstates[].nr_huge_pages"
    if not context.damaged:
        rest = total - sum(size for size, _ in uses.values())
        uses["not accounted for"] = rest, "_totalram_pages - all of the above"
    for kind, (size, source) in uses.items():
        yield Use(kind, size, round(size * 100 / max(total, 1), 1), source)
    yield Checked(total // page_bytes, "page")


def _state(prog: Program, name: str) -> int:
    """Read a counter, of the nodes or of the zones: some have moved from the latter to the former."""
    item: Object = prog[name]
    if item.type_.unaliased().tag == "zone_stat_item":
        return global_zone_page_state(prog, item)
    return global_node_page_state(prog, item)


def _percpu_pages(prog: Program) -> int:
    # Each page of a chunk stands for one page of every CPU.
    populated = variable(prog, "pcpu_nr_populated", "unsigned long").value_()
    return int(populated * variable(prog, "pcpu_nr_units", "int").value_())


def _stack_pages(prog: Program) -> int:
    return _state(prog, "NR_KERNEL_STACK_KB") * _KIB // int(prog["PAGE_SIZE"])


def _vmalloc_pages(prog: Program) -> int:
    pages = variable(prog, "nr_vmalloc_pages", "atomic_long_t").counter.value_()
    # Stacks are made of vmalloc pages, so they would count twice.
    return max(0, int(pages) - _stack_pages(prog))


def _counter(name: str) -> tuple[Callable[[Program], int], str]:
    return lambda prog: _state(prog, name), name


_USES = (
    ("free", *_counter("NR_FREE_PAGES")),
    (
        "page cache",
        lambda prog: _state(prog, "NR_FILE_PAGES") - _state(prog, "NR_SHMEM"),
        "NR_FILE_PAGES - NR_SHMEM",
    ),
    ("shared memory", *_counter("NR_SHMEM")),
    ("anonymous", *_counter("NR_ANON_MAPPED")),
    ("slab, reclaimable", *_counter("NR_SLAB_RECLAIMABLE_B")),
    ("slab, unreclaimable", *_counter("NR_SLAB_UNRECLAIMABLE_B")),
    ("kernel stacks", _stack_pages, "NR_KERNEL_STACK_KB"),
    ("page tables", *_counter("NR_PAGETABLE")),
    ("per-CPU", _percpu_pages, "pcpu_nr_populated * pcpu_nr_units"),
    ("vmalloc", _vmalloc_pages, "nr_vmalloc_pages"),
)
"""What memory is used for, how to get it in pages, and what says so."""
