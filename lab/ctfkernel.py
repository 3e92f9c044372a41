"""CTF of kernels as those ship it that are built with it: no distribution but Oracle's is."""

from pathlib import Path

from lab import commands, testmodules
from lab.kernels import Kernel

ARCHIVE_MAKER = Path(__file__).with_name("ctf") / "archive.c"
#: All types that a header declares are written, and not only those that the source uses.
FLAGS = "-gctf -fno-eliminate-unused-debug-types"


def compile_types(kernel: Kernel, source: str, directory: Path) -> Path:
    """Compile ``source`` against the headers of a kernel with CTF and DWARF, and return the object file.

    :raises LabError: it does not compile, or this machine can't build for that kernel.
    """
    (directory / "types.c").write_text(source)
    testmodules.make(kernel, directory, ["types"], ["types.o"], [f"KCFLAGS={FLAGS}"])
    return directory / "types.o"


def make_archive(objects: list[tuple[str, Path]], path: Path) -> None:
    """Link the CTF of object files into an archive as kernels ship it.

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
