"""`kdive demo`: shows the tool on the dump that comes with it, or does what is asked with that dump."""

import argparse
import os
import time
from collections.abc import Sequence
from typing import Any

from kdive import Program, program_from_core_dump
from kdive.cli.commands import COMMANDS
from kdive.cli.errors import UserError
from kdive.cli.size import show_size
from kdive.helpers.linux.fs import d_path, for_each_file
from kdive.helpers.linux.pid import find_task
from kdive.lens import Result, Status, all_diagnoses, runner
from kdive.lens.report import Report
from kdive.render.page import Page
from kdive.sample import DUMP

# Nothing is looked for beside the dump: what it shows is the same everywhere.
_FLAGS = ("-c", DUMP, "--main-symbols", "--no-symbols-by", "standard", "--log-level", "error")

_SYSTEM = (
    ("taken", "date"),
    ("uptime", "uptime"),
    ("load average", "load_average"),
    ("CPUs online", "cpus"),
    ("memory", "memory_bytes"),
    ("free", "free_bytes"),
    ("tasks by state", "tasks"),
    ("tainted", "tainted"),
)
_WAITING = ("__schedule", "schedule", "schedule_timeout", "schedule_hrtimeout_range_clock")

_NEXT = (
    ("-i", "a prompt on this dump; Tab completes names"),
    ("-e 'prog.type(\"struct timer_list\")'", "a type, as this kernel was built with it"),
    ("-e 'find_task({tid}).mm.total_vm'", "a value: follow pointers as in C"),
    ("-e 'print(get_dmesg().decode())'", "the log of the kernel"),
    ("lens stacks", "all stacks; those that are alike are shown once"),
    ("lens memcg-pages", "the files that keep removed memory cgroups alive"),
    ("lens --list", "what else can be asked"),
    ("SCRIPT.py", "a script of yours; those for drgn run as they are"),
)


def run(arguments: Sequence[str]) -> int:
    """Show the tour, or run what follows `kdive demo` on the sample; return the exit status."""
    options, rest = _parser().parse_known_args(arguments)
    if not os.path.exists(DUMP):  # noqa: PTH110
        raise UserError(f"the dump of the demo is missing: {DUMP}; install kdive again")
    if options.path:
        print(DUMP)
        return 0
    if not rest and not options.prompt:
        _show()
        return 0
    from kdive.cli import main

    if rest and rest[0] in COMMANDS:
        return main([rest[0], *_FLAGS, *rest[1:]])
    return main([*_FLAGS, *rest])


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="kdive demo",
        usage="kdive demo [-i | --path | SUBCOMMAND ... | SCRIPT ... | -e CODE]",
        description="Show kdive on a dump that comes with it: a small Debian guest that has three things wrong "
        "with it. What follows is run on that dump instead, as if it had been given with -c: "
        "kdive demo lens, kdive demo -e CODE, kdive demo script.py.",
        allow_abbrev=False,
    )
    parser.add_argument("-i", dest="prompt", action="store_true", help="a prompt on the dump")
    parser.add_argument("--path", action="store_true", help="print where the dump is, and exit")
    return parser


def _show() -> None:
    """Show the sample: the machine, its tasks, a stack, open files, what is wrong, what to type next."""
    start = time.perf_counter()
    prog = program_from_core_dump(DUMP)
    release = prog["UTS_RELEASE"].string_().decode()
    opened_s = time.perf_counter() - start
    diagnoses = [diagnosis for diagnosis in all_diagnoses().values() if diagnosis.standard]
    results = runner.run(prog, [runner.Task(made, made.options()) for made in diagnoses])
    (system,) = _rows(results, "sys")
    tasks = _rows(results, "tasks")
    users = [task for task in tasks if not task.command.startswith("[")]
    running = next(task for task in users if task.on_cpu)
    service = max(users, key=lambda task: sum(task.pid == other.pid for other in users))

    page = Page()
    page.sentence(
        f"This is a dump of a Debian guest with Linux {release}: {show_size(os.path.getsize(DUMP))}, opened in "  # noqa: PTH202
        f"{opened_s:.2f} s. No debug package is needed: symbols, types and unwind tables come out of the dump."
    )
    page.heading("the machine", "kdive demo lens sys")
    page.table([(title, _system_text(system, name)) for title, name in _SYSTEM])

    page.heading("its processes", "kdive demo lens tasks")
    page.table(
        [("TID", "PID", "ST", "CPU", "COMMAND", "IS IN"), *(_task(prog, row) for row in users)]
    )
    page.sentence(f"and {len(tasks) - len(users)} threads of the kernel")

    page.heading("a stack", f"kdive demo -e 'stack_trace({running.tid})'")
    page.lines(str(prog.stack_trace(running.tid)))

    code = f"[d_path(file.f_path) for _, file in for_each_file(find_task({service.tid}))]"
    page.heading("the open files of a process", f"kdive demo -e '{code}'")
    page.sentence(", ".join(_open_files(prog, service.tid)))

    page.heading("what is wrong", "kdive demo lens")
    for result, finding in Report("", (), results).findings():
        page.sentence(f"{finding.severity.name} {result.name}: {finding.sentence}")
        for evidence in finding.evidence:
            page.sentence(evidence, "  - ")
        if finding.more:
            page.lines(f"  more: kdive demo lens {finding.more}")
    clean = [result.name for result in results if result.complete and not result.findings]
    page.sentence(f"Nothing else was found by {', '.join(clean)}.")

    page.heading("what to type next")
    page.commands([(f"kdive demo {what.format(tid=service.tid)}", why) for what, why in _NEXT])


def _system_text(system: Any, name: str) -> str:
    value = getattr(system, name)
    return show_size(value) if name.endswith("_bytes") else str(value)


def _rows(results: Sequence[Result], name: str) -> list[Any]:
    (result,) = (result for result in results if result.name == name)
    if result.status != Status.OK:
        raise UserError(f"the sample {DUMP} is damaged: {result.reason}; install kdive again")
    return list(result.rows)


def _task(prog: Program, row: Any) -> tuple[str, ...]:
    """Return a line of the table of tasks, with the first function on the stack that says what it is at."""
    function = "-"
    if row.state != "Z":  # the stack of a zombie is gone
        names = [frame.name or "?" for frame in prog.stack_trace(row.tid)]
        function = next((name for name in names if name not in _WAITING), "-")
    return str(row.tid), str(row.pid), row.state, str(row.cpu), row.command, function


def _open_files(prog: Program, tid: int) -> list[str]:
    task = find_task(prog, tid)
    return [d_path(file.f_path).decode(errors="replace") for _, file in for_each_file(task)]
