# SPDX-License-Identifier: Apache-2.0
"""Clocks as of the last tick (``struct timekeeper``, kernel/time/timekeeping.c)."""

from kdive import Object, Program, cast
from kdive.helpers.common.prog import takes_program_or_default

__all__ = (
    "ktime_get_boottime_seconds",
    "ktime_get_clocktai_seconds",
    "ktime_get_coarse_boottime_ns",
    "ktime_get_coarse_clocktai_ns",
    "ktime_get_coarse_ns",
    "ktime_get_coarse_real_ns",
    "ktime_get_real_seconds",
    "ktime_get_seconds",
    "ktime_to_ns",
    "uptime",
    "uptime_pretty",
)

_NSEC_PER_SEC = 1_000_000_000


def _timekeeper(prog: Program) -> Object:
    try:
        return prog["tk_core"].timekeeper
    except KeyError:
        pass
    try:
        # Without DWARF the type of tk_core is not known. This is what each tick computes before it is copied there;
        # it is a variable of its own until "timekeeping: Add struct tk_data" and its neighbours (Linux 6.13).
        return Object(prog, "struct timekeeper", address=prog.symbol("shadow_timekeeper").address)
    except LookupError:
        # Since Linux 6.17 there is one for each auxiliary clock too; the first is the core's.
        return prog["timekeeper_data"][0].timekeeper


def ktime_to_ns(kt: Object) -> Object:
    """Convert a ``ktime_t`` to nanoseconds.

    :param kt: ``ktime_t``
    :return: ``s64``
    """
    return cast("s64", kt)


def _monotonic_ns(tk: Object) -> int:
    read_base = tk.tkr_mono
    ns: int = read_base.base.value_()
    try:
        # "timekeeping: Prevent coarse clocks going backwards" (Linux 6.15) keeps the coarse time apart, because
        # adjustments may set the clock back by a little.
        return ns + int(tk.coarse_nsec.value_())
    except AttributeError:
        return ns + int(read_base.xtime_nsec.value_() >> read_base.shift.value_())


def _coarse_ns(prog: Program, offset: str | None) -> Object:
    tk = _timekeeper(prog)
    ns = _monotonic_ns(tk)
    if offset is not None:
        ns += tk.member_(offset).value_()
    return Object(prog, "u64", ns)


@takes_program_or_default
def ktime_get_coarse_ns(prog: Program) -> Object:
    """Get the monotonic time (CLOCK_MONOTONIC_COARSE).

    :return: Nanoseconds as ``u64``.
    """
    return _coarse_ns(prog, None)


@takes_program_or_default
def ktime_get_coarse_real_ns(prog: Program) -> Object:
    """Get the wall time (CLOCK_REALTIME_COARSE).

    :return: Nanoseconds since 1970 as ``u64``.
    """
    return _coarse_ns(prog, "offs_real")


@takes_program_or_default
def ktime_get_coarse_boottime_ns(prog: Program) -> Object:
    """Get the time since boot, time spent asleep included (CLOCK_BOOTTIME as of the last tick).

    :return: Nanoseconds as ``u64``.
    """
    return _coarse_ns(prog, "offs_boot")


@takes_program_or_default
def ktime_get_coarse_clocktai_ns(prog: Program) -> Object:
    """Get the International Atomic Time (CLOCK_TAI as of the last tick).

    :return: Nanoseconds as ``u64``.
    """
    return _coarse_ns(prog, "offs_tai")


def _seconds(prog: Program, ns: Object) -> Object:
    return Object(prog, "time64_t", int(ns) // _NSEC_PER_SEC)


@takes_program_or_default
def ktime_get_seconds(prog: Program) -> Object:
    """Get the seconds of the monotonic time: ``timekeeper.ktime_sec``.

    :return: ``time64_t``
    """
    return cast("time64_t", _timekeeper(prog).ktime_sec.read_())


@takes_program_or_default
def ktime_get_real_seconds(prog: Program) -> Object:
    """Get the seconds of the wall time: ``timekeeper.xtime_sec``.

    :return: Seconds since 1970 as ``time64_t``.
    """
    return cast("time64_t", _timekeeper(prog).xtime_sec.read_())


@takes_program_or_default
def ktime_get_boottime_seconds(prog: Program) -> Object:
    """Get the seconds since boot, time spent asleep included.

    :return: ``time64_t``
    """
    return _seconds(prog, _coarse_ns(prog, "offs_boot"))


@takes_program_or_default
def ktime_get_clocktai_seconds(prog: Program) -> Object:
    """Get the seconds of the International Atomic Time.

    :return: ``time64_t``
    """
    return _seconds(prog, _coarse_ns(prog, "offs_tai"))


@takes_program_or_default
def uptime(prog: Program) -> float:
    """Get the seconds since boot as of the last tick, time spent asleep included."""
    return int(_coarse_ns(prog, "offs_boot")) / _NSEC_PER_SEC


@takes_program_or_default
def uptime_pretty(prog: Program) -> str:
    """Get the time since boot in words, e.g. ``"1 day, 6 hours, 56 minutes, 40 seconds"``."""
    seconds = int(_coarse_ns(prog, "offs_boot")) // _NSEC_PER_SEC
    words: list[str] = []
    for unit, size in (("day", 86400), ("hour", 3600), ("minute", 60), ("second", 1)):
        amount, seconds = divmod(seconds, size)
        if amount or (unit == "second" and not words):
            words.append(f"{amount} {unit}" + ("" if amount == 1 else "s"))
    return ", ".join(words)
