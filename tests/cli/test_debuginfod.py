"""The command and a debuginfod server, on this machine."""

import os
import pty
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.conftest import PROGRAM
from tests.debuginfod_server import Server, serving
from tests.support import Kdive


@dataclass
class Stripped:
    """A process whose program was stripped, and the debug file that only the server has."""

    pid: int
    build_id: str
    debug_file: bytes

    @property
    def path(self) -> str:
        return f"/buildid/{self.build_id}/debuginfo"


@pytest.fixture(scope="module")
def stripped(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stripped]:
    folder = tmp_path_factory.mktemp("stripped")
    (folder / "program.c").write_text(PROGRAM)
    command = ["gcc", "-g", "-gz=none", "-Wl,--build-id", "program.c", "-o", "program"]
    subprocess.run(command, cwd=folder, check=True)
    subprocess.run(["objcopy", "--only-keep-debug", "program", "debug"], cwd=folder, check=True)
    subprocess.run(["strip", "program"], cwd=folder, check=True)
    notes = subprocess.run(
        ["readelf", "-n", "program"], cwd=folder, capture_output=True, text=True, check=True
    )
    build_id = notes.stdout.split("Build ID: ")[1].split()[0]
    with subprocess.Popen([folder / "program"], stdout=subprocess.PIPE) as running:
        assert running.stdout is not None
        assert running.stdout.readline() == b"ready\n"
        # Behind its end an ELF file may have anything: this makes the download a long one.
        debug_file = (folder / "debug").read_bytes() + bytes(2_000_000)
        yield Stripped(running.pid, build_id, debug_file)
        running.kill()


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as server:
        yield server


@pytest.fixture
def env(server: Server, tmp_path: Path) -> dict[str, str]:
    return {
        "DEBUGINFOD_URLS": server.url,
        "DEBUGINFOD_CACHE_PATH": str(tmp_path / "debuginfod"),
        "KDIVE_CACHE": str(tmp_path / "cache"),
    }


def kept(env: dict[str, str], stripped: Stripped) -> list[str]:
    """What the cache has of the program."""
    folder = Path(env["DEBUGINFOD_CACHE_PATH"]) / stripped.build_id
    return [f"{path.name} {path.stat().st_size}" for path in folder.glob("*")]


def test_a_debug_file_is_downloaded_once(
    kdive: Kdive, stripped: Stripped, server: Server, env: dict[str, str]
) -> None:
    server.files[stripped.path] = stripped.debug_file
    for _ in range(2):
        result = kdive("-p", stripped.pid, "-e", 'prog["answer"].value_()', env=env)
        assert (result.stdout, result.returncode) == ("42\n", 0)
    assert server.asked.count(stripped.path) == 1
    assert kept(env, stripped) == [f"debuginfo {len(stripped.debug_file)}"]


def test_what_no_server_has_is_said_and_asked_for_once(
    kdive: Kdive, stripped: Stripped, server: Server, env: dict[str, str]
) -> None:
    for _ in range(2):
        result = kdive("-p", stripped.pid, "-e", '"answer" in prog', env=env)
        assert (result.stdout, result.returncode) == ("False\n", 0)
        assert re.search(r"^kdive: .*no symbols found for .*program", result.stderr, re.M)
    assert server.asked.count(stripped.path) == 1
    assert kept(env, stripped) == ["debuginfo 0"]


def test_a_silent_server_is_not_waited_for_long(
    kdive: Kdive, stripped: Stripped, server: Server, env: dict[str, str]
) -> None:
    server.silence_s = 600
    env["DEBUGINFOD_TIMEOUT"] = "1"
    result = kdive("-p", stripped.pid, "-e", "1 + 1", env=env)
    assert (result.stdout, result.returncode) == ("2\n", 0)
    assert len(server.asked) == 1
    assert re.search(rf"{server.url}.*timed out", result.stderr)
    assert kept(env, stripped) == []


def test_an_interrupted_download_leaves_nothing_and_the_command_goes_on(
    stripped: Stripped, server: Server, env: dict[str, str]
) -> None:
    server.files[stripped.path] = stripped.debug_file
    server.pause_s = 0.5
    # Who starts the tests in the background of a shell has SIGINT ignored, which is inherited.
    command = ["env", "--default-signal=INT", sys.executable, "-m", "kdive"]
    command += ["-p", str(stripped.pid), "-e", "1 + 1"]
    with subprocess.Popen(
        command,
        env={**os.environ, **env},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as running:
        wait_for(lambda: bool(kept(env, stripped)))
        running.send_signal(signal.SIGINT)
        output, errors = running.communicate(timeout=60)
    assert "the download of debug files was interrupted" in errors
    assert (output, running.returncode) == ("2\n", 0)
    assert kept(env, stripped) == []


def test_a_slow_download_has_a_bar_on_a_terminal(
    stripped: Stripped, server: Server, env: dict[str, str]
) -> None:
    server.files[stripped.path] = stripped.debug_file
    server.pause_s = 0.1
    code = 'print(prog["answer"].value_())'
    shown = on_terminal("-p", str(stripped.pid), "-e", code, env=env)
    bars = re.findall(r"\[(#*) *\] +(\d+) %  [\d.]+ [KM]iB of 1.9 MiB", shown)
    assert len(bars) > 3
    percents = [int(percent) for _, percent in bars]
    assert percents == sorted(percents)
    assert [len(marks) for marks, _ in bars] == sorted(len(marks) for marks, _ in bars)
    # As much of the end as fits.
    ends = re.findall(r"iB/s  …(\S+)\x1b", shown)
    assert all((server.url + stripped.path).endswith(end) for end in ends)
    assert ends[0].endswith("/debuginfo")
    # The bar is gone when something else is written.
    assert re.search(r"\r\x1b\[K[^#]*42\r\n$", shown)


def on_terminal(*arguments: str, env: dict[str, str]) -> str:
    """Run the command on a terminal, and return what is written there."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.execve(
            sys.executable,
            [sys.executable, "-m", "kdive", *arguments],
            {**os.environ, **env, "TERM": "xterm"},
        )
    shown = b""
    try:
        while part := os.read(terminal, 1 << 16):
            shown += part
    except OSError:
        pass  # Linux says so that nobody has the terminal open any more
    os.close(terminal)
    assert os.waitpid(pid, 0)[1] == 0
    return shown.decode()


def wait_for(is_so: Callable[[], bool]) -> None:
    """Wait until something is so, at most a minute."""
    end = time.monotonic() + 60
    while not is_so():
        assert time.monotonic() < end
        time.sleep(0.05)
