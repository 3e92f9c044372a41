"""Removing from the cache what is not needed any more."""

import shutil
import time
from pathlib import Path

from lab import cache, scenario

#: Everything that the lab puts into its cache; other files there are not its own.
OWN = ("apt", "busybox", "failed", "kernels", "packages", "runs", "targets", "tools", "userland")
#: No run takes this long, so an older directory of one is what an interrupted run left.
ABANDONED_S = 6 * 3600


def clean(everything: bool = False) -> int:
    """Remove targets of older scenarios, logs of failures, and what interrupted runs left.

    :param everything: remove whatever the lab put into its cache instead.
    :return: how many bytes of disk that freed.
    """
    root = cache.root()
    doomed = [root / name for name in OWN if (root / name).exists()] if everything else _stale(root)
    freed = sum(_disk_bytes(path) for path in doomed)
    for path in doomed:
        shutil.rmtree(path)
    return freed


def _stale(root: Path) -> list[Path]:
    current = {f"{name}-{scenario.load(name).digest}" for name in scenario.names()}
    targets = [path for path in (root / "targets").glob("*/*") if path.is_dir()]
    abandoned = time.time() - ABANDONED_S
    old = [
        path
        for path in [*(root / "runs").glob("*"), *targets]
        if path.stat().st_mtime < abandoned and (path.parent.name == "runs" or _unfinished(path))
    ]
    outdated = [path for path in targets if path.name not in current and not _unfinished(path)]
    return [*old, *outdated, *(root / "failed").glob("*")]


def _unfinished(path: Path) -> bool:
    return path.suffix == ".unfinished"


def _disk_bytes(directory: Path) -> int:
    return sum(path.lstat().st_blocks * 512 for path in directory.rglob("*"))
