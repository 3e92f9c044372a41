"""Scenario files: what a guest is given and what it does before its memory is dumped.

A scenario is a shell script in ``lab/scenarios/``. Its lines that begin with ``#:`` form a TOML
document with the fields of :class:`Scenario`; what it establishes it records with ``fact`` and
``fact_json`` of ``guest/lib.sh``. ``ready`` has the dumps taken; ``lab_say moment NAME`` takes some
before that, called ``FORMAT-NAME``.
"""

import hashlib
import tomllib
from dataclasses import dataclass, field
from pathlib import Path

from lab.errors import LabError

DIRECTORY = Path(__file__).with_name("scenarios")
GUEST_FILES = Path(__file__).with_name("guest")
TEST_MODULES = Path(__file__).with_name("modules")


@dataclass(frozen=True)
class Scenario:
    """One scenario file.

    :param sentence: what it establishes, in one sentence.
    :param cpu: QEMU's CPU model; empty for one with four levels of page tables. ``max`` has five on
        amd64.
    :param programs: programs of this machine that the guest uses.
    :param files: files of ``lab/scenarios`` that the guest finds in ``$LAB``.
    :param early_modules: loaded by the initramfs, before the root is there.
    :param debug_modules: modules whose debug files belong to the target.
    :param test_modules: modules of ``lab/modules``, built for the kernel; the guest finds them in
        ``$LAB/modules``.
    :param dumps: formats of the dumps taken from outside: ``elf``, ``kdump-zlib``,
        ``kdump-snappy``, ``kdump-lzo``. Those that this machine's QEMU can't write are left out.
    :param disks_mib: sizes of empty disks (/dev/vda, /dev/vdb, …).
    :param conversions: whether the crash kernel's dump is converted (see ``lab.conversions``).
    :param command_line: added to the kernel's command line.
    :param qemu_arguments: added to QEMU's command line.
    :param timeout_s: for the whole life of the guest.
    """

    name: str
    script: str
    sentence: str
    memory_mib: int = 512
    cpus: int = 2
    cpu: str = ""
    programs: list[str] = field(default_factory=list)
    files: list[str] = field(default_factory=list)
    early_modules: list[str] = field(default_factory=list)
    debug_modules: list[str] = field(default_factory=list)
    test_modules: list[str] = field(default_factory=list)
    dumps: list[str] = field(default_factory=lambda: ["elf", "kdump-zlib"])
    disks_mib: list[int] = field(default_factory=list)
    conversions: bool = False
    command_line: str = ""
    qemu_arguments: list[str] = field(default_factory=list)
    timeout_s: float = 600

    @property
    def digest(self) -> str:
        """Changes with this scenario, what runs in guests, and what else the dumps depend on."""
        sha = hashlib.sha256(self.script.encode())
        inputs = sorted(path for path in GUEST_FILES.iterdir() if path.is_file())
        inputs.append(Path(__file__).with_name("machine.py"))
        inputs += [DIRECTORY / name for name in self.files]
        inputs += [TEST_MODULES / f"{name}.c" for name in self.test_modules]
        if self.conversions:
            inputs.append(Path(__file__).with_name("conversions.py"))
        for path in inputs:
            sha.update(path.name.encode() + b"\0" + path.read_bytes())
        return sha.hexdigest()[:12]


def names() -> list[str]:
    """The names of all scenarios."""
    return sorted(path.stem for path in DIRECTORY.glob("*.sh"))


def load(name: str) -> Scenario:
    """The scenario called ``name``.

    :raises LabError: there is none, or its header is wrong.
    """
    if name not in names():
        raise LabError(f"no scenario {name!r}; there are {', '.join(names())}")
    return parse(name, (DIRECTORY / f"{name}.sh").read_text())


def parse(name: str, script: str) -> Scenario:
    """A scenario from its text."""
    header = "\n".join(
        line.removeprefix("#:") for line in script.splitlines() if line.startswith("#:")
    )
    try:
        return Scenario(name=name, script=script, **tomllib.loads(header))
    except (TypeError, tomllib.TOMLDecodeError) as error:
        raise LabError(f"scenario {name}: its header is wrong: {error}") from None
