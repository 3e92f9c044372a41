# SPDX-License-Identifier: Apache-2.0
"""Wait queues (``wait_queue_head_t``, include/linux/wait.h)."""

from collections.abc import Iterator

from kdive import Object, cast
from kdive.helpers.linux.list import list_empty, list_for_each_entry

__all__ = ("waitqueue_active", "waitqueue_for_each_entry", "waitqueue_for_each_task")


def waitqueue_active(wq: Object) -> bool:
    """Return whether anything waits on a queue.

    :param wq: ``wait_queue_head_t *``
    """
    return not list_empty(wq.head.address_of_())


def waitqueue_for_each_entry(wq: Object) -> Iterator[Object]:
    """Iterate over the entries of a queue: the list ``head``.

    :param wq: ``wait_queue_head_t *``
    :return: Iterator of ``wait_queue_entry_t *`` objects.
    """
    return list_for_each_entry("wait_queue_entry_t", wq.head.address_of_(), "entry")


def waitqueue_for_each_task(wq: Object) -> Iterator[Object]:
    """Iterate over the tasks that wait on a queue.

    A task is the ``private`` member of its entry. Some users of wait queues (epoll, KVM) keep something else
    there, and what is returned for them is not a task.

    :param wq: ``wait_queue_head_t *``
    :return: Iterator of ``struct task_struct *`` objects.
    """
    for entry in waitqueue_for_each_entry(wq):
        yield cast("struct task_struct *", entry.private.read_())
