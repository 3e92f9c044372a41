"""`kdive modules` and `kdive cache`."""

import os
import re
import subprocess
from pathlib import Path

import pytest

import lab
from kdive.cli.size import parse_size, show_size
from tests.support import Kdive


def test_sizes() -> None:
    assert [show_size(size) for size in (0, 1023, 1024, 1536 << 20)] == [
        "0 bytes",
        "1023 bytes",
        "1.0 KiB",
        "1.5 GiB",
    ]
    assert [parse_size(text) for text in ("0", "500M", "2 GiB", "3kb")] == [
        0,
        500 << 20,
        2 << 30,
        3 << 10,
    ]
    with pytest.raises(ValueError, match="'much' is no size"):
        parse_size("much")


def test_cache(kdive: Kdive, executable: Path, tmp_path: Path) -> None:
    env = {"KDIVE_CACHE": str(tmp_path / "cache")}
    assert (
        kdive("cache", "list", env=env).stdout.splitlines()[-1]
        == f"0 indexes, 0 bytes, in {tmp_path}/cache"
    )
    assert kdive("cache", "add", executable, env=env).stdout == f"{executable}: added\n"
    assert kdive("cache", "add", executable, env=env).stdout == f"{executable}: it was there\n"
    listed = kdive("cache", "list", env=env).stdout.splitlines()
    kinds = [
        re.fullmatch(r"[0-9a-f]{40} (\w+) +[\d.]+ (KiB|bytes) +today", line)
        for line in listed[1:-1]
    ]
    assert [kind and kind[1] for kind in kinds] == ["types", "symbols"]
    assert listed[-1].startswith("2 indexes, ")
    verified = kdive("cache", "verify", env=env)
    assert (verified.stdout, verified.returncode) == ("2 indexes are whole, 0 damaged\n", 0)
    [index] = (tmp_path / "cache").glob("*.index")
    os.truncate(index, index.stat().st_size - 1)
    verified = kdive("cache", "verify", env=env)
    assert verified.stdout.splitlines()[0] == f"damaged: the file is truncated: {index}"
    assert verified.returncode == 1
    assert kdive("cache", "prune", "0", env=env).stdout.startswith("removed 2 indexes, ")
    assert not list((tmp_path / "cache").iterdir())


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (("add", "nosuch"), "cannot read nosuch: No such file or directory; check the path"),
        (("list",), "there is no cache: KDIVE_CACHE=off, or there is no home; set KDIVE_CACHE to"),
    ],
)
def test_cache_bad_input(kdive: Kdive, tmp_path: Path, arguments: tuple[str], line: str) -> None:
    env = {"KDIVE_CACHE": "off" if arguments == ("list",) else str(tmp_path / "cache")}
    result = kdive("cache", *arguments, env=env)
    assert result.stderr.startswith(f"kdive: {line}")
    assert (result.stderr.count("\n"), result.stdout, result.returncode) == (1, "", 1)


def test_modules_of_a_process(kdive: Kdive, process: int, executable: Path) -> None:
    result = kdive("modules", "-p", process)
    rows = [line.split(maxsplit=3) for line in result.stdout.splitlines()]
    own = next(row for row in rows if row[0] == str(executable))
    assert own[3] == str(executable)
    assert re.fullmatch("0x[0-9a-f]+", own[1])
    assert any(row[0].endswith("libc.so.6") for row in rows)
    assert result.returncode in (0, 1)
    assert result.stderr == ""


@pytest.mark.lab
def test_modules_of_a_kernel(kdive: Kdive, idle: lab.Target) -> None:
    dump = idle.dumps["elf"]
    result = kdive("modules", "-c", dump, "-s", idle.vmlinux, "-s", idle.modules["btrfs"])
    lines = result.stdout.splitlines()
    rows = {line.split()[0]: line.split(maxsplit=3) for line in lines[:-2]}
    assert rows["kernel"][3] == str(idle.vmlinux)
    assert rows["btrfs"][3] == str(idle.modules["btrfs"])
    loaded = {module["name"] for module in idle.truth["before"]["modules"]}
    assert loaded <= set(rows)
    assert result.returncode == 1
    assert re.fullmatch(
        rf"\d+ of {len(rows)} have no debugging symbols; "
        rf"Debian's package linux-image-{re.escape(idle.kernel)}-dbg has them",
        lines[-2],
    )
    assert lines[-1].startswith("--tried lists the files that were tried")
    assert result.stderr == ""


def test_modules_without_files_say_what_was_tried(
    kdive: Kdive, executable: Path, tmp_path: Path
) -> None:
    """The program is stripped, and what its debug link leads to is of another build."""
    program, other, debug = (tmp_path / name for name in ("program", "other", "program.debug"))
    subprocess.run(["gcc", "-xc", "-g", "-Wl,--build-id", "-o", other, "-"], input="int main(){}",
                   text=True, check=True)  # fmt: skip
    subprocess.run(["objcopy", "--only-keep-debug", other, debug], check=True)
    link = f"--add-gnu-debuglink={debug}"
    subprocess.run(["objcopy", "--strip-debug", link, executable, program], check=True)
    own, wrong = build_id(executable), build_id(other)
    with subprocess.Popen([program], stdout=subprocess.PIPE) as running:
        assert running.stdout is not None
        assert running.stdout.readline() == b"ready\n"
        result = kdive("modules", "--tried", "-p", running.pid)
        brief = kdive("modules", "-p", running.pid)
        running.kill()
    refusal = f"its build ID is {wrong}, not {own}"
    lines = result.stdout.splitlines()
    assert any(
        line.startswith(f"{program} ") and line.endswith(f" {debug} was not taken: {refusal}")
        for line in lines
    )
    tried = lines[lines.index(f"{program}:") + 1 :]
    tried = tried[: tried.index("")]
    assert f"  {debug}: {refusal}" in tried
    assert f"  {program}: it has no debugging information" in tried
    absent = f"  /usr/lib/debug/.build-id/{own[:2]}/{own[2:]}.debug: there is no such file"
    assert absent in tried
    assert "a debuginfod server may have them by their build IDs" in lines[-1]
    assert (result.stderr, result.returncode) == ("", 1)
    assert brief.stdout.splitlines()[-1].startswith("--tried lists the files")
    assert f"  {debug}: {refusal}" not in brief.stdout


def build_id(path: Path) -> str:
    notes = subprocess.run(["readelf", "-n", path], capture_output=True, text=True, check=True)
    return notes.stdout.split("Build ID: ")[1].split()[0]
