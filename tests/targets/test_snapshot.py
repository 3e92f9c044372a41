"""A page of a running target, once it was read, stays what it was in snapshot mode."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

import kdive
from tests.support import Kdive

COUNTER = r"""
#include <stdio.h>
#include <sys/prctl.h>

volatile unsigned long counter;

int main(void)
{
    prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY);
    printf("%p\n", (void *)&counter);
    fflush(stdout);
    for (;;)
        counter++;
}
"""


@pytest.fixture(scope="module")
def counter(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[int, int]]:
    """A process that counts, and the address of its counter."""
    program = tmp_path_factory.mktemp("counter") / "counter"
    compiler: list[str | Path] = ["gcc", "-x", "c", "-o", program, "-"]
    subprocess.run(compiler, input=COUNTER, text=True, check=True)
    with subprocess.Popen([program], stdout=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        yield running.pid, int(running.stdout.readline(), 16)
        running.kill()


def until_it_differs(prog: kdive.Program, address: int, reads: int) -> bool:
    """Return whether one of many reads gives something else than the first."""
    first = prog.read_u64(address)
    return any(prog.read_u64(address) != first for _ in range(reads))


def test_snapshots_stand_still(counter: tuple[int, int]) -> None:
    pid, address = counter
    running = kdive.Program()
    running.set_pid(pid)
    assert until_it_differs(running, address, 10_000_000)
    still = kdive.Program()
    still.set_pid(pid, snapshot=True)
    assert not until_it_differs(still, address, 10_000)


def test_the_command_takes_snapshots(kdive: Kdive, counter: tuple[int, int]) -> None:
    pid, address = counter
    code = f"[prog.read_u64({address}) for _ in range(1000)]"
    done = kdive("-p", pid, "--snapshot", "--no-default-symbols", "-e", code)
    assert (done.returncode, done.stderr) == (0, "")
    assert len(set(json.loads(done.stdout))) == 1
