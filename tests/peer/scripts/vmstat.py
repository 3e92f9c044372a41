#!/usr/bin/env drgn
"""Memory by zone and node, counters as in /proc/vmstat, and page flags of some pages."""

from drgn import Object, sizeof
from drgn.helpers.common.format import number_in_binary_units
from drgn.helpers.linux.cpumask import for_each_online_cpu
from drgn.helpers.linux.mm import decode_page_flags, page_to_pfn, pfn_to_page, totalram_pages
from drgn.helpers.linux.mmzone import NODE_DATA
from drgn.helpers.linux.nodemask import for_each_online_node
from drgn.helpers.linux.percpu import per_cpu
from drgn.helpers.linux.vmstat import global_node_page_state, global_zone_page_state, nr_free_pages

print("total", number_in_binary_units(totalram_pages(prog) * prog["PAGE_SIZE"].value_()))
print("free", nr_free_pages(prog))
for name, value in prog.type("enum zone_stat_item").enumerators:
    if not name.startswith("NR_VM"):
        print(name, global_zone_page_state(prog, value))
for name, value in prog.type("enum node_stat_item").enumerators:
    if not name.startswith("NR_VM"):
        print(name, global_node_page_state(prog, value))
for node in for_each_online_node(prog):
    data = NODE_DATA(prog, node)
    for zone in data.node_zones:
        print(
            zone.name.string_().decode(),
            zone.present_pages,
            zone.managed_pages.counter,
            [int(mark) for mark in zone._watermark],
        )
for cpu in for_each_online_cpu(prog):
    print(cpu, per_cpu(prog["runqueues"], cpu).nr_switches, per_cpu(prog["kstat"], cpu).softirqs)
for pfn in (0, 1, 256, 1000, 4096):
    page = pfn_to_page(prog, pfn)
    print(page_to_pfn(page), decode_page_flags(page), page._refcount.counter)
print(sizeof(prog.type("struct page")), Object(prog, "unsigned long", value=1) << 12)
