"""What the machine is and how it is: release, time, load, memory, tasks."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import fields
from datetime import UTC, datetime
from typing import Any

from kdive import ProgramFlags
from kdive.helpers.linux.cpumask import num_online_cpus, num_possible_cpus
from kdive.helpers.linux.mm import totalram_pages
from kdive.helpers.linux.panic import tainted
from kdive.helpers.linux.pid import for_each_task
from kdive.helpers.linux.sched import loadavg, task_state_to_char
from kdive.helpers.linux.timekeeping import ktime_get_real_seconds, uptime, uptime_pretty
from kdive.helpers.linux.vmstat import nr_free_pages
from kdive.lens.context import Context
from kdive.lens.diagnosis import Checked, Item, NoOptions, Row, column, diagnosis
from kdive.lens.needs import Needs, variable
from kdive.lens.text import string


class System(Row, title="System", layout="record"):
    """The machine and its kernel."""

    mode: str = column("whether this is a dump or the running kernel", "MODE")
    date: str | None = column("when the dump was taken, in UTC, as of the last tick", "DATE")
    nodename: str | None = column("name of the machine", "NODENAME")
    release: str | None = column("release of the kernel", "RELEASE")
    version: str | None = column("version of the kernel", "VERSION")
    machine: str | None = column("kind of the machine", "MACHINE")
    command_line: str | None = column("what the kernel was started with", "COMMAND LINE")
    platform: str | None = column("the hardware, as the firmware says", "PLATFORM")
    cpus: str | None = column("how many CPUs are online, and how many there may be", "CPUS")
    uptime_s: float | None = column("seconds since it was started", "UPTIME (s)")
    uptime: str | None = column("the same in words", "UPTIME")
    load_average: str | None = column(
        "tasks that run or are blocked, averaged over 1, 5 and 15 minutes", "LOAD AVERAGE"
    )
    jiffies: int | None = column("ticks since some minutes before it was started", "JIFFIES")
    memory_bytes: int | None = column("memory that the kernel manages, in bytes", "MEMORY (bytes)")
    free_bytes: int | None = column("free memory in bytes", "FREE (bytes)")
    tasks: str | None = column("how many tasks there are, and how many in each state", "TASKS")
    tainted: str | None = column(
        "letters of what taints the kernel; empty if nothing does", "TAINTED"
    )


@diagnosis(
    "sys",
    "The machine, its kernel, uptime, load, memory and number of tasks.",
    rows=(System,),
    options=NoOptions,
    needs=Needs(variables={"init_task": "struct task_struct"}),
)
def sys(context: Context[NoOptions]) -> Iterator[Item]:
    """Read what can be read; what can't is left out and noted as damage."""
    prog = context.prog
    values: dict[str, Any] = {made.name: None for made in fields(System)}
    values["mode"] = "live kernel" if prog.flags & ProgramFlags.IS_LIVE else "dump"
    with context.tolerate("the names of the machine and the kernel"):
        uts = prog["init_task"].nsproxy.uts_ns.name
        for name in ("nodename", "release", "version", "machine"):
            values[name] = string(uts.member_(name))
    with context.tolerate("the counts of CPUs"):
        values["cpus"] = f"{num_online_cpus(prog)} of {num_possible_cpus(prog)}"
    with context.tolerate("the clock"):
        values["date"] = datetime.fromtimestamp(
            ktime_get_real_seconds(prog).value_(), UTC
        ).isoformat(" ")
        values["uptime_s"] = round(uptime(prog), 2)
        values["uptime"] = uptime_pretty(prog)
        values["jiffies"] = prog["jiffies"].value_()
    with context.tolerate("the load"):
        values["load_average"] = ", ".join(f"{load:.2f}" for load in loadavg(prog))
    with context.tolerate("the counts of pages"):
        page_bytes = prog["PAGE_SIZE"].value_()
        values["memory_bytes"] = totalram_pages(prog) * page_bytes
        values["free_bytes"] = nr_free_pages(prog) * page_bytes
    with context.tolerate("the command line"):
        values["command_line"] = string(variable(prog, "saved_command_line", "char *"))
    with context.tolerate("dump_stack_arch_desc_str"):
        values["platform"] = string(variable(prog, "dump_stack_arch_desc_str", "char [128]"))
    with context.tolerate("the taints"):
        values["tainted"] = tainted(prog).replace(" ", "")
    states: Counter[str] = Counter()
    for task in context.walk(for_each_task(prog), "the tasks"):
        with context.tolerate(f"task {hex(task)}"):
            states[task_state_to_char(task)] += 1
    by_state = " ".join(f"{state}:{count}" for state, count in sorted(states.items()))
    values["tasks"] = f"{states.total()} {by_state}"
    yield System(**values)
    yield Checked(states.total(), "task")
