# SPDX-License-Identifier: Apache-2.0
"""Kernel threads (include/linux/kthread.h)."""

from kdive import NULL, Object, cast

__all__ = ("kthread_data", "task_is_kthread", "to_kthread")

_PF_KTHREAD = 0x00200000


def task_is_kthread(task: Object) -> bool:
    """Return whether a task is a kernel thread (the flag PF_KTHREAD).

    :param task: ``struct task_struct *``
    """
    return bool(task.flags.value_() & _PF_KTHREAD)


def to_kthread(task: Object) -> Object:
    """Get what the kernel knows about a task as a kernel thread.

    :param task: ``struct task_struct *``
    :return: ``struct kthread *``, ``NULL`` if the task is not a kernel thread.
    """
    if not task_is_kthread(task):
        return NULL(task.prog_, "struct kthread *")
    try:
        # "kthread: Generalize pf_io_worker so it can point to struct kthread" (Linux 5.17)
        private = task.worker_private.read_()
    except AttributeError:
        private = task.set_child_tid.read_()
    return cast("struct kthread *", private)


def kthread_data(task: Object) -> Object:
    """Get the data that the function of a kernel thread was given.

    :param task: ``struct task_struct *``
    :return: ``void *``
    :raises ValueError: if the task is not a kernel thread
    """
    kthread = to_kthread(task)
    if not kthread:
        raise ValueError(f"task {hex(task)} is not a kernel thread")
    return kthread.data.read_()
