"""The cache of indexes when processes die, meet each other, or find what they can't use."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
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
        (8, "the file has format {}, not {}"),
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
    warning = f"kdive: warning: the saved index of {executable} was made again: {reason.format(damaged[8], good[8])}\n"
    assert second.stderr == warning + first.stderr
    assert index.read_bytes() == good
    assert kdive(*command, env=env).stderr == first.stderr


def as_somebody(*command: str | Path | int, cache: Path) -> "subprocess.CompletedProcess[str]":
    """Runs kdive with no more right to files than their modes give: root may write anywhere."""
    as_others = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"]
    return subprocess.run(
        [
            *(as_others if os.geteuid() == 0 else []),
            sys.executable,
            "-m",
            "kdive",
            *map(str, command),
        ],
        env={**os.environ, "KDIVE_CACHE": str(cache), "PYTHONPATH": ":".join(sys.path)},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def read_only(cache: Path) -> Iterator[Path]:
    """A cache to which nothing can be added."""
    cache.mkdir()
    cache.chmod(0o555)
    yield cache
    cache.chmod(0o755)


def fill(cache: Path, executable: Path) -> dict[str, bytes]:
    cache.chmod(0o755)
    with add(executable, cache) as running:
        assert running.communicate()[0] == "saved\n"
    for path in cache.iterdir():
        path.chmod(0o444)
    cache.chmod(0o555)
    return contents(cache)


def contents(cache: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in cache.iterdir()}


def test_indexes_in_a_read_only_directory_are_used(
    process: int, executable: Path, read_only: Path
) -> None:
    command = (
        "-p",
        process,
        "--main-symbols",
        "-e",
        '(prog["answer"].value_(), prog.symbol("answer").size)',
    )
    without = as_somebody(*command, cache=read_only)
    assert without.stdout == "(42, 4)\n"
    assert contents(read_only) == {}
    kept = fill(read_only, executable)
    used = as_somebody(*command, cache=read_only)
    assert (used.stdout, used.stderr) == (without.stdout, without.stderr)
    assert contents(read_only) == kept
    assert (
        as_somebody("cache", "add", executable, cache=read_only).stdout
        == f"{executable}: it was there\n"
    )
    assert (
        as_somebody("cache", "verify", cache=read_only).stdout == "2 indexes are whole, 0 damaged\n"
    )
    listed = as_somebody("cache", "list", cache=read_only).stdout.splitlines()
    assert listed[-1].startswith("2 indexes, ")


def test_damaged_indexes_in_a_read_only_directory_are_done_without(
    process: int, executable: Path, read_only: Path
) -> None:
    command = (
        "-p",
        process,
        "--main-symbols",
        "-e",
        '(prog["answer"].value_(), prog.symbol("answer").size)',
    )
    without = as_somebody(*command, cache=read_only)
    kept = fill(read_only, executable)
    for name, good in kept.items():
        path = read_only / name
        path.chmod(0o644)
        path.write_bytes(good[:-1])
    done = as_somebody(*command, cache=read_only)
    assert (done.stdout, done.stderr) == ("(42, 4)\n", without.stderr)
    assert contents(read_only) == {name: good[:-1] for name, good in kept.items()}
    verified = as_somebody("cache", "verify", cache=read_only)
    assert verified.returncode == 1
    assert verified.stdout.splitlines()[-1] == "0 indexes are whole, 2 damaged"
    read_only.chmod(0o755)
    replaced = as_somebody(*command, cache=read_only)
    warning = (
        f"kdive: warning: the saved index of {executable} was made again: the file is truncated\n"
    )
    assert replaced.stderr == warning + without.stderr
    assert contents(read_only) == kept


def test_what_can_not_be_done_in_a_read_only_directory_is_said_in_one_line(
    executable: Path, read_only: Path
) -> None:
    added = as_somebody("cache", "add", executable, cache=read_only)
    assert (added.returncode, added.stderr) == (
        1,
        f"kdive: cannot keep an index of {executable}: {read_only}: Permission denied (os error 13); "
        "kdive works without\n",
    )
    kept = fill(read_only, executable)
    pruned = as_somebody("cache", "prune", "0", cache=read_only)
    assert pruned.returncode == 1
    [line] = pruned.stderr.splitlines()
    assert line.startswith(f"kdive: cannot use the cache: {read_only}")
    assert line.endswith(": Permission denied; set KDIVE_CACHE to a folder of your own")
    assert contents(read_only) == kept
    read_only.chmod(0o000)
    for action in ["list", "verify"]:
        refused = as_somebody("cache", action, cache=read_only)
        assert (refused.returncode, refused.stderr) == (
            1,
            f"kdive: cannot use the cache: {read_only}: Permission denied; "
            "set KDIVE_CACHE to a folder of your own\n",
        )


def test_a_cache_that_is_no_directory_is_done_without(
    process: int, executable: Path, tmp_path: Path
) -> None:
    command = ("-p", process, "--main-symbols", "-e", 'prog["answer"].value_()')
    expected = as_somebody(*command, cache=tmp_path / "cache")
    done = as_somebody(*command, cache=executable)
    assert (done.stdout, done.stderr) == ("42\n", expected.stderr)
    listed = as_somebody("cache", "list", cache=executable)
    assert (listed.returncode, listed.stderr) == (
        1,
        f"kdive: cannot use the cache: {executable}: Not a directory; "
        "set KDIVE_CACHE to a folder of your own\n",
    )
