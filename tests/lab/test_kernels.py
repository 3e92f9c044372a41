"""Targets of other kernels and another architecture."""

import struct

import pytest

import lab

pytestmark = [pytest.mark.lab, pytest.mark.scenario]
EM_X86_64, EM_AARCH64 = 62, 183


@pytest.mark.parametrize(
    ("kernel", "release", "machine", "elf_machine"),
    [
        ("5.10-amd64", "5.10.", "x86_64", EM_X86_64),
        ("6.12-amd64", "6.12.", "x86_64", EM_X86_64),
        ("6.1-arm64", "6.1.", "aarch64", EM_AARCH64),
    ],
)
def test_an_idle_guest_of_another_kernel(
    kernel: str, release: str, machine: str, elf_machine: int
) -> None:
    target = lab.target("idle", kernel)
    before, facts = target.truth["before"], target.truth["facts"]
    assert target.kernel.startswith(release)
    assert (before["uname"]["release"], before["uname"]["machine"]) == (target.kernel, machine)
    header = target.dumps["elf"].read_bytes()[:4096]
    assert header[:6] == b"\x7fELF\x02\x01"
    assert struct.unpack_from("<H", header, 18)[0] == elf_machine
    assert f"OSRELEASE={target.kernel}".encode() in target.dumps["elf"].read_bytes()[:65536]
    assert target.dumps["kdump-zlib"].read_bytes()[:12] == b"makedumpfile"
    states = {task["pid"]: task["state"] for task in target.stable_tasks}
    assert [states[facts[name]] for name in ("sleeper", "stopped", "zombie")] == ["S", "T", "Z"]
    assert sorted(target.modules) == ["btrfs", "loop"]
    assert {"btrfs", "loop"} <= {module["name"] for module in before["modules"]}
