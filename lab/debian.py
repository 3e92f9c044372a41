"""Debian's archive, read through apt with a configuration of its own.

The machine's package lists, sources and status are neither read nor changed, so this works
without root and on a machine of another release. Proxies set in the machine's ``apt.conf`` stay in
force, and packages are verified by apt against Debian's archive keys.
"""

import re
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from lab import cache, commands
from lab.errors import LabError

KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
LISTS_MAX_AGE_S = 24 * 3600


@dataclass(frozen=True)
class Archive:
    """One release of Debian for one architecture.

    :param suite: for example ``bookworm``.
    :param architecture: Debian's name for it, for example ``amd64``.
    """

    suite: str
    architecture: str

    @property
    def directory(self) -> Path:
        """The archive's package lists and configuration."""
        return cache.root() / "apt" / f"{self.suite}-{self.architecture}"

    def newest(self, pattern: str) -> str:
        """The package with the highest version in its name among those that match ``pattern``.

        :raises LabError: no package matches.
        """
        found = self._apt("apt-cache", "search", "--names-only", pattern).splitlines()
        names = [line.split(" ", 1)[0] for line in found]
        if not names:
            raise LabError(
                f"{self.suite} ({self.architecture}) has no package that matches {pattern}"
            )
        return max(names, key=lambda name: [int(part) for part in _digit_runs(name)])

    def version(self, package: str) -> str:
        """The version of ``package`` that :meth:`download` gets."""
        for line in self._apt("apt-cache", "show", "--no-all-versions", package).splitlines():
            if line.startswith("Version: "):
                return line.removeprefix("Version: ")
        raise LabError(f"{package}: not in {self.suite} ({self.architecture})")

    def has(self, package: str) -> bool:
        """Whether there is a package of this name."""
        pattern = f"^{re.escape(package)}$"
        return bool(self._apt("apt-cache", "search", "--names-only", pattern))

    def dependencies(self, package: str) -> list[str]:
        """The names of the packages that ``package`` depends on, without versions and alternatives."""
        for line in self._apt("apt-cache", "show", "--no-all-versions", package).splitlines():
            if line.startswith("Depends: "):
                fields = line.removeprefix("Depends: ").split(", ")
                return [field.split()[0].split(":")[0] for field in fields]
        return []

    def download(self, package: str, timeout_s: float = 1200) -> Path:
        """Download ``package`` and return the path of the ``.deb``, which stays in the cache."""
        archive = cache.root() / "packages"
        name = f"{package}_{self.version(package).replace(':', '%3a')}"
        with cache.lock(archive / package):
            for candidate in archive.glob(f"{name}_*.deb"):
                return candidate
            # apt gives the file this name only when it is complete and its hash is right.
            self._apt("apt-get", "download", "-q", package, directory=archive, timeout_s=timeout_s)
            for candidate in archive.glob(f"{name}_*.deb"):
                return candidate
        raise LabError(f"{archive}: apt-get download {package} left no {name}_*.deb")

    def download_all(self, packages: list[str], timeout_s: float = 1200) -> list[Path]:
        """Download ``packages`` and everything they depend on, and return the paths of the ``.deb``."""
        archives = self.directory / "cache" / "archives"
        # The private status file is empty, so that nothing counts as installed already.
        options = ["--download-only", "--no-install-recommends", "-qq", "-y"]
        self._apt("apt-get", "install", *options, *packages, timeout_s=timeout_s)
        return sorted(archives.glob("*.deb"))

    def _apt(self, *arguments: str, directory: Path | None = None, timeout_s: float = 120) -> str:
        configuration = self._refresh()
        return commands.run(
            list(arguments),
            timeout_s=timeout_s,
            directory=directory,
            environment={"APT_CONFIG": str(configuration)},
        )

    def _refresh(self) -> Path:
        """Write the configuration and fetch the package lists, at most once a day."""
        configuration = self.directory / "apt.conf"
        stamp = self.directory / "updated"
        with cache.lock(self.directory):
            if stamp.exists() and time.time() - stamp.stat().st_mtime < LISTS_MAX_AGE_S:
                return configuration
            if not KEYRING.exists():
                raise LabError(f"{KEYRING} is missing; install the package debian-archive-keyring")
            for part in ("state/lists/partial", "cache/archives/partial"):
                (self.directory / part).mkdir(parents=True, exist_ok=True)
            (self.directory / "status").touch()
            (self.directory / "sources.list").write_text(self._sources())
            configuration.write_text(self._configuration())
            commands.run(
                ["apt-get", "update", "-q"],
                timeout_s=300,
                environment={"APT_CONFIG": str(configuration)},
            )
            stamp.touch()
        return configuration

    def _sources(self) -> str:
        line = f"deb [signed-by={KEYRING}] http://deb.debian.org"
        lines = [f"{line}/debian {self.suite} main"]
        if self.suite != "sid":
            lines.append(f"{line}/debian-security {self.suite}-security main")
        return "\n".join(lines) + "\n"

    def _configuration(self) -> str:
        return (
            f'Dir::State "{self.directory}/state";\n'
            f'Dir::State::status "{self.directory}/status";\n'
            f'Dir::Cache "{self.directory}/cache";\n'
            f'Dir::Etc::sourcelist "{self.directory}/sources.list";\n'
            'Dir::Etc::sourceparts "-";\n'
            'Dir::Etc::preferencesparts "-";\n'
            f'APT::Architecture "{self.architecture}";\n'
            f'APT::Architectures {{ "{self.architecture}"; }};\n'
            'APT::Sandbox::User "";\n'
            'Acquire::Retries "3";\n'
            'Acquire::Languages "none";\n'
        )


def native_architecture() -> str:
    """Debian's name of this machine's architecture."""
    return commands.run(["dpkg", "--print-architecture"], timeout_s=10).strip()


def unpack(package: Path, destination: Path, timeout_s: float = 300) -> None:
    """Unpack a whole ``.deb`` into ``destination``; nothing of it is run or installed."""
    commands.run(["dpkg-deb", "-x", str(package), str(destination)], timeout_s=timeout_s)


def unpack_members(
    package: Path, members: list[str], destination: Path, timeout_s: float = 600
) -> None:
    """Unpack only ``members`` (paths that begin with ``./``), and stop reading at the last."""
    commands.require(["dpkg-deb", "tar"])
    destination.mkdir(parents=True, exist_ok=True)
    contents = subprocess.Popen(
        ["dpkg-deb", "--fsys-tarfile", str(package)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    try:
        # --occurrence=1 lets tar stop at the last member instead of reading several gigabytes on.
        extract = subprocess.run(
            ["tar", "-x", "--sparse", "--occurrence=1", "-C", str(destination), *members],
            stdin=contents.stdout,
            stderr=subprocess.PIPE,
            text=True,
            timeout=timeout_s,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise LabError(f"{package}: not unpacked after {timeout_s:.0f} s") from None
    finally:
        contents.kill()
        contents.wait()
        if contents.stdout is not None:
            contents.stdout.close()
    if extract.returncode != 0:
        raise LabError(f"{package}: tar: {extract.stderr.strip()[-2000:]}")


def _digit_runs(text: str) -> list[str]:
    return "".join(letter if letter.isdigit() else " " for letter in text).split()
