"""Choosing between hardware virtualisation and emulation."""

import functools
import os
import platform
import subprocess
import tempfile
from pathlib import Path

from lab import commands

EMULATION = "tcg,thread=multi"
KVM = Path("/dev/kvm")
PROBE_TIMEOUT_S = 10.0
#: A boot sector that ends QEMU through its debug-exit device: mov dx,0x501; mov al,0x2a; out dx,al; hlt.
PROBE_CODE = b"\xba\x01\x05\xb0\x2a\xee\xf4"
PROBE_STATUS = (0x2A << 1) | 1


def choose(architecture: str, cpu: str) -> str:
    """The value of QEMU's ``-accel``: KVM where it can run guests of ``architecture``.

    ``KDIVE_LAB_ACCEL`` overrides it.
    """
    chosen = os.environ.get("KDIVE_LAB_ACCEL")
    if chosen:
        return chosen
    native = architecture == "amd64" and platform.machine() == "x86_64"
    return "kvm" if native and os.access(KVM, os.R_OK | os.W_OK) and _kvm_works(cpu) else EMULATION


@functools.cache
def _kvm_works(cpu: str) -> bool:
    """Run one instruction under KVM: on nested machines the device may exist and still not work."""
    with tempfile.NamedTemporaryFile(prefix="kdive-lab-") as sector:
        sector.write(PROBE_CODE.ljust(510, b"\0") + b"\x55\xaa")
        sector.flush()
        emulator = commands.find("qemu-system-x86_64") or "qemu-system-x86_64"
        try:
            probe = subprocess.run(
                [
                    emulator, "-nodefaults", "-display", "none", "-accel", "kvm", "-cpu", cpu,
                    "-device", "isa-debug-exit,iobase=0x501,iosize=1",
                    "-drive", f"file={sector.name},format=raw,if=floppy",
                    "-boot", "a",
                ],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=PROBE_TIMEOUT_S,
                check=False,
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            return False
        return probe.returncode == PROBE_STATUS
