"""What the tests share: the command, a process with known variables, the lab's idle guest."""

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

import lab
from tests.support import Kdive

PROGRAM = r"""
#include <stdio.h>
#include <sys/prctl.h>
#include <unistd.h>

struct point {
    int x;
    int y;
    const char *label;
};

int answer = 42;
struct point origin = {3, -4, "here"};
unsigned char bytes[4] = {1, 2, 3, 255};

int main(void)
{
    prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY);
    puts("ready");
    fflush(stdout);
    for (;;)
        pause();
}
"""


@pytest.fixture
def kdive(tmp_path: Path) -> Kdive:
    """The command, run in an empty folder with no terminal."""

    def run(
        *arguments: str | Path | int, stdin: str = "", env: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "kdive", *map(str, arguments)],
            input=stdin,
            env={**os.environ, **(env or {})},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )

    return run


@pytest.fixture(scope="session")
def executable(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A program compiled with debugging symbols; `PROGRAM` is its source."""
    folder = tmp_path_factory.mktemp("program")
    source = folder / "program.c"
    source.write_text(PROGRAM)
    path = folder / "program"
    subprocess.run(["gcc", "-g", "-o", path, source], check=True)
    return path


@pytest.fixture(scope="session")
def process(executable: Path) -> Iterator[int]:
    """The ID of a process that runs `executable` and sleeps in main()."""
    with subprocess.Popen([executable], stdout=subprocess.PIPE) as running:
        assert running.stdout is not None
        assert running.stdout.readline() == b"ready\n"
        yield running.pid
        running.kill()


@pytest.fixture(scope="session")
def idle() -> lab.Target:
    """A dump of a guest with an idle Debian kernel, and what the guest said about itself."""
    return lab.target("idle")
