"""Building the lab's own kernel modules (``lab/modules/*.c``) for a Debian kernel."""

import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from lab import cache, commands, debian
from lab.errors import LabError
from lab.kernels import Kernel
from lab.scenario import TEST_MODULES

BUILD_TIMEOUT_S = 300.0


def build(kernel: Kernel, names: list[str], directory: Path) -> None:
    """Put ``NAME.ko``, with its debug information, into ``directory`` for each of ``names``.

    :raises LabError: a module does not compile, or this machine can't build for that kernel.
    """
    for name in names:
        shutil.copy(TEST_MODULES / f"{name}.c", directory)
    make(kernel, directory, names, ["modules"])
    for path in directory.iterdir():
        if path.suffix == ".ko":
            continue
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()


def make(
    kernel: Kernel,
    directory: Path,
    names: list[str],
    goals: list[str],
    variables: Sequence[str] = (),
) -> None:
    """Build ``goals`` out of the sources ``names`` in ``directory`` as modules of ``kernel`` are built.

    :param names: without ``.c``.
    :param variables: of make, each as ``NAME=VALUE``.
    :raises LabError: they do not compile, or this machine can't build for that kernel.
    """
    if kernel.architecture != debian.native_architecture():
        raise LabError(f"modules for {kernel.architecture} can't be built on this machine")
    commands.require(["gcc", "make"])
    (directory / "Kbuild").write_text("".join(f"obj-m += {name}.o\n" for name in names))
    commands.run(
        [
            "make",
            "-C",
            str(_headers(kernel)),
            f"M={directory}",
            f"-j{os.cpu_count()}",
            *_compiler(),
            *variables,
            *goals,
        ],
        timeout_s=BUILD_TIMEOUT_S,
    )


def _compiler() -> list[str]:
    """Debian's headers ask for the compiler of their own release; any other works as well."""
    return [f"{variable}=gcc" for variable in ("CC", "HOSTCC")]


def _headers(kernel: Kernel) -> Path:
    """The build directory of the kernel's headers, made to work where it is unpacked."""

    def fetch(directory: Path) -> None:
        archive = debian.Archive(kernel.suite, kernel.architecture)
        flavoured = f"linux-headers-{kernel.release}"
        depends = archive.dependencies(flavoured)
        wanted = [name for name in depends if name.startswith(("linux-headers-", "linux-kbuild-"))]
        for name in [flavoured, *wanted]:
            package = archive.download(name)
            debian.unpack(package, directory)
            package.unlink()
        makefile = directory / "usr" / "src" / flavoured / "Makefile"
        # The directory is renamed when it is complete.
        final = kernel.directory / "headers"
        makefile.write_text(makefile.read_text().replace("/usr/src", f"{final}/usr/src"))

    headers = cache.directory(kernel.directory / "headers", fetch)
    return headers / "usr" / "src" / f"linux-headers-{kernel.release}"
