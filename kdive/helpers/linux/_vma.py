# SPDX-License-Identifier: Apache-2.0
"""Address spaces of tasks: their areas, sizes, arguments and environment (``struct mm_struct``)."""

from collections.abc import Iterator
from operator import index
from typing import NamedTuple

from kdive import NULL, IntegerLike, Object, Program, cast
from kdive.helpers import ValidationError
from kdive.helpers.common.prog import takes_program_or_default
from kdive.helpers.linux._translation import access_remote_vm
from kdive.helpers.linux._walk import follow, member_reader, pointers
from kdive.helpers.linux.fs import d_path
from kdive.helpers.linux.kthread import task_is_kthread
from kdive.helpers.linux.mapletree import maple_entries, mtree_load
from kdive.helpers.linux.percpu import percpu_counter_sum_positive
from kdive.helpers.linux.pid import for_each_task_in_group
from kdive.helpers.linux.rbtree import rb_find

# The kernel limits arguments and environment to a quarter of the stack limit; beyond this it is no longer plausible.
_MAX_ARGUMENT_BYTES = 1 << 30


class TaskRss(NamedTuple):
    """Resident set size of a task, in pages."""

    file: int
    """Pages of mapped files."""
    anon: int
    """Anonymous pages."""
    shmem: int
    """Pages of shared memory."""
    swap: int
    """Pages that are swapped out; not resident."""

    @property
    def total(self) -> int:
        """Pages in memory: `file`, `anon` and `shmem`."""
        return self.file + self.anon + self.shmem


def for_each_vma(mm: Object) -> Iterator[Object]:
    """Iterate over the virtual memory areas of an address space in the order of their addresses.

    :param mm: ``struct mm_struct *``
    :return: Iterator of ``struct vm_area_struct *`` objects.
    :raises ValidationError: if the tree or list of areas is damaged
    """
    prog = mm.prog_
    if prog.type("struct mm_struct").has_member("mm_mt"):
        # "mm: start tracking VMAs with maple tree" and its neighbours (Linux 6.1)
        addresses: Iterator[int] = (entry for _, _, entry in maple_entries(mm.mm_mt.address_of_()))
    else:
        next_offset = prog.type("struct vm_area_struct").member("vm_next").offset
        addresses = follow(
            member_reader(prog, next_offset), mm.mmap.value_(), 0, "list of memory areas"
        )
    return pointers(prog, "struct vm_area_struct", addresses)


def _compare_address(address: int, vma: Object) -> int:
    if address < vma.vm_start.value_():
        return -1
    return int(address >= vma.vm_end.value_())


def vma_find(mm: Object, addr: IntegerLike) -> Object:
    """Find the virtual memory area that holds an address.

    :param mm: ``struct mm_struct *``
    :param addr: Address.
    :return: ``struct vm_area_struct *``, ``NULL`` if there is none.
    """
    prog = mm.prog_
    if prog.type("struct mm_struct").has_member("mm_mt"):
        return cast("struct vm_area_struct *", mtree_load(mm.mm_mt.address_of_(), addr))
    return rb_find(
        "struct vm_area_struct", mm.mm_rb.address_of_(), "vm_rb", index(addr), _compare_address
    )


def _special_mapping_name(vma: Object) -> bytes | None:
    """Get the name that the operations of an area give it, None if they don't."""
    operations = vma.vm_ops.read_()
    if not operations or not operations.name:
        return None
    try:
        function = vma.prog_.symbol(operations.name.value_()).name
    except LookupError:
        return None
    if function == "special_mapping_name":
        name: bytes = cast("struct vm_special_mapping *", vma.vm_private_data).name.string_()
        return name
    if function == "gate_vma_name":
        return b"[vsyscall]"
    return None


def _anonymous_name(vma: Object) -> bytes:
    """Get the name that prctl(2) gave to memory, empty if it has none."""
    vma_type = vma.prog_.type("struct vm_area_struct")
    # "mm: add a field to store names for private anonymous memory" (Linux 5.17)
    if not vma_type.has_member("anon_name"):
        return b""
    # It shared its place with the links of file mappings until "mm: anonymous shared memory naming" (Linux 6.2).
    if vma.vm_file and vma_type.member("anon_name").offset == vma_type.member("shared").offset:
        return b""
    anon_name = vma.anon_name.read_()
    if not anon_name:
        return b""
    name: bytes = anon_name.name.string_()
    return name


def vma_name(vma: Object) -> bytes:
    """Name a virtual memory area like ``/proc/PID/maps``.

    :param vma: ``struct vm_area_struct *``
    :return: Path of the mapped file; ``[heap]``, ``[stack]``, ``[vdso]``, ``[vvar]`` and the like; ``[anon:NAME]`` or
        ``[anon_shmem:NAME]`` for memory named by prctl(2); empty for other anonymous memory.
    """
    name = _anonymous_name(vma)
    if vma.vm_file:
        return b"[anon_shmem:%s]" % name if name else d_path(vma.vm_file.f_path)
    special = _special_mapping_name(vma)
    if special is not None:
        return special
    mm = vma.vm_mm.read_()
    start, end = vma.vm_start.value_(), vma.vm_end.value_()
    if not mm:
        return b"[vdso]"
    if start <= mm.brk.value_() and end >= mm.start_brk.value_():
        return b"[heap]"
    if start <= mm.start_stack.value_() <= end:
        return b"[stack]"
    return b"[anon:%s]" % name if name else b""


def task_vsize(task: Object) -> int:
    """Get the size of a task's virtual memory in bytes; 0 for a task without an address space.

    :param task: ``struct task_struct *``
    """
    mm = task.mm.read_()
    if not mm:
        return 0
    return int(mm.total_vm.value_() * task.prog_["PAGE_SIZE"].value_())


@takes_program_or_default
def task_rss(prog: Program, task: Object) -> TaskRss:
    """Get the resident set size of a task, in pages.

    :param task: ``struct task_struct *``
    """
    mm = task.mm.read_()
    # A kernel thread may borrow an address space, but has none of its own.
    if not mm or task_is_kthread(task):
        return TaskRss(0, 0, 0, 0)
    if prog.type("struct mm_struct").member("rss_stat").type.unaliased_kind().name == "ARRAY":
        # "mm: convert mm's rss stats into percpu_counter" (Linux 6.2)
        counters = [percpu_counter_sum_positive(counter.address_of_()) for counter in mm.rss_stat]
    else:
        counters = [count.counter.value_() for count in mm.rss_stat.count]
        if prog.type("struct task_struct").has_member("rss_stat"):
            # Threads keep counts of their own for a while (SPLIT_RSS_COUNTING).
            for thread in for_each_task_in_group(task, include_self=True):
                counters = [
                    sum(pair) for pair in zip(counters, thread.rss_stat.count.value_(), strict=True)
                ]
        counters = [max(count, 0) for count in counters]
    kinds = ("MM_FILEPAGES", "MM_ANONPAGES", "MM_SHMEMPAGES", "MM_SWAPENTS")
    file, anon, shmem, swap = (counters[int(prog[kind])] for kind in kinds)
    return TaskRss(file, anon, shmem, swap)


def _strings(mm: Object, start: int, end: int) -> list[bytes]:
    size = end - start
    if not 0 <= size <= _MAX_ARGUMENT_BYTES:
        raise ValidationError(
            f"arguments or environment of {hex(mm)} have an implausible size of {size} bytes"
        )
    strings = access_remote_vm(mm, start, size).split(b"\0")
    # Each string ends with a NUL, so the last piece is empty, unless the process has overwritten it.
    return strings[:-1] if not strings[-1] else strings


def mm_cmdline(mm: Object) -> list[bytes]:
    """Get the command line arguments of an address space.

    :param mm: ``struct mm_struct *``
    :raises FaultError: if the memory is not mapped or not in the dump
    """
    return _strings(mm, mm.arg_start.value_(), mm.arg_end.value_())


def mm_environ(mm: Object) -> list[bytes]:
    """Get the environment variables of an address space, as ``NAME=value``.

    :param mm: ``struct mm_struct *``
    :raises FaultError: if the memory is not mapped or not in the dump
    """
    return _strings(mm, mm.env_start.value_(), mm.env_end.value_())


def _own_mm(task: Object) -> Object:
    return NULL(task.prog_, "struct mm_struct *") if task_is_kthread(task) else task.mm.read_()


def cmdline(task: Object) -> list[bytes] | None:
    """Get the command line arguments of a task.

    :param task: ``struct task_struct *``
    :return: Arguments, None for a task without memory of its own, like a kernel thread.
    :raises FaultError: if the memory is not mapped or not in the dump
    """
    mm = _own_mm(task)
    return mm_cmdline(mm) if mm else None


def environ(task: Object) -> list[bytes] | None:
    """Get the environment variables of a task.

    :param task: ``struct task_struct *``
    :return: Variables as ``NAME=value``, None for a task without memory of its own, like a kernel thread.
    :raises FaultError: if the memory is not mapped or not in the dump
    """
    mm = _own_mm(task)
    return mm_environ(mm) if mm else None
