"""Show the kernel stacks of all tasks, those that are the same only once, the most frequent first.

    kdive -c vmcore -s vmlinux examples/stacks.py

All stacks are unwound at once, on all processors. Below each one it says why it ends, unless that is where the kernel
was entered or the stack's bottom.
"""

from collections import defaultdict

from kdive import get_default_prog

WHOLE = {"the stack ends here", "the kernel was entered from user mode here"}

prog = get_default_prog()
threads = list(prog.threads())
tasks = defaultdict(list)
for thread, trace in zip(threads, prog.stack_traces(threads), strict=True):
    shown = str(trace)
    if trace.end_reason not in WHOLE:
        shown = f"{shown}\n({trace.end_reason})".lstrip()
    tasks[shown].append(f"{thread.name}[{thread.tid}]")
for shown, names in sorted(tasks.items(), key=lambda entry: -len(entry[1])):
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    print(f"{len(names)} of {len(threads)}: {', '.join(names[:5])}{more}\n{shown}\n")
