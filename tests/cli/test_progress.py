"""How it is shown that something takes time."""

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
    expected = f"\r[{'#' * 15}{' ' * 15}]  50 %  2.0 MiB of 4.0 MiB, 2.0 MiB/s  a file\x1b[K"
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
