# SPDX-License-Identifier: Apache-2.0
"""System V shared memory, semaphores and message queues (ipc/)."""

from collections.abc import Iterator
from operator import index

from kdive import NULL, IntegerLike, Object, Program, cast, container_of
from kdive.helpers.common.format import decode_flags
from kdive.helpers.common.prog import (
    takes_object_or_program_or_default,
    takes_program_or_default,
)
from kdive.helpers.linux.idr import idr_find, idr_for_each_entry

__all__ = (
    "decode_sysv_shm_flags",
    "decode_sysv_shm_mode_flags",
    "find_sysv_msg_queue",
    "find_sysv_sem_array",
    "find_sysv_shm",
    "for_each_sysv_msg_queue",
    "for_each_sysv_sem_array",
    "for_each_sysv_shm",
)

# Places in ipc_namespace.ids[] (ipc/util.h)
_SEM, _MSG, _SHM = range(3)
# The lower part of an ID is the place in the table. It is wider with the boot parameter ipcmni_extend.
_INDEX_SHIFT = 15
_EXTENDED_INDEX_SHIFT = 24
_PERMISSION_BITS = 0o777
_MODE_FLAGS = (("SHM_DEST", 0o1000), ("SHM_LOCKED", 0o2000))


def _ids(prog: Program, ns: Object | None, kind: int) -> Object:
    namespace = prog["init_ipc_ns"] if ns is None else ns
    return namespace.ids[kind]


def _index_shift(prog: Program) -> int:
    # "ipc: allow boot time extension of IPCMNI from 32k to 16M" (Linux 5.2)
    return (
        _EXTENDED_INDEX_SHIFT
        if "ipc_mni_shift" in prog and prog["ipc_mni_shift"] > _INDEX_SHIFT
        else _INDEX_SHIFT
    )


def _find(
    prog: Program, ns: Object | None, kind: int, type: str, member: str, id: IntegerLike
) -> Object:
    wanted = index(id)
    position = wanted & (1 << _index_shift(prog)) - 1
    permission = cast(
        "struct kern_ipc_perm *", idr_find(_ids(prog, ns, kind).ipcs_idr.address_of_(), position)
    )
    # An ID that was removed may have left its place to another one.
    if not permission or permission.id.value_() != wanted:
        return NULL(prog, f"{type} *")
    return container_of(permission, type, member)


def _for_each(
    prog: Program, ns: Object | None, kind: int, type: str, member: str
) -> Iterator[Object]:
    idr = _ids(prog, ns, kind).ipcs_idr.address_of_()
    for _, permission in idr_for_each_entry(idr, "struct kern_ipc_perm"):
        yield container_of(permission, type, member)


@takes_object_or_program_or_default
def find_sysv_shm(prog: Program, ns: Object | None, id: IntegerLike) -> Object:
    """Find a segment of shared memory by its ID.

    :param ns: ``struct ipc_namespace *``; the initial namespace if omitted.
    :param id: ID of the segment.
    :return: ``struct shmid_kernel *``, ``NULL`` if there is none.
    """
    return _find(prog, ns, _SHM, "struct shmid_kernel", "shm_perm", id)


@takes_object_or_program_or_default
def for_each_sysv_shm(prog: Program, ns: Object | None) -> Iterator[Object]:
    """Iterate over the segments of shared memory of a namespace.

    :param ns: ``struct ipc_namespace *``; the initial namespace if omitted.
    :return: Iterator of ``struct shmid_kernel *`` objects.
    """
    return _for_each(prog, ns, _SHM, "struct shmid_kernel", "shm_perm")


@takes_object_or_program_or_default
def find_sysv_sem_array(prog: Program, ns: Object | None, id: IntegerLike) -> Object:
    """Find an array of semaphores by its ID.

    :param ns: ``struct ipc_namespace *``; the initial namespace if omitted.
    :param id: ID of the array.
    :return: ``struct sem_array *``, ``NULL`` if there is none.
    """
    return _find(prog, ns, _SEM, "struct sem_array", "sem_perm", id)


@takes_object_or_program_or_default
def for_each_sysv_sem_array(prog: Program, ns: Object | None) -> Iterator[Object]:
    """Iterate over the arrays of semaphores of a namespace.

    :param ns: ``struct ipc_namespace *``; the initial namespace if omitted.
    :return: Iterator of ``struct sem_array *`` objects.
    """
    return _for_each(prog, ns, _SEM, "struct sem_array", "sem_perm")


@takes_object_or_program_or_default
def find_sysv_msg_queue(prog: Program, ns: Object | None, id: IntegerLike) -> Object:
    """Find a message queue by its ID.

    :param ns: ``struct ipc_namespace *``; the initial namespace if omitted.
    :param id: ID of the queue.
    :return: ``struct msg_queue *``, ``NULL`` if there is none.
    """
    return _find(prog, ns, _MSG, "struct msg_queue", "q_perm", id)


@takes_object_or_program_or_default
def for_each_sysv_msg_queue(prog: Program, ns: Object | None) -> Iterator[Object]:
    """Iterate over the message queues of a namespace.

    :param ns: ``struct ipc_namespace *``; the initial namespace if omitted.
    :return: Iterator of ``struct msg_queue *`` objects.
    """
    return _for_each(prog, ns, _MSG, "struct msg_queue", "q_perm")


@takes_program_or_default
def decode_sysv_shm_mode_flags(prog: Program, value: IntegerLike) -> str:  # noqa: ARG001 - part of the interface
    """Name the flags in the mode of a segment of shared memory, leaving out its permissions.

    :param value: ``umode_t``
    :return: Names joined by ``|``.
    """
    return decode_flags(index(value) & ~_PERMISSION_BITS, _MODE_FLAGS, bit_numbers=False)


def decode_sysv_shm_flags(shm: Object) -> str:
    """Name the flags of a segment of shared memory.

    :param shm: ``struct shmid_kernel *``
    :return: Names joined by ``|``.
    """
    return decode_sysv_shm_mode_flags(shm.prog_, shm.shm_perm.mode)
