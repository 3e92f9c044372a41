"""What only root may read is opened with sudo."""

import os
import sys
from pathlib import Path

import pytest

from kdive.cli.privileged import open_as_root


def put_sudo(folder: Path, script: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put a program called sudo first on the path."""
    sudo = folder / "sudo"
    sudo.write_text(f"#!/bin/sh\n{script}\n")
    sudo.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")


def test_the_open_file_is_passed_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put_sudo(tmp_path, f'echo "$1" > {tmp_path}/asked; exec "$@"', monkeypatch)
    (tmp_path / "secret").write_bytes(b"what only root may read")
    descriptor = open_as_root(str(tmp_path / "secret"))
    assert descriptor is not None
    with open(descriptor, "rb") as file:
        assert file.read() == b"what only root may read"
        assert Path(f"/proc/self/fd/{descriptor}").readlink() == tmp_path / "secret"
    assert (tmp_path / "asked").read_text().strip() == sys.executable


@pytest.mark.parametrize("script", ["exit 1", "exit 0"])
def test_sudo_that_refuses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    put_sudo(tmp_path, script, monkeypatch)
    assert open_as_root("/proc/kcore") is None


def test_no_sudo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert open_as_root("/proc/kcore") is None
