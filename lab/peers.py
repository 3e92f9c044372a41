"""Debuggers that kdive is compared with, where this machine's own release of them is too old."""

from pathlib import Path

from lab import cache, debian
from lab.errors import LabError

# Debian 12 has crash 8.0.2, which finds no tasks but the running ones in its own kernel, 6.1.
_SUITE = "trixie"
# crash only runs it for `dis` and the like, and it has many dependencies of its own.
_UNUSED = "binutils"


def crash() -> list[str | Path]:
    """Return the command that runs crash, without arguments, with the libraries of its own release.

    :raises LabError: it can't be downloaded, or there is none for this machine.
    """
    root = cache.directory(cache.root() / "tools" / "crash", _unpack_crash)
    loaders = sorted(root.glob("usr/lib*/ld-linux-*.so.*"))
    libraries = sorted(root.glob("usr/lib/*-linux-gnu"))
    if not loaders or not libraries:
        raise LabError(f"{root}: no dynamic linker and libraries; remove it to have it made again")
    return [loaders[0], "--library-path", libraries[0], root / "usr/bin/crash"]


def _unpack_crash(directory: Path) -> None:
    archive = debian.Archive(_SUITE, debian.native_architecture())
    libraries = [name for name in archive.dependencies("crash") if name != _UNUSED]
    for name in ("crash", *libraries):
        package = archive.download(name)
        debian.unpack(package, directory)
        package.unlink()
