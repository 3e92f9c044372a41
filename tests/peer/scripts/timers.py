#!/usr/bin/env drgn
"""Timers, work queues and wait queues: who waits for what."""

from drgn.helpers.linux.cpumask import for_each_online_cpu
from drgn.helpers.linux.list import hlist_for_each_entry, list_for_each_entry
from drgn.helpers.linux.percpu import per_cpu
from drgn.helpers.linux.rbtree import rbtree_inorder_for_each_entry

print(prog["jiffies"].type_, "HZ" in prog)
for cpu in for_each_online_cpu(prog):
    base = per_cpu(prog["hrtimer_bases"], cpu)
    for clock in base.clock_base:
        for timer in rbtree_inorder_for_each_entry(
            "struct hrtimer", clock.active.rb_root.rb_root.address_of_(), "node.node"
        ):
            print(cpu, clock.index.value_(), timer.node.expires.value_(), timer.function)
    for wheel in per_cpu(prog["timer_bases"], cpu):
        for bucket in wheel.vectors:
            for timer in hlist_for_each_entry("struct timer_list", bucket.address_of_(), "entry"):
                print(cpu, timer.expires.value_(), timer.function, hex(timer.flags))

for queue in list_for_each_entry(
    "struct workqueue_struct", prog["workqueues"].address_of_(), "list"
):
    print(queue.name.string_().decode(), hex(queue.flags), queue.nr_drainers)
    for pool in list_for_each_entry("struct pool_workqueue", queue.pwqs.address_of_(), "pwqs_node"):
        print("   ", pool.pool.cpu, pool.nr_active, pool.max_active, pool.refcnt)
