# SPDX-License-Identifier: Apache-2.0
"""Per-CPU memory (include/linux/percpu-defs.h) and counters spread over it (include/linux/percpu_counter.h)."""

from operator import index

from kdive import IntegerLike, Object, Program, sizeof
from kdive.helpers.linux.cpumask import for_each_possible_cpu

__all__ = ("per_cpu", "per_cpu_ptr", "percpu_counter_sum", "percpu_counter_sum_positive")


def per_cpu_offset(prog: Program, cpu: IntegerLike) -> int:
    """Get what is added to a per-CPU address for one CPU: ``__per_cpu_offset[cpu]``, 0 on kernels without CONFIG_SMP.

    :param cpu: CPU number.
    :raises IndexError: if the kernel was not built for that many CPUs
    """
    number = index(cpu)
    offsets: Object | None
    try:
        offsets = prog.cache["kdive.per_cpu_offset"]
    except KeyError:
        try:
            offsets = prog["__per_cpu_offset"]
        except KeyError:
            offsets = None
        prog.cache["kdive.per_cpu_offset"] = offsets
    if offsets is None:
        return 0
    count = offsets.type_.length
    if count is None:
        # Without debugging symbols the length may not be known, but masks of CPUs are as long.
        count = 8 * sizeof(prog.type("struct cpumask"))
    if not 0 <= number < count:
        raise IndexError(f"CPU {number} is out of range: the kernel was built for {count} CPUs")
    offset: int = offsets[number].value_()
    return offset


def per_cpu_ptr(ptr: Object, cpu: IntegerLike) -> Object:
    """Get the pointer to one CPU's instance of a per-CPU allocation.

    >>> per_cpu_ptr(prog["init_net"].loopback_dev.pcpu_refcnt, 7)
    *(int *)0xffff925e3ddec980 = 4

    :param ptr: ``type __percpu *``. For global variables `per_cpu()` is simpler.
    :param cpu: CPU number.
    :return: ``type *``
    """
    prog = ptr.prog_
    mask = (1 << 8 * prog.address_size()) - 1
    return Object(prog, ptr.type_, ptr.value_() + per_cpu_offset(prog, cpu) & mask)


def per_cpu(var: Object, cpu: IntegerLike) -> Object:
    """Get one CPU's instance of a per-CPU variable.

    >>> per_cpu(prog["runqueues"], 6).curr.comm
    (char [16])"python3"

    :param var: Per-CPU variable; not a pointer to one, for which there is `per_cpu_ptr()`.
    :param cpu: CPU number.
    :return: The variable, of the same type.
    """
    return per_cpu_ptr(var.address_of_(), cpu)[0]


def percpu_counter_sum(fbc: Object) -> int:
    """Add up a per-CPU counter: its shared count and what each CPU has not yet added to it.

    :param fbc: ``struct percpu_counter *``
    """
    total: int = fbc.count.value_()
    try:
        counters = fbc.counters.read_()
    except AttributeError:
        # Without CONFIG_SMP there is only the count.
        return total
    # A CPU that goes offline hands its share over, so possible CPUs can be counted safely.
    return total + sum(
        per_cpu_ptr(counters, cpu)[0].value_() for cpu in for_each_possible_cpu(fbc.prog_)
    )


def percpu_counter_sum_positive(fbc: Object) -> int:
    """Add up a per-CPU counter like `percpu_counter_sum()`, taking a negative sum as 0.

    :param fbc: ``struct percpu_counter *``
    """
    return max(percpu_counter_sum(fbc), 0)
