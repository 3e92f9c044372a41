"""Where the lab keeps what it downloads and makes, and how concurrent runs share it.

Everything in the cache can be removed at any time and is made again when asked for.
"""

import contextlib
import fcntl
import os
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from lab.errors import LabError

LOCK_TIMEOUT_S = 3600.0


def root() -> Path:
    """The cache: ``$KDIVE_LAB_CACHE``, or ``kdive-lab`` in the user's cache directory."""
    chosen = os.environ.get("KDIVE_LAB_CACHE")
    if chosen:
        return Path(chosen).absolute()
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base).absolute() / "kdive-lab"


@contextlib.contextmanager
def lock(path: Path, timeout_s: float = LOCK_TIMEOUT_S) -> Iterator[None]:
    """Hold an exclusive lock named after ``path``; other runs of the lab wait for it.

    :param path: what is protected; the lock file lies beside it with the suffix ``.lock``.
    :raises LabError: another run held it for ``timeout_s`` seconds.
    """
    lock_file = path.with_name(f".{path.name}.lock")
    lock_file.parent.mkdir(parents=True, exist_ok=True)
    deadline = time.monotonic() + timeout_s
    with lock_file.open("w") as file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise LabError(
                        f"{lock_file}: held by another run for {timeout_s:.0f} s"
                    ) from None
                time.sleep(0.2)
        yield


def directory(path: Path, make: Callable[[Path], None]) -> Path:
    """Return the directory ``path``, made by ``make`` if it does not exist.

    ``make`` fills a temporary directory that is renamed when it returns, so that a directory which
    exists is complete. If it raises, nothing is left behind.
    """
    if path.is_dir():
        return path
    with lock(path):
        if path.is_dir():
            return path
        unfinished = path.with_name(path.name + ".unfinished")
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(parents=True)
        try:
            make(unfinished)
            unfinished.rename(path)
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)
    return path
