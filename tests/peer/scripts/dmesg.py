#!/usr/bin/env drgn
"""The kernel's log, its version, how long it ran, and why it stopped."""

from drgn.helpers.linux.panic import panic_message, panic_task, tainted
from drgn.helpers.linux.printk import get_dmesg, get_printk_records
from drgn.helpers.linux.timekeeping import ktime_get_real_seconds, uptime_pretty

print(prog["UTS_RELEASE"], prog["PAGE_SIZE"], prog["linux_banner"].string_().decode().strip())
print(uptime_pretty(prog), ktime_get_real_seconds(prog), tainted(prog))
for record in get_printk_records(prog):
    print(
        record.seq,
        record.level,
        record.facility,
        record.timestamp,
        record.continuation,
        record.context,
        record.text,
    )
print(get_dmesg(prog)[-200:])
print(panic_message(prog))
try:
    task = panic_task(prog)
    print(task.pid, task.comm)
    print(prog.crashed_thread().tid)
except LookupError as error:
    print(type(error).__name__, error)
