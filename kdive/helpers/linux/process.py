# SPDX-License-Identifier: Apache-2.0
"""Processes in the dump of a kernel, as programs of their own.

What a process has in memory is in the kernel's dump too, unless user pages were left out of it, were swapped out or
never read. `task_program()` puts it together again, so that everything that works on the core dump of a process works
on it: threads, stacks with the variables of each frame, global variables.
"""

import os
import struct
from collections.abc import Iterable, Iterator, Sequence

from kdive import Architecture, DebugInfoOptions, FaultError, Object, Program, StackTrace
from kdive.helpers.linux.fs import d_path
from kdive.helpers.linux.mm import access_remote_vm, cmdline, for_each_vma
from kdive.helpers.linux.pid import for_each_task_in_group

__all__ = ("task_program", "user_registers", "user_stack_trace")

_PAGE_SIZE = 4096
_WORD = struct.Struct("<Q")

# struct user_regs_struct and struct user_pt_regs begin with the words of struct pt_regs that are user mode's.
_ELF_MACHINES = {Architecture.X86_64: 62, Architecture.AARCH64: 183}
_REGISTER_WORDS = {Architecture.X86_64: 27, Architecture.AARCH64: 34}
_SAVED_WORDS = {Architecture.X86_64: 21, Architecture.AARCH64: 34}
_SAVED_NAMES = {
    Architecture.X86_64: (
        *("r15", "r14", "r13", "r12", "rbp", "rbx", "r11", "r10", "r9", "r8", "rax", "rcx", "rdx"),
        *("rsi", "rdi", "orig_rax", "rip", "cs", "rflags", "rsp", "ss"),
    ),
    Architecture.AARCH64: (*(f"x{number}" for number in range(31)), "sp", "pc", "pstate"),
}
_CODE_SEGMENT = 17
_PROCESSOR_STATE = 33
# "x86/fred: Reserve space for the FRED stack frame" (Linux 6.9) leaves room above the registers.
_PADDINGS = {Architecture.X86_64: (0, 16), Architecture.AARCH64: (0,)}

_NT_PRSTATUS, _NT_PRPSINFO, _NT_AUXV, _NT_FILE = 1, 3, 6, 0x46494C45
_AUXILIARY_WORDS_LIMIT = 512


def _architecture(task: Object) -> Architecture:
    platform = task.prog_.platform
    if platform is None or platform.arch not in _ELF_MACHINES:
        raise NotImplementedError("processes can be put together on x86-64 and AArch64 only")
    return platform.arch


def _is_user_mode(arch: Architecture, words: Sequence[int]) -> bool:
    if arch == Architecture.X86_64:
        return words[_CODE_SEGMENT] & 3 == 3
    return words[_PROCESSOR_STATE] & 0xF == 0


def user_registers(task: Object) -> list[int]:
    """Get the registers that a task has, or will have again, in user mode.

    They are at the base of its kernel stack (``task_pt_regs()``), or, while it runs in user mode, those of its CPU.

    :param task: ``struct task_struct *``
    :return: Words of ``struct user_regs_struct`` (x86-64) or ``struct user_pt_regs`` (AArch64)
    :raises LookupError: if the task is a kernel thread, or its registers were not saved
    """
    prog = task.prog_
    arch = _architecture(task)
    count = _SAVED_WORDS[arch]
    words: Sequence[int] = ()
    if task.on_cpu:
        registers = prog.stack_trace(task)[0].registers()
        words = [registers.get(name, 0) for name in _SAVED_NAMES[arch]]
    if not words or not _is_user_mode(arch, words):
        top = task.stack.value_() + prog["THREAD_SIZE"].value_()
        for padding in _PADDINGS[arch]:
            saved = prog.read(top - padding - 8 * count, 8 * count)
            words = struct.unpack(f"<{count}Q", saved)
            if _is_user_mode(arch, words):
                break
        else:
            raise LookupError("the task has no registers of user mode")
    result = list(words)
    if arch == Architecture.X86_64:
        thread = task.thread
        result += [thread.fsbase.value_(), thread.gsbase.value_()]
        result += [thread.ds.value_(), thread.es.value_()]
        result += [thread.fsindex.value_(), thread.gsindex.value_()]
    return result


def _note(kind: int, content: bytes) -> bytes:
    padded = content + bytes(-len(content) % 4)
    return struct.pack("<III8s", 5, len(content), kind, b"CORE") + padded


def _status(task: Object) -> bytes:
    words = user_registers(task)
    head = bytearray(112)
    struct.pack_into("<I", head, 32, task.pid.value_())
    return bytes(head) + struct.pack(f"<{len(words)}Q", *words) + bytes(8)


def _process_information(task: Object) -> bytes:
    content = bytearray(136)
    leader = task.group_leader
    try:
        arguments = b" ".join(cmdline(leader) or [])
    except FaultError:
        arguments = b""
    struct.pack_into("<I", content, 24, leader.pid.value_())
    struct.pack_into("16s80s", content, 40, leader.comm.string_(), arguments[:79])
    return bytes(content)


def _files(areas: Iterable[Object]) -> bytes:
    ranges, names = [], []
    for area in areas:
        if area.vm_file:
            start, end = area.vm_start.value_(), area.vm_end.value_()
            ranges.append(struct.pack("<QQQ", start, end, area.vm_pgoff.value_()))
            names.append(d_path(area.vm_file.f_path) + b"\0")
    return struct.pack("<QQ", len(ranges), _PAGE_SIZE) + b"".join(ranges) + b"".join(names)


def _auxiliary_vector(mm: Object) -> bytes:
    words = list(mm.saved_auxv)[:_AUXILIARY_WORDS_LIMIT]
    return b"".join(_WORD.pack(word.value_()) for word in words)


def _threads(task: Object) -> Iterator[Object]:
    """Iterate over the threads of a task's process, the task first."""
    yield task
    yield from (other for other in for_each_task_in_group(task, include_self=False))


def task_program(task: Object, debug_files: Sequence[str | os.PathLike[str]] = ()) -> Program:
    """Make a program of the process that a task of the kernel belongs to.

    It is like a core dump of the process: its main and crashed thread is ``task``. Pages that the kernel's dump does
    not have can't be read. Executables and libraries are looked for where the process had them, and taken if their
    build IDs are the same; give those that are elsewhere as ``debug_files``.

    Reads ``mm_struct`` (its areas, ``saved_auxv``), page tables, and the registers at the base of each kernel stack.

    >>> user = task_program(find_task(1234), ["./sshd", "./libc.so.6"])
    >>> print(user.crashed_thread().stack_trace())

    :param task: ``struct task_struct *``
    :param debug_files: Executables, libraries and files with their debug information
    :raises ValueError: if the task is a kernel thread
    :raises NotImplementedError: if the architecture is neither x86-64 nor AArch64
    """
    arch = _architecture(task)
    mm = task.mm.read_()
    if not mm:
        raise ValueError("the task is a kernel thread, or has ended: it has no memory of its own")
    areas = list(for_each_vma(mm))
    notes = []
    for thread in _threads(task):
        try:
            notes.append(_note(_NT_PRSTATUS, _status(thread)))
        except (FaultError, LookupError):
            # A thread that is about to end, or whose stack is not in the dump.
            continue
        if len(notes) == 1:
            notes.append(_note(_NT_PRPSINFO, _process_information(task)))
    notes += [_note(_NT_AUXV, _auxiliary_vector(mm)), _note(_NT_FILE, _files(areas))]
    content = b"".join(notes)
    identification = b"\x7fELF\x02\x01\x01" + bytes(9)
    header = struct.pack(
        *("<16sHHIQQQIHHHHHH", identification, 4, _ELF_MACHINES[arch], 1, 0, 64, 0, 0),
        *(64, 56, 1, 0, 0, 0),
    )
    segment = struct.pack("<IIQQQQQQ", 4, 0, 64 + 56, 0, 0, len(content), 0, 4)

    descriptor = os.memfd_create("process")
    program = Program()
    try:
        os.write(descriptor, header + segment + content)
        program.set_core_dump(descriptor)
    finally:
        os.close(descriptor)

    def read(address: int, count: int, _offset: int, _physical: bool) -> bytes:
        return access_remote_vm(mm, address, count)

    for area in areas:
        start, end = area.vm_start.value_(), area.vm_end.value_()
        program.add_memory_segment(start, end - start, read)
    program.load_debug_info(debug_files)
    where_mapped = DebugInfoOptions(directories=(), try_debug_link=False)
    program.find_standard_debug_info(program.modules(), where_mapped)
    return program


def user_stack_trace(
    task: Object, debug_files: Sequence[str | os.PathLike[str]] = ()
) -> StackTrace:
    """Get the stack that a task has in user mode, out of a kernel's dump.

    Where it ends early, ``StackTrace.end_reason`` says why: mostly that a page is not in the dump. To see several
    threads of a process, `task_program()` is faster.

    :param task: ``struct task_struct *``
    :param debug_files: As for `task_program()`
    """
    return task_program(task, debug_files).crashed_thread().stack_trace()
