"""Scripts as kernel engineers write them for drgn run unmodified and print the same.

`scripts/` holds them: each uses only what drgn 0.3 documents.
"""

import json
import subprocess
import sys
from pathlib import Path

import pytest

import lab
from tests.peer.peer import peer_python

pytestmark = pytest.mark.lab

HERE = Path(__file__).parent
SCRIPTS = sorted(HERE.glob("scripts/*.py"))
MODULES = "lib/modules"


def outputs(python: str | Path, tool: str, target: lab.Target, form: str) -> dict[str, str]:
    """What each script prints on a dump."""
    modules = sorted((target.vmlinux.parents[1] / MODULES / target.kernel).rglob("*.ko"))
    done = subprocess.run(
        [python, HERE / "run_scripts.py", tool, target.dumps[form], *SCRIPTS],
        input=json.dumps([str(file) for file in (target.vmlinux, *modules)]),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        timeout=600,
    )
    printed: dict[str, str] = json.loads(done.stdout)
    return printed


def compare(target: lab.Target, form: str) -> None:
    assert len(SCRIPTS) >= 12
    theirs = outputs(peer_python(), "drgn", target, form)
    ours = outputs(sys.executable, "kdive", target, form)
    for script in SCRIPTS:
        assert theirs[script.stem].count("\n") >= 3, script
        assert ours[script.stem] == theirs[script.stem], script


def test_idle_kernel(idle: lab.Target) -> None:
    compare(idle, "elf")


@pytest.mark.scenario
@pytest.mark.parametrize(("name", "form"), [("busy", "elf"), ("panic", "vmcore")])
def test_other_kernels(name: str, form: str) -> None:
    compare(lab.target(name), form)
