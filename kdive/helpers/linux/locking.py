# SPDX-License-Identifier: Apache-2.0
"""Mutexes and read-write semaphores (include/linux/mutex.h, include/linux/rwsem.h), and who waits for them."""

import enum
from typing import NamedTuple

from kdive import FaultError, Object, Program, StackTrace, cast, container_of, offsetof
from kdive.helpers.linux._words import words_at

__all__ = ("LockWait", "lock_waited_for", "mutex_owner", "rwsem_locked", "rwsem_owner")

# Functions in which a task sleeps for a lock, what it leaves on its stack meanwhile, and what the lock is. Those of
# semaphores come last: their names are the beginnings of others.
_WAITS = (
    ("__mutex_lock", "struct mutex_waiter", "struct mutex"),
    ("rwsem_down_", "struct rwsem_waiter", "struct rw_semaphore"),
    ("__down", "struct semaphore_waiter", "struct semaphore"),
    ("___down", "struct semaphore_waiter", "struct semaphore"),
)
# No architecture has larger stacks (x86 with KASAN has 32 KiB, arm64 with 64 KiB pages as much as one of these).
_MAX_STACK_BYTES = 1 << 16
_MAX_WAITERS = 1 << 20

# The owner of a mutex carries flags in its lowest three bits.
_MUTEX_FLAGS = 7
# So does the owner of a semaphore: reader-owned and non-spinnable
# ("locking/rwsem: Make rwsem->owner an atomic_long_t", Linux 5.3).
_RWSEM_FLAGS = 7
_RWSEM_WRITER_LOCKED = 1
_RWSEM_READER_SHIFT = 8


class RwsemLocked(enum.Enum):
    """How a read-write semaphore is locked."""

    UNLOCKED = 1
    READ_LOCKED = 2
    WRITE_LOCKED = 3


def _counter(atomic: Object) -> Object:
    """Get the number inside an ``atomic_long_t``; the object itself if it is a number already."""
    try:
        return atomic.counter
    except AttributeError:
        return atomic


def mutex_owner(lock: Object) -> Object:
    """Get the task that holds a mutex.

    Reads ``owner``, which is the address of the task and flags. With CONFIG_PREEMPT_RT the mutex is built on an
    ``rt_mutex``, whose owner is read.

    :param lock: ``struct mutex *``
    :return: ``struct task_struct *``, ``NULL`` if the mutex is free.
    """
    prog = lock.prog_
    try:
        owner = _counter(lock.owner).value_()
        flags = _MUTEX_FLAGS
    except AttributeError:
        # "locking/mutex: Add mutex implementation for PREEMPT_RT" (Linux 5.15)
        owner = lock.rtmutex.owner.value_()
        flags = 1
    return Object(prog, "struct task_struct *", owner & ~flags)


def _rt_reader_bias(sem: Object) -> Object | None:
    """Get the reader count of a semaphore of PREEMPT_RT, None for others."""
    try:
        # "locking/rwsem: Add rtmutex based R/W semaphore implementation" (Linux 5.15)
        return sem.rwbase.readers.counter
    except AttributeError:
        return None


def rwsem_locked(sem: Object) -> RwsemLocked:
    """Return whether a semaphore is free, held by readers or held by a writer.

    Reads ``count`` as laid out since "locking/rwsem: Implement a new locking scheme" (Linux 5.3): bit 0 is set by a
    writer, and the readers are counted from bit 8 on.

    :param sem: ``struct rw_semaphore *``
    """
    readers = _rt_reader_bias(sem)
    if readers is not None:
        # READER_BIAS is the lowest number, to which readers are added; a writer sets WRITER_BIAS, 1 << 30.
        count = readers.value_()
        if count == 1 << 30:
            return RwsemLocked.WRITE_LOCKED
        held = count & 0x3FFFFFFF
        return RwsemLocked.READ_LOCKED if held else RwsemLocked.UNLOCKED
    count = _counter(sem.count).value_() & 0x7FFFFFFFFFFFFFFF
    if count & _RWSEM_WRITER_LOCKED:
        return RwsemLocked.WRITE_LOCKED
    if count >> _RWSEM_READER_SHIFT:
        return RwsemLocked.READ_LOCKED
    return RwsemLocked.UNLOCKED


def rwsem_owner(sem: Object) -> Object:
    """Get the task that holds a semaphore.

    This is certain only while a writer holds it (`rwsem_locked()`): of readers the kernel remembers at most the one
    that came last, and may go on remembering it after it has left.

    :param sem: ``struct rw_semaphore *``
    :return: ``struct task_struct *``, ``NULL`` if no task is remembered.
    """
    prog = sem.prog_
    if _rt_reader_bias(sem) is not None:
        owner = sem.rwbase.rtmutex.owner.value_()
    else:
        owner = _counter(sem.owner).value_()
    return cast("struct task_struct *", Object(prog, "unsigned long", owner & ~_RWSEM_FLAGS))


class LockWait(NamedTuple):
    """That a task waits for a lock."""

    lock: Object
    """``struct mutex *``, ``struct rw_semaphore *`` or ``struct semaphore *``"""
    waiter: Object
    """What is queued at the lock, such as ``struct mutex_waiter *``; it is on the stack of the task."""


def lock_waited_for(task: Object, trace: StackTrace) -> LockWait | None:
    """Find the lock that a sleeping task waits for.

    A task that waits queues a structure on its own stack, with its own address in it, at the lock. No debug information
    about the stack is needed to find it there.

    :param task: ``struct task_struct *``
    :param trace: Its stack trace, as `Program.stack_trace()` returns it.
    :return: None if it is in no function that waits for a mutex or semaphore, or the lock can't be found.
    """
    names = [frame.name for frame in trace]
    for prefix, waiter_type, lock_type in _WAITS:
        if any(name.startswith(prefix) for name in names):
            return _wait_on_stack(task, trace, waiter_type, lock_type)
    return None


def _wait_on_stack(
    task: Object, trace: StackTrace, waiter_type: str, lock_type: str
) -> LockWait | None:
    prog = task.prog_
    word_size = prog.address_size()
    waiter = prog.type(waiter_type)
    list_offset, task_offset = offsetof(waiter, "list"), offsetof(waiter, "task")
    start, end = trace[0].sp, trace[len(trace) - 1].sp
    if not 0 < end - start <= _MAX_STACK_BYTES:
        return None
    from_list_to_task = task_offset - list_offset
    for position, word in enumerate(words_at(prog, start, (end - start) // word_size)):
        if word != task.value_():
            continue
        node = start + position * word_size - from_list_to_task
        head = _list_head(prog, node, from_list_to_task)
        if head is not None:
            lock = container_of(Object(prog, "struct list_head *", head), lock_type, "wait_list")
            return LockWait(lock, Object(prog, f"{waiter_type} *", node - list_offset))
    return None


def _list_head(prog: Program, node: int, from_list_to_task: int) -> int | None:
    """Find the head of the list of waiters that has a node; None if this is no such list."""
    here = node
    for _ in range(_MAX_WAITERS):
        try:
            after = prog.read_word(here)
            if prog.read_word(after + prog.address_size()) != here:
                return None
        except FaultError:
            return None
        if after == node:
            return None
        if not _is_waiter(prog, after, from_list_to_task):
            return after
        here = after
    return None


def _is_waiter(prog: Program, node: int, from_list_to_task: int) -> bool:
    """Return whether a node is one of a waiter: it lies on the stack of the task that it names."""
    try:
        task = Object(prog, "struct task_struct *", prog.read_word(node + from_list_to_task))
        return bool(0 <= node - task.stack.value_() < _MAX_STACK_BYTES)
    except FaultError:
        return False
