# SPDX-License-Identifier: Apache-2.0
"""Resource limits (include/uapi/asm-generic/resource.h)."""

from typing import NamedTuple

from kdive import Object, sizeof

__all__ = ("task_rlimits",)

_NAMES = (
    "CPU",
    "FSIZE",
    "DATA",
    "STACK",
    "CORE",
    "RSS",
    "NPROC",
    "NOFILE",
    "MEMLOCK",
    "AS",
    "LOCKS",
    "SIGPENDING",
    "MSGQUEUE",
    "NICE",
    "RTPRIO",
    "RTTIME",
)


class Rlimit(NamedTuple):
    """A resource limit."""

    cur: int | None
    """Soft limit, None if there is none."""
    max: int | None
    """Hard limit, None if there is none."""


def _limit(value: Object) -> int | None:
    number: int = value.value_()
    return None if number == (1 << 8 * sizeof(value)) - 1 else number


def task_rlimits(task: Object) -> dict[str, Rlimit]:
    """Get the resource limits of a task: ``signal.rlim[]``.

    :param task: ``struct task_struct *``
    :return: Limits by name, e.g. ``"NOFILE"``.
    """
    limits = task.signal.rlim.read_()
    return {
        name: Rlimit(_limit(limit.rlim_cur), _limit(limit.rlim_max))
        for name, limit in zip(_NAMES, limits, strict=False)
    }
