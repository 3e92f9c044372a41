"""The debuggers that stacks are compared with."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import lab
from lab import peers

ROOT = Path(__file__).parents[2]
PROBE = Path(__file__).with_name("probe.py")
# Made by tools/setup.sh: drgn is never installed beside kdive.
DRGN_PYTHON = ROOT / ".venv-drgn/bin/python"

Facts = dict[str, Any]


@pytest.fixture(scope="session")
def ask() -> Callable[[str, lab.Target], Facts]:
    """Return what kdive or drgn says of all stacks of a target; see `probe.py`."""
    pythons = {"kdive": Path(sys.executable), "drgn": DRGN_PYTHON}
    answers: dict[tuple[str, Path], Facts] = {}

    def answer(tool: str, target: lab.Target) -> Facts:
        key = (tool, target.directory)
        if key not in answers:
            dump = next(iter(target.dumps.values()))
            files = (dump, target.vmlinux, *target.modules.values())
            command: list[str | Path] = [pythons[tool], PROBE, tool, *files]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stderr
            answers[key] = json.loads(done.stdout)
        return answers[key]

    return answer


@pytest.fixture(scope="session")
def crash() -> Callable[[lab.Target, str], str]:
    """Return what crash prints for commands on a target."""
    program = peers.crash()

    def answer(target: lab.Target, commands: str) -> str:
        dump = next(iter(target.dumps.values()))
        done = subprocess.run(
            [*program, "-s", target.vmlinux, dump],
            input=f"{commands}\nquit\n",
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout

    return answer
