"""Damaged dumps of every form: a message or less to read, but no crash, no hang and no vast allocation.

`KDIVE_DAMAGES=10000` makes so many damaged versions of each dump instead of a few.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import lab

DAMAGE = Path(__file__).with_name("damage.py")
CORRUPTIONS = int(os.environ.get("KDIVE_DAMAGES", "30"))
TRUNCATIONS = 200 if "KDIVE_DAMAGES" in os.environ else 20
# One CPU second for each is far more than they take.
TIMEOUT_S = 300 + 2 * CORRUPTIONS

FORMS = [
    pytest.param("idle", "elf", marks=pytest.mark.lab),
    pytest.param("idle", "kdump-zlib", marks=pytest.mark.lab),
    *(
        pytest.param("panic", form, marks=[pytest.mark.lab, pytest.mark.scenario])
        for form in (
            "vmcore",
            "elf-d31",
            "kdump-d0-zlib",
            "kdump-d1-lzo",
            "kdump-d31-plain",
            "kdump-d31-snappy",
            "kdump-d31-zlib-flattened",
            "kdump-d31-zlib-split.1",
            "kdump-d31-zstd",
            "lime",
            "raw",
        )
    ),
]


def failures(how: str, count: int, dump: Path) -> list[str]:
    """Damage a dump and return what the command did that it must not."""
    command: list[str | Path] = [sys.executable, DAMAGE, how, str(count), dump]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=TIMEOUT_S)
    assert done.returncode == 0, done.stderr[-4000:]
    found: list[str] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize(("target", "form"), FORMS)
def test_damaged_dumps(target: str, form: str, tmp_path: Path) -> None:
    dump = tmp_path / "vmcore"
    shutil.copyfile(lab.target(target).dumps[form], dump)
    assert failures("corrupt", CORRUPTIONS, dump) == []
    assert failures("truncate", TRUNCATIONS, dump) == []
    dump.unlink()


def test_damaged_cores_of_a_process(process: int, tmp_path: Path) -> None:
    """gdb's gcore writes the dump."""
    subprocess.run(
        ["gcore", "-o", tmp_path / "core", str(process)], check=True, capture_output=True
    )
    dump = tmp_path / f"core.{process}"
    assert failures("corrupt", 10 * CORRUPTIONS, dump) == []
    assert failures("truncate", 200, dump) == []
