"""Truncated dumps: refused with one line, or opened on request with what is there."""

import os
import shutil
import struct
from pathlib import Path

import pytest

import kdive as kdive_api
import lab
from tests.support import Kdive

pytestmark = pytest.mark.lab

HEADERS = (0, 1, 8, 16, 40, 64, 200, 430, 464, 600, 2000, 4096, 4097, 5000, 8191, 9000, 20000)
PARTS = (0.001, 0.01, 0.1, 0.5, 0.99)


def put_in_order(flattened: Path, path: Path) -> None:
    """Write the chunks of a flattened dump where they belong."""
    with open(flattened, "rb") as chunks, open(path, "wb") as whole:
        chunks.seek(4096)
        while True:
            offset, size = struct.unpack(">qq", chunks.read(16))
            if offset == -1:
                return
            whole.seek(offset)
            whole.write(chunks.read(size))


@pytest.fixture(params=["elf", "kdump", "flattened"])
def dump(request: pytest.FixtureRequest, idle: lab.Target, tmp_path: Path) -> Path:
    """A copy of a dump, in the folder that the command runs in."""
    path = tmp_path / "vmcore"
    if request.param == "elf":
        shutil.copy(idle.dumps["elf"], path)
    elif request.param == "kdump":
        put_in_order(idle.dumps["kdump-zlib"], path)
    else:
        shutil.copy(idle.dumps["kdump-zlib"], path)
    return path


def test_truncated_dumps_are_refused(kdive: Kdive, dump: Path) -> None:
    whole = dump.stat().st_size
    for size in sorted({*HEADERS, *(int(whole * part) for part in PARTS), whole - 1}, reverse=True):
        os.truncate(dump, size)
        result = kdive("-c", "vmcore", "-e", "1")
        assert result.stderr.startswith("kdive: cannot open vmcore: "), (size, result.stderr)
        assert (result.stderr.count("\n"), result.stdout, result.returncode) == (1, "", 1)
        if size > 9000:
            assert f" {size} " in result.stderr
            assert result.stderr.endswith(
                " bytes are there; copy it again, or open what is there with --incomplete\n"
            ) or result.stderr.endswith(
                f"its end is missing after {size} bytes; "
                "copy it again, or open what is there with --incomplete\n"
            )


def test_truncated_dumps_are_opened_on_request(kdive: Kdive, dump: Path, idle: lab.Target) -> None:
    whole = dump.stat().st_size
    release = idle.truth["before"]["uname"]["release"]
    for size in sorted({*HEADERS, *(int(whole * part) for part in PARTS), whole - 1}, reverse=True):
        os.truncate(dump, size)
        result = kdive(
            "-c", "vmcore", "--incomplete", "--main-symbols", "-e", 'prog["UTS_RELEASE"].string_()'
        )
        if size > 9000:
            assert result.stdout == f"{release.encode()!r}\n", (size, result.stderr)
            warnings = [line for line in result.stderr.splitlines() if "truncated" in line]
            assert "vmcore is truncated: " in warnings[0]
            assert all(line.startswith("kdive: warning: ") for line in result.stderr.splitlines())
        assert result.returncode in (0, 1), (size, result.stderr)
        assert "panicked" not in result.stderr


def test_what_is_missing_faults(idle: lab.Target, tmp_path: Path) -> None:
    path = tmp_path / "vmcore"
    shutil.copy(idle.dumps["elf"], path)
    whole = kdive_api.Program()
    whole.set_core_dump(path)
    start = whole.read(0x1000, 0x1000, physical=True)
    os.truncate(path, 64 << 20)
    prog = kdive_api.Program()
    prog.set_core_dump(path)
    assert prog.read(0x1000, 0x1000, physical=True) == start
    with pytest.raises(
        kdive_api.FaultError, match="beyond the end of the truncated file: 0x10000000"
    ) as raised:
        prog.read(0x10000000, 8, physical=True)
    assert raised.value.address == 0x10000000
    refusing = kdive_api.Program()
    with pytest.raises(kdive_api.BadDataError, match="the file is truncated: only 67108864 of "):
        refusing.set_core_dump(path, allow_truncated=False)


def test_a_dump_that_shrinks_while_it_is_open(dump: Path) -> None:
    addresses = range(1 << 20, 500 << 20, 1 << 20)
    whole = kdive_api.Program()
    whole.set_core_dump(dump)
    before = {address: whole.read(address, 64, physical=True) for address in addresses}
    prog = kdive_api.Program()
    prog.set_core_dump(dump)
    os.truncate(dump, dump.stat().st_size // 2)
    gone = {}
    for address in addresses:
        try:
            assert prog.read(address, 64, physical=True) == before[address]
        except kdive_api.FaultError as error:
            gone[address] = error
    for address, fault in gone.items():
        assert fault.address == address
        assert "beyond the end of the truncated file" in str(fault)
    # How many depends on how well their half of the file is compressed; all pages of zeros may be one.
    assert 20 < len(gone) < len(addresses) - 50
    checked = prog.verify()
    assert checked.readable_bytes > 50 << 20
    assert checked.expected_bytes - checked.readable_bytes > 10 << 20
    assert "beyond the end of the truncated file" in checked.damages[-1][2]
    with pytest.raises(kdive_api.FaultError, match="beyond the end"):
        prog.read(1 << 20, 500 << 20, physical=True)


@pytest.mark.parametrize(
    ("form", "verdict"),
    # QEMU writes memory in ascending order, and the kernel's page tables are in its middle.
    [("elf", "usable, but not sound: "), ("kdump-zlib", "only physical addresses are usable: ")],
)
def test_verify(kdive: Kdive, idle: lab.Target, tmp_path: Path, form: str, verdict: str) -> None:
    result = kdive("verify", idle.dumps[form])
    assert result.returncode == 0
    assert result.stdout.startswith("sound: all ")
    assert result.stderr == ""
    path = tmp_path / "vmcore"
    shutil.copy(idle.dumps[form], path)
    os.truncate(path, int(path.stat().st_size * (0.75 if form == "elf" else 0.1)))
    result = kdive("verify", "vmcore")
    lines = result.stdout.splitlines()
    assert result.returncode == 1
    assert lines[0].startswith("problem: vmcore is truncated: ")
    assert lines[1].startswith("damaged: 0x")
    assert "beyond the end of the truncated file" in lines[1]
    assert lines[-1].startswith(verdict)
