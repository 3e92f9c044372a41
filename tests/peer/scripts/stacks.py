#!/usr/bin/env drgn
"""Sleeping tasks grouped by the functions that they sleep in, with some variables."""

from collections import defaultdict

from drgn import stack_trace
from drgn.helpers.linux.pid import for_each_task
from drgn.helpers.linux.sched import task_on_cpu, task_state_to_char

groups = defaultdict(list)
for task in for_each_task(prog):
    if task_on_cpu(task) or task_state_to_char(task) == "Z":
        continue
    trace = prog.stack_trace(task)
    kernel = [frame for frame in trace if frame.is_inline or frame.pc >= 1 << 63]
    names = tuple(frame.name for frame in kernel)[:4]
    groups[names].append(task)
for names, tasks in sorted(groups.items(), key=lambda item: (-len(item[1]), item[0])):
    print(len(tasks), " <- ".join(map(str, names)))
    print("   ", [task.comm.string_().decode() for task in tasks][:4], task_state_to_char(tasks[0]))

for frame in stack_trace(1):
    if not frame.is_inline and frame.pc < 1 << 63:
        break  # user mode, which is not the kernel's
    names = sorted(frame.locals())
    print(frame.name, frame.function_name, frame.is_inline, frame.interrupted, names)
    for name in names:
        variable = frame[name]
        print("   ", name, variable.type_.type_name(), variable.absent_)
