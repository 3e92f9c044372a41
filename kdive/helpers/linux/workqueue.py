# SPDX-License-Identifier: Apache-2.0
"""Work queues: queues, pools, workers, pending and delayed work (kernel/workqueue.c)."""

from collections.abc import Iterator
from itertools import chain
from operator import index
from typing import NamedTuple

from kdive import NULL, IntegerLike, Object, Program, cast, container_of
from kdive.helpers.common.prog import takes_program_or_default
from kdive.helpers.linux.idr import idr_find, idr_for_each_entry
from kdive.helpers.linux.kthread import kthread_data
from kdive.helpers.linux.list import hlist_for_each_entry, list_for_each_entry
from kdive.helpers.linux.percpu import per_cpu
from kdive.helpers.linux.timer import timer_base_buckets, timer_base_names

__all__ = (
    "DelayedWorkTimer",
    "current_work_worker",
    "find_workqueue",
    "for_each_cpu_worker_pool",
    "for_each_delayed_work_timer",
    "for_each_inactive_work",
    "for_each_pending_work",
    "for_each_pool_worker",
    "for_each_pwq",
    "for_each_worker",
    "for_each_worker_pool",
    "for_each_workqueue",
    "pool_busy_workers",
    "pool_idle_workers",
    "task_is_worker",
    "work_pool",
    "work_pwq",
    "workqueue_name",
)

_PF_WQ_WORKER = 0x20
# Bits of work_struct.data, unchanged since Linux 3.x but for what depends on the configuration.
_WORK_STRUCT_PWQ = 1 << 2
_COLOR_BITS = 4


@takes_program_or_default
def for_each_workqueue(prog: Program) -> Iterator[Object]:
    """Iterate over the work queues: the list ``workqueues``.

    :return: Iterator of ``struct workqueue_struct *`` objects.
    """
    return list_for_each_entry("struct workqueue_struct", prog["workqueues"].address_of_(), "list")


def workqueue_name(wq: Object) -> bytes:
    """Get the name of a work queue.

    :param wq: ``struct workqueue_struct *``
    """
    name: bytes = wq.name.string_()
    return name


@takes_program_or_default
def find_workqueue(prog: Program, name: str | bytes) -> Object:
    """Find a work queue by its name.

    :param name: Name.
    :return: ``struct workqueue_struct *``, ``NULL`` if there is none.
    """
    wanted = name.encode() if isinstance(name, str) else name
    for wq in for_each_workqueue(prog):
        if workqueue_name(wq) == wanted:
            return wq
    return NULL(prog, "struct workqueue_struct *")


def for_each_pwq(wq: Object) -> Iterator[Object]:
    """Iterate over the connections of a work queue to pools.

    :param wq: ``struct workqueue_struct *``
    :return: Iterator of ``struct pool_workqueue *`` objects.
    """
    return list_for_each_entry("struct pool_workqueue", wq.pwqs.address_of_(), "pwqs_node")


@takes_program_or_default
def for_each_worker_pool(prog: Program) -> Iterator[Object]:
    """Iterate over the pools of workers: ``worker_pool_idr``.

    :return: Iterator of ``struct worker_pool *`` objects, in the order of their IDs.
    """
    for _, pool in idr_for_each_entry(prog["worker_pool_idr"].address_of_(), "struct worker_pool"):
        yield pool


@takes_program_or_default
def for_each_cpu_worker_pool(prog: Program, cpu: IntegerLike) -> Iterator[Object]:
    """Iterate over the pools that are bound to a CPU: normal and high priority.

    :param cpu: CPU number.
    :return: Iterator of ``struct worker_pool *`` objects.
    """
    for pool in per_cpu(prog["cpu_worker_pools"], cpu):
        yield pool.address_of_()


def for_each_pool_worker(pool: Object) -> Iterator[Object]:
    """Iterate over the workers of a pool.

    :param pool: ``struct worker_pool *``
    :return: Iterator of ``struct worker *`` objects.
    """
    return list_for_each_entry("struct worker", pool.workers.address_of_(), "node")


@takes_program_or_default
def for_each_worker(prog: Program) -> Iterator[Object]:
    """Iterate over the workers of all pools.

    :return: Iterator of ``struct worker *`` objects.
    """
    for pool in for_each_worker_pool(prog):
        yield from for_each_pool_worker(pool)


def pool_busy_workers(pool: Object) -> Iterator[Object]:
    """Iterate over the workers of a pool that are executing work.

    :param pool: ``struct worker_pool *``
    :return: Iterator of ``struct worker *`` objects.
    """
    for bucket in pool.busy_hash:
        yield from hlist_for_each_entry("struct worker", bucket.address_of_(), "hentry")


def pool_idle_workers(pool: Object) -> Iterator[Object]:
    """Iterate over the workers of a pool that wait for work.

    :param pool: ``struct worker_pool *``
    :return: Iterator of ``struct worker *`` objects.
    """
    return list_for_each_entry("struct worker", pool.idle_list.address_of_(), "entry")


def for_each_pending_work(pool: Object) -> Iterator[Object]:
    """Iterate over the work that waits for a worker of a pool: ``worklist``.

    :param pool: ``struct worker_pool *``
    :return: Iterator of ``struct work_struct *`` objects.
    """
    return list_for_each_entry("struct work_struct", pool.worklist.address_of_(), "entry")


def for_each_inactive_work(pwq: Object) -> Iterator[Object]:
    """Iterate over the work that waits until its queue may have more work under way.

    :param pwq: ``struct pool_workqueue *``
    :return: Iterator of ``struct work_struct *`` objects.
    """
    try:
        # "workqueue: Rename "delayed" (delayed by active management) to "inactive"" (Linux 5.15)
        head = pwq.inactive_works
    except AttributeError:
        head = pwq.delayed_works
    return list_for_each_entry("struct work_struct", head.address_of_(), "entry")


def _flag_bits(prog: Program) -> int:
    """Get how many of the lowest bits of ``work_struct.data`` are flags: 4, or 5 with CONFIG_DEBUG_OBJECTS_WORK."""
    try:
        return int(prog.constant("WORK_STRUCT_COLOR_SHIFT"))
    except LookupError:
        # "workqueue: clean up WORK_* constant types, clarify masking" (Linux 6.4, and stable kernels before) left
        # some constants to macros.
        return 5 if "WORK_STRUCT_STATIC_BIT" in prog else 4


def work_pwq(work: Object) -> Object:
    """Get the connection of queue and pool that work is queued on.

    :param work: ``struct work_struct *``
    :return: ``struct pool_workqueue *``, ``NULL`` if the work is not queued.
    """
    prog = work.prog_
    data = work.data.counter.value_()
    mask = (1 << _flag_bits(prog) + _COLOR_BITS) - 1
    address = data & ~mask & (1 << 8 * prog.address_size()) - 1 if data & _WORK_STRUCT_PWQ else 0
    return Object(prog, "struct pool_workqueue *", address)


def work_pool(work: Object) -> Object:
    """Get the pool that work is queued on or was on last.

    :param work: ``struct work_struct *``
    :return: ``struct worker_pool *``, ``NULL`` if the work was never queued or its pool is gone.
    """
    prog = work.prog_
    pwq = work_pwq(work)
    if pwq:
        return pwq.pool.read_()
    bits = 8 * prog.address_size()
    data = work.data.counter.value_() & (1 << bits) - 1
    try:
        shift = int(prog.constant("WORK_OFFQ_POOL_SHIFT"))
    except LookupError:
        shift = _flag_bits(prog) + 1
    pool_bits = min(bits - shift, 31)
    number = data >> shift & (1 << pool_bits) - 1
    if number == (1 << pool_bits) - 1:
        return NULL(prog, "struct worker_pool *")
    return cast("struct worker_pool *", idr_find(prog["worker_pool_idr"].address_of_(), number))


def task_is_worker(task: Object) -> bool:
    """Return whether a task is a worker of a work queue (the flag PF_WQ_WORKER).

    :param task: ``struct task_struct *``
    """
    return bool(task.flags.value_() & _PF_WQ_WORKER)


def current_work_worker(task: Object) -> Object:
    """Get the worker that a task is.

    :param task: ``struct task_struct *``
    :return: ``struct worker *``, ``NULL`` if the task is none.
    """
    if not task_is_worker(task):
        return NULL(task.prog_, "struct worker *")
    return cast("struct worker *", kthread_data(task))


class DelayedWorkTimer(NamedTuple):
    """Delayed work whose timer is running."""

    cpu: int
    """CPU on whose timer base the timer is."""
    base_name: str
    """Name of the timer base, e.g. ``"BASE_STD"``."""
    timer: Object
    """``struct timer_list *``"""
    work: Object
    """``struct delayed_work *``"""
    remaining_jiffies: int
    """When the timer expires, in jiffies from now; negative if it is overdue."""


@takes_program_or_default
def for_each_delayed_work_timer(prog: Program, cpu: IntegerLike) -> Iterator[DelayedWorkTimer]:
    """Iterate over the delayed work whose timer is on a CPU, which may be offline.

    These are the timers on ``timer_bases`` whose function is ``delayed_work_timer_fn``.

    :param cpu: CPU number.
    """
    return chain.from_iterable(delayed_work_timer_buckets(prog, index(cpu)))


def delayed_work_timer_buckets(prog: Program, cpu: int) -> Iterator[Iterator[DelayedWorkTimer]]:
    """Iterate as `for_each_delayed_work_timer()` does, over each bucket apart: one of them may be damaged."""
    function = prog.symbol("delayed_work_timer_fn").address
    now = prog["jiffies"].value_()
    half = 1 << 8 * prog.address_size() - 1

    def delayed_works(name: str, bucket: Iterator[Object]) -> Iterator[DelayedWorkTimer]:
        for timer in bucket:
            if timer.function.value_() == function:
                # Jiffies wrap around, so their difference is a signed number.
                remaining = (timer.expires.value_() - now + half) % (2 * half) - half
                work = container_of(timer, "struct delayed_work", "timer")
                yield DelayedWorkTimer(cpu, name, timer, work, remaining)

    for name, base in zip(timer_base_names(prog), per_cpu(prog["timer_bases"], cpu), strict=True):
        for bucket in timer_base_buckets(base.address_of_()):
            yield delayed_works(name, bucket)
