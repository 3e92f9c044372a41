"""Bad input gets one line that says what is wrong and what to do, and status 1."""

import struct
import subprocess
from pathlib import Path

import pytest

import lab
from tests.support import Kdive


def assert_one_line(kdive: Kdive, arguments: tuple[str | Path | int, ...], line: str) -> None:
    result = kdive(*arguments)
    assert (result.stderr, result.stdout, result.returncode) == (f"kdive: {line}\n", "", 1)


def elf_header(type: int, program_headers: int = 0) -> bytes:
    """The header of a 64-bit little-endian x86-64 file whose program headers follow it."""
    return struct.pack(
        "<16sHHIQQQIHHHHHH",
        *(b"\x7fELF\x02\x01\x01".ljust(16, b"\0"), type, 62, 1, 0, 64, 0, 0),
        *(64, 56, program_headers, 64, 0, 0),
    )


def test_script_that_is_missing(kdive: Kdive) -> None:
    assert_one_line(
        kdive, ("nosuch.py",), "cannot read the script nosuch.py: No such file or directory"
    )


def test_script_that_is_a_folder(kdive: Kdive, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    assert_one_line(kdive, ("folder",), "folder is a directory; give a Python script")


@pytest.mark.parametrize(
    "content", [elf_header(4), b"KDUMP   " + bytes(56), b"makedumpfile" + bytes(52)]
)
def test_script_that_is_a_dump(kdive: Kdive, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "vmcore").write_bytes(content)
    assert_one_line(kdive, ("vmcore",), "vmcore is a dump, not a script; use -c vmcore")


def test_script_that_is_a_binary(kdive: Kdive, executable: Path) -> None:
    assert_one_line(
        kdive,
        (executable,),
        f"{executable} is a binary, not a script; symbols are given with -s {executable}",
    )


def test_dump_that_is_missing(kdive: Kdive) -> None:
    assert_one_line(
        kdive,
        ("-c", "nosuch"),
        "cannot open nosuch: No such file or directory; check what is given with -c",
    )


def test_dump_that_is_a_folder(kdive: Kdive, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    assert_one_line(
        kdive, ("-c", "folder"), "cannot open folder: Is a directory; check what is given with -c"
    )


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "the file is empty;"),
        (b"#!/bin/sh\necho hello\n", "this is not a dump that kdive reads: an ELF core, "),
        (elf_header(4)[:40], "the file ends within the ELF header: 40 bytes are there;"),
        (
            elf_header(4, program_headers=3),
            "the file ends within the program headers: 168 bytes are needed at offset 0x40, 0 are there;",
        ),
    ],
)
def test_dump_of_another_kind(kdive: Kdive, tmp_path: Path, content: bytes, why: str) -> None:
    (tmp_path / "vmcore").write_bytes(content)
    result = kdive("-c", "vmcore")
    assert result.stderr.startswith(f"kdive: cannot open vmcore: {why}")
    assert result.stderr.endswith("; check what is given with -c\n")
    assert (result.stderr.count("\n"), result.stdout, result.returncode) == (1, "", 1)


def test_dump_that_is_an_executable(kdive: Kdive, executable: Path) -> None:
    assert_one_line(
        kdive,
        ("-c", executable),
        f"cannot open {executable}: this ELF file is not a core dump; "
        "give a program or vmlinux with -s instead",
    )


def test_process_that_is_gone(kdive: Kdive) -> None:
    # Linux has no process IDs beyond 4194304.
    assert_one_line(
        kdive,
        ("-p", 4194305),
        "there is no process 4194305; see ps for the processes that run",
    )


def test_vmcoreinfo_that_is_missing(kdive: Kdive) -> None:
    assert_one_line(
        kdive,
        ("-c", "vmcore", "--vmcoreinfo", "nosuch"),
        "cannot read nosuch: No such file or directory; check the path given with --vmcoreinfo",
    )


def test_vmcoreinfo_that_is_something_else(kdive: Kdive, tmp_path: Path) -> None:
    (tmp_path / "notes").write_text("bread, milk")
    assert_one_line(
        kdive,
        ("-c", "vmcore", "--vmcoreinfo", "notes"),
        "notes is no VMCOREINFO, it has no line OSRELEASE=...; check the path given with --vmcoreinfo",
    )


def test_symbols_that_are_missing(kdive: Kdive, process: int) -> None:
    assert_one_line(
        kdive,
        ("-p", process, "-s", "nosuch"),
        "cannot read the symbols nosuch: No such file or directory; check the path given with -s",
    )


@pytest.mark.lab
def test_symbols_of_another_file(kdive: Kdive, idle: lab.Target, executable: Path) -> None:
    dump = idle.dumps["elf"]
    result = kdive("-c", dump, "-s", executable, "-e", "1")
    notes = subprocess.run(
        ["readelf", "-n", executable], capture_output=True, text=True, check=True
    )
    own = notes.stdout.split("Build ID: ")[1].split()[0]
    start = (
        f"kdive: {executable} (build ID {own}) does not belong to {dump}; "
        "give the file of kernel (build ID "
    )
    assert result.stderr.startswith(start)
    assert (result.stderr.count("\n"), result.stdout, result.returncode) == (1, "", 1)
    # The note in the guest's memory has the build ID as well.
    assert result.stderr.removeprefix(start).partition(")")[0] in idle.truth["before"]["notes"]


@pytest.mark.lab
def test_dump_cut_off_in_its_headers(kdive: Kdive, idle: lab.Target, tmp_path: Path) -> None:
    with open(idle.dumps["elf"], "rb") as dump:
        (tmp_path / "vmcore").write_bytes(dump.read(100))
    result = kdive("-c", "vmcore", "-e", "1")
    assert result.stderr.startswith("kdive: cannot open vmcore: ")
    assert (result.stderr.count("\n"), result.stdout, result.returncode) == (1, "", 1)


@pytest.mark.parametrize(
    "arguments",
    [
        ("-k", "-c", "vmcore"),
        ("--log-level", "loud"),
        ("-p", "init"),
        ("-p", "-1"),
        ("--nosuch",),
        ("-c",),
        ("--architecture", "vax"),
    ],
)
def test_wrong_flags(kdive: Kdive, arguments: tuple[str, ...]) -> None:
    result = kdive(*arguments)
    assert result.stderr.startswith("usage: kdive ")
    assert "\nkdive: error: " in result.stderr
    assert (result.stdout, result.returncode) == ("", 2)
