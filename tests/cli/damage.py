"""Runs the command on many damaged versions of one dump, and prints as JSON what was not as it must be.

    python damage.py truncate|corrupt COUNT DUMP

The dump, which is changed in place, is a copy. One process does all runs, for which it may take so much memory and
processor time; a crash of it is the test's to see.
"""

import contextlib
import io
import json
import os
import random
import resource
import sys
import time
from pathlib import Path

from kdive.cli import main

# Beside what it takes to run at all, and to map the dump.
MOST_MEMORY = 1 << 30
MOST_SECONDS = 2.0
MOST_FAILURES = 10
# Most structure is at the start; memory that is in the dump by itself has less to be damaged.
HEADERS = 1 << 20
VALUES = (0, 1, 0x7F, 0x80, 0xFF)

READ = """
import kdive
for start in range(0, 1 << 30, 16 << 20):
    for space in (True, False):
        try:
            prog.read(start if space else start | 0xffff_8880_0000_0000, 5000, space)
        except kdive.FaultError:
            pass
for name in ("VMCOREINFO", "UTS_RELEASE"):
    try:
        prog[name].string_()
    except (LookupError, kdive.FaultError):
        pass
print("done")
"""


def run(dump: Path) -> str | None:
    """Run the command and return what is wrong with what it did, if anything is."""
    output, errors = io.StringIO(), io.StringIO()
    start = time.process_time()
    with contextlib.redirect_stdout(output), contextlib.redirect_stderr(errors):
        status = main(["-c", str(dump), "--incomplete", "--no-default-symbols", "-e", READ])
    took = time.process_time() - start
    if took > MOST_SECONDS:
        return f"it took {took:.1f} s"
    lines = errors.getvalue().splitlines()
    said = [line for line in lines if line.startswith("kdive: ")]
    if len(said) != len(lines):
        return f"its error output is not its own: {errors.getvalue()[-2000:]}"
    if status == 0 and output.getvalue() != "done\n":
        return f"its output is {output.getvalue()!r}"
    if status != 0 and (status != 1 or not said):
        return f"its status is {status}, its output {errors.getvalue()!r}"
    return None


def truncations(dump: Path, count: int) -> list[str]:
    """Cut the dump off at ever earlier places, half of them in its headers."""
    size = dump.stat().st_size
    near = {min(HEADERS, size) * step // (count // 2) for step in range(count // 2)}
    far = {size * step // (count // 2) for step in range(count // 2)}
    failures = []
    for place in sorted(near | far, reverse=True):
        os.truncate(dump, place)
        failure = run(dump)
        if failure:
            failures.append(f"cut off at {place}: {failure}")
    return failures[:MOST_FAILURES]


def corruptions(dump: Path, count: int) -> list[str]:
    """Change some bytes, look, and put back what was there."""
    choice = random.Random(7)
    size = dump.stat().st_size
    failures = []
    with open(dump, "r+b", buffering=0) as file:
        for number in range(count):
            reach = (8192, HEADERS, size)[number % 3]
            damages = []
            for _ in range(choice.randint(1, 8)):
                at = choice.randrange(min(reach, size))
                length = choice.choice((1, 1, 2, 4, 8, 64))
                before = os.pread(file.fileno(), length, at)
                value = choice.choice((*VALUES, None))
                after = (
                    choice.randbytes(len(before)) if value is None else bytes([value]) * len(before)
                )
                os.pwrite(file.fileno(), after, at)
                damages.append((at, before))
            failure = run(dump)
            if failure:
                failures.append(
                    f"round {number}, damaged at {[at for at, _ in damages]}: {failure}"
                )
            for at, before in reversed(damages):
                os.pwrite(file.fileno(), before, at)
    return failures[:MOST_FAILURES]


if __name__ == "__main__":
    how, count, dump = sys.argv[1], int(sys.argv[2]), Path(sys.argv[3])
    first = run(dump)
    if first is not None:
        sys.exit(f"the dump is not read even before it is damaged: {first}")
    mapped = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    limit = mapped + 2 * dump.stat().st_size + MOST_MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    damage = {"truncate": truncations, "corrupt": corruptions}[how]
    print(json.dumps(damage(dump, count)))
