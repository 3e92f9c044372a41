"""kdive.compat: the names of drgn."""

import subprocess
import sys
from pathlib import Path

import pytest

from kdive import compat


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("drgn", "kdive"),
        ("_drgn", "kdive._native"),
        ("drgn.cli", "kdive.cli"),
        ("drgn.helpers", "kdive.helpers"),
        ("drgn.helpers.linux.list", "kdive.helpers.linux.list"),
        ("drgn.helpersque", None),
        ("drgn.compat", None),
        ("drgnless", None),
    ],
)
def test_counterpart(theirs: str, ours: str | None) -> None:
    assert compat.counterpart(theirs) == ours


def python(code: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run code where a module `drgn` lies on disk that must not be taken."""
    (folder / "drgn.py").write_text("raise SystemExit('this is the drgn on disk')")
    return subprocess.run(
        [sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=False
    )


def test_drgn_is_kdive_itself(tmp_path: Path) -> None:
    result = python(
        "import sys, kdive.compat; kdive.compat.install(); kdive.compat.install()\n"
        "import drgn, kdive\n"
        "assert drgn is kdive and sys.modules['drgn'] is kdive\n"
        "print(kdive.__name__, kdive.__spec__.name)",
        tmp_path,
    )
    assert (result.stdout, result.stderr) == ("kdive kdive\n", "")


def test_names_without_a_counterpart_are_not_taken_from_disk(tmp_path: Path) -> None:
    result = python(
        "import kdive.compat; kdive.compat.install()\n"
        "for name in ('drgn.compat', 'drgn.nosuch'):\n"
        "    try:\n"
        "        __import__(name)\n"
        "    except ModuleNotFoundError as error:\n"
        "        print(error.name)",
        tmp_path,
    )
    assert (result.stdout, result.stderr) == ("drgn.compat\ndrgn.nosuch\n", "")


def test_without_install_nothing_changes(tmp_path: Path) -> None:
    result = python("import kdive.compat, drgn", tmp_path)
    assert result.stderr == "this is the drgn on disk\n"


def test_install_refuses_to_mix(tmp_path: Path) -> None:
    result = python(
        "import sys, types; sys.modules['drgn'] = types.ModuleType('drgn')\n"
        "import kdive.compat\n"
        "try:\n"
        "    kdive.compat.install()\n"
        "except ImportError as error:\n"
        "    print(error.name)",
        tmp_path,
    )
    assert (result.stdout, result.stderr) == ("drgn\n", "")
