"""What keeps removed memory cgroups alive: a scan of all pages, and a walk over all sockets (mm/memcontrol.c)."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from itertools import compress
from typing import Any

from kdive import Object, Program
from kdive.helpers.linux._slub import as_slab
from kdive.helpers.linux.fs import inode_path, mount_dst, super_block_for_each_mount
from kdive.helpers.linux.list import list_count_nodes
from kdive.helpers.linux.memcg import (
    ChargedPages,
    charged_pages,
    css_is_online,
    for_each_mem_cgroup,
    mem_cgroup_path,
    memcg_data_mem_cgroup,
    nr_valid_pages,
    obj_cgroup_was_handed_over,
    page_memcg_data,
    percpu_ref_sum,
    slab_page_obj_cgroups,
)
from kdive.helpers.linux.mm import compound_nr, pfn_to_page
from kdive.helpers.linux.pid import for_each_task
from kdive.helpers.linux.sock import (
    OpenSocket,
    sock_memory_bytes,
    task_for_each_open_socket,
    tcp_sock_buckets,
)
from kdive.lens.context import Context
from kdive.lens.diagnosis import (
    Checked,
    Item,
    Note,
    Options,
    Progress,
    Row,
    column,
    diagnosis,
    option,
)
from kdive.lens.needs import Needs, has_member
from kdive.lens.text import string

# Flags in the lowest bits of page.memcg_data and page.mapping
_MEMCG_DATA_OBJECTS = 1
_MEMCG_DATA_KMEM = 2
_MEMCG_DATA_FLAGS = 7
_MAPPING_ANON = 1
_MAPPING_FLAGS = 3
_SHARED_MEMORY = ("tmpfs", "devtmpfs", "hugetlbfs")


class PinnedPages(Row, title="Pages"):
    """The pages of one file, or of one kind, that are charged to a memory cgroup."""

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


class SlabObjects(Row, title="Slab objects"):
    """Objects of one slab cache that are charged to a memory cgroup."""

    cgroup: str = column("path of the cgroup that they are charged to now")
    memcg: int = column("struct mem_cgroup", "mem_cgroup", hexadecimal=True)
    handed_over: bool = column(
        "whether a cgroup below it made them that was removed: such objects go to its parent",
        "handed over",
    )
    cache: str = column("name of the slab cache")
    objects: int = column("how many objects")
    size_bytes: int = column("their size in bytes", "bytes")


class ChargedSocket(Row, title="Sockets"):
    """A ``struct sock`` that is charged to a memory cgroup."""

    cgroup: str = column("path of the cgroup")
    state: str = column("ZOMBIE if it was removed, else online")
    memcg: int = column("struct mem_cgroup", "mem_cgroup", hexadecimal=True)
    protocol: str = column("its protocol, such as TCP or UNIX-STREAM")
    sock: int = column("struct sock", hexadecimal=True)
    inode: int | None = column("number of its inode, if it has one")
    size_bytes: int = column("memory that it has taken for packets, in bytes", "bytes")
    pid: int | None = column("a process that has it open, if one has", "PID")
    command: str = column("its name")
    fd: int | None = column("its file descriptor there")


class Holders(Row, title="References"):
    """What the references to a removed memory cgroup are."""

    cgroup: str = column("path of the cgroup")
    memcg: int = column("struct mem_cgroup", "mem_cgroup", hexadecimal=True)
    references: int = column("references to it")
    pages: int = column("those of pages that are charged to it")
    sockets: int = column("those of sockets")
    children: int = column("those of memory cgroups below it")
    other: int = column(
        "those that were not found: of pages in swap, of write-back, or of pages that were not looked at"
    )


class MemcgPagesOptions(Options):
    """Options of the diagnosis."""

    every: bool = option(False, "also list pages of memory cgroups that were not removed")
    max_pages: int = option(0, "look at so many pages at most; 0 for all")


@diagnosis(
    "memcg-pages",
    "The files, other memory and sockets that keep removed memory cgroups alive, found by looking at every page.",
    rows=(Holders, PinnedPages, SlabObjects, ChargedSocket),
    options=MemcgPagesOptions,
    needs=Needs(
        variables={"root_mem_cgroup": "struct mem_cgroup *"},
        members=("struct mem_cgroup.css", "struct page.mapping", "struct page.flags"),
    ),
    standard=False,
)
def memcg_pages(context: Context[MemcgPagesOptions]) -> Iterator[Item]:
    """Read the ``struct page`` of all page frames in large blocks, and sum up by memory cgroup and owner."""
    prog = context.prog
    wanted = set()
    for group in context.walk(for_each_mem_cgroup(prog), "the tree of memory cgroups"):
        with context.tolerate(f"struct mem_cgroup {hex(group)}"):
            if context.options.every or not css_is_online(group.css.address_of_()):
                wanted.add(int(group))
    total = nr_valid_pages(prog)
    limit = context.options.max_pages or total
    scan = _Scan(context, wanted)
    for block in context.walk(charged_pages(prog), "the pages"):
        scan.look_at(block, limit - scan.pages)
        yield Progress(scan.pages, total)
        if scan.pages >= limit:
            break
    for held in sorted(scan.groups.values(), key=lambda held: -held.pages):
        row = context.read(
            partial(_row, prog, held),
            f"page frame {held.first_pfn:#x} of struct mem_cgroup {held.memcg:#x}",
            partial(_is_as_it_was, prog, held),
        )
        if row is not None:
            yield row
    yield from _slab_objects(context, scan)
    knows_tcp = has_member(prog, "struct inet_hashinfo.ehash")
    if not knows_tcp:
        yield Note("TCP's own sockets are not known: the debugging symbols lack its hash tables")
    sockets = list(_sockets(context, wanted, knows_tcp))
    yield from sockets
    if not context.options.every:
        yield from _holders(context, wanted, scan, sockets)
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
    memcg_data: int
    mapping: int
    """The ``struct address_space`` of a file; otherwise the flags that say what else it is."""
    first_pfn: int
    pages: int = 0
    mlocked: int = 0


@dataclass(frozen=True)
class _Charge:
    """What an object of the kernel is charged to, through a ``struct obj_cgroup``."""

    memcg: int
    was_handed_over: bool


class _Scan:
    """Sums up pages by memory cgroup and by what they are pages of."""

    def __init__(self, context: Context[Any], wanted: set[int]) -> None:
        self.pages = 0
        self.groups: dict[tuple[int, int], _Group] = {}
        self.objects: Counter[tuple[int, _Charge]] = Counter()
        """How many objects of a cache (``struct kmem_cache``) are charged to what."""
        self._context = context
        self._prog = prog = context.prog
        self._wanted = wanted
        self._memcg_of: dict[int, int] = {0: 0}
        self._charge_of: dict[int, _Charge] = {}
        self._head = 1 << int(prog["PG_head"])
        self._mlocked = 1 << int(prog["PG_mlocked"])

    def look_at(self, block: ChargedPages, limit: int) -> None:
        words = block.memcg_data.tolist()[:limit]
        self.pages += len(words)
        # Few different words occur in a block, so those that matter are found before single pages are looked at.
        relevant = {
            word
            for word in set(words)
            if word & _MEMCG_DATA_OBJECTS or self._memcg(word) in self._wanted
        }
        if not relevant:
            return
        for position in compress(range(len(words)), map(relevant.__contains__, words)):
            word = words[position]
            if word & _MEMCG_DATA_OBJECTS:
                self._look_at_slab(block.first_pfn + position, word)
                continue
            mapping, flags = block.mapping[position], block.flags[position]
            if mapping & _MAPPING_FLAGS:
                mapping &= _MAPPING_FLAGS
            pfn = block.first_pfn + position
            group = self.groups.get((word, mapping))
            if group is None:
                group = _Group(self._memcg(word), word, mapping, pfn)
                self.groups[word, mapping] = group
            pages = self._compound_pages(pfn) if flags & self._head else 1
            group.pages += pages
            if flags & self._mlocked:
                group.mlocked += pages

    def _look_at_slab(self, pfn: int, word: int) -> None:
        page = pfn_to_page(self._prog, pfn)
        charged = self._context.read(
            lambda: self._slab_objects(page, word),
            f"the slab of page frame {pfn:#x}",
            lambda: page_memcg_data(page) == word,
        )
        for cache, charge, count in charged or ():
            self.objects[cache, charge] += count

    def _slab_objects(self, page: Object, word: int) -> "list[tuple[int, _Charge, int]]":
        """Count the objects of a slab by the cache that they are of and what they are charged to."""
        cache = as_slab(page).slab_cache.value_()
        return [
            (cache, self._charge(objcg), count)
            for objcg, count in Counter(slab_page_obj_cgroups(page, word)).items()
            if objcg
        ]

    def _charge(self, address: int) -> "_Charge":
        if address not in self._charge_of:
            objcg = Object(self._prog, "struct obj_cgroup *", address)
            self._charge_of[address] = _Charge(int(objcg.memcg), obj_cgroup_was_handed_over(objcg))
        return self._charge_of[address]

    def _compound_pages(self, pfn: int) -> int:
        """Get how many pages a compound page has: only its head is charged, for all of them."""
        with self._context.tolerate(f"page frame {pfn:#x}"):
            return int(compound_nr(pfn_to_page(self._prog, pfn)))
        return 1

    def _memcg(self, word: int) -> int:
        """Get the address of the memory cgroup that a page with this ``memcg_data`` is charged to; 0 if to none."""
        if word not in self._memcg_of:
            self._memcg_of[word] = 0
            with self._context.tolerate(f"what pages with the memcg_data {word:#x} are charged to"):
                self._memcg_of[word] = int(memcg_data_mem_cgroup(self._prog, word))
        return self._memcg_of[word]


def _row(prog: Program, group: _Group) -> PinnedPages:
    owner = Object(prog, "struct mem_cgroup *", group.memcg)
    inode = None
    if group.memcg_data & _MEMCG_DATA_KMEM:
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
        cgroup=_path(owner),
        state=_state(owner),
        memcg=group.memcg,
        kind=kind,
        path=_shown(inode_path(inode), inode) if inode else "",
        inode=int(inode) if inode else None,
        pages=group.pages,
        size_bytes=group.pages * prog["PAGE_SIZE"].value_(),
        mlocked_pages=group.mlocked,
        first_page=int(pfn_to_page(prog, group.first_pfn)),
    )


def _is_as_it_was(prog: Program, group: _Group) -> bool:
    """Return whether the first page of a group is still charged to the same for the same."""
    page = pfn_to_page(prog, group.first_pfn)
    mapping = page.mapping.value_()
    if mapping & _MAPPING_FLAGS:
        mapping &= _MAPPING_FLAGS
    return bool(page_memcg_data(page) == group.memcg_data and mapping == group.mapping)


def _shown(path: bytes | None, inode: Object) -> str:
    if path is None:
        # A file without a name: deleted, or metadata of a file system. Its number identifies it.
        return f"(inode {inode.i_ino.value_()} of {string(inode.i_sb.s_id)})"
    mounted = (
        mount_dst(mount) for mount in super_block_for_each_mount(inode.i_sb.read_()) if mount.mnt_ns
    )
    below = next(mounted, b"").rstrip(b"/")
    return (below + b"/" + path.lstrip(b"/")).decode(errors="replace")


def _slab_objects(context: Context[MemcgPagesOptions], scan: _Scan) -> Iterator[SlabObjects]:
    """Sum up objects by memory cgroup and cache; those that removed memory cgroups left behind, or all."""
    prog = context.prog
    for (cache_address, charge), count in scan.objects.most_common():
        if not (charge.was_handed_over or context.options.every):
            continue
        with context.tolerate(f"struct kmem_cache {cache_address:#x}"):
            cache = Object(prog, "struct kmem_cache *", cache_address)
            yield SlabObjects(
                cgroup=_path(Object(prog, "struct mem_cgroup *", charge.memcg)),
                memcg=charge.memcg,
                handed_over=charge.was_handed_over,
                cache=string(cache.name),
                objects=count,
                size_bytes=count * cache.size.value_(),
            )


def _sockets(context: Context[Any], wanted: set[int], knows_tcp: bool) -> Iterator[ChargedSocket]:
    """Find the sockets that refer to memory cgroups: those that processes have open, and TCP's own."""
    prog = context.prog
    if not has_member(prog, "struct sock.sk_memcg"):
        return
    seen: set[int] = set()
    for opened in _open_sockets(context):
        if int(opened.sk) not in seen:
            seen.add(int(opened.sk))
            with context.tolerate(f"struct sock {hex(opened.sk)}"):
                yield from _socket(opened.sk, wanted, opened)
    buckets = tcp_sock_buckets(prog) if knows_tcp else ()
    for sk in context.walk_all(buckets, "the TCP connections"):
        if int(sk) not in seen:
            with context.tolerate(f"struct sock {hex(sk)}"):
                yield from _socket(sk, wanted, None)


def _open_sockets(context: Context[Any]) -> Iterator[OpenSocket]:
    tables = {0}
    for task in context.walk(for_each_task(context.prog), "the tasks"):
        with context.tolerate(f"the open files of task {hex(task)}"):
            table = task.files.value_()
            if table not in tables:
                tables.add(table)
                yield from task_for_each_open_socket(task)


def _socket(sk: Object, wanted: set[int], opened: OpenSocket | None) -> Iterator[ChargedSocket]:
    memcg = sk.sk_memcg.read_()
    if int(memcg) not in wanted:
        return
    yield ChargedSocket(
        cgroup=_path(memcg),
        state=_state(memcg),
        memcg=int(memcg),
        protocol=string(sk.member_("__sk_common").skc_prot.name),
        sock=int(sk),
        inode=opened.file.f_inode.i_ino.value_() if opened else None,
        size_bytes=sock_memory_bytes(sk),
        pid=opened.task.tgid.value_() if opened else None,
        command=string(opened.task.comm) if opened else "",
        fd=opened.fd if opened else None,
    )


def _holders(
    context: Context[Any], wanted: set[int], scan: _Scan, sockets: list[ChargedSocket]
) -> Iterator[Holders]:
    """Tell what the references to memory cgroups are of."""
    pages: Counter[int] = Counter()
    for group in scan.groups.values():
        pages[group.memcg] += group.pages
    open_sockets = Counter(socket.memcg for socket in sockets)
    for address in sorted(wanted, key=lambda address: (-pages[address], address)):
        with context.tolerate(f"struct mem_cgroup {address:#x}"):
            memcg = Object(context.prog, "struct mem_cgroup *", address)
            references = percpu_ref_sum(memcg.css.refcnt.address_of_())
            children = list_count_nodes(memcg.css.children.address_of_())
            known = pages[address] + open_sockets[address] + children
            yield Holders(
                cgroup=_path(memcg),
                memcg=address,
                references=references,
                pages=pages[address],
                sockets=open_sockets[address],
                children=children,
                other=references - known,
            )


def _path(memcg: Object) -> str:
    return mem_cgroup_path(memcg).decode(errors="replace")


def _state(memcg: Object) -> str:
    return "online" if css_is_online(memcg.css.address_of_()) else "ZOMBIE"
