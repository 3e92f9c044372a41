"""The initial file system of a guest: busybox, the modules that reach the shared root, an init."""

import gzip
import io
import subprocess
from pathlib import Path

from lab import cache, debian
from lab.errors import LabError
from lab.kernels import Kernel

MODULES = ["virtio_pci", "virtio_console", "9pnet_virtio", "9p", "overlay"]
OPTIONAL_MODULES = ["qemu_fw_cfg"]
INIT = Path(__file__).with_name("guest") / "init"

#: Path, mode and content of a file or directory.
Entry = tuple[str, int, bytes]


def build(kernel: Kernel, extra_modules: list[str]) -> bytes:
    """The compressed archive for ``kernel``; ``extra_modules`` are loaded before the root is mounted."""
    modules = [*MODULES, *OPTIONAL_MODULES, *extra_modules]
    entries = [(name, 0o040755, b"") for name in ("host", "top", "root")]
    return compressed([*system(kernel, INIT.read_bytes(), modules), *entries])


def system(kernel: Kernel, init: bytes, modules: list[str]) -> list[Entry]:
    """The files of a system of its own: busybox, ``init``, and the modules, in the order of ``modules/order``."""
    entries: list[Entry] = []
    for name in ("bin", "proc", "sys", "dev", "modules"):
        entries.append((name, 0o040755, b""))
    entries.append(("bin/busybox", 0o100755, _busybox(kernel.architecture).read_bytes()))
    entries.append(("init", 0o100755, init))
    names = []
    for path in kernel.load_order(modules):
        name = path.name[: path.name.index(".ko") + 3]
        names.append(name)
        entries.append((f"modules/{name}", 0o100644, _uncompressed(path)))
    entries.append(("modules/order", 0o100644, "".join(f"{name}\n" for name in names).encode()))
    return entries


def compressed(entries: list[Entry]) -> bytes:
    """An archive as the kernel takes it; the least work, for it is used once."""
    return gzip.compress(archive(entries), compresslevel=1)


def _busybox(architecture: str) -> Path:
    """A static busybox for the guest, from Debian stable whatever this machine runs."""

    def fetch(directory: Path) -> None:
        package = debian.Archive("bookworm", architecture).download("busybox-static")
        debian.unpack_members(package, ["./bin/busybox"], directory)
        package.unlink()

    return cache.directory(cache.root() / "busybox" / architecture, fetch) / "bin" / "busybox"


def _uncompressed(module: Path) -> bytes:
    if module.suffix == ".ko":
        return module.read_bytes()
    if module.suffix != ".xz":
        raise LabError(f"{module}: compressed in a way the lab does not know")
    return subprocess.run(
        ["xz", "-dc", str(module)], capture_output=True, timeout=60, check=True
    ).stdout


def archive(entries: list[Entry]) -> bytes:
    """A cpio archive of the form "newc": fields of 8 hexadecimal digits, parts aligned to 4 bytes."""
    out = io.BytesIO()
    for number, (name, mode, content) in enumerate([*entries, ("TRAILER!!!", 0, b"")], start=1):
        path = name.encode() + b"\0"
        fields = (number, mode, 0, 0, 1, 0, len(content), 0, 0, 0, 0, len(path), 0)
        out.write(b"070701" + b"".join(b"%08X" % field for field in fields) + path)
        out.write(bytes(-out.tell() % 4))
        out.write(content)
        out.write(bytes(-out.tell() % 4))
    return out.getvalue()
