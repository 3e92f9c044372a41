"""A small kernel with CTF, built from Debian's source: no distribution but Oracle's ships one.

It has DWARF and BTF as well, so that the three can be compared. The build takes some twenty minutes of two processors.
"""

import json
import os
import shutil
from pathlib import Path

from lab import commands, debian
from lab.errors import LabError

FILES = Path(__file__).with_name("ctf")
CONFIGURATION = FILES / "kernel.config"
ARCHIVE_MAKER = FILES / "archive.c"
#: The release of Debian that the source comes from.
SUITE = "bookworm"
BUILD_TIMEOUT_S = 6 * 3600.0
#: Where a kernel has its CTF, below ``lib/modules/RELEASE``.
ARCHIVE = "kernel/vmlinux.ctfa"


def build(series: str, directory: Path) -> None:
    """Fill ``directory`` as `lab.kernels` does for Debian's own kernels, with an archive of CTF beside the modules.

    :param series: the kernel series, for example ``6.1``.
    :raises LabError: a program is missing, or the kernel does not build.
    """
    commands.require(
        ["gcc", "make", "flex", "bison", "bc", "pahole", "ar", "dpkg-deb", "tar", "xz", "depmod"]
    )
    archive = debian.Archive(SUITE, "amd64")
    package = f"linux-source-{series}"
    version = archive.version(package)
    source = _unpack(archive.download(package), directory / "source", series)
    _leave_ctf_out(source)
    _configure(source)
    commands.run(
        [
            *("make", "-C", str(source), f"-j{os.cpu_count()}", "LOCALVERSION="),
            *("KCFLAGS=-gctf", "bzImage", "modules"),
        ],
        timeout_s=BUILD_TIMEOUT_S,
    )
    release = (source / "include/config/kernel.release").read_text().strip()
    _install(source, release, directory)
    description = {
        "release": release,
        "version": version,
        "architecture": "amd64",
        "suite": SUITE,
    }
    (directory / "kernel.json").write_text(json.dumps(description, indent=1))
    shutil.rmtree(directory / "source")


def _unpack(package: Path, directory: Path, series: str) -> Path:
    tarball = f"usr/src/linux-source-{series}.tar.xz"
    debian.unpack_members(package, [f"./{tarball}"], directory)
    commands.run(["tar", "-xJf", str(directory / tarball), "-C", str(directory)], timeout_s=600)
    return directory / f"linux-source-{series}"


def _leave_ctf_out(source: Path) -> None:
    """Keep the linker from merging all CTF into vmlinux, for each of the times that it is linked."""
    script = source / "include/asm-generic/vmlinux.lds.h"
    before = script.read_text()
    after = before.replace("\t*(.discard)\t", "\t*(.ctf) *(.discard)\t")
    if after == before:
        raise LabError(f"{script}: does not name the sections that are left out as expected")
    script.write_text(after)


def _configure(source: Path) -> None:
    commands.run(
        ["make", "-s", "-C", str(source), f"KCONFIG_ALLCONFIG={CONFIGURATION}", "allnoconfig"],
        timeout_s=300,
    )


def _install(source: Path, release: str, directory: Path) -> None:
    """Put image, modules and debug files where Debian's packages have them."""
    image = directory / "image"
    debug = directory / "debug" / "usr" / "lib" / "debug"
    (image / "boot").mkdir(parents=True)
    (debug / "boot").mkdir(parents=True)
    shutil.copy(source / "arch/x86/boot/bzImage", image / "boot" / f"vmlinuz-{release}")
    shutil.copy(source / "vmlinux", debug / "boot" / f"vmlinux-{release}")
    for root, strip in ((image, "1"), (debug, "")):
        commands.run(
            [
                *("make", "-s", "-C", str(source), f"INSTALL_MOD_PATH={root}"),
                *(f"INSTALL_MOD_STRIP={strip}", "modules_install"),
            ],
            timeout_s=600,
        )
    for link in ("build", "source"):
        for root in (image, debug):
            (root / "lib" / "modules" / release / link).unlink(missing_ok=True)
    make_archive(object_files(source), image / "lib" / "modules" / release / ARCHIVE)


def object_files(source: Path) -> list[tuple[str, Path]]:
    """The object files of a built kernel, each with the name of the dictionary that it belongs to."""
    objects: list[tuple[str, Path]] = []
    for archive in ("vmlinux.a", "lib/lib.a", "arch/x86/lib/lib.a"):
        listed = commands.run(["ar", "t", archive], timeout_s=60, directory=source)
        objects += [("vmlinux", source / line) for line in listed.splitlines()]
    for line in (source / "modules.order").read_text().split():
        module = source / line.removesuffix(".ko").removesuffix(".o")
        name = module.name.replace("-", "_")
        parts = module.with_suffix(".mod").read_text().split()
        objects += [(name, source / part) for part in parts]
    return objects


def make_archive(objects: list[tuple[str, Path]], path: Path) -> None:
    """Write an archive of the CTF in ``objects`` as kernels ship it.

    :param objects: the name of a dictionary (``vmlinux`` or that of a module) and an object file of it.
    :raises LabError: libctf is not there (Debian's package binutils-dev), or can't do it.
    """
    maker = path.with_name("make-archive")
    commands.run(["gcc", "-O2", "-o", str(maker), str(ARCHIVE_MAKER), "-lctf"], timeout_s=60)
    listed = path.with_name("objects")
    listed.write_text("".join(f"{name} {file}\n" for name, file in objects))
    commands.run([str(maker), str(path), str(listed)], timeout_s=1800)
    maker.unlink()
    listed.unlink()
