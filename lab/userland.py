"""The root file system that guests see: this machine's, or an unpacked Debian for another architecture."""

from pathlib import Path

from lab import cache, debian

#: What scenarios use, and what any shell script takes for granted.
PACKAGES = [
    "bash",
    "btrfs-progs",
    "coreutils",
    "dash",
    "e2fsprogs",
    "findutils",
    "grep",
    "hostname",
    "iproute2",
    "kexec-tools",
    "kmod",
    "mawk",
    "mount",
    "procps",
    "python3",
    "sed",
    "util-linux",
]
DIRECTORIES = ["dev", "etc", "mnt", "proc", "root", "run", "sys", "tmp"]


def root(architecture: str) -> Path:
    """The directory that guests of ``architecture`` have as their root."""
    if architecture == debian.native_architecture():
        return Path("/")
    return cache.directory(
        cache.root() / "userland" / architecture, lambda directory: _unpack(architecture, directory)
    )


def python(architecture: str, native: str) -> str:
    """The interpreter in that root: ``native`` where it is this machine's."""
    return native if architecture == debian.native_architecture() else "/usr/bin/python3"


def _unpack(architecture: str, directory: Path) -> None:
    """Unpack the packages and what they depend on; their installation scripts are not run."""
    for package in debian.Archive("bookworm", architecture).download_all(PACKAGES):
        debian.unpack(package, directory)
        package.unlink()
    for name in DIRECTORIES:
        (directory / name).mkdir(exist_ok=True)
    (directory / "etc" / "passwd").write_text("root:x:0:0:root:/root:/bin/bash\n")
    # The two links below are made by installation scripts otherwise.
    (directory / "usr" / "bin" / "awk").symlink_to("mawk")
    if not (directory / "bin" / "sh").exists():
        (directory / "bin" / "sh").symlink_to("dash")
