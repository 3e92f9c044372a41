"""The kernel's time in units of people."""

from kdive import FaultError, Object, ObjectAbsentError, Program
from kdive.helpers.linux.sched import task_since_last_arrival_ns
from kdive.lens.needs import variable

_NS_PER_S = 1_000_000_000


def jiffies_per_second(prog: Program) -> int | None:
    """Get CONFIG_HZ from what a jiffy is worth to ``clocksource_jiffies``; None if that is not known."""
    try:
        source = variable(prog, "clocksource_jiffies", "struct clocksource")
        mult, shift = source.mult.value_(), source.shift.value_()
    except (FaultError, LookupError):
        return None
    # mult >> shift nanoseconds make a jiffy.
    return round(_NS_PER_S * (1 << shift) / mult) if mult else None


def seconds_since_last_run(task: Object) -> float | None:
    """Get how long ago a task last got a CPU; None where the clock of its run queue is not known.

    Args:
        task: ``struct task_struct *``
    """
    try:
        nanoseconds = task_since_last_arrival_ns(task)
    except (AttributeError, LookupError, ObjectAbsentError):
        # Kernels without CONFIG_SCHED_INFO do not record it, those without CONFIG_KALLSYMS_ALL do not tell where it is.
        return None
    # The clocks of CPUs may differ by a little.
    return round(max(0, nanoseconds) / _NS_PER_S, 3)
