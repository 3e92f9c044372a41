"""A guest under QEMU: starting it, talking to the scenario in it, dumping its memory, ending it."""

import contextlib
import socket
import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from lab import accelerators, commands, debian, initramfs, userland
from lab.errors import LabError
from lab.kernels import Kernel
from lab.qmp import Qmp
from lab.scenario import Scenario

EMULATOR = {"amd64": "qemu-system-x86_64", "arm64": "qemu-system-aarch64"}
#: Four levels of page tables on both.
CPU = {"amd64": "max,la57=off", "arm64": "cortex-a72"}
CONSOLE = {"amd64": "ttyS0", "arm64": "ttyAMA0"}
SHARE = "local,security_model=none,multidevs=remap"
DUMP_TIMEOUT_S = 300.0
QUIT_TIMEOUT_S = 30.0


class Machine:
    """A running guest. Use as a context manager: leaving it ends QEMU.

    :param directory: shared with the guest read-write; also gets ``console.log``.
    :raises LabError: QEMU does not start.
    """

    def __init__(self, kernel: Kernel, scenario: Scenario, directory: Path) -> None:
        self._scenario = scenario
        self._directory = directory
        self.console = directory / "console.log"
        self._deadline = time.monotonic() + scenario.timeout_s
        self._heard = b""
        native = kernel.architecture == debian.native_architecture()
        commands.require([EMULATOR[kernel.architecture], *(scenario.programs if native else [])])
        initial = directory / "initramfs"
        initial.write_bytes(initramfs.build(kernel, scenario.early_modules))
        self._monitor_socket, monitor_far = socket.socketpair()
        self._control, control_far = socket.socketpair()
        arguments = self._arguments(kernel, initial, monitor_far.fileno(), control_far.fileno())
        with (directory / "qemu.log").open("wb") as log:
            self._process = subprocess.Popen(
                arguments,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=[monitor_far.fileno(), control_far.fileno()],
            )
        monitor_far.close()
        control_far.close()
        try:
            self.monitor = Qmp(self._monitor_socket)
        except (LabError, OSError):
            self.stop()
            raise LabError("QEMU does not start") from None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def hear(self) -> str | None:
        """Wait for the scenario's next message and return it, or None when the guest is off.

        :raises LabError: the scenario's time is over.
        """
        while b"\n" not in self._heard:
            if time.monotonic() > self._deadline:
                limit = self._scenario.timeout_s
                raise LabError(f"the guest was not done after {limit:.0f} s")
            self._control.settimeout(0.5)
            with contextlib.suppress(TimeoutError):
                received = self._control.recv(4096)
                if not received:
                    self._wait_for_end()
                    return None
                self._heard += received
        line, _, self._heard = self._heard.partition(b"\n")
        return line.decode(errors="replace")

    def answer(self) -> None:
        """Let the scenario go on after the message heard last."""
        self._control.sendall(b"done\n")

    def dump(self, path: Path, format: str) -> None:
        """Write the guest's memory to ``path``; freezes the guest until :meth:`resume`.

        :param format: one of :meth:`dump_formats`.
        """
        self.monitor.execute("stop")
        self.monitor.execute(
            "dump-guest-memory",
            timeout_s=DUMP_TIMEOUT_S,
            paging=False,
            protocol=f"file:{path}",
            format=format,
        )

    def dump_formats(self) -> list[str]:
        """The formats that this QEMU can write, such as ``elf`` and ``kdump-zlib``."""
        formats: list[str] = self.monitor.execute("query-dump-guest-memory-capability")["formats"]
        return formats

    def resume(self) -> None:
        """Let a guest run again that was frozen by :meth:`dump`."""
        self.monitor.execute("cont")

    def stop(self) -> None:
        """End QEMU if it still runs, and close what led to it."""
        self._process.kill()
        self._process.wait()
        self._control.close()
        self._monitor_socket.close()

    def _wait_for_end(self) -> None:
        try:
            self._process.wait(QUIT_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            raise LabError("QEMU closed its port and goes on") from None

    def _arguments(self, kernel: Kernel, initial: Path, monitor: int, control: int) -> list[str]:
        scenario = self._scenario
        console = CONSOLE[kernel.architecture]
        command_line = f"console={console} panic=-1 rdinit=/init {scenario.command_line}".strip()
        arguments = [
            commands.find(EMULATOR[kernel.architecture]) or EMULATOR[kernel.architecture],
            "-nodefaults",
            "-no-reboot",
            "-display", "none",
            "-m", f"{scenario.memory_mib}",
            "-smp", f"{scenario.cpus}",
            "-kernel", f"{kernel.image}",
            "-initrd", f"{initial}",
            "-append", command_line,
            "-serial", f"file:{self.console}",
            "-device", "vmcoreinfo",
            "-chardev", f"socket,id=monitor,fd={monitor}",
            "-mon", "chardev=monitor,mode=control",
            "-device", "virtio-serial-pci",
            "-chardev", f"socket,id=control,fd={control}",
            "-device", "virtserialport,chardev=control,name=lab.control",
            "-virtfs", f"{SHARE},path={userland.root(kernel.architecture)},mount_tag=root,readonly=on",
            "-virtfs", f"{SHARE},path={kernel.modules_root},mount_tag=kernel,readonly=on",
            "-virtfs", f"{SHARE},path={self._directory},mount_tag=lab",
        ]  # fmt: skip
        cpu = scenario.cpu or CPU[kernel.architecture]
        arguments += ["-accel", accelerators.choose(kernel.architecture, cpu), "-cpu", cpu]
        if kernel.architecture == "arm64":
            arguments += ["-machine", "virt,gic-version=3"]
        for number, size in enumerate(scenario.disks_mib):
            image = self._directory / f"disk{number}"
            with image.open("wb") as file:
                file.truncate(size << 20)
            arguments += ["-drive", f"file={image},format=raw,if=none,id=disk{number}"]
            arguments += ["-device", f"virtio-blk-pci,drive=disk{number}"]
        return [*arguments, *scenario.qemu_arguments]
