# SPDX-License-Identifier: Apache-2.0
"""Counters of virtual memory (include/linux/vmstat.h), as of their last update from the CPUs."""

from operator import index

from kdive import IntegerLike, Object, Program
from kdive.helpers.common.prog import takes_program_or_default
from kdive.helpers.linux.cpumask import for_each_online_cpu
from kdive.helpers.linux.percpu import per_cpu

__all__ = (
    "global_node_page_state",
    "global_numa_event_state",
    "global_vm_event_state",
    "global_zone_page_state",
    "nr_free_pages",
    "zone_page_state",
)


def _counter(counter: Object) -> int:
    # CPUs add their shares late, so a sum may be below zero for a while; the kernel shows that as 0, too.
    return max(int(counter.counter.value_()), 0)


@takes_program_or_default
def global_node_page_state(prog: Program, item: IntegerLike) -> int:
    """Get a counter of all NUMA nodes: ``vm_node_stat[]``.

    :param item: ``enum node_stat_item``
    """
    return _counter(prog["vm_node_stat"][index(item)])


@takes_program_or_default
def global_zone_page_state(prog: Program, item: IntegerLike) -> int:
    """Get a counter of all zones: ``vm_zone_stat[]``.

    :param item: ``enum zone_stat_item``
    """
    return _counter(prog["vm_zone_stat"][index(item)])


def zone_page_state(zone: Object, item: IntegerLike) -> int:
    """Get a counter of a zone.

    :param zone: ``struct zone *``
    :param item: ``enum zone_stat_item``
    """
    return _counter(zone.vm_stat[index(item)])


@takes_program_or_default
def global_numa_event_state(prog: Program, item: IntegerLike) -> int:
    """Get a counter of NUMA events. Needs CONFIG_NUMA.

    :param item: ``enum numa_stat_item``
    """
    try:
        # "mm/vmstat: convert NUMA statistics to basic NUMA counters" (Linux 5.14)
        return _counter(prog["vm_numa_event"][index(item)])
    except KeyError:
        return _counter(prog["vm_numa_stat"][index(item)])


@takes_program_or_default
def global_vm_event_state(prog: Program, item: IntegerLike) -> int:
    """Add up a counter of events over the CPUs that are online. Needs CONFIG_VM_EVENT_COUNTERS.

    :param item: ``enum vm_event_item``
    """
    number = index(item)
    states = prog["vm_event_states"]
    return sum(
        int(per_cpu(states, cpu).event[number].value_()) for cpu in for_each_online_cpu(prog)
    )


@takes_program_or_default
def nr_free_pages(prog: Program) -> int:
    """Get the number of free pages."""
    return global_zone_page_state(prog, prog["NR_FREE_PAGES"])
