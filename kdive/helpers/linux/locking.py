# SPDX-License-Identifier: Apache-2.0
"""Mutexes and read-write semaphores (include/linux/mutex.h, include/linux/rwsem.h)."""

import enum

from kdive import Object, cast

__all__ = ("mutex_owner", "rwsem_locked", "rwsem_owner")

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
