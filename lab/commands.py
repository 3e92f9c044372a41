"""Running the programs the lab needs, and installing those that are missing."""

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path

from lab import cache
from lab.errors import LabError

#: Debian packages of the programs that are not called like their package.
PACKAGE_OF = {
    "qemu-system-x86_64": "qemu-system-x86",
    "qemu-system-aarch64": "qemu-system-arm",
    "dpkg-deb": "dpkg",
    "ar": "binutils",
    "depmod": "kmod",
    "pahole": "dwarves",
    "modprobe": "kmod",
    "xz": "xz-utils",
    "mkfs.btrfs": "btrfs-progs",
    "mkfs.ext4": "e2fsprogs",
    "kexec": "kexec-tools",
    "ip": "iproute2",
    "rdma": "iproute2",
    "losetup": "mount",
}
SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def find(program: str) -> str | None:
    """The path of ``program``, looked for in the administrator's directories too."""
    return shutil.which(program, path=f"{os.environ.get('PATH', '')}:{SYSTEM_PATH}")


def require(programs: Iterable[str]) -> None:
    """Make sure that ``programs`` exist, installing their Debian packages when run as root.

    :raises LabError: some are missing and can't be installed; the message names the packages.
    """
    missing = sorted(
        {PACKAGE_OF.get(program, program) for program in programs if find(program) is None}
    )
    if not missing:
        return
    install = ["apt-get", "install", "-y", "--no-install-recommends", *missing]
    if os.geteuid() != 0:
        raise LabError(f"missing packages: {' '.join(missing)}; as root, run: {' '.join(install)}")
    with cache.lock(cache.root() / "apt-install"):
        environment = {"DEBIAN_FRONTEND": "noninteractive"}
        run(["apt-get", "update", "-q"], timeout_s=300, environment=environment)
        run(install, timeout_s=900, environment=environment)


def run(
    arguments: list[str],
    *,
    timeout_s: float,
    directory: Path | None = None,
    environment: Mapping[str, str] | None = None,
    output: Path | None = None,
) -> str:
    """Run a program to its end and return what it wrote to stdout.

    :param output: a file that gets what it writes to stdout instead.

    :raises LabError: it is missing, takes longer than ``timeout_s`` seconds, or fails; the message
        holds the command and the end of its stderr.
    """
    path = find(arguments[0])
    if path is None:
        package = PACKAGE_OF.get(arguments[0], arguments[0])
        raise LabError(f"{arguments[0]}: not found; install the package {package}")
    with contextlib.ExitStack() as stack:
        stdout = subprocess.PIPE if output is None else stack.enter_context(output.open("wb"))
        try:
            done = subprocess.run(
                [path, *arguments[1:]],
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=subprocess.PIPE,
                text=True,
                errors="replace",
                cwd=directory,
                env={**os.environ, **(environment or {})},
                timeout=timeout_s,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise LabError(f"{' '.join(arguments)}: not finished after {timeout_s:.0f} s") from None
    if done.returncode != 0:
        raise LabError(
            f"{' '.join(arguments)}: exit status {done.returncode}: {done.stderr.strip()[-2000:]}"
        )
    return done.stdout or ""
