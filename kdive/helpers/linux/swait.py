# SPDX-License-Identifier: Apache-2.0
"""Simple wait queues (``struct swait_queue_head``, include/linux/swait.h)."""

from collections.abc import Iterator

from kdive import Object
from kdive.helpers.linux.list import list_empty, list_for_each_entry

__all__ = ("swait_active", "swait_for_each_task")


def swait_active(wq: Object) -> bool:
    """Return whether any task waits on a queue.

    :param wq: ``struct swait_queue_head *``
    """
    return not list_empty(wq.task_list.address_of_())


def swait_for_each_task(wq: Object) -> Iterator[Object]:
    """Iterate over the tasks that wait on a queue: the list ``task_list`` of ``struct swait_queue``.

    :param wq: ``struct swait_queue_head *``
    :return: Iterator of ``struct task_struct *`` objects.
    """
    for waiter in list_for_each_entry(
        "struct swait_queue", wq.task_list.address_of_(), "task_list"
    ):
        yield waiter.task.read_()
