"""The kernel's time in units of people."""

from kdive import FaultError, Program
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
