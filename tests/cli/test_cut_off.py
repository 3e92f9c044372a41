"""Every form of dump, cut off at 200 places: what is there can be read, and what is missing is told.

`layout.py` works out of the headers which addresses a file still has.
"""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import lab
from tests.cli.avml import avml_image

ROOT = Path(__file__).parents[2]
CUTS = 200
# Below this a file may be too short for what its format begins with.
HEADERS = 1 << 20

FORMS = [
    pytest.param("idle", "elf", marks=pytest.mark.lab),
    pytest.param("idle", "kdump-zlib", marks=pytest.mark.lab),
    *(
        pytest.param("panic", form, marks=[pytest.mark.lab, pytest.mark.scenario])
        for form in (
            "vmcore",
            "elf-d31",
            "kdump-d0-zlib",
            "kdump-d31-zlib-flattened",
            "kdump-d31-zlib-split",
            "lime",
            "avml",
            "raw",
        )
    ),
]


def rows_of(files: list[Path]) -> list[dict[str, Any]]:
    """Cut the files off, which are copies, and say what the command made of that."""
    command = [sys.executable, "-m", "tests.cli.cut", str(CUTS), *map(str, files)]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=1200
    )
    assert done.returncode == 0, done.stderr[-4000:]
    rows: list[dict[str, Any]] = json.loads(done.stdout)
    assert len(rows) >= (CUTS - 5) * len(files)
    return rows


def check(rows: list[dict[str, Any]], name: str, form: str) -> None:
    """Nothing is lost that is there, nothing is wrong, and all else is said."""
    for row in rows:
        where = (row["file"], row["cut"])
        assert row["lost"] == [], where
        assert row["wrong"] == [], where
        is_opened = row["status"] == 0
        # A raw image that ends with a page tells nobody that it was longer.
        if form != "raw" or (is_opened and row["cut"] % 4096 != 0):
            assert row["refused"].startswith(f"kdive: cannot open {name}"), (where, row["refused"])
            assert row["refused"].count("\n") == 1, (where, row["refused"])
            if is_opened:
                said = (f"only {row['cut']} of ", f"its end is missing after {row['cut']} bytes")
                assert any(f"is truncated: {how}" in row["said"] for how in said), (where, row)
        if is_opened:
            said = row["said"].splitlines()
            assert all(line.startswith("kdive: warning: ") for line in said), (where, said)
            # The header of a range that is missing is missing, too.
            unknown = "could not find physical memory segment"
            may_be_unknown = form in ("lime", "avml", "raw")
            odd = [it for it in row["odd"] if not (may_be_unknown and it.startswith(unknown))]
            assert odd == [], where
        else:
            assert row["said"].startswith(f"kdive: cannot open {name}"), (where, row["said"])
            assert row["said"].count("\n") == 1, (where, row["said"])
            is_silent = form == "raw" and "nor a raw image of memory with VMCOREINFO" in row["said"]
            assert row["cut"] < HEADERS or is_silent, (where, row["said"])
    for file in {row["file"] for row in rows}:
        counts = [row["readable"] for row in rows if row["file"] == file]
        assert counts == sorted(counts, reverse=True)
        assert counts[0] >= 100
        assert counts[0] > counts[-1]


def copied(files: list[Path], folder: Path) -> list[Path]:
    """Copies, called `dump`, `dump1`, …"""
    copies = [folder / f"dump{number or ''}" for number in range(len(files))]
    for source, target in zip(files, copies, strict=True):
        shutil.copyfile(source, target)
    return copies


@pytest.mark.parametrize(("target", "form"), FORMS)
def test_dumps_that_are_cut_off(target: str, form: str, tmp_path: Path) -> None:
    dumps = lab.target(target).dumps
    if form == "avml":
        files = [tmp_path / "dump"]
        avml_image(dumps["lime"], files[0])
    else:
        names = [name for name in dumps if name == form or name.startswith(f"{form}.")]
        files = copied([dumps[name] for name in names], tmp_path)
    check(rows_of(files), str(tmp_path / "dump"), form)
    for file in files:
        file.unlink()


def test_cores_of_processes_that_are_cut_off(process: int, tmp_path: Path) -> None:
    """gdb's gcore writes the dump."""
    subprocess.run(
        ["gcore", "-o", tmp_path / "core", str(process)], check=True, capture_output=True
    )
    dump = (tmp_path / f"core.{process}").rename(tmp_path / "dump")
    check(rows_of([dump]), str(dump), "core")
