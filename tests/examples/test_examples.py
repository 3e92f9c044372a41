"""The scripts in examples/ print what the guest itself said."""

from pathlib import Path

import pytest

import lab
from tests.support import Kdive

pytestmark = pytest.mark.lab

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture
def lines(kdive: Kdive, idle: lab.Target, request: pytest.FixtureRequest) -> list[str]:
    script, *arguments = request.param
    result = kdive(
        *("-c", idle.dumps["elf"], "-s", idle.vmlinux, "--main-symbols"),
        *(EXAMPLES / script, *arguments),
    )
    assert (result.stderr, result.returncode) == ("", 0)
    return result.stdout.splitlines()[1:]


@pytest.mark.parametrize("lines", [("tasks.py",)], indirect=True)
def test_tasks(lines: list[str], idle: lab.Target) -> None:
    printed = {tuple(line.split(maxsplit=3)) for line in lines}
    for row in idle.stable_tasks:
        name = f"[{row['comm']}]" if row["kernel_thread"] else row["comm"]
        assert (str(row["pid"]), str(row["tgid"]), row["state"], name) in printed


@pytest.mark.parametrize("lines", [("modules.py",)], indirect=True)
def test_modules(lines: list[str], idle: lab.Target) -> None:
    printed = [line.split() for line in lines]
    assert printed == [
        [
            row["name"],
            hex(row["address"]),
            str(row["size"]),
            ",".join(row["users"]) or "-",
        ]
        for row in idle.truth["before"]["modules"]
    ]


@pytest.mark.parametrize("lines", [("open_files.py", "1")], indirect=True)
def test_open_files(lines: list[str], idle: lab.Target) -> None:
    printed = {line.split()[0]: line.split()[2] for line in lines}
    init = next(row for row in idle.truth["before"]["processes"] if row["pid"] == 1)
    assert printed == init["files"]


@pytest.mark.parametrize("lines", [("stacks.py",)], indirect=True)
def test_stacks(lines: list[str], idle: lab.Target) -> None:
    # The first line was taken off by the fixture: it begins the most frequent stack.
    text = "\n".join(lines)
    assert "worker_thread (kernel/workqueue.c:" in text
    groups = [line for line in lines if " of " in line and line.split()[0].isdigit()]
    counts = [int(group.split()[0]) for group in groups]
    assert counts == sorted(counts, reverse=True)
    total = int(groups[0].split()[2].rstrip(":"))
    assert total - sum(counts) >= counts[0]
    (sleeper,) = (row for row in idle.stable_tasks if row["pid"] == 1)
    assert f"{sleeper['comm']}[1]" in text
