"""Delayed works that wait for a timer which does not come."""

from collections.abc import Iterator

from kdive.helpers.linux.cpumask import for_each_online_cpu, for_each_possible_cpu
from kdive.helpers.linux.workqueue import delayed_work_timer_buckets, workqueue_name
from kdive.lens.clock import jiffies_per_second
from kdive.lens.context import Context
from kdive.lens.diagnosis import (
    Checked,
    Finding,
    Item,
    Note,
    Options,
    Row,
    Severity,
    column,
    diagnosis,
    option,
)
from kdive.lens.needs import Needs
from kdive.lens.text import count_text, function_name

# The kernel may be this late with timers that need not be exact, and a dump may be taken in the middle of it.
_LATE_S = 10
_EVIDENCE = 5


class DelayedWork(Row, title="Delayed works"):
    """A ``struct delayed_work`` whose timer is running."""

    cpu: int = column("the CPU whose timers hold it", "CPU")
    state: str = column("whether that CPU is online or offline")
    timer: int = column("struct timer_list", hexadecimal=True)
    remaining_jiffies: int = column(
        "when it expires, in jiffies from now; negative if it is overdue", "tte(jiffies)"
    )
    remaining_s: float | None = column("the same in seconds", "tte(s)")
    work: int = column("struct delayed_work", hexadecimal=True)
    function: str = column("what it would do, with the kernel module", "func")
    workqueue: str = column("the work queue that it would go to")
    work_cpu: int | None = column("the CPU that it was queued for; none if it is any", "for CPU")
    base: str = column("the timer base")


class DelayedWorksOptions(Options):
    """Options of the diagnosis."""

    every: bool = option(False, "also list those on online CPUs that are not overdue")


@diagnosis(
    "delayed-works",
    "Delayed works whose timers are on offline CPUs, or are overdue anywhere.",
    rows=(DelayedWork,),
    options=DelayedWorksOptions,
    needs=Needs(
        variables={"timer_bases": "struct timer_base []"},
        symbols=("delayed_work_timer_fn",),
        members=("struct delayed_work.timer", "struct timer_list.expires"),
    ),
)
def delayed_works(context: Context[DelayedWorksOptions]) -> Iterator[Item]:
    """Walk the timer wheels of all CPUs. Those of a CPU that went offline are moved, so what is there came later."""
    prog = context.prog
    hz = jiffies_per_second(prog)
    if hz is None:
        yield Note("how long a jiffy is is not known, so there are no seconds")
    online = set(for_each_online_cpu(prog))
    possible = list(for_each_possible_cpu(prog))
    stuck = []
    count = 0
    for cpu in possible:
        for timer in context.walk_all(
            delayed_work_timer_buckets(prog, cpu), f"the timers of CPU {cpu}"
        ):
            with context.tolerate(f"delayed work {hex(timer.work)}"):
                count += 1
                late = -timer.remaining_jiffies > _LATE_S * (hz or 1)
                if not (context.options.every or late or cpu not in online):
                    continue
                queue = timer.work.wq.read_()
                work_cpu = timer.work.cpu.value_()
                row = DelayedWork(
                    cpu=cpu,
                    state="online" if cpu in online else "offline",
                    timer=int(timer.timer),
                    remaining_jiffies=timer.remaining_jiffies,
                    remaining_s=timer.remaining_jiffies / hz if hz else None,
                    work=int(timer.work),
                    function=function_name(prog, timer.work.work.func.value_()),
                    workqueue=workqueue_name(queue).decode(errors="replace") if queue else "",
                    work_cpu=work_cpu if work_cpu in possible else None,
                    base=timer.base_name,
                )
                yield row
                if row.state == "offline":
                    stuck.append(row)
    for cpu in sorted({row.cpu for row in stuck}):
        yield _stuck(cpu, [row for row in stuck if row.cpu == cpu])
    yield Checked(count, "delayed work")
    yield Checked(len(possible), "CPU")
    yield Checked(len(set(possible) - online), "offline CPU")


def _stuck(cpu: int, rows: list[DelayedWork]) -> Finding:
    overdue = [row for row in rows if row.remaining_jiffies < 0]
    sentence = f"{count_text(len(rows), 'delayed work')} will not run while CPU {cpu} is offline"
    if overdue:
        sentence += f"; {len(overdue)} {'is' if len(overdue) == 1 else 'are'} overdue"
    return Finding(
        Severity.CRITICAL if overdue else Severity.WARNING,
        sentence,
        tuple(
            _evidence(row)
            for row in sorted(rows, key=lambda row: row.remaining_jiffies)[:_EVIDENCE]
        ),
        "delayed-works",
    )


def _evidence(row: DelayedWork) -> str:
    amount = f"{abs(row.remaining_jiffies)} jiffies"
    if row.remaining_s is not None:
        amount += f" ({abs(row.remaining_s):.1f} s)"
    when = f"overdue for {amount}" if row.remaining_jiffies < 0 else f"due in {amount}"
    return f"{row.function} of the work queue {row.workqueue}, {when}, work {row.work:#x}"
