#!/usr/bin/env drgn
"""Lists processes and threads as ps(1) does, with what the kernel knows of their memory."""

from drgn import FaultError
from drgn.helpers.common.format import escape_ascii_string
from drgn.helpers.linux.mm import cmdline, task_rss
from drgn.helpers.linux.pid import for_each_task
from drgn.helpers.linux.sched import task_cpu, task_state_to_char

print(f"{'PID':>6} {'TGID':>6} {'PPID':>6} {'CPU':>3} S {'RSS':>10} COMMAND")
for task in for_each_task(prog):
    name = escape_ascii_string(task.comm.string_(), escape_backslash=True)
    if task.mm:
        arguments = cmdline(task)
        command = " ".join(escape_ascii_string(word) for word in arguments or []) or name
        resident = task_rss(task).total * int(prog["PAGE_SIZE"]) >> 10
    else:
        command, resident = f"[{name}]", 0
    print(
        f"{task.pid.value_():6} {task.tgid.value_():6} {task.real_parent.tgid.value_():6} "
        f"{task_cpu(task):3} {task_state_to_char(task)} {resident:10} {command}"
    )

try:
    prog.read(0xFFFF7FFFFFFFFFF8, 8)
except FaultError as error:
    print(type(error).__name__, hex(error.address), error)
