"""How downloads are shown."""

import pytest

from kdive.cli.downloads import DownloadBar


def test_a_slow_download_has_a_bar(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now = 100.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    bar = DownloadBar()
    url = "http://server/buildid/01/debuginfo"
    bar(url, 1 << 20, 4 << 20)
    assert capsys.readouterr().err == ""
    now += 1
    bar(url, 2 << 20, 4 << 20)
    shown = capsys.readouterr().err
    assert shown.startswith("\r[" + "#" * 15 + " " * 15 + "]  50 %")
    assert url in shown
    now += 0.01
    bar(url, 3 << 20, 4 << 20)
    assert capsys.readouterr().err == ""
    bar(url, 4 << 20, 4 << 20)
    assert capsys.readouterr().err == "\r\x1b[K"


def test_a_quick_download_is_not_shown(capsys: pytest.CaptureFixture[str]) -> None:
    bar = DownloadBar()
    bar("http://server/file", 10, 20)
    bar("http://server/file", 20, 20)
    assert capsys.readouterr().err == ""
