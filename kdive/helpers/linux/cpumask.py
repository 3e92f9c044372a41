# SPDX-License-Identifier: Apache-2.0
"""Sets of CPUs (``struct cpumask``, include/linux/cpumask.h)."""

from collections.abc import Iterator
from operator import index

from kdive import IntegerLike, Object, Program, TypeKind, cast, sizeof
from kdive.helpers.common.prog import takes_program_or_default
from kdive.helpers.linux._words import bitmap_value, set_bits

__all__ = (
    "cpu_online_mask",
    "cpu_possible_mask",
    "cpu_present_mask",
    "cpumask_of",
    "cpumask_to_cpulist",
    "cpumask_weight",
    "for_each_cpu",
    "for_each_online_cpu",
    "for_each_possible_cpu",
    "for_each_present_cpu",
    "num_online_cpus",
    "num_possible_cpus",
    "num_present_cpus",
)


def _cpumask(prog: Program, name: str) -> Object:
    try:
        # Since "kernel/cpu.c: eliminate some indirection" (Linux 4.5) the masks themselves are variables.
        return prog[f"__{name}"].address_of_()
    except KeyError:
        return prog[name]


@takes_program_or_default
def cpu_online_mask(prog: Program) -> Object:
    """Get the mask of CPUs that are online.

    :return: ``struct cpumask *``
    """
    return _cpumask(prog, "cpu_online_mask")


@takes_program_or_default
def cpu_possible_mask(prog: Program) -> Object:
    """Get the mask of CPUs that may ever be online.

    :return: ``struct cpumask *``
    """
    return _cpumask(prog, "cpu_possible_mask")


@takes_program_or_default
def cpu_present_mask(prog: Program) -> Object:
    """Get the mask of CPUs that are plugged in.

    :return: ``struct cpumask *``
    """
    return _cpumask(prog, "cpu_present_mask")


@takes_program_or_default
def cpumask_of(prog: Program, cpu: IntegerLike) -> Object:
    """Get a constant mask that holds only the given CPU.

    The kernel keeps one word for each bit of a word (``cpu_bit_bitmap``) and points far enough before it that the
    bit falls on the CPU.

    :param cpu: CPU number.
    :return: ``struct cpumask *``
    """
    bitmap = prog["cpu_bit_bitmap"]
    word, bit = divmod(index(cpu), 8 * sizeof(bitmap[0][0]))
    return cast("struct cpumask *", bitmap[1 + bit] - word)


def _cpus(mask: Object) -> int:
    """Read a mask, ``struct cpumask`` or a pointer to it, as an integer with one bit per CPU."""
    bits = mask.bits
    prog = bits.prog_
    length = (
        bits.type_.unaliased().length if bits.type_.unaliased_kind() == TypeKind.ARRAY else None
    )
    size = 8 * sizeof(bits) if length else 0
    # The masks of CONFIG_CPUMASK_OFFSTACK are allocated with room for nr_cpu_ids only, less than their type.
    size = min(size, _nr_cpu_bits(prog))
    return bitmap_value(bits, size)


def _nr_cpu_bits(prog: Program) -> int:
    """Get the number of bits that every mask has: ``nr_cpu_ids``, or all of the type where it is a constant."""
    bits: int | None = prog.cache.get("kdive.nr_cpu_bits")
    if bits is None:
        try:
            bits = int(prog["nr_cpu_ids"])
        except KeyError:
            # "cpumask: introduce fixed-size nr_cpu_ids" (CONFIG_FORCE_NR_CPUS, Linux 6.1)
            bits = 8 * sizeof(prog.type("struct cpumask"))
        prog.cache["kdive.nr_cpu_bits"] = bits
    return bits


def for_each_cpu(mask: Object) -> Iterator[int]:
    """Iterate over the CPUs in a mask.

    :param mask: ``struct cpumask *``
    """
    return set_bits(_cpus(mask))


def cpumask_weight(mask: Object) -> int:
    """Count the CPUs in a mask.

    :param mask: ``struct cpumask *``
    """
    return _cpus(mask).bit_count()


def cpumask_to_cpulist(mask: Object) -> str:
    """Format a mask as a list of CPUs and ranges of CPUs, as cpuset(7) describes it.

    >>> cpumask_to_cpulist(cpu_online_mask(prog))
    '0-3,8-11'

    :param mask: ``struct cpumask *``
    """
    ranges: list[list[int]] = []
    for cpu in for_each_cpu(mask):
        if ranges and ranges[-1][1] == cpu - 1:
            ranges[-1][1] = cpu
        else:
            ranges.append([cpu, cpu])
    return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in ranges)


@takes_program_or_default
def for_each_online_cpu(prog: Program) -> Iterator[int]:
    """Iterate over the CPUs that are online."""
    return for_each_cpu(cpu_online_mask(prog))


@takes_program_or_default
def for_each_possible_cpu(prog: Program) -> Iterator[int]:
    """Iterate over the CPUs that may ever be online."""
    return for_each_cpu(cpu_possible_mask(prog))


@takes_program_or_default
def for_each_present_cpu(prog: Program) -> Iterator[int]:
    """Iterate over the CPUs that are plugged in."""
    return for_each_cpu(cpu_present_mask(prog))


@takes_program_or_default
def num_online_cpus(prog: Program) -> int:
    """Count the CPUs that are online."""
    return cpumask_weight(cpu_online_mask(prog))


@takes_program_or_default
def num_possible_cpus(prog: Program) -> int:
    """Count the CPUs that may ever be online."""
    return cpumask_weight(cpu_possible_mask(prog))


@takes_program_or_default
def num_present_cpus(prog: Program) -> int:
    """Count the CPUs that are plugged in."""
    return cpumask_weight(cpu_present_mask(prog))
