"""How it is shown that something takes time."""

import contextlib
import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios
import time

import pytest

from kdive.cli.downloads import _Downloads
from kdive.cli.progress import Bar, Watched


class Clock:
    """Stands for the time."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 100.0
        monkeypatch.setattr("time.monotonic", lambda: self.now)


def test_what_is_slow_has_a_bar(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clock = Clock(monkeypatch)
    bar = Bar("a file")
    bar(1 << 20, 4 << 20)
    assert capsys.readouterr().err == ""
    clock.now += 1
    bar(2 << 20, 4 << 20)
    expected = f"\r[{'#' * 6}{' ' * 6}]  50 %  2.0 MiB of 4.0 MiB, 2.0 MiB/s  a file\x1b[K"
    assert capsys.readouterr().err == expected
    clock.now += 0.01
    bar(3 << 20, 4 << 20)
    assert capsys.readouterr().err == ""
    clock.now += 1
    bar(3 << 20, None)
    assert capsys.readouterr().err == "\r3.0 MiB, 1.5 MiB/s  a file\x1b[K"
    bar.clear()
    assert capsys.readouterr().err == "\r\x1b[K"
    bar.clear()
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("columns", [0, 20, 70, 80, 100, 200])
def test_a_bar_is_one_line_of_the_terminal(columns: int) -> None:
    """What is wrapped can't be drawn over: each time there would be another line."""
    path = "/usr/lib/debug/.build-id/6d/9e85cfdbbe7ffde9110924123f9a3b2af5425c.debug"
    code = (
        "import time; from kdive.cli.progress import Bar; bar = Bar(%r); bar(0, 3 << 27); "
        "time.sleep(0.6); bar(1 << 27, 3 << 27); bar(1 << 27, 3 << 27)"
    )
    lines = on_terminal([sys.executable, "-c", code % f"indexing {path}"], columns)
    [line] = [line.removesuffix("\x1b[K") for line in lines.split("\r") if line]
    width = columns or 80
    assert line.startswith("[####        ]  33" if width <= 80 else f"[{'#' * 10}{' ' * 20}]  33 %")
    if width < 170:
        assert len(line) < width
    if width >= 80:
        shown = line.rpartition("  ")[2]
        assert f"indexing {path}".endswith(shown.removeprefix("…"))
        assert shown.endswith(".debug")
    if width >= 170:
        assert line.endswith(f"MiB/s  indexing {path}")


def on_terminal(command: list[str], columns: int) -> str:
    """What a command shows on a terminal of this width."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    shown = b""
    with subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs):
        os.close(theirs)
        # Linux says EIO when nobody has the other end any more.
        with contextlib.suppress(OSError):
            while part := os.read(ours, 4096):
                shown += part
    os.close(ours)
    return shown.decode()


def test_each_download_has_a_bar_that_goes_with_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clock = Clock(monkeypatch)
    downloads = _Downloads()
    for url in ("http://server/one", "http://server/two"):
        downloads(url, 10, 20)
        clock.now += 1
        downloads(url, 15, 20)
        shown = capsys.readouterr().err
        assert "75 %" in shown
        assert url in shown
        downloads(url, 20, 20)
        assert capsys.readouterr().err == "\r\x1b[K"
    downloads("http://server/quick", 10, 20)
    downloads("http://server/quick", 20, 20)
    assert capsys.readouterr().err == ""


def test_what_runs_elsewhere_is_watched(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with Watched("not on a terminal", lambda: (1, 2)):
        pass
    assert capsys.readouterr().err == ""
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    with Watched("on a terminal", lambda: (1, 2)):
        time.sleep(0.8)
    shown = capsys.readouterr().err
    assert "50 %" in shown
    assert "on a terminal" in shown
    assert shown.endswith("\r\x1b[K")
    with Watched("over at once", lambda: (2, 2)):
        pass
    assert capsys.readouterr().err == ""


def test_the_rate_counts_from_when_it_began(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    start = time.monotonic()

    def read() -> tuple[int, int]:
        return (0, 0) if time.monotonic() - start < 2 else (40 << 20, 80 << 20)

    with Watched("late", read):
        time.sleep(3)
    rates = re.findall(r"MiB, ([0-9.]+) MiB/s", capsys.readouterr().err)
    # It took three seconds in all, of which one belongs to it.
    assert float(rates[0]) > 40
