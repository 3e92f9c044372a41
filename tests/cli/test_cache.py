"""The cache of indexes when processes die, meet each other, or find what they can't use."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import Kdive

ADD = """
import resource, signal, sys
limit = int(sys.argv[2])
if limit:
    signal.signal(signal.SIGXFSZ, signal.SIG_DFL if sys.argv[3] == "dies" else signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
from kdive._native import _cache_add
print(_cache_add(sys.argv[1]))
"""


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


def add(path: Path, cache: Path, limit: int = 0, mode: str = "") -> "subprocess.Popen[str]":
    """A process that adds a file to the cache; it can write no more than `limit` bytes, if that is not 0."""
    return subprocess.Popen(
        [sys.executable, "-c", ADD, path, str(limit), mode],
        env={"KDIVE_CACHE": str(cache), "PYTHONPATH": ":".join(sys.path)},
        stdout=subprocess.PIPE,
        text=True,
    )


def index_size(executable: Path, cache: Path) -> int:
    with add(executable, cache) as running:
        assert running.communicate()[0] == "saved\n"
    [index] = cache.glob("*.index")
    size = index.stat().st_size
    for path in cache.iterdir():
        path.unlink()
    return size


@pytest.mark.parametrize("part", [0.0, 0.01, 0.5, 0.999])
def test_a_process_that_is_killed_while_it_writes_leaves_nothing_that_is_taken_for_an_index(
    kdive: Kdive, executable: Path, cache: Path, part: float
) -> None:
    # The kernel kills a process at once when it writes beyond its limit.
    limit = max(int(index_size(executable, cache) * part), 1)
    with add(executable, cache, limit, "dies") as running:
        running.communicate()
    assert running.returncode == -signal.SIGXFSZ
    [left] = cache.iterdir()
    assert left.name.endswith(".new")
    assert left.stat().st_size == limit
    env = {"KDIVE_CACHE": str(cache)}
    assert kdive("cache", "verify", env=env).stdout == "0 indexes are whole, 0 damaged\n"
    assert kdive("cache", "add", executable, env=env).stdout == f"{executable}: added\n"
    assert kdive("cache", "verify", env=env).stdout == "2 indexes are whole, 0 damaged\n"


def test_an_index_that_can_not_be_written_is_done_without(executable: Path, cache: Path) -> None:
    limit = index_size(executable, cache) // 2
    with add(executable, cache, limit, "goes on") as running:
        printed = running.communicate()[0]
    assert "File too large" in printed
    assert running.returncode == 0
    assert list(cache.iterdir()) == []


def test_processes_that_build_the_same_index_at_once(executable: Path, cache: Path) -> None:
    running = [add(executable, cache) for _ in range(6)]
    outcomes = {process.communicate()[0] for process in running}
    assert outcomes <= {"saved\n", "found\n"}
    assert "saved\n" in outcomes
    assert sorted(path.suffix for path in cache.iterdir()) == [".index", ".symbols"]


@pytest.mark.parametrize(
    ("at", "reason"),
    [
        (0, "the file is not an index of kdive"),
        (8, "the file has format 250, not 5"),
        (24, "the file is laid out in another way than this kdive does it"),
        (100, "the file is damaged: its checksum is wrong"),
    ],
)
def test_an_index_that_can_not_be_used_is_made_again_with_one_warning(
    kdive: Kdive, process: int, executable: Path, cache: Path, at: int, reason: str
) -> None:
    command = ("-p", process, "--main-symbols", "-e", 'prog["answer"].value_()')
    env = {"KDIVE_CACHE": str(cache)}
    first = kdive(*command, env=env)
    [index] = cache.glob("*.index")
    good = index.read_bytes()
    damaged = bytearray(good)
    damaged[at] ^= 0xFF
    index.write_bytes(damaged)
    second = kdive(*command, env=env)
    assert second.stdout == first.stdout == "42\n"
    warning = f"kdive: warning: the saved index of {executable} was made again: {reason}\n"
    assert second.stderr == warning + first.stderr
    assert index.read_bytes() == good
    assert kdive(*command, env=env).stderr == first.stderr
