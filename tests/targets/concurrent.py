"""Run by `kdive -k` in a guest: threads and processes read the running kernel at once. Prints how often each erred."""

import json
import os
import threading

prog = globals()["prog"]

PAGE_BYTES = 4096
PAGES = 16
ROUNDS = 3000
PROCESSES = 3


def wrong_reads(first: int) -> int:
    """Read what never changes again and again, and count what is not as it was."""
    wrong = 0
    for number in range(first, first + ROUNDS):
        page = number % PAGES
        wrong += prog.read(start + page * PAGE_BYTES, PAGE_BYTES) != content[page]
    return wrong


start = prog.symbol("kallsyms_names").address
content = [prog.read(start + page * PAGE_BYTES, PAGE_BYTES) for page in range(PAGES)]
if len(set(content)) != PAGES:
    raise SystemExit("the pages are the same")

of_threads: list[int] = []
threads = [
    threading.Thread(target=lambda first=first: of_threads.append(wrong_reads(first)))
    for first in range(PROCESSES)
]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()

children = []
for first in range(PROCESSES):
    ours, theirs = os.pipe()
    if not os.fork():
        os.write(theirs, str(wrong_reads(first)).encode())
        os._exit(0)
    os.close(theirs)
    children.append(ours)
of_processes = [int(os.read(child, 100)) for child in children]
print(json.dumps({"threads": of_threads, "processes": of_processes}))
