"""Plug-ins: where they come from, when they are called, and what becomes of those that fail."""

import os
import subprocess
import sys
from pathlib import Path

OPEN = """
import kdive.compat

kdive.compat.install()
import os
import drgn

prog = drgn.Program()
print("made")
prog.set_pid(os.getpid())
"""
HOOK = """
def drgn_prog_set(prog):
    print({name!r}, prog.flags)

drgn_prog_set.drgn_priority = {priority}
"""


def output(code: str, path: Path, **variables: str) -> tuple[list[str], str]:
    """The lines that code prints, and its messages."""
    search = os.pathsep.join((str(Path(__file__).parents[1]), str(path)))
    result = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"PYTHONPATH": search, **variables},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return result.stdout.splitlines(), result.stderr


def plugin(path: Path, name: str, priority: int = 50) -> Path:
    file = path / f"{name}.py"
    file.write_text(HOOK.format(name=name, priority=priority))
    return file


def install(path: Path, name: str, module: str) -> None:
    """Make a directory that says what an installed package would."""
    package = path / f"{name}-1.0.dist-info"
    package.mkdir()
    (package / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (package / "entry_points.txt").write_text(f"[drgn.plugins]\n{name} = {module}\n")


def test_listed_plugins_are_called_by_priority(tmp_path: Path) -> None:
    late, early = plugin(tmp_path, "late"), plugin(tmp_path, "early", 10)
    lines, _ = output(OPEN, tmp_path, DRGN_PLUGINS=f"a={late},b={early},c=late")
    flags = "ProgramFlags.IS_LIVE|IS_LOCAL"
    assert lines == ["made", f"early {flags}", f"late {flags}", f"late {flags}"]


def test_plugins_of_packages(tmp_path: Path) -> None:
    for name in ("one", "two"):
        plugin(tmp_path, f"{name}_module")
        install(tmp_path, name, f"{name}_module")
    lines, _ = output(OPEN, tmp_path)
    assert sorted(line.split()[0] for line in lines) == ["made", "one_module", "two_module"]
    lines, _ = output(OPEN, tmp_path, DRGN_DISABLE_PLUGINS="o*,other")
    assert [line.split()[0] for line in lines] == ["made", "two_module"]
    lines, _ = output(OPEN, tmp_path, DRGN_DISABLE_PLUGINS="*", DRGN_PLUGINS="one")
    assert [line.split()[0] for line in lines] == ["made", "one_module"]


def test_plugins_that_fail_are_passed_over(tmp_path: Path) -> None:
    bad = tmp_path / "bad.py"
    bad.write_text("def drgn_prog_set(prog):\n    1 / 0\n")
    good = plugin(tmp_path, "good")
    listed = f"bad={bad},missing=/nonexistent.py,nowhere,good={good}"
    lines, messages = output(OPEN, tmp_path, DRGN_PLUGINS=listed)
    assert [line.split()[0] for line in lines] == ["made", "good"]
    assert "the plug-in bad failed in drgn_prog_set()" in messages
    assert "ZeroDivisionError" in messages
    for name in ("missing", "nowhere"):
        assert f"the plug-in {name} can't be loaded" in messages


def test_without_the_names_of_drgn_there_are_no_plugins(tmp_path: Path) -> None:
    code = "import kdive, os; kdive.Program().set_pid(os.getpid()); print('set')"
    lines, _ = output(code, tmp_path, DRGN_PLUGINS=f"a={plugin(tmp_path, 'a')}")
    assert lines == ["set"]
