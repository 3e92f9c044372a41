"""`kdive verify`: a verdict, what is damaged, an exit status, a bar on a terminal."""

import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path

import pytest

import lab
from tests.support import Kdive

PAGE = 4096
INCOMPLETE = 8
FORMS = (
    "vmcore",
    "elf-d31",
    "kdump-d0-zlib",
    "kdump-d1-lzo",
    "kdump-d31-lzo",
    "kdump-d31-plain",
    "kdump-d31-snappy",
    "kdump-d31-zlib",
    "kdump-d31-zlib-flattened",
    "kdump-d31-zlib-split",
    "kdump-d31-zstd",
)


@pytest.mark.lab
@pytest.mark.scenario
@pytest.mark.parametrize("form", FORMS)
def test_whole_dumps_are_sound(kdive: Kdive, form: str) -> None:
    dumps = lab.target("panic").dumps
    files = [path for name, path in dumps.items() if name == form or name.startswith(f"{form}.")]
    result = kdive("verify", *files)
    assert re.fullmatch(r"sound: all (\d+) of \1 bytes of memory are readable\n", result.stdout)
    assert (result.stderr, result.returncode) == ("", 0)


@pytest.mark.lab
@pytest.mark.scenario
@pytest.mark.parametrize("form", ["lime", "raw"])
def test_images_lack_registers_only(kdive: Kdive, form: str) -> None:
    result = kdive("verify", lab.target("panic").dumps[form])
    problem, verdict = result.stdout.splitlines()
    assert problem == "problem: the dump has no registers of any CPU"
    assert re.fullmatch(r"usable, but not sound: (\d+) of \1 bytes of memory are readable", verdict)
    assert (result.stderr, result.returncode) == ("", 1)


class Kdump:
    """A copy of a kdump file, to be changed."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.content = bytearray(path.read_bytes())
        block, sub_header, bitmap_blocks = struct.unpack_from("<iiI", self.content, 428)
        self._bitmap = (1 + sub_header) * block + bitmap_blocks * block // 2
        self._descriptors: int = (1 + sub_header + bitmap_blocks) * block
        half = self.content[self._bitmap : self._descriptors]
        self.saved = [page for page in range(8 * len(half)) if half[page // 8] >> (page % 8) & 1]

    def descriptor(self, page: int) -> int:
        """Where the descriptor of a page is."""
        return self._descriptors + 24 * self.saved.index(page)

    def stored(self, page: int) -> tuple[int, int]:
        """Where a page is stored, and its size there."""
        offset: int
        size: int
        offset, size = struct.unpack_from("<QI", self.content, self.descriptor(page))
        return offset, size

    def switch(self, page: int) -> None:
        """Change whether the bitmap has a page."""
        self.content[self._bitmap + page // 8] ^= 1 << (page % 8)

    def write(self) -> None:
        """Write what was changed."""
        self.path.write_bytes(self.content)


@pytest.fixture
def kdump(idle: lab.Target, tmp_path: Path) -> Kdump:
    """The idle guest's dump, put in order."""
    path = tmp_path / "vmcore"
    whole = bytearray()
    chunks = idle.dumps["kdump-zlib"].read_bytes()
    at = PAGE
    while True:
        offset, size = struct.unpack_from(">qq", chunks, at)
        if offset == -1:
            break
        whole.extend(bytes(max(offset + size - len(whole), 0)))
        whole[offset : offset + size] = chunks[at + 16 : at + 16 + size]
        at += 16 + size
    path.write_bytes(whole)
    return Kdump(path)


@pytest.mark.lab
def test_pages_that_are_damaged(kdive: Kdive, kdump: Kdump) -> None:
    compressed = [page for page in kdump.saved[2000:30000:5000] if kdump.stored(page)[1] < PAGE]
    damaged = sorted({kdump.stored(page)[0]: page for page in compressed[:3]}.values())
    for page in damaged:
        offset, size = kdump.stored(page)
        # The end of a zlib stream is a checksum of what it decodes to.
        kdump.content[offset + size - 1] ^= 0xFF
    kdump.write()
    result = kdive("verify", "vmcore")
    *lines, verdict = result.stdout.splitlines()
    assert lines == [
        f"damaged: {page * PAGE:#x} to {page * PAGE + PAGE - 1:#x} (4.0 KiB): the page is damaged in the dump: "
        f"its Zlib data does not decode (descriptor at offset {kdump.descriptor(page):#x} of the file)"
        for page in damaged
    ]
    (readable, expected) = map(int, re.findall(r"\d+", verdict))
    assert expected - readable == PAGE * len(damaged) > 0
    assert verdict.startswith("usable, but not sound: ")
    assert (result.stderr, result.returncode) == ("", 1)


@pytest.mark.lab
def test_dumps_that_are_incomplete(kdive: Kdive, kdump: Kdump) -> None:
    """As makedumpfile leaves them when there is no more room: a flag, and descriptors without a place."""
    (status,) = struct.unpack_from("<I", kdump.content, 424)
    struct.pack_into("<I", kdump.content, 424, status | INCOMPLETE)
    lost = kdump.saved[-64:-32]
    for page in lost:
        struct.pack_into("<Q", kdump.content, kdump.descriptor(page), 0)
    kdump.write()
    result = kdive("verify", "vmcore")
    problem, *damages, verdict = result.stdout.splitlines()
    assert problem == "problem: the dump is incomplete: pages are missing"
    assert damages == [
        f"damaged: {lost[0] * PAGE:#x} to {lost[-1] * PAGE + PAGE - 1:#x} (128.0 KiB): "
        "the page is lost: the dump is incomplete"
    ]
    assert verdict.startswith("usable, but not sound: ")
    assert (result.stderr, result.returncode) == ("", 1)


@pytest.mark.lab
@pytest.mark.parametrize("is_added", [True, False])
def test_bitmaps_that_are_wrong(kdive: Kdive, kdump: Kdump, is_added: bool) -> None:
    """All pages after the wrong bit are those of other addresses."""
    hole = 0x80000
    assert hole not in kdump.saved
    kdump.switch(hole if is_added else kdump.saved[-100])
    kdump.write()
    result = kdive("verify", "vmcore")
    problems = [line for line in result.stdout.splitlines() if line.startswith("problem: ")]
    if is_added:
        assert (
            "bitmaps of vmcore contradict each other: pages are saved that are no memory (1)"
            in problems[-2]
        )
        assert "the bitmap of vmcore has more pages than there are descriptors" in problems[-1]
    else:
        assert "the bitmap of vmcore lacks pages that there are descriptors of (1)" in problems[-1]
    assert not result.stdout.splitlines()[-1].startswith("sound")
    assert (result.stderr, result.returncode) == ("", 1)


def test_what_is_no_dump(kdive: Kdive, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"#!/bin/sh\n")
    result = kdive("verify", "file")
    assert result.stderr.startswith("kdive: cannot open file: this is not a dump that kdive reads")
    assert (result.stdout, result.returncode) == ("", 1)
    assert kdive("verify").returncode == 2


def image_of_zeros(path: Path, size: int) -> Path:
    """An image of memory that takes a while, and no room."""
    with path.open("wb") as file:
        file.write(struct.pack("<4sIQQQ", b"EMiL", 1, 0, size - 1, 0))
        file.truncate(32 + size)
    return path


def take_terminal(terminal: int) -> None:
    """Make ^C on a terminal interrupt this process, the first of its session."""
    os.close(os.open(os.ttyname(terminal), os.O_RDWR))
    # Who starts the tests in the background of a shell has it ignored, which is inherited.
    signal.signal(signal.SIGINT, signal.default_int_handler)


class Terminal:
    """The command with a terminal for what it says."""

    def __init__(self, *arguments: str | Path) -> None:
        self._own, other = pty.openpty()
        termios.tcsetwinsize(other, (24, 200))
        self._process = subprocess.Popen(
            [sys.executable, "-m", "kdive", *map(str, arguments)],
            stdin=other,
            stdout=subprocess.PIPE,
            stderr=other,
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
            start_new_session=True,
            preexec_fn=lambda: take_terminal(other),
        )
        os.close(other)
        self.shown = ""

    def wait_for(self, pattern: str) -> re.Match[str]:
        """Wait until something that matches is shown."""
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            found = re.search(pattern, self.shown)
            if found:
                return found
            if select.select([self._own], [], [], 0.2)[0]:
                try:
                    self.shown += os.read(self._own, 4096).decode()
                except OSError:  # nobody has the other end any more
                    break
        raise AssertionError(f"{pattern!r} is not in {self.shown!r}")

    def press(self, keys: bytes) -> None:
        os.write(self._own, keys)

    def end(self) -> tuple[int, str]:
        """Wait for its end; returns status and output."""
        output, _ = self._process.communicate(timeout=60)
        os.close(self._own)
        return self._process.returncode, output.decode()


def test_the_bar_and_an_interruption(tmp_path: Path) -> None:
    large = image_of_zeros(tmp_path / "memory", 64 << 30)
    # Given, so that it need not be searched for.
    info = tmp_path / "info"
    info.write_text("OSRELEASE=6.1\nPAGESIZE=4096\n")
    terminal = Terminal("verify", "--vmcoreinfo", info, large)
    bar = r"\r\[(#*) *\] +(\d+) %  [\d.]+ [MG]iB of 64\.0 GiB, [\d.]+ [MG]iB/s  \S*memory\x1b\[K"
    first = terminal.wait_for(bar)
    done = int(first[2])
    assert len(first[1]) in (30 * done // 100, 30 * (done + 1) // 100)
    terminal.wait_for(rf" {done + 2} %")
    terminal.press(b"\x03")
    terminal.wait_for(r"\r\x1b\[K(\^C)?.*kdive: interrupted\r\n$")
    assert terminal.end() == (130, "")


def test_an_interruption_while_vmcoreinfo_is_searched_for(tmp_path: Path) -> None:
    """Which takes an hour."""
    terminal = Terminal("-c", image_of_zeros(tmp_path / "memory", 8 << 40), "-e", "1")
    time.sleep(5)
    terminal.press(b"\x03")
    terminal.wait_for(r"kdive: interrupted\r\n$")
    assert terminal.end() == (130, "")
