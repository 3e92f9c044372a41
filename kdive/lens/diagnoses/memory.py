"""Where the memory is: what the kernel counts it for (mm/vmstat.c), and how much it counts for nothing."""

from collections.abc import Iterator

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
    shared = _state(prog, "NR_SHMEM")
    stacks_bytes = _state(prog, "NR_KERNEL_STACK_KB") * _KIB
    uses = {
        "free": (_state(prog, "NR_FREE_PAGES") * page_bytes, "NR_FREE_PAGES"),
        "page cache": (
            (_state(prog, "NR_FILE_PAGES") - shared) * page_bytes,
            "NR_FILE_PAGES - NR_SHMEM",
        ),
        "shared memory": (shared * page_bytes, "NR_SHMEM"),
        "anonymous": (_state(prog, "NR_ANON_MAPPED") * page_bytes, "NR_ANON_MAPPED"),
        "slab, reclaimable": (
            _state(prog, "NR_SLAB_RECLAIMABLE_B") * page_bytes,
            "NR_SLAB_RECLAIMABLE_B",
        ),
        "slab, unreclaimable": (
            _state(prog, "NR_SLAB_UNRECLAIMABLE_B") * page_bytes,
            "NR_SLAB_UNRECLAIMABLE_B",
        ),
        "kernel stacks": (stacks_bytes, "NR_KERNEL_STACK_KB"),
        "page tables": (_state(prog, "NR_PAGETABLE") * page_bytes, "NR_PAGETABLE"),
    }
    for kind, pages_of, source in _COUNTED_ELSEWHERE:
        try:
            size = pages_of(prog) * page_bytes
        except LookupError:
            yield Note(f"{kind} memory is not known: the kernel keeps no symbol for {source}")
            continue
        # Stacks are made of vmalloc pages, so they would count twice.
        uses[kind] = max(0, size - stacks_bytes) if kind == "vmalloc" else size, source
    for hstate in context.walk(for_each_hstate(prog), "the sizes of huge pages"):
        size = huge_page_size(hstate).value_()
        count = hstate.nr_huge_pages.value_()
        if count:
            uses[f"huge pages of {size // _KIB} KiB"] = count * size, "hstates[].nr_huge_pages"
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


def _vmalloc_pages(prog: Program) -> int:
    return int(variable(prog, "nr_vmalloc_pages", "atomic_long_t").counter.value_())


_COUNTED_ELSEWHERE = (
    ("per-CPU", _percpu_pages, "pcpu_nr_populated * pcpu_nr_units"),
    ("vmalloc", _vmalloc_pages, "nr_vmalloc_pages"),
)
