# SPDX-License-Identifier: Apache-2.0
"""The scheduler: tasks' states and CPUs, run queues, load (include/linux/sched.h, kernel/sched/sched.h)."""

from collections.abc import Iterator

from kdive import NULL, IntegerLike, Object, Program, cast, container_of
from kdive.helpers import ValidationError
from kdive.helpers.common.prog import takes_program_or_default
from kdive.helpers.linux.bitops import for_each_set_bit
from kdive.helpers.linux.cgroup import cgroup_name
from kdive.helpers.linux.list import list_for_each_entry
from kdive.helpers.linux.percpu import per_cpu
from kdive.helpers.linux.rbtree import rbtree_inorder_for_each_entry

__all__ = (
    "cfs_rq_for_each_entity",
    "cpu_curr",
    "cpu_rq",
    "get_task_state",
    "idle_task",
    "loadavg",
    "rq_for_each_fair_task",
    "rq_for_each_rt_task",
    "sched_entity_is_task",
    "sched_entity_to_task",
    "task_cpu",
    "task_group_name",
    "task_group_sched_entity",
    "task_on_cpu",
    "task_rq",
    "task_since_last_arrival_ns",
    "task_state_to_char",
    "task_thread_info",
    "thread_group_leader",
)

# Task states are macros, so they are not in the debug information. These have not changed since
# "sched/debug: Rename task-state printing helpers" and its neighbours (Linux 4.14).
_TASK_UNINTERRUPTIBLE = 0x2
_TASK_NOLOAD = 0x400
_TASK_IDLE = _TASK_UNINTERRUPTIBLE | _TASK_NOLOAD
# "sched/core: Provide a task state for rtlocks" (Linux 5.16)
_TASK_RTLOCK_WAIT = 0x1000
# "freezer,sched: Rewrite core freezer logic" (Linux 6.1); reported as uninterruptible since
# "freezer,sched: Report TASK_FROZEN tasks as TASK_UNINTERRUPTIBLE" (Linux 6.7).
_TASK_FROZEN = 0x8000
_TASK_REPORT = 0x7F
_STATE_NAMES = (
    "R (running)",
    "S (sleeping)",
    "D (disk sleep)",
    "T (stopped)",
    "t (tracing stop)",
    "X (dead)",
    "Z (zombie)",
    "P (parked)",
    "I (idle)",
)
_IDLE_INDEX = 8
# Task groups are nested as deep as cgroups, which are limited by path lengths.
_MAX_GROUP_DEPTH = 1024
# avenrun[] holds fixed-point numbers with FSHIFT bits after the point.
_LOAD_SCALE = 1 << 11


def task_thread_info(task: Object) -> Object:
    """Get the low-level information about a task.

    It is in ``struct task_struct`` (CONFIG_THREAD_INFO_IN_TASK) or else at the bottom of the task's stack.

    :param task: ``struct task_struct *``
    :return: ``struct thread_info *``
    """
    try:
        return task.thread_info.address_of_()
    except AttributeError:
        return cast("struct thread_info *", task.stack.read_())


def task_cpu(task: Object) -> int:
    """Get the number of the CPU that a task last ran on.

    :param task: ``struct task_struct *``
    """
    # "sched: move CPU field back into thread_info if THREAD_INFO_IN_TASK=y" (Linux 5.16)
    try:
        return int(task.cpu)
    except AttributeError:
        pass
    try:
        return int(task_thread_info(task).cpu)
    except AttributeError:
        # Without CONFIG_SMP there is only CPU 0.
        return 0


def task_on_cpu(task: Object) -> bool:
    """Return whether a task is running on a CPU at this moment.

    :param task: ``struct task_struct *``
    """
    try:
        return bool(task.on_cpu)
    except AttributeError:
        # Without CONFIG_SMP there is no such member and only one run queue.
        return bool(task == cpu_curr(task.prog_, 0))


@takes_program_or_default
def cpu_rq(prog: Program, cpu: IntegerLike) -> Object:
    """Get the run queue of a CPU.

    :param cpu: CPU number.
    :return: ``struct rq *``
    """
    return per_cpu(prog["runqueues"], cpu).address_of_()


def task_rq(task: Object) -> Object:
    """Get the run queue of the CPU that a task last ran on.

    :param task: ``struct task_struct *``
    :return: ``struct rq *``
    """
    return cpu_rq(task.prog_, task_cpu(task))


@takes_program_or_default
def cpu_curr(prog: Program, cpu: IntegerLike) -> Object:
    """Get the task that runs on a CPU: ``rq.curr``.

    :param cpu: CPU number.
    :return: ``struct task_struct *``
    """
    return cpu_rq(prog, cpu).curr.read_()


@takes_program_or_default
def idle_task(prog: Program, cpu: IntegerLike) -> Object:
    """Get the idle task (PID 0) of a CPU: ``rq.idle``.

    :param cpu: CPU number.
    :return: ``struct task_struct *``
    """
    return cpu_rq(prog, cpu).idle.read_()


def thread_group_leader(task: Object) -> bool:
    """Return whether a task is the leader of its thread group, that is, whether its thread ID is the process ID.

    :param task: ``struct task_struct *``
    """
    return bool(task.exit_signal.value_() >= 0)


def _state_index(task: Object) -> int:
    try:
        # "sched: Change task_struct::state" (Linux 5.14)
        state = task.__state.value_()
    except AttributeError:
        state = task.state.value_()
    if state & _TASK_IDLE == _TASK_IDLE:
        return _IDLE_INDEX
    if state & (_TASK_RTLOCK_WAIT | _TASK_FROZEN):
        reported = _TASK_UNINTERRUPTIBLE
    else:
        reported = (state | task.exit_state.value_()) & _TASK_REPORT
    index: int = reported.bit_length()
    return index


def get_task_state(task: Object) -> str:
    """Get the state of a task as ``/proc/PID/status`` shows it, e.g. ``"R (running)"``.

    Reads ``__state`` (``state`` before Linux 5.14) and ``exit_state``.

    :param task: ``struct task_struct *``
    """
    return _STATE_NAMES[_state_index(task)]


def task_state_to_char(task: Object) -> str:
    """Get the state of a task as the letter that ps(1) shows, e.g. ``"R"``; see `get_task_state()`.

    :param task: ``struct task_struct *``
    """
    return _STATE_NAMES[_state_index(task)][0]


def task_since_last_arrival_ns(task: Object) -> int:
    """Get how long ago a task last started to run, by the clock of its run queue.

    This is about the time that the task has been running, queued or blocked. The clock stands still while a
    CPU is idle or runs one task without ticks. Needs CONFIG_SCHED_INFO.

    :param task: ``struct task_struct *``
    :return: Nanoseconds.
    """
    elapsed: int = task_rq(task).clock.value_() - task.sched_info.last_arrival.value_()
    return elapsed


@takes_program_or_default
def loadavg(prog: Program) -> tuple[float, float, float]:
    """Get the load averages over the last 1, 5 and 15 minutes: ``avenrun[]``."""
    one, five, fifteen = (load / _LOAD_SCALE for load in prog["avenrun"].value_())
    return one, five, fifteen


def sched_entity_is_task(se: Object) -> bool:
    """Return whether a scheduling entity is a task rather than a group of tasks.

    :param se: ``struct sched_entity *``
    """
    try:
        return not se.my_q
    except AttributeError:
        # Without CONFIG_FAIR_GROUP_SCHED there are no groups.
        return True


def sched_entity_to_task(se: Object) -> Object:
    """Get the task that a scheduling entity belongs to, if it is one (`sched_entity_is_task()`).

    :param se: ``struct sched_entity *``
    :return: ``struct task_struct *``
    """
    return container_of(se, "struct task_struct", "se")


def rq_for_each_fair_task(rq: Object) -> Iterator[Object]:
    """Iterate over the tasks of the fair class on a run queue.

    :param rq: ``struct rq *``
    :return: Iterator of ``struct task_struct *`` objects.
    """
    return list_for_each_entry("struct task_struct", rq.cfs_tasks.address_of_(), "se.group_node")


def _rt_rq_tasks(rt_rq: Object, depth: int) -> Iterator[Object]:
    if depth > _MAX_GROUP_DEPTH:
        raise ValidationError(
            f"real-time run queues are nested deeper than {_MAX_GROUP_DEPTH} at {hex(rt_rq)}"
        )
    queues = rt_rq.active.queue
    for priority in for_each_set_bit(rt_rq.active.bitmap, len(queues)):
        for rt_se in list_for_each_entry(
            "struct sched_rt_entity", queues[priority].address_of_(), "run_list"
        ):
            try:
                group_rq = rt_se.my_q.read_()
            except AttributeError:
                # Without CONFIG_RT_GROUP_SCHED there are no groups.
                group_rq = None
            if group_rq:
                yield from _rt_rq_tasks(group_rq, depth + 1)
            else:
                yield container_of(rt_se, "struct task_struct", "rt")


def rq_for_each_rt_task(rq: Object) -> Iterator[Object]:
    """Iterate over the tasks of the real-time class on a run queue, those in task groups included.

    :param rq: ``struct rq *``
    :return: Iterator of ``struct task_struct *`` objects, highest priority first.
    """
    return _rt_rq_tasks(rq.rt.address_of_(), 0)


def _cfs_entities(cfs_rq: Object, depth: int) -> Iterator[tuple[Object, int, bool, bool]]:
    if depth > _MAX_GROUP_DEPTH:
        raise ValidationError(
            f"fair run queues are nested deeper than {_MAX_GROUP_DEPTH} at {hex(cfs_rq)}"
        )
    # The current entity is not in the tree.
    current = cfs_rq.curr.read_()
    queue = [current] if current else []
    queue.extend(
        rbtree_inorder_for_each_entry(
            "struct sched_entity", cfs_rq.tasks_timeline.rb_root.address_of_(), "run_node"
        )
    )
    for se in queue:
        is_task = sched_entity_is_task(se)
        yield se, depth, se == current, is_task
        if not is_task:
            yield from _cfs_entities(se.my_q.read_(), depth + 1)


def cfs_rq_for_each_entity(cfs_rq: Object) -> Iterator[tuple[Object, int, bool, bool]]:
    """Iterate over the entities on a run queue of the fair class, each group before what it holds.

    :param cfs_rq: ``struct cfs_rq *``
    :return: Iterator of (``struct sched_entity *``, depth, whether it is the current entity of its run queue, whether
        it is a task) tuples. The depth of the entities that are directly on *cfs_rq* is 0.
    """
    return _cfs_entities(cfs_rq, 0)


def task_group_name(tg: Object) -> bytes:
    """Get the name of the cgroup of a task group.

    :param tg: ``struct task_group *``
    :return: Name, empty if the group is not a cgroup (an autogroup).
    """
    cgroup = tg.css.cgroup.read_()
    return cgroup_name(cgroup) if cgroup else b""


def task_group_sched_entity(tg: Object, cpu: IntegerLike) -> Object:
    """Get the scheduling entity that represents a task group on a CPU.

    :param tg: ``struct task_group *``
    :param cpu: CPU number.
    :return: ``struct sched_entity *``, ``NULL`` for the root group.
    """
    per_cpu_entities = tg.se.read_()
    if not per_cpu_entities:
        return NULL(tg.prog_, "struct sched_entity *")
    return per_cpu_entities[cpu].read_()
