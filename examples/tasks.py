"""List the tasks of a kernel, threads included, as `ps -eL` does: ID, state, command.

    kdive -c vmcore -s vmlinux examples/tasks.py

Names in brackets are kernel threads. The states are those of ps: R running, S sleeping, D waiting for a device,
I idle, Z zombie. It is written to the interface of drgn and runs under both.
"""

from drgn import get_default_prog
from drgn.helpers.linux import for_each_task, task_is_kthread, task_state_to_char

print(f"{'TID':>7} {'PID':>7} S COMMAND")
for task in for_each_task(get_default_prog()):
    name = task.comm.string_().decode(errors="replace")
    if task_is_kthread(task):
        name = f"[{name}]"
    print(f"{task.pid.value_():7} {task.tgid.value_():7} {task_state_to_char(task)} {name}")
