"""Work queues: what they are doing and what waits (kernel/workqueue.c)."""

from collections.abc import Iterable, Iterator
from typing import Any

from kdive import Object
from kdive.helpers.linux.list import list_for_each_entry
from kdive.helpers.linux.workqueue import (
    for_each_inactive_work,
    for_each_pending_work,
    for_each_pool_worker,
    for_each_pwq,
    for_each_worker_pool,
    for_each_workqueue,
    pool_busy_workers,
    pool_idle_workers,
    work_pwq,
    workqueue_name,
)
from kdive.lens.clock import jiffies_per_second
from kdive.lens.context import Context
from kdive.lens.diagnosis import (
    Checked,
    Finding,
    Item,
    Options,
    Row,
    Severity,
    column,
    diagnosis,
    option,
)
from kdive.lens.needs import Needs
from kdive.lens.text import count_text, function_name, string

# The kernel's own watchdog reports pools that have not moved for this long (wq_watchdog_thresh).
_STALLED_S = 30
_EVIDENCE = 5


class Queue(Row, title="Work queues"):
    """A connection of a work queue to a pool, a ``struct pool_workqueue``, that has work."""

    name: str = column("name of the work queue")
    address: int = column("struct workqueue_struct", hexadecimal=True)
    pwq: int = column("struct pool_workqueue", hexadecimal=True)
    pool: int = column("number of the pool")
    active: int = column("work that is under way or may be")
    max_active: int | None = column("how much may be at once")
    inactive: int = column("work that waits because of that limit")
    references: int = column("references to the connection")
    mayday: bool = column("whether it waits for its rescuer")


class Pool(Row, title="Pools"):
    """A ``struct worker_pool``."""

    id: int = column("its number", "pool")
    address: int = column("struct worker_pool", hexadecimal=True)
    cpu: int | None = column("the CPU that it is bound to; none if to no single one")
    nice: int = column("niceness of its workers")
    workers: int = column("its workers")
    idle: int = column("those of them that wait for work")
    busy: int = column("those of them that work")
    pending: int = column("work that waits for a worker")
    moved_s: float | None = column(
        "how long ago it last took up work, in seconds; of meaning while work is pending"
    )


class Work(Row, title="Work"):
    """A ``struct work_struct`` that is being done or waits."""

    pool: int = column("number of the pool")
    workqueue: str = column("name of the work queue")
    state: str = column("in flight, scheduled (next for a worker), pending or inactive")
    work: int = column("struct work_struct", hexadecimal=True)
    function: str = column("what it does, with the kernel module", "func")
    pid: int | None = column("the worker", "PID")
    rescuer: bool = column("whether the worker is a rescuer")


class WorkqueuesOptions(Options):
    """Options of the diagnosis."""

    idle: bool = option(False, "also list work queues without work")


@diagnosis(
    "workqueues",
    "Work queues with work: pools and workers, and the work that is in flight, pending or held back.",
    rows=(Queue, Pool, Work),
    options=WorkqueuesOptions,
    needs=Needs(
        variables={"workqueues": "struct list_head", "worker_pool_idr": "struct idr"},
        members=("struct worker_pool.worklist", "struct pool_workqueue.pwqs_node"),
    ),
)
def workqueues(context: Context[WorkqueuesOptions]) -> Iterator[Item]:
    """Walk ``workqueues`` and ``worker_pool_idr``."""
    prog = context.prog
    hz = jiffies_per_second(prog)
    queues = 0
    for queue in context.walk(for_each_workqueue(prog), "the list workqueues"):
        with context.tolerate(f"struct workqueue_struct {hex(queue)}"):
            queues += 1
            yield from _queue(context, queue)
    pools = 0
    for pool in context.walk(for_each_worker_pool(prog), "worker_pool_idr"):
        with context.tolerate(f"struct worker_pool {hex(pool)}"):
            pools += 1
            row, work = _pool(context, pool, hz)
            yield row
            yield from work
            if row.pending and row.moved_s is not None and row.moved_s > _STALLED_S:
                yield _stalled(row, work)
    yield Checked(queues, "work queue")
    yield Checked(pools, "pool")


def _queue(context: Context[WorkqueuesOptions], queue: Object) -> Iterator[Item]:
    name = workqueue_name(queue).decode(errors="replace")
    for pwq in context.walk(for_each_pwq(queue), f"the pools of the work queue {name}"):
        with context.tolerate(f"struct pool_workqueue {hex(pwq)}"):
            inactive = list(
                context.walk(for_each_inactive_work(pwq), f"the work held back of {name}")
            )
            active = pwq.nr_active.value_()
            if not (active or inactive or context.options.idle):
                continue
            # "workqueue: Move pwq->max_active to wq->max_active" (Linux 6.9)
            limit = pwq if hasattr(pwq, "max_active") else queue
            node = pwq.mayday_node
            pool = pwq.pool.id.value_()
            yield Queue(
                name=name,
                address=int(queue),
                pwq=int(pwq),
                pool=pool,
                active=active,
                max_active=limit.max_active.value_() if hasattr(limit, "max_active") else None,
                inactive=len(inactive),
                references=pwq.refcnt.value_(),
                mayday=node.next.value_() not in (0, int(node.address_of_())),
            )
            yield from _works(context, pool, "inactive", inactive)


def _pool(context: Context[Any], pool: Object, hz: int | None) -> tuple[Pool, list[Work]]:
    prog = context.prog
    number = pool.id.value_()
    work = []
    busy = 0
    for worker in context.walk(pool_busy_workers(pool), f"the busy workers of pool {number}"):
        busy += 1
        with context.tolerate(f"struct worker {hex(worker)}"):
            work += _worker(number, worker)
    waiting = list(context.walk(for_each_pending_work(pool), f"the pending work of pool {number}"))
    pending = list(_works(context, number, "pending", waiting))
    age = (
        (prog["jiffies"].value_() - pool.watchdog_ts.value_()) / hz
        if hz and hasattr(pool, "watchdog_ts")
        else None
    )
    cpu = pool.cpu.value_()
    row = Pool(
        id=number,
        address=int(pool),
        cpu=cpu if cpu >= 0 else None,
        nice=pool.attrs.nice.value_(),
        workers=sum(
            1 for _ in context.walk(for_each_pool_worker(pool), f"the workers of pool {number}")
        ),
        idle=sum(
            1 for _ in context.walk(pool_idle_workers(pool), f"the idle workers of pool {number}")
        ),
        busy=busy,
        pending=len(waiting),
        moved_s=age,
    )
    return row, work + pending


def _worker(pool: int, worker: Object) -> list[Work]:
    task = worker.task.read_()
    # Since Linux 6.9 work may be done in softirqs, by workers that are no tasks.
    pid = task.pid.value_() if task else None
    rescued = worker.rescue_wq.read_()
    pwq = worker.current_pwq.read_()
    name = workqueue_name(pwq.wq).decode(errors="replace") if pwq else ""
    function = function_name(worker.prog_, worker.current_func.value_())
    rows = [
        Work(pool, name, "in flight", worker.current_work.value_(), function, pid, bool(rescued))
    ]
    for work in list_for_each_entry("struct work_struct", worker.scheduled.address_of_(), "entry"):
        rows.append(
            Work(
                pool,
                _queue_name(work),
                "scheduled",
                int(work),
                function_name(work.prog_, work.func.value_()),
                pid,
                bool(rescued),
            )
        )
    return rows


def _queue_name(work: Object) -> str:
    pwq = work_pwq(work)
    return string(pwq.wq.name) if pwq else ""


def _works(context: Context[Any], pool: int, state: str, works: Iterable[Object]) -> Iterator[Work]:
    """Make rows of work that no worker has taken yet."""
    for work in works:
        with context.tolerate(f"struct work_struct {hex(work)}"):
            function = function_name(work.prog_, work.func.value_())
            yield Work(pool, _queue_name(work), state, int(work), function, None, False)


def _stalled(pool: Pool, work: list[Work]) -> Finding:
    where = f"of CPU {pool.cpu}" if pool.cpu is not None else "of no single CPU"
    return Finding(
        Severity.CRITICAL,
        f"the worker pool {pool.id} {where} has not taken up work for {pool.moved_s:.0f} s "
        f"while {count_text(pool.pending, 'work')} {'waits' if pool.pending == 1 else 'wait'}",
        tuple(
            f"{row.state}: {row.function} of the work queue {row.workqueue}"
            + (f", PID {row.pid}" if row.pid is not None else "")
            for row in work[:_EVIDENCE]
        ),
        "workqueues",
    )
