"""`kdive demo`: what it shows of the sample, and that what it says to type works."""

import fcntl
import os
import pty
import re
import shlex
import struct
import subprocess
import sys
import termios
from pathlib import Path

import pytest

from kdive.cli import main
from kdive.sample import DUMP
from tests.support import Kdive


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What `kdive demo` prints where there is no terminal."""
    done = subprocess.run(
        [sys.executable, "-m", "kdive", "demo"],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path_factory.mktemp("empty"),
        timeout=120,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def section(text: str, title: str) -> list[str]:
    """The lines below a heading."""
    after = text[text.index(f"\n{title}") :].split("\n\n", 1)[0]
    return after.strip("\n").splitlines()[1:]


def test_the_tour_shows_the_machine(shown: str) -> None:
    machine = dict(re.split(r"  +", line, maxsplit=1) for line in section(shown, "THE MACHINE"))
    assert machine["CPUs online"] == "2 of 3"
    assert machine["tasks by state"] == "109 I:75 P:3 R:1 S:28 T:1 Z:1"
    assert machine["memory"] == "79.5 MiB"
    assert "Linux 6.1.0-56-amd64" in shown.splitlines()[0]


def test_the_tour_shows_tasks_a_stack_and_files(shown: str) -> None:
    rows = [line.split() for line in section(shown, "ITS PROCESSES")[1:-1]]
    assert {row[4]: (row[2], row[5]) for row in rows if "/" in row[4]} == {
        "indexer/listen": ("S", "do_epoll_wait"),
        "indexer/read": ("S", "pipe_read"),
        "indexer/merge": ("S", "futex_wait_queue"),
    }
    assert sorted(row[2] for row in rows if row[2] != "S") == ["R", "T", "Z"]
    stack = section(shown, "A STACK")
    assert stack[0].startswith("#0  read_hpet+0x")
    assert stack[-1].startswith("#11 entry_SYSCALL_64_after_hwframe+0x")
    assert "/srv/data/index.db" in " ".join(section(shown, "THE OPEN FILES"))


def test_the_tour_shows_what_is_wrong(shown: str) -> None:
    text = " ".join(section(shown, "WHAT IS WRONG"))
    found = re.findall(r"(CRITICAL|WARNING|NOTICE) ([a-z-]+):", text)
    assert found == [("CRITICAL", "btrfs"), ("CRITICAL", "delayed-works"), ("WARNING", "memcg")]
    assert "still held under /dev/loop0" in text
    assert "2 delayed works will not run while CPU 2 is offline; 1 is overdue" in text
    assert "4 removed memory cgroups live on" in text


def test_every_command_of_the_tour_works(shown: str, kdive: Kdive, tmp_path: Path) -> None:
    (tmp_path / "SCRIPT.py").write_text("print(prog['init_task'].comm.string_())\n")
    lines = re.findall(r"kdive demo .+?(?=  +|$)", shown, re.MULTILINE)
    commands = [shlex.split(line)[1:] for line in lines]
    assert len(commands) == 16
    printed = {}
    for command in commands:
        done = kdive(*command, stdin="print('the prompt')\n")
        assert done.returncode in (0, 3), (command, done.stderr)
        assert done.stderr == "", command
        printed[command[-1]] = done.stdout
    assert printed["SCRIPT.py"] == "b'swapper/0'\n"
    assert printed["-i"] == "the prompt\n"
    assert printed["memcg-pages"].count("ZOMBIE") == 7
    assert printed['prog.type("struct timer_list")'].startswith("struct timer_list {\n")
    (total_vm,) = (text for code, text in printed.items() if code.endswith("total_vm"))
    assert re.fullmatch(r"\(unsigned long\)\d+\n", total_vm)


def test_the_path_is_the_dumps(kdive: Kdive) -> None:
    assert kdive("demo", "--path").stdout == f"{DUMP}\n"


def test_what_follows_is_checked_as_ever(kdive: Kdive) -> None:
    done = kdive("demo", "nosuch.py")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "kdive: cannot read the script nosuch.py: No such file or directory\n"


def test_a_missing_dump_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("kdive.cli.demo.DUMP", "/nowhere/sample")
    assert main(["demo"]) == 1
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err == (
        "kdive: the dump of the demo is missing: /nowhere/sample; install kdive again\n"
    )


def on_a_terminal(columns: int, environment: dict[str, str]) -> str:
    """What `kdive demo` prints on a terminal of that width."""
    leader, follower = pty.openpty()
    fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
    running = subprocess.Popen(
        [sys.executable, "-m", "kdive", "demo"],
        stdin=follower,
        stdout=follower,
        stderr=follower,
        env={**os.environ, "TERM": "xterm", **environment},
    )
    os.close(follower)
    printed = b""
    try:
        while block := os.read(leader, 4096):
            printed += block
    except OSError:  # how Linux says that the other end was closed
        pass
    finally:
        os.close(leader)
    assert running.wait(timeout=60) == 0
    return printed.decode().replace("\r\n", "\n")


def test_a_narrow_terminal_gets_narrow_lines(shown: str) -> None:
    text = on_a_terminal(60, {})
    assert "\x1b[1mTHE MACHINE\x1b[0m" in text
    plain = re.sub(r"\x1b\[\d*m", "", text)
    long = [line for line in plain.splitlines() if len(line) > 60]
    # Commands are not cut: they are there to be copied.
    assert all(line.startswith("kdive demo -e ") for line in long), long
    assert "\x1b" not in shown
    assert "\x1b" not in on_a_terminal(100, {"NO_COLOR": "1"})
