# SPDX-License-Identifier: Apache-2.0
"""The timer wheel and high-resolution timers (kernel/time/timer.c, include/linux/hrtimer_defs.h)."""

from collections.abc import Iterator, Sequence
from itertools import chain

from kdive import Object, Program
from kdive.helpers.common.prog import takes_program_or_default
from kdive.helpers.linux.list import hlist_for_each_entry
from kdive.helpers.linux.rbtree import rbtree_inorder_for_each_entry

__all__ = ("hrtimer_clock_base_for_each", "timer_base_for_each", "timer_base_names")


@takes_program_or_default
def timer_base_names(prog: Program) -> Sequence[str]:
    """Get the names of each CPU's bases of the timer wheel, in the order of ``timer_bases[]``.

    They are macros, so they follow from how many there are: one without CONFIG_NO_HZ_COMMON, two, or three since
    "timers: Split out get next timer interrupt", "timers: Implement the hierarchical pull model" and their neighbours
    (Linux 6.9).
    """
    count = len(prog["timer_bases"])
    if count == 1:
        return ("BASE_STD",)
    if count == 2:
        return ("BASE_STD", "BASE_DEF")
    return ("BASE_LOCAL", "BASE_GLOBAL", "BASE_DEF")


def timer_base_for_each(base: Object) -> Iterator[Object]:
    """Iterate over the timers on a base of the timer wheel.

    All buckets are looked into, whether or not ``pending_map`` says that they are empty.

    >>> for cpu in for_each_possible_cpu():
    ...     for base in per_cpu(prog["timer_bases"], cpu):
    ...         for timer in timer_base_for_each(base.address_of_()):
    ...             print(cpu, timer.function)

    :param base: ``struct timer_base *``
    :return: Iterator of ``struct timer_list *`` objects.
    """
    return chain.from_iterable(timer_base_buckets(base))


def timer_base_buckets(base: Object) -> Iterator[Iterator[Object]]:
    """Iterate over the timers on a base of the timer wheel, those of each bucket apart: one of them may be damaged.

    :param base: ``struct timer_base *``
    """
    # All heads of lists are read at once: most of them are empty.
    for bucket in base.vectors.read_():
        if bucket.first:
            # The first node points back to the head, whose address a copy does not have.
            yield hlist_for_each_entry("struct timer_list", bucket, "entry")


def hrtimer_clock_base_for_each(clock_base: Object) -> Iterator[Object]:
    """Iterate over the timers on a clock base in the order of their expiry.

    :param clock_base: ``struct hrtimer_clock_base *``
    :return: Iterator of ``struct hrtimer *`` objects.
    """
    active = clock_base.active
    # Since Linux 7.1 the nodes are linked besides being in the tree, so the node of the tree is one level deeper.
    linked = active.type_.unaliased().tag == "timerqueue_linked_head"
    member = "node.node.node" if linked else "node.node"
    return rbtree_inorder_for_each_entry(
        "struct hrtimer", active.rb_root.rb_root.address_of_(), member
    )
