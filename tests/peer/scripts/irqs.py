#!/usr/bin/env drgn
"""Interrupts with their chips, actions, affinity and counts per CPU."""

from drgn.helpers.linux.cpumask import cpumask_to_cpulist, for_each_online_cpu
from drgn.helpers.linux.irq import (
    for_each_irq_desc,
    irq_desc_action_names,
    irq_desc_affinity_mask,
    irq_desc_chip_name,
    irq_desc_kstat_cpu,
)

cpus = list(for_each_online_cpu(prog))
for irq, desc in for_each_irq_desc(prog):
    names = [name.decode() for name in irq_desc_action_names(desc)]
    if not names:
        continue
    counts = [int(irq_desc_kstat_cpu(desc, cpu)) for cpu in cpus]
    chip = irq_desc_chip_name(desc)
    affinity = cpumask_to_cpulist(irq_desc_affinity_mask(desc))
    print(irq, chip, affinity, counts, ",".join(names))
    action = desc.action
    while action:
        print("   ", action.handler, hex(action.flags))
        action = action.next
