# SPDX-License-Identifier: Apache-2.0
"""Completions (``struct completion``, include/linux/completion.h)."""

from collections.abc import Iterator

from kdive import Object
from kdive.helpers.linux.swait import swait_for_each_task
from kdive.helpers.linux.wait import waitqueue_for_each_task

__all__ = ("completion_done", "completion_for_each_task")


def completion_done(completion: Object) -> bool:
    """Return whether a completion is done: whether a task could pass it without waiting.

    :param completion: ``struct completion *``
    """
    return bool(completion.done)


def completion_for_each_task(completion: Object) -> Iterator[Object]:
    """Iterate over the tasks that wait for a completion.

    :param completion: ``struct completion *``
    :return: Iterator of ``struct task_struct *`` objects.
    """
    queue = completion.wait.address_of_()
    # "completion: Use simple wait queues" (Linux 5.7)
    if completion.wait.type_.unaliased().tag == "swait_queue_head":
        return swait_for_each_task(queue)
    return waitqueue_for_each_task(queue)
