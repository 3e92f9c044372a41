"""The command `kdive lens`."""

import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

import lab
from tests.support import Kdive

needs_dump = pytest.mark.lab
needs_scenario = pytest.mark.scenario


def target_flags(name: str) -> list[str]:
    target = lab.target(name)
    flags = ["-c", str(target.dumps["elf"]), "-s", str(target.vmlinux)]
    for path in target.modules.values():
        flags += ["-s", str(path)]
    return [*flags, "--main-symbols"]


def test_list_says_what_there_is(kdive: Kdive) -> None:
    result = kdive("lens", "--list")
    assert result.returncode == 0
    assert "\nrds " in result.stdout
    assert "--state: list only connections in a state" in result.stdout
    assert "memcg-pages" in result.stdout
    assert "(with --all or by name only)" in result.stdout


def test_help_has_the_options_of_what_is_named(kdive: Kdive) -> None:
    everything = kdive("lens", "--help").stdout
    assert "--time-limit SECONDS" in everything
    assert "--max-pages" not in everything
    assert "--max-pages MAX_PAGES" in kdive("lens", "memcg-pages", "--help").stdout
    assert "lens (runs diagnoses" in " ".join(kdive("--help").stdout.split())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nonsense"], "kdive: there is no diagnosis 'nonsense'; kdive lens --list shows"),
        (["rds", "--all"], "kdive: name the diagnoses or give --all, not both"),
        (["-p", "1"], "kdive: kdive lens is about kernels, not processes; give a dump with -c"),
        (["-c", "/nonexistent"], "kdive: cannot open /nonexistent"),
    ],
)
def test_mistakes_get_one_line_and_status_1(
    kdive: Kdive, arguments: list[str], message: str
) -> None:
    result = kdive("lens", *arguments)
    assert result.returncode == 1
    assert result.stderr.startswith(message)
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize(
    "arguments",
    [["--time-limit", "0"], ["--jobs", "-1"], ["--severity", "bad"], ["rds", "--max-pages", "1"]],
)
def test_wrong_flags_get_status_2(kdive: Kdive, arguments: list[str]) -> None:
    assert kdive("lens", *arguments).returncode == 2


@needs_dump
def test_a_healthy_dump_is_clean(kdive: Kdive) -> None:
    result = kdive("lens", *target_flags("idle"))
    assert (result.returncode, result.stderr) == (0, "")
    lines = result.stdout.splitlines()
    assert lines[0] == f"Linux 6.1.0-56-amd64, {lab.target('idle').dumps['elf']}"
    assert lines[1] == "0 findings; 17 diagnoses: 15 ok, 2 skipped"
    assert "ok         sys            nothing found; checked 82 tasks" in lines
    assert "memcg-pages" not in result.stdout
    assert "Tasks\n" not in result.stdout
    assert "Tasks\n" in kdive("lens", *target_flags("idle"), "--full").stdout


@needs_dump
def test_named_diagnoses_show_their_tables(kdive: Kdive) -> None:
    result = kdive("lens", "tasks", "--state", "T", *target_flags("idle"), "sys")
    assert result.returncode == 0
    assert result.stdout.index("tasks: The tasks") < result.stdout.index("sys: The machine")
    assert "RELEASE        : 6.1.0-56-amd64" in result.stdout
    table = result.stdout.split("Tasks\n")[1].splitlines()
    stopped = lab.target("idle").truth["facts"]["stopped"]
    assert table[0].split()[:3] == ["TID", "PID", "PPID"]
    assert table[1].split()[0] == str(stopped)
    assert table[2] == ""


@needs_dump
def test_all_runs_those_that_take_long(kdive: Kdive) -> None:
    content = json.loads(kdive("lens", "--all", "--json", *target_flags("idle")).stdout)
    assert content["findings"] == []
    statuses = {d["name"]: d["status"] for d in content["diagnoses"]}
    assert statuses["memcg-pages"] == "ok"
    assert statuses["rds"] == "skipped"
    assert len(statuses) == 18


@needs_dump
def test_a_limit_of_time_fails_what_takes_longer(kdive: Kdive) -> None:
    result = kdive("lens", "stacks", "sys", "--time-limit", "0.001", *target_flags("idle"))
    assert result.returncode == 1
    assert "TIMED OUT  stacks  it was stopped after 0.001 s" in result.stdout


@needs_dump
@needs_scenario
def test_findings_come_first_and_give_status_3(kdive: Kdive, tmp_path: Path) -> None:
    flags = target_flags("memcg-zombies")
    folder = tmp_path / "report"
    result = kdive("lens", *flags, "--output", folder)
    assert result.returncode == 3
    lines = result.stdout.splitlines()
    assert lines[1].startswith("1 finding; 17 diagnoses: ")
    assert lines[3].startswith("WARNING memcg: 9 removed memory cgroups live on and hold ")
    (more,) = [line for line in lines if line.startswith("  more: ")]
    assert more == f"  more: kdive lens {' '.join(flags)} memcg-pages"
    assert (folder / "index.txt").read_text() == result.stdout
    index = json.loads((folder / "index.json").read_text())
    assert [finding["diagnosis"] for finding in index["findings"]] == ["memcg"]
    table = json.loads((folder / "memcg.json").read_text())["tables"][1]
    assert table["name"] == "MemoryCgroup"
    assert len(table["rows"]) == 9
    # What the finding says shows more does: it is a command.
    shown = kdive(*more.removeprefix("  more: kdive ").split())
    assert shown.returncode == 0
    assert "/mnt/disk/file5" in shown.stdout
    # Only findings that are bad enough count.
    assert kdive("lens", *flags, "--severity", "critical").returncode == 0


@needs_dump
def test_a_terminal_sees_how_far_it_is() -> None:
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "kdive", "lens", *target_flags("idle")]
    running = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=theirs, text=True)
    os.close(theirs)
    shown = b""
    while True:
        try:
            content = os.read(ours, 4096)
        except OSError:  # the other end is closed
            break
        if not content:
            break
        shown += content
    output, _ = running.communicate()
    os.close(ours)
    assert running.returncode == 0
    assert output.startswith("Linux 6.1")
    assert b"0 of 17 diagnoses done; blocked" in shown
    assert b"17 of 17 diagnoses done" in shown
    assert shown.endswith(b"\r\x1b[K")
