"""The lab's parts that need no guest."""

import json
import os
import socket
import subprocess
import threading
import time
from pathlib import Path

import pytest

from lab import LabError, cache, cleaning, commands, initramfs, kernels, scenario
from lab.qmp import Qmp


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("KDIVE_LAB_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_the_cache_is_where_the_environment_says(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert cache.root() == tmp_path / "cache"
    monkeypatch.delenv("KDIVE_LAB_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")
    assert cache.root() == Path("/somewhere/kdive-lab")


def test_a_cached_directory_is_made_once_by_concurrent_runs(own_cache: Path) -> None:
    made: list[int] = []

    def make(directory: Path) -> None:
        made.append(1)
        time.sleep(0.1)
        (directory / "file").write_text("complete")

    path = own_cache / "thing"
    seen: list[str] = []
    threads = [
        threading.Thread(
            target=lambda: seen.append((cache.directory(path, make) / "file").read_text())
        )
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert made == [1]
    assert seen == ["complete"] * 4


def test_a_directory_that_could_not_be_made_leaves_nothing(own_cache: Path) -> None:
    def make(directory: Path) -> None:
        (directory / "half").write_text("half")
        raise LabError("no more")

    with pytest.raises(LabError, match=r"no more"):
        cache.directory(own_cache / "thing", make)
    assert [path.name for path in own_cache.iterdir()] == [".thing.lock"]


def test_a_lock_held_by_another_process_times_out(own_cache: Path) -> None:
    own_cache.mkdir()
    held = subprocess.Popen(
        [
            "flock",
            "--no-fork",
            str(own_cache / ".thing.lock"),
            "sh",
            "-c",
            "echo held; exec sleep 60",
        ],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert held.stdout is not None
        assert held.stdout.readline() == "held\n"
        with (
            pytest.raises(LabError, match=r"\.thing\.lock: held by another run"),
            cache.lock(own_cache / "thing", timeout_s=0.3),
        ):
            pass
    finally:
        held.kill()
        held.communicate()


def test_a_program_that_fails_is_named_with_its_message() -> None:
    with pytest.raises(LabError, match=r"^ls /nonexistent: exit status 2: .*No such file"):
        commands.run(["ls", "/nonexistent"], timeout_s=10)


def test_a_program_that_hangs_is_ended() -> None:
    start = time.monotonic()
    with pytest.raises(LabError, match=r"^sleep 60: not finished after 0 s$"):
        commands.run(["sleep", "60"], timeout_s=0.2)
    assert time.monotonic() - start < 30


def test_missing_programs_are_named_by_their_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(commands, "find", lambda program: None if program == "kexec" else program)
    with pytest.raises(
        LabError,
        match=r"^missing packages: kexec-tools; as root, run: apt-get install .*kexec-tools$",
    ):
        commands.require(["kexec", "tar"])


def test_a_scenario_header_sets_its_fields() -> None:
    parsed = scenario.parse("x", '#: sentence = "S."\n#: memory_mib = 64\n#: dumps = []\necho hi\n')
    assert (parsed.name, parsed.sentence, parsed.memory_mib, parsed.cpus) == ("x", "S.", 64, 2)
    assert parsed.dumps == []
    assert parsed.script.endswith("echo hi\n")


@pytest.mark.parametrize(
    ("header", "complaint"),
    [
        ("#: sentence = ", "scenario x: its header is wrong: Invalid value"),
        ('#: sentence = "S."\n#: memory = 64\n', "unexpected keyword argument 'memory'"),
        ("echo hi\n", "missing 1 required positional argument: 'sentence'"),
    ],
)
def test_a_wrong_scenario_header_is_refused(header: str, complaint: str) -> None:
    with pytest.raises(LabError, match=complaint):
        scenario.parse("x", header)


def test_every_scenario_can_be_loaded_and_says_what_it_does() -> None:
    assert "idle" in scenario.names()
    for name in scenario.names():
        assert scenario.load(name).sentence.endswith("."), name


def test_a_changed_script_is_another_target() -> None:
    one = scenario.parse("x", '#: sentence = "S."\ntrue\n')
    other = scenario.parse("x", '#: sentence = "S."\nfalse\n')
    assert one.digest == scenario.parse("x", '#: sentence = "S."\ntrue\n').digest
    assert one.digest != other.digest


def test_unknown_names_are_answered_with_the_known_ones() -> None:
    with pytest.raises(LabError, match=r"no scenario 'nothing'; there are .*idle"):
        scenario.load("nothing")
    with pytest.raises(LabError, match=r"no kernel '2\.4-amd64'; there are .*6\.1-\{amd64,arm64\}"):
        kernels.get("2.4-amd64")


def test_the_initial_file_system_is_what_cpio_reads(tmp_path: Path) -> None:
    commands.require(["cpio"])
    content = bytes(range(256)) * 3 + b"odd"
    entries = [
        ("bin", 0o040755, b""),
        ("bin/tool", 0o100755, content),
        ("empty", 0o100644, b""),
    ]
    archive = initramfs.archive(entries)
    listed = subprocess.run(
        ["cpio", "-idv", "--quiet"], input=archive, cwd=tmp_path, capture_output=True, check=True
    )
    assert listed.stderr.decode().split() == ["bin", "bin/tool", "empty"]
    assert (tmp_path / "bin/tool").read_bytes() == content
    assert (tmp_path / "bin/tool").stat().st_mode == 0o100755
    assert (tmp_path / "empty").read_bytes() == b""


def fill(directory: Path, age_s: float = 0) -> Path:
    directory.mkdir(parents=True)
    (directory / "file").write_bytes(b"x" * 8192)
    then = time.time() - age_s
    os.utime(directory, (then, then))
    return directory


def test_cleaning_removes_what_is_outdated_and_nothing_else(own_cache: Path) -> None:
    targets, day_s = own_cache / "targets" / "6.1", 24 * 3600
    kept = [
        fill(targets / f"idle-{scenario.load('idle').digest}", age_s=day_s),
        fill(targets / "idle-0123456789ab.unfinished"),
        fill(own_cache / "runs" / "running"),
        fill(own_cache / "kernels" / "6.1-amd64", age_s=day_s),
        fill(own_cache / "not-the-labs"),
    ]
    removed = [
        fill(targets / "idle-0123456789ab"),
        fill(targets / "idle-ba9876543210.unfinished", age_s=day_s),
        fill(own_cache / "runs" / "interrupted", age_s=day_s),
        fill(own_cache / "failed" / "idle-20260101-000000"),
    ]
    assert cleaning.clean() == 8192 * len(removed)
    assert [path.exists() for path in kept] == [True] * len(kept)
    assert [path.exists() for path in removed] == [False] * len(removed)
    cleaning.clean(everything=True)
    assert [path.name for path in own_cache.iterdir()] == ["not-the-labs"]


class FakeMonitor(threading.Thread):
    """Answers each request with the next of the given lines."""

    def __init__(self, answers: list[str]) -> None:
        super().__init__(daemon=True)
        self.near, self._far = socket.socketpair()
        self._answers = answers
        self.requests: list[dict[str, object]] = []
        self.start()

    def run(self) -> None:
        with self._far, self._far.makefile("rw") as stream:
            stream.write('{"QMP": {}}\n')
            stream.flush()
            for answer in ['{"return": {}}', *self._answers]:
                self.requests.append(json.loads(stream.readline()))
                stream.write(answer + "\n")
                stream.flush()


def test_the_monitor_skips_events_and_returns_results() -> None:
    fake = FakeMonitor(['{"event": "STOP"}\n{"return": {"formats": ["elf"]}}'])
    monitor = Qmp(fake.near)
    assert monitor.execute("query", detail=True) == {"formats": ["elf"]}
    assert fake.requests == [
        {"execute": "qmp_capabilities"},
        {"execute": "query", "arguments": {"detail": True}},
    ]
    fake.near.close()


def test_the_monitors_errors_are_passed_on() -> None:
    fake = FakeMonitor(['{"error": {"class": "GenericError", "desc": "no space"}}'])
    monitor = Qmp(fake.near)
    with pytest.raises(LabError, match=r"^QEMU: dump: no space$"):
        monitor.execute("dump")
    fake.join()
    with pytest.raises(LabError, match="QEMU closed its monitor"):
        monitor.execute("dump")
    fake.near.close()
