"""Memory cgroups that were removed but live on, and what they hold (mm/memcontrol.c)."""

from collections.abc import Iterator

from kdive import Object, Program, sizeof
from kdive.helpers.linux.cgroup import cgroup_path
from kdive.helpers.linux.cpumask import num_possible_cpus
from kdive.helpers.linux.list import list_count_nodes
from kdive.helpers.linux.memcg import (
    css_is_online,
    decode_css_flags,
    for_each_mem_cgroup,
    mem_cgroup_counter,
    nr_dying_mem_cgroups,
    percpu_ref_sum,
)
from kdive.helpers.linux.mm import totalram_pages
from kdive.helpers.linux.nodemask import nr_node_ids
from kdive.lens.context import Context
from kdive.lens.diagnosis import (
    Checked,
    Finding,
    Item,
    Note,
    Options,
    Row,
    Severity,
    column,
    diagnosis,
    option,
)
from kdive.lens.needs import Needs, has_type
from kdive.lens.text import bytes_text, count_text

# So many, or so much of the memory, are worth a warning.
_MANY = 100
_MUCH_PERCENT = 1
_EVIDENCE = 5


class Summary(Row, title="Memory cgroups", layout="record"):
    """How many memory cgroups there are."""

    active: int | None = column("cgroups below the root that were not removed", "Active")
    dying: int | None = column(
        "cgroups that were removed and live on, as the kernel counts them", "Dying"
    )
    zombies: int = column("those of them found in the tree of memory cgroups", "Zombies")
    charged_bytes: int = column("memory charged to zombies, in bytes", "Memory of zombies")
    percpu_bytes: int = column(
        "per-CPU memory that zombies take by themselves, in bytes", "Per-CPU memory of zombies"
    )


class MemoryCgroup(Row, title="Zombies"):
    """A ``struct mem_cgroup``."""

    path: str = column("path of the cgroup; others may have had the same")
    address: int = column("struct mem_cgroup", "mem_cgroup", hexadecimal=True)
    id: int = column(
        "number of the cgroup: the inode of its directory. Later cgroups have higher ones", "ID"
    )
    state: str = column(
        "flags of the cgroup; ZOMBIE if none is set, which is so once it was removed"
    )
    references: int = column("references to it: one for each page and object charged, and others")
    children: int = column("memory cgroups below it that still live")
    charged_bytes: int = column(
        "memory charged to it and to what was below it, in bytes", "charged"
    )
    file_bytes: int | None = column(
        "page cache of files, in bytes, shared memory included", "page cache"
    )
    shmem_bytes: int | None = column("shared memory and tmpfs, in bytes", "shared memory")
    anon_bytes: int | None = column("anonymous memory of processes, in bytes", "anonymous")
    unevictable_bytes: int | None = column("memory that is locked, in bytes", "unevictable")
    slab_bytes: int | None = column(
        "objects of the kernel, in bytes; those of a zombie have gone to its parent since", "slab"
    )
    sock_bytes: int | None = column("buffers of sockets, in bytes", "sockets")
    percpu_bytes: int | None = column("per-CPU memory that it takes by itself, in bytes", "per-CPU")


class MemcgOptions(Options):
    """Options of the diagnosis."""

    every: bool = option(False, "also list memory cgroups that were not removed")


@diagnosis(
    "memcg",
    "Memory cgroups that were removed and live on, and how much memory keeps them.",
    rows=(Summary, MemoryCgroup),
    options=MemcgOptions,
    needs=Needs(
        variables={"root_mem_cgroup": "struct mem_cgroup *"},
        members=(
            "struct mem_cgroup.css",
            "struct cgroup_subsys_state.children",
            "struct cgroup_root.cgrp",
        ),
    ),
)
def memcg(context: Context[MemcgOptions]) -> Iterator[Item]:
    """Walk the tree of memory cgroups, where zombies stay below their parents until the last reference is gone."""
    prog = context.prog
    percpu_bytes = None
    with context.tolerate("the counts of CPUs and nodes"):
        percpu_bytes = _percpu_bytes(prog)
    zombies = []
    count = 0
    for group in context.walk(for_each_mem_cgroup(prog), "the tree of memory cgroups"):
        with context.tolerate(f"struct mem_cgroup {hex(group)}"):
            count += 1
            is_zombie = not css_is_online(group.css.address_of_())
            if is_zombie or context.options.every:
                row = _row(prog, group, percpu_bytes)
                yield row
                if is_zombie:
                    zombies.append(row)
    active = dying = None
    with context.tolerate("the cgroup of root_mem_cgroup"):
        active = prog["root_mem_cgroup"].css.cgroup.root.cgrp.nr_descendants.value_()
        dying = nr_dying_mem_cgroups(prog)
    summary = Summary(
        active=active,
        dying=dying,
        zombies=len(zombies),
        charged_bytes=sum(row.charged_bytes for row in zombies),
        percpu_bytes=sum(row.percpu_bytes or 0 for row in zombies),
    )
    yield summary
    if zombies:
        yield Note(
            "the kernel does not record when a cgroup was removed; their IDs tell which was made first"
        )
        with context.tolerate("the size of the memory"):
            yield _finding(prog, summary, zombies)
    yield Checked(count, "memory cgroup")


def _row(prog: Program, group: Object, percpu_bytes: int | None) -> MemoryCgroup:
    page_bytes = prog["PAGE_SIZE"].value_()
    cgroup = group.css.cgroup.read_()

    def counter(name: str, unit: int) -> int | None:
        value = mem_cgroup_counter(group, name)
        return None if value is None else value * unit

    slab = [counter(name, 1) for name in ("NR_SLAB_RECLAIMABLE_B", "NR_SLAB_UNRECLAIMABLE_B")]
    return MemoryCgroup(
        path=cgroup_path(cgroup).decode(errors="replace"),
        address=int(group),
        id=cgroup.kn.id.value_() & 0xFFFFFFFF,
        # Of a removed cgroup no flag is set; its part of the memory controller is dying until it is gone.
        state=_state(cgroup.self.address_of_()),
        references=percpu_ref_sum(group.css.refcnt.address_of_()),
        children=list_count_nodes(group.css.children.address_of_()),
        charged_bytes=group.memory.usage.counter.value_() * page_bytes,
        file_bytes=counter("NR_FILE_PAGES", page_bytes),
        shmem_bytes=counter("NR_SHMEM", page_bytes),
        anon_bytes=counter("NR_ANON_MAPPED", page_bytes),
        unevictable_bytes=counter("NR_UNEVICTABLE", page_bytes),
        slab_bytes=None if None in slab else sum(part for part in slab if part is not None),
        sock_bytes=counter("MEMCG_SOCK", page_bytes),
        percpu_bytes=percpu_bytes,
    )


def _state(css: Object) -> str:
    return decode_css_flags(css) if css.flags.value_() else "ZOMBIE"


def _percpu_bytes(prog: Program) -> int:
    """Add up the per-CPU memory of a memory cgroup and its cgroup, for all CPUs that there may be."""
    copies = {
        "struct memcg_vmstats_percpu": 1,
        "struct lruvec_stats_percpu": nr_node_ids(prog),
        "struct cgroup_rstat_cpu": 1,
    }
    each = sum(
        sizeof(prog.type(name)) * count for name, count in copies.items() if has_type(prog, name)
    )
    # Two counts of references: of the controller's part and of the cgroup itself
    each += 2 * prog.address_size()
    return each * num_possible_cpus(prog)


def _finding(prog: Program, summary: Summary, zombies: list[MemoryCgroup]) -> Finding:
    held = summary.charged_bytes + summary.percpu_bytes
    share = held * 100 / max(totalram_pages(prog) * prog["PAGE_SIZE"].value_(), 1)
    is_much = len(zombies) >= _MANY or share >= _MUCH_PERCENT
    largest = sorted(zombies, key=lambda row: -row.charged_bytes)[:_EVIDENCE]
    return Finding(
        Severity.WARNING if is_much else Severity.NOTICE,
        f"{count_text(len(zombies), 'removed memory cgroup')} {'lives' if len(zombies) == 1 else 'live'} on "
        f"and {'holds' if len(zombies) == 1 else 'hold'} {bytes_text(held)}, {share:.1f} % of the memory",
        tuple(f"{row.path}: {_what_holds(row)}" for row in largest),
        "memcg-pages",
    )


def _what_holds(row: MemoryCgroup) -> str:
    shared = row.shmem_bytes or 0
    parts = [
        (row.file_bytes - shared if row.file_bytes is not None else 0, "page cache"),
        (shared, "shared memory"),
        (row.anon_bytes or 0, "anonymous"),
        (row.slab_bytes or 0, "slab"),
        (row.sock_bytes or 0, "sockets"),
    ]
    details = ", ".join(f"{bytes_text(size)} {name}" for size, name in parts if size > 0)
    return f"{bytes_text(row.charged_bytes)} charged" + (f" ({details})" if details else "")
