"""The memory of a guest that runs: out of the QEMU process, and asked for where that may not be read."""

import hashlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import lab

pytestmark = [pytest.mark.lab, pytest.mark.scenario]

ROOT = Path(__file__).parents[2]
SCRIPT = """
import hashlib, json
info = prog["VMCOREINFO"].string_().decode()
lines = dict(line.split("=", 1) for line in info.splitlines() if "=" in line)
names = int(lines["SYMBOL(init_uts_ns)"], 16)
faults = []
for address in (0, 0x1000, 0x7fff_ffff_f000):
    try:
        prog.read(address, 8)
    except FaultError as error:
        faults.append(error.address)
print(json.dumps({
    "info": info,
    "release": prog["UTS_RELEASE"].string_().decode(),
    "names": prog.read(names, 390).hex(),
    "code": hashlib.sha256(prog.read(int(lines["SYMBOL(_stext)"], 16), 1 << 16)).hexdigest(),
    "faults": faults,
    "flags": str(prog.flags),
}))
"""
# What QEMU's process may do is then more than what kdive may, which therefore can't trace it.
WITHOUT_PRIVILEGES = ["setpriv", "--bounding-set=-all", "--inh-caps=-all"]


def asked(monitor: Path, *arguments: str | Path, prefix: list[str]) -> tuple[dict[str, Any], str]:
    """Return what the script prints of the guest, and the command's error output."""
    command: list[str | Path] = [*prefix, sys.executable, "-m", "kdive", "--qemu", monitor]
    command += ["--no-default-symbols", *arguments, "-e", SCRIPT]
    done = subprocess.run(
        command,
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer, done.stderr


def test_both_ways_to_a_guests_memory_lead_to_the_same(tmp_path: Path) -> None:
    with lab.held_guest("bare") as guest:
        fast, said = asked(guest.monitor, prefix=[])
        assert "asks QEMU" not in said
        saved = tmp_path / "vmcoreinfo"
        saved.write_text(fast["info"])
        slow, said = asked(guest.monitor, "--vmcoreinfo", saved, prefix=WITHOUT_PRIVILEGES)
        assert "asks QEMU, which is slow" in said
        snapshot, _ = asked(guest.monitor, "--snapshot", prefix=[])
        assert fast == slow == snapshot
        names = guest.truth["before"]["uname"]
        assert fast["release"] == names["release"]
        assert names["release"].encode() in bytes.fromhex(fast["names"])
        assert fast["faults"] == [0, 0x1000, 0x7FFF_FFFF_F000]
        assert "IS_LIVE" in fast["flags"]
        assert len(fast["code"]) == hashlib.sha256().digest_size * 2
