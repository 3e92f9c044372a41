"""Making the sample: runs its guest, dumps it, keeps what a debugger needs, and writes down what the guest said."""

import base64
import json
import tempfile
import time
from pathlib import Path

from kdive import program_from_core_dump
from lab import commands, initramfs, kernels, testmodules
from lab.errors import LabError
from lab.machine import Machine
from lab.runs import SETTLE_S
from lab.sample import kdump, pages
from lab.scenario import Scenario
from lab.targets import DEFAULT_KERNEL

HERE = Path(__file__).parent
MODULES = ["qemu_fw_cfg", "virtio_pci", "virtio_console", "virtio_blk", "loop", "btrfs"]
#: Of the archive, which is broken, and of the data.
DISKS = {
    "archive": "6b646976-652d-4172-8368-697665000001",
    "data": "6b646976-652d-4461-b461-000000000002",
}
GUEST = Scenario(
    name="sample",
    script=(HERE / "guest.sh").read_text(),
    sentence="The dump that kdive ships.",
    memory_mib=128,
    cpus=3,
    programs=["mkfs.btrfs", "gcc", "strip"],
    disks_mib=[112, 112],
    # What is freed is zeroed, which compresses well and leaves nothing behind.
    command_line="init_on_free=1 initcall_blacklist=tracer_init_tracefs quiet",
    timeout_s=180,
)


def make(dump: Path, truth: Path) -> None:
    """Write the sample to ``dump``, and to ``truth`` what its guest said about itself, as JSON.

    :raises LabError: the guest fails, or its dump can't be read.
    """
    with tempfile.TemporaryDirectory() as scratch:
        directory = Path(scratch)
        try:
            facts = _run(directory)
        except LabError as error:
            console = (directory / "console.log").read_text(errors="replace")[-3000:]
            raise LabError(f"{error}\n{console}") from None
        prog = program_from_core_dump(directory / "elf")
        name = prog["init_task"].nsproxy.uts_ns.name
        names = [getattr(name, field.name).string_() for field in name.type_.members]
        kdump.write(directory / "elf", names, pages.kept(prog), dump)
        truth.write_text(json.dumps(facts, indent=1) + "\n")


def _run(directory: Path) -> dict[str, str]:
    """Leave the whole memory of the guest in ``directory/elf`` and return the facts that it says."""
    facts: dict[str, str] = {}
    with _Guest(kernels.get(DEFAULT_KERNEL), GUEST, directory) as guest:
        while (message := guest.hear()) is not None:
            request, _, argument = message.partition(" ")
            match request:
                case "fact":
                    name, _, content = argument.partition(" ")
                    facts[name] = base64.b64decode(content).decode().rstrip("\n")
                case "ready":
                    time.sleep(SETTLE_S)
                    guest.dump(directory / "elf", "elf")
                    guest.resume()
                case "end":
                    guest.answer()
                    return facts
                case _:
                    raise LabError(f"the sample's guest says {message!r}: nothing known")
            guest.answer()
    raise LabError("the sample's guest ended early")


class _Guest(Machine):
    """A guest whose root is its initramfs and that shares no directory with this machine."""

    def _arguments(
        self, kernel: kernels.Kernel, initial: Path, monitor: int, control: int
    ) -> list[str]:
        initial.write_bytes(_initramfs(kernel, self._directory))
        arguments = super()._arguments(kernel, initial, monitor, control)
        for number, (label, uuid) in enumerate(DISKS.items()):
            disk = str(self._directory / f"disk{number}")
            commands.run(["mkfs.btrfs", "-q", "-L", label, "-U", uuid, disk], timeout_s=60)
        for place in reversed([n for n, word in enumerate(arguments) if word == "-virtfs"]):
            del arguments[place : place + 2]
        return arguments


def _initramfs(kernel: kernels.Kernel, directory: Path) -> bytes:
    module = directory / "module"
    module.mkdir()
    testmodules.build(kernel, ["lab_delayed"], module)
    # Debug information tells where it was built.
    commands.run(["strip", "--strip-debug", str(module / "lab_delayed.ko")], timeout_s=30)
    indexer = directory / "indexer"
    compile = ["gcc", "-Os", "-s", "-static", "-pthread", "-o", str(indexer)]
    commands.run([*compile, str(HERE / "indexer.c")], timeout_s=60)
    return initramfs.compressed(
        [
            *initramfs.system(kernel, GUEST.script.encode(), MODULES),
            ("modules/late", 0o040755, b""),
            ("modules/late/lab_delayed.ko", 0o100644, (module / "lab_delayed.ko").read_bytes()),
            ("bin/indexer", 0o100755, indexer.read_bytes()),
        ]
    )
