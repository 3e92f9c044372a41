"""Measures how many threads of one process share a Program.

    python benches/threads.py [--threads N...] [--dump PATH --vmlinux PATH]

All threads walk the task list of one Program and read, print and compute with what they find; what they find must be
the same in each. The work is the same however many threads share it, so its time shows what sharing costs. Python's
global interpreter lock lets one thread compute at a time; reading, decoding and printing go on beside it. Without a
dump, the compressed dump of the lab's idle target is used.
"""

import argparse
import threading
import time

import kdive
from kdive.helpers.linux.list import list_for_each_entry

# How often the work is done, by all threads together.
TASK_LISTS = 2000


def task_list(prog: kdive.Program) -> list[tuple[int, bytes, int, int]]:
    """Read what a script reads of each task."""
    head = prog["init_task"].tasks.address_of_()
    return [
        (
            task.pid.value_(),
            task.comm.string_(),
            int(task.flags & 0xFFFF),
            len(str(task.se.vruntime)),
        )
        for task in list_for_each_entry("struct task_struct", head, "tasks")
    ]


def run(prog: kdive.Program, threads: int) -> float:
    """Let threads share the work and return its seconds; every list must be the expected one."""
    expected = task_list(prog)
    wrong: list[int] = []
    start = threading.Barrier(threads + 1)

    def work(number: int) -> None:
        start.wait()
        for _ in range(TASK_LISTS // threads):
            if task_list(prog) != expected:
                wrong.append(number)

    workers = [threading.Thread(target=work, args=(number,)) for number in range(threads)]
    for worker in workers:
        worker.start()
    start.wait()
    began = time.perf_counter()
    for worker in workers:
        worker.join()
    elapsed = time.perf_counter() - began
    assert not wrong, f"threads {wrong} read something else"
    return elapsed


def main() -> None:
    """Print the time for each number of threads."""
    parser = argparse.ArgumentParser(description="Time many threads on one Program.")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2, 8, 100, 2000])
    parser.add_argument("--dump", help="a kernel dump")
    parser.add_argument("--vmlinux", help="its vmlinux")
    arguments = parser.parse_args()
    if arguments.dump is None:
        from lab import target

        idle = target("idle")
        arguments.dump, arguments.vmlinux = str(idle.dumps["kdump-zlib"]), str(idle.vmlinux)
    prog = kdive.Program()
    prog.set_core_dump(arguments.dump)
    prog.load_debug_info([arguments.vmlinux] if arguments.vmlinux else None)
    tasks = len(task_list(prog))
    print(f"{TASK_LISTS} lists of {tasks} tasks, shared by")
    for threads in arguments.threads:
        print(f"  {threads:5} threads: {run(prog, threads):7.3f} s", flush=True)


if __name__ == "__main__":
    main()
