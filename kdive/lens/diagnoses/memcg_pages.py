"""Which files and other memory keep removed memory cgroups alive: a scan of all pages (mm/memcontrol.c)."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

from kdive import Object, Program
from kdive.helpers.linux.fs import inode_path, mount_dst, super_block_for_each_mount
from kdive.helpers.linux.memcg import (
    ChargedPages,
    charged_pages,
    css_is_online,
    for_each_mem_cgroup,
    mem_cgroup_path,
    memcg_data_mem_cgroup,
    nr_valid_pages,
)
from kdive.helpers.linux.mm import compound_nr, pfn_to_page
from kdive.lens.context import DAMAGES, Context
from kdive.lens.diagnosis import Checked, Item, Note, Progress, Row, column, diagnosis, option
from kdive.lens.needs import Needs
from kdive.lens.text import string

# Flags in the lowest bits of page.memcg_data and page.mapping
_MEMCG_DATA_OBJECTS = 1
_MEMCG_DATA_KMEM = 2
_MEMCG_DATA_FLAGS = 7
_MAPPING_ANON = 1
_MAPPING_FLAGS = 3
_SHARED_MEMORY = ("tmpfs", "devtmpfs", "hugetlbfs")


@dataclass(frozen=True)
class PinnedPages(Row):
    """The pages of one file, or of one kind, that are charged to a memory cgroup."""

    title: ClassVar[str] = "Pages"
    cgroup: str = column("path of the cgroup")
    state: str = column("ZOMBIE if it was removed, else online")
    memcg: int = column("struct mem_cgroup", "mem_cgroup", hexadecimal=True)
    kind: str = column("page cache, shared memory, anonymous, movable or kernel")
    path: str = column("the file, below where its file system is mounted, if it is")
    inode: int | None = column("struct inode", hexadecimal=True)
    pages: int = column("how many pages")
    size_bytes: int = column("their size in bytes", "bytes")
    mlocked_pages: int = column("how many of them are locked in memory", "mlocked")
    first_page: int = column("struct page of the first one", "page", hexadecimal=True)


@dataclass(frozen=True)
class MemcgPagesOptions:
    """Options of the diagnosis."""

    every: bool = option(False, "also list pages of memory cgroups that were not removed")
    max_pages: int = option(0, "look at so many pages at most; 0 for all")


@diagnosis(
    "memcg-pages",
    "The files and other memory that keep removed memory cgroups alive, found by looking at every page.",
    rows=(PinnedPages,),
    options=MemcgPagesOptions,
    needs=Needs(
        variables={"root_mem_cgroup": "struct mem_cgroup *"},
        members=("struct mem_cgroup.css", "struct page.mapping", "struct page.flags"),
    ),
    standard=False,
)
def memcg_pages(context: Context[MemcgPagesOptions]) -> Iterator[Item]:
    """Read the ``struct page`` of all page frames in large blocks, and sum up by memory cgroup and file."""
    prog = context.prog
    wanted = set()
    for group in context.walk(for_each_mem_cgroup(prog), "the tree of memory cgroups"):
        with context.tolerate(f"struct mem_cgroup {hex(group)}"):
            if context.options.every or not css_is_online(group.css.address_of_()):
                wanted.add(int(group))
    total = nr_valid_pages(prog)
    limit = context.options.max_pages or total
    scan = _Scan(context, wanted)
    for block in charged_pages(prog):
        scan.look_at(block, limit - scan.pages)
        yield Progress(scan.pages, total)
        if scan.pages >= limit:
            break
    for held in sorted(scan.groups.values(), key=lambda held: -held.pages):
        with context.tolerate(f"struct mem_cgroup {held.memcg:#x}"):
            yield _row(prog, held)
    if scan.slab_pages:
        yield Note(
            f"{scan.slab_pages} pages of slab objects may be charged to several memory cgroups and are left out"
        )
    if scan.pages < total:
        yield Note(
            f"{total - scan.pages} of {total} pages were not looked at: left out of the dump, or past max_pages"
        )
    yield Checked(scan.pages, "page")
    yield Checked(
        len(wanted), "memory cgroup" if context.options.every else "removed memory cgroup"
    )


@dataclass
class _Group:
    """Pages of one memory cgroup that belong together."""

    memcg: int
    is_kernel: bool
    mapping: int
    """The ``struct address_space`` of a file; otherwise the flags that say what else it is."""
    first_pfn: int
    pages: int = 0
    mlocked: int = 0


class _Scan:
    """Sums up pages by memory cgroup and by what they are pages of."""

    def __init__(self, context: Context[Any], wanted: set[int]) -> None:
        self.pages = 0
        self.slab_pages = 0
        self.groups: dict[tuple[int, int], _Group] = {}
        self._context = context
        self._prog = prog = context.prog
        self._wanted = wanted
        self._memcg_of: dict[int, int] = {0: 0}
        self._head = 1 << int(prog["PG_head"])
        self._mlocked = 1 << int(prog["PG_mlocked"])

    def look_at(self, block: ChargedPages, limit: int) -> None:
        words = block.memcg_data.tolist()[:limit]
        self.pages += len(words)
        # Few different words occur in a block, so those that matter are found before single pages are looked at.
        relevant = {word for word in set(words) if self._memcg(word) in self._wanted}
        if not relevant:
            return
        for position, word in enumerate(words):
            if word not in relevant:
                continue
            mapping, flags = block.mapping[position], block.flags[position]
            if mapping & _MAPPING_FLAGS:
                mapping &= _MAPPING_FLAGS
            pfn = block.first_pfn + position
            group = self.groups.get((word, mapping))
            if group is None:
                group = _Group(self._memcg(word), bool(word & _MEMCG_DATA_KMEM), mapping, pfn)
                self.groups[word, mapping] = group
            pages = self._compound_pages(pfn) if flags & self._head else 1
            group.pages += pages
            if flags & self._mlocked:
                group.mlocked += pages

    def _compound_pages(self, pfn: int) -> int:
        """Get how many pages a compound page has: only its head is charged, for all of them."""
        with self._context.tolerate(f"page frame {pfn:#x}"):
            return int(compound_nr(pfn_to_page(self._prog, pfn)))
        return 1

    def _memcg(self, word: int) -> int:
        """Get the address of the memory cgroup that a page with this ``memcg_data`` is charged to; 0 if to none."""
        if word not in self._memcg_of:
            if word & _MEMCG_DATA_OBJECTS:
                self.slab_pages += 1
                return 0
            try:
                self._memcg_of[word] = int(memcg_data_mem_cgroup(self._prog, word))
            except DAMAGES:
                self._memcg_of[word] = 0
        return self._memcg_of[word]


def _row(prog: Program, group: _Group) -> PinnedPages:
    owner = Object(prog, "struct mem_cgroup *", group.memcg)
    inode = None
    if group.is_kernel:
        kind = "kernel"
    elif group.mapping & _MAPPING_FLAGS:
        kind = "anonymous" if group.mapping & _MAPPING_ANON else "movable"
    else:
        inode = (
            Object(prog, "struct address_space *", group.mapping).host.read_()
            if group.mapping
            else None
        )
        is_shared = inode and string(inode.i_sb.s_type.name) in _SHARED_MEMORY
        kind = "shared memory" if is_shared else "page cache"
    return PinnedPages(
        cgroup=mem_cgroup_path(owner).decode(errors="replace"),
        state="online" if css_is_online(owner.css.address_of_()) else "ZOMBIE",
        memcg=group.memcg,
        kind=kind,
        path=_shown(inode_path(inode), inode) if inode else "",
        inode=int(inode) if inode else None,
        pages=group.pages,
        size_bytes=group.pages * prog["PAGE_SIZE"].value_(),
        mlocked_pages=group.mlocked,
        first_page=int(pfn_to_page(prog, group.first_pfn)),
    )


def _shown(path: bytes | None, inode: Object) -> str:
    if path is None:
        # A file without a name: deleted, or metadata of a file system. Its number identifies it.
        return f"(inode {inode.i_ino.value_()} of {string(inode.i_sb.s_id)})"
    mounted = (
        mount_dst(mount) for mount in super_block_for_each_mount(inode.i_sb.read_()) if mount.mnt_ns
    )
    below = next(mounted, b"").rstrip(b"/")
    return (below + b"/" + path.lstrip(b"/")).decode(errors="replace")
