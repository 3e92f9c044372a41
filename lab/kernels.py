"""Debian kernels: image and modules, and the debug files of the kernel and of single modules."""

import functools
import json
from dataclasses import dataclass
from pathlib import Path

from lab import cache, commands, ctfkernel, debian
from lab.errors import LabError

#: The release of Debian that carries each kernel series.
SUITE_OF = {"5.10": "bullseye", "6.1": "bookworm", "6.12": "trixie", "7.2": "sid"}
#: Debian's architecture of each flavour of kernel.
ARCHITECTURE_OF = {"amd64": "amd64", "arm64": "arm64"}
#: Kernels that the lab builds itself, with the series of their source.
BUILT = {"6.1-ctf": "6.1"}


@dataclass(frozen=True)
class Kernel:
    """One kernel package, unpacked in the cache.

    :param release: what ``uname -r`` prints, for example ``6.1.0-56-amd64``.
    :param version: the version of the Debian package.
    :param architecture: Debian's name of the architecture.
    :param directory: the unpacked files.
    """

    release: str
    version: str
    architecture: str
    suite: str
    directory: Path

    @property
    def image(self) -> Path:
        """The kernel that a boot loader starts."""
        in_boot = self.modules_root / "boot" / f"vmlinuz-{self.release}"
        beside_modules = self.modules_root / "lib" / "modules" / self.release / "vmlinuz"
        return in_boot if in_boot.exists() else beside_modules

    @property
    def modules_root(self) -> Path:
        """The directory that holds ``lib/modules/RELEASE``."""
        return self.directory / "image"

    @property
    def identity(self) -> str:
        """A name that differs for every build of every kernel."""
        return f"{self.release}_{self.version}"

    @functools.cached_property
    def vmlinux(self) -> Path:
        """The kernel with DWARF, downloaded and unpacked on first use."""
        name = f"usr/lib/debug/boot/vmlinux-{self.release}"
        return self._debug_files([name])[0]

    def debug_modules(self, names: list[str]) -> dict[str, Path]:
        """The debug file of each module in ``names``, unpacked on first use.

        :raises LabError: the kernel has no module of that name.
        """
        paths = self._module_paths()
        missing = [name for name in names if name not in paths]
        if missing:
            raise LabError(f"{self.release} has no module {', '.join(missing)}")
        members = [f"usr/lib/debug/lib/modules/{self.release}/{paths[name]}" for name in names]
        return dict(zip(names, self._debug_files(members), strict=True))

    def load_order(self, names: list[str]) -> list[Path]:
        """The module files to load, in order, to have all of ``names``; built-in ones need none."""
        order: dict[Path, None] = {}
        for name in names:
            shown = commands.run(
                [
                    "modprobe",
                    "-S",
                    self.release,
                    "-d",
                    str(self.modules_root),
                    "--show-depends",
                    name,
                ],
                timeout_s=30,
            )
            for line in shown.splitlines():
                verb, _, rest = line.partition(" ")
                if verb == "insmod":
                    order[Path(rest.split()[0])] = None
        return list(order)

    def _module_paths(self) -> dict[str, str]:
        """Module name to path below ``lib/modules/RELEASE`` without the suffix of a compression."""
        listed = self.modules_root / "lib" / "modules" / self.release / "modules.dep"
        paths: dict[str, str] = {}
        for line in listed.read_text().splitlines():
            path = line.split(":", 1)[0]
            path = path[: path.index(".ko") + 3]
            paths[Path(path).stem.replace("-", "_")] = path
        return paths

    def _debug_files(self, members: list[str]) -> list[Path]:
        debug = self.directory / "debug"
        with cache.lock(debug):
            wanted = [member for member in members if not (debug / member).exists()]
            if wanted:
                archive = debian.Archive(self.suite, self.architecture)
                package = archive.download(f"linux-image-{self.release}-dbg")
                scratch = self.directory / "debug.unfinished"
                debian.unpack_members(package, [f"./{member}" for member in wanted], scratch)
                for member in wanted:
                    (debug / member).parent.mkdir(parents=True, exist_ok=True)
                    (scratch / member).rename(debug / member)
        return [debug / member for member in members]


def get(name: str) -> Kernel:
    """The kernel ``name``: a series and an architecture such as ``6.1-amd64`` or ``6.12-arm64``.

    The first use takes the newest build in Debian's archive; later uses take that same build from
    the cache. ``6.1-ctf`` is built from source (see `lab.ctfkernel`).

    :raises LabError: no such series, or it can't be downloaded or built.
    """
    if name in BUILT:
        directory = cache.directory(
            cache.root() / "kernels" / name,
            lambda directory: ctfkernel.build(BUILT[name], directory),
        )
        described = json.loads((directory / "kernel.json").read_text())
        return Kernel(directory=directory, **described)
    series, _, flavour = name.partition("-")
    if series not in SUITE_OF or flavour not in ARCHITECTURE_OF:
        flavours = ",".join(ARCHITECTURE_OF)
        known = ", ".join(f"{series}-{{{flavours}}}" for series in SUITE_OF)
        raise LabError(f"no kernel {name!r}; there are {known}")
    directory = cache.directory(
        cache.root() / "kernels" / name,
        lambda directory: _fetch(series, flavour, directory),
    )
    described = json.loads((directory / "kernel.json").read_text())
    return Kernel(directory=directory, **described)


def _fetch(series: str, flavour: str, directory: Path) -> None:
    suite, architecture = SUITE_OF[series], ARCHITECTURE_OF[flavour]
    commands.require(["dpkg-deb", "tar", "xz", "depmod"])
    archive = debian.Archive(suite, architecture)
    pattern = rf"^linux-image-{series.replace('.', '[.]')}[.][-.0-9+deb]*-{flavour}-dbg$"
    release = archive.newest(pattern).removeprefix("linux-image-").removesuffix("-dbg")
    version = archive.version(f"linux-image-{release}-dbg")
    image = directory / "image"
    for name in _image_packages(archive, release):
        package = archive.download(name)
        debian.unpack(package, image)
        package.unlink()
    if not (image / "lib").exists():
        (image / "lib").symlink_to("usr/lib")
    commands.run(["depmod", "-b", str(image), release], timeout_s=120)
    description = {
        "release": release,
        "version": version,
        "architecture": architecture,
        "suite": suite,
    }
    (directory / "kernel.json").write_text(json.dumps(description, indent=1))


def _image_packages(archive: debian.Archive, release: str) -> list[str]:
    """The packages that hold the kernel's image and its modules."""
    if archive.has(f"linux-image-{release}-unsigned"):
        return [f"linux-image-{release}-unsigned"]
    # Debian's packages of Linux 7.2 have what used to be one package in several, of which this is none.
    depends = archive.dependencies(f"linux-image-{release}")
    return [name for name in depends if name.endswith(release)]
