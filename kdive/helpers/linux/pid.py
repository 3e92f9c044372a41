# SPDX-License-Identifier: Apache-2.0
"""Process IDs and tasks (include/linux/pid.h, include/linux/sched/signal.h)."""

from collections.abc import Iterator
from operator import index

from kdive import NULL, IntegerLike, Object, Program, cast, container_of, offsetof
from kdive.helpers.common.prog import takes_object_or_program_or_default
from kdive.helpers.linux._walk import entries, member_reader, pointers
from kdive.helpers.linux.cpumask import for_each_possible_cpu
from kdive.helpers.linux.idr import idr_find
from kdive.helpers.linux.list import list_for_each_entry
from kdive.helpers.linux.sched import idle_task
from kdive.helpers.linux.xarray import xarray_entries

__all__ = (
    "find_pid",
    "find_task",
    "for_each_pid",
    "for_each_task",
    "for_each_task_in_group",
    "pid_task",
)


def _pid_namespace(prog: Program, ns: Object | None) -> Object:
    return prog["init_pid_ns"].address_of_() if ns is None else ns


def _pids(prog: Program, ns: Object | None) -> Iterator[int]:
    """Yield the addresses of the ``struct pid`` of a namespace in ascending order of their IDs."""
    pids = _pid_namespace(prog, ns).idr.idr_rt.address_of_()
    return (pid for _, pid in xarray_entries(pids, advanced=True))


@takes_object_or_program_or_default
def find_pid(prog: Program, ns: Object | None, pid: IntegerLike) -> Object:
    """Get the ``struct pid`` of a process ID.

    Reads ``pid_namespace.idr`` (since "pid: replace pid bitmap implementation with IDR API", Linux 4.15).

    :param ns: ``struct pid_namespace *``; the initial namespace if omitted.
    :param pid: Process ID in *ns*.
    :return: ``struct pid *``, ``NULL`` if there is none.
    """
    return cast("struct pid *", idr_find(_pid_namespace(prog, ns).idr.address_of_(), pid))


@takes_object_or_program_or_default
def for_each_pid(prog: Program, ns: Object | None) -> Iterator[Object]:
    """Iterate over the process IDs of a namespace in ascending order.

    :param ns: ``struct pid_namespace *``; the initial namespace if omitted.
    :return: Iterator of ``struct pid *`` objects.
    """
    return pointers(prog, "struct pid", _pids(prog, ns))


def pid_task(pid: Object, pid_type: IntegerLike) -> Object:
    """Get the task that uses a process ID in the given role.

    Reads the first node of ``pid.tasks[pid_type]``, which is ``task_struct.pid_links[pid_type]``.

    :param pid: ``struct pid *``
    :param pid_type: ``enum pid_type``
    :return: ``struct task_struct *``, ``NULL`` if there is none.
    """
    prog = pid.prog_
    if not pid:
        return NULL(prog, "struct task_struct *")
    role = index(pid_type)
    first = pid.tasks[role].first.read_()
    if not first:
        return NULL(prog, "struct task_struct *")
    return container_of(first, "struct task_struct", f"pid_links[{role}]")


@takes_object_or_program_or_default
def find_task(prog: Program, ns: Object | None, pid: IntegerLike) -> Object:
    """Get the task with a process ID.

    :param ns: ``struct pid_namespace *``; the initial namespace if omitted.
    :param pid: Process (that is, thread) ID in *ns*.
    :return: ``struct task_struct *``, ``NULL`` if there is none.
    """
    return pid_task(find_pid(prog, pid) if ns is None else find_pid(ns, pid), prog["PIDTYPE_PID"])


@takes_object_or_program_or_default
def for_each_task(prog: Program, ns: Object | None, *, idle: bool = False) -> Iterator[Object]:
    """Iterate over the tasks (threads) that are visible in a namespace, in the order of their IDs.

    >>> for task in for_each_task(prog):
    ...     print(task.pid.value_(), task.comm.string_())

    :param ns: ``struct pid_namespace *``; the initial namespace if omitted.
    :param idle: Whether to begin with the idle task of each CPU, whose PID is 0.
    :return: Iterator of ``struct task_struct *`` objects.
    """
    if idle:
        for cpu in for_each_possible_cpu(prog):
            task = idle_task(prog, cpu)
            if task:
                yield task
    # The members are resolved once, not for every PID.
    role = int(prog["PIDTYPE_PID"])
    first_link = member_reader(prog, offsetof(prog.type("struct pid"), f"tasks[{role}].first"))
    links = (link for pid in _pids(prog, ns) if (link := first_link(pid)))
    yield from entries(prog, "struct task_struct", links, f"pid_links[{role}]")


def for_each_task_in_group(task: Object, include_self: bool = False) -> Iterator[Object]:
    """Iterate over the threads of the process that a task belongs to.

    Reads the list ``signal.thread_head``, which each task is on by ``thread_node``.

    :param task: ``struct task_struct *``
    :param include_self: Whether to include *task* itself.
    :return: Iterator of ``struct task_struct *`` objects, the leader first.
    """
    signal = task.signal.read_()
    if not signal:
        # The task is gone from its process.
        return
    for thread in list_for_each_entry(
        "struct task_struct", signal.thread_head.address_of_(), "thread_node"
    ):
        if include_self or thread != task:
            yield thread
