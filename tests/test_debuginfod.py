"""The debuginfod client: what it decides, and what it does with a server of this machine."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

import kdive
from kdive.debuginfod import Client, FileKind, Finder, Settings, report_to
from tests.debuginfod_server import Server, serving

BUILD_ID = bytes.fromhex("0123456789abcdef")


def test_settings_are_those_of_debuginfod_client(tmp_path: Path) -> None:
    environment = {"HOME": str(tmp_path)}
    assert Settings.from_environment(environment) == Settings(
        urls=(), cache=tmp_path / ".cache/debuginfod_client", timeout_s=90, miss_s=600
    )
    environment["XDG_CACHE_HOME"] = "/xdg"
    assert Settings.from_environment(environment).cache == Path("/xdg/debuginfod_client")
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache/cache_miss_s").write_text("7\n")
    environment |= {
        "DEBUGINFOD_URLS": "https://one.example/ http://two.example",
        "DEBUGINFOD_CACHE_PATH": str(tmp_path / "cache"),
        "DEBUGINFOD_TIMEOUT": "5",
        "DEBUGINFOD_MAXTIME": "60",
        "DEBUGINFOD_MAXSIZE": "1000",
    }
    assert Settings.from_environment(environment) == Settings(
        ("https://one.example/", "http://two.example"),
        tmp_path / "cache",
        timeout_s=5,
        max_time_s=60,
        max_size=1000,
        miss_s=7,
    )
    old = tmp_path / ".debuginfod_client_cache"
    old.mkdir()
    assert Settings.from_environment({"HOME": str(tmp_path)}).cache == old


def test_files_are_asked_for_by_build_id() -> None:
    client = Client(Settings(("https://one.example/", "file:///etc", "http://two"), Path("/cache")))
    assert client.urls(BUILD_ID, FileKind.DEBUGINFO) == [
        "https://one.example/buildid/0123456789abcdef/debuginfo",
        "http://two/buildid/0123456789abcdef/debuginfo",
    ]
    assert client.path(BUILD_ID, FileKind.EXECUTABLE) == Path("/cache/0123456789abcdef/executable")


def test_what_no_server_has_is_not_asked_for_again_soon(tmp_path: Path) -> None:
    client = Client(Settings(cache=tmp_path, miss_s=10))
    path = tmp_path / "miss"
    assert not client.is_known_missing(path, 1000)
    path.write_bytes(b"")
    os.utime(path, (995, 995))
    assert client.is_known_missing(path, 1000)
    assert not client.is_known_missing(path, 1006)
    path.write_bytes(b"found")
    assert not client.is_known_missing(path, path.stat().st_mtime)


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as server:
        yield server


@pytest.fixture
def settings(server: Server, tmp_path: Path) -> Settings:
    return Settings((server.url,), tmp_path / "cache", timeout_s=20)


PATH = f"/buildid/{BUILD_ID.hex()}/debuginfo"


def kept(settings: Settings) -> dict[str, bytes]:
    """The files of the cache, with their contents."""
    files = (path for path in settings.cache.rglob("*") if path.is_file())
    return {str(path.relative_to(settings.cache)): path.read_bytes() for path in files}


def test_a_file_is_downloaded_once(server: Server, settings: Settings) -> None:
    server.files[PATH] = content = os.urandom(1_000_000)
    seen: list[tuple[str, int, int | None]] = []
    client = Client(settings, lambda *progress: seen.append(progress))
    for _ in range(2):
        path = client.fetch(BUILD_ID, FileKind.DEBUGINFO)
        assert path == settings.cache / BUILD_ID.hex() / "debuginfo"
        assert path.read_bytes() == content
    assert server.asked == [PATH]
    assert kept(settings) == {PATH.removeprefix("/buildid/"): content}
    assert [done for _, done, _ in seen] == sorted(done for _, done, _ in seen)
    assert {(what, total) for what, _, total in seen} == {(server.url + PATH, len(content))}
    assert seen[-1][1] == len(content)


def test_a_missing_file_is_asked_for_once(server: Server, settings: Settings) -> None:
    client = Client(settings)
    assert client.fetch(BUILD_ID, FileKind.DEBUGINFO) is None
    assert client.fetch(BUILD_ID, FileKind.DEBUGINFO) is None
    assert server.asked == [PATH]
    os.utime(settings.cache / BUILD_ID.hex() / "debuginfo", (0, 0))
    server.files[PATH] = b"new"
    assert client.fetch(BUILD_ID, FileKind.DEBUGINFO) is not None


def test_the_second_server_is_asked_for_what_the_first_lacks(
    server: Server, tmp_path: Path
) -> None:
    with serving() as first:
        server.files[PATH] = b"content"
        client = Client(Settings((first.url, server.url), tmp_path))
        path = client.fetch(BUILD_ID, FileKind.DEBUGINFO)
        assert path is not None
        assert path.read_bytes() == b"content"
        assert (first.asked, server.asked) == ([PATH], [PATH])


def test_a_silent_server_is_waited_for_once(
    server: Server, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    server.silence_s = 5
    client = Client(Settings((server.url,), tmp_path, timeout_s=0.2))
    for _ in range(3):
        assert client.fetch(BUILD_ID, FileKind.DEBUGINFO) is None
    assert server.asked == [PATH]
    assert len(caplog.messages) == 1
    assert "timed out" in caplog.messages[0]
    assert kept(Settings(cache=tmp_path)) == {}


def test_what_is_cut_off_or_too_large_is_not_kept(
    server: Server, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    server.files[PATH] = b"x" * 1000
    server.announced_more = 10
    assert Client(settings).fetch(BUILD_ID, FileKind.DEBUGINFO) is None
    server.announced_more = 0
    small = Settings(settings.urls, settings.cache, max_size=999)
    assert Client(small).fetch(BUILD_ID, FileKind.DEBUGINFO) is None
    assert kept(settings) == {}
    assert "1000 of 1010 bytes" in caplog.text
    assert "1000 bytes, more than 999" in caplog.text


def test_an_interrupted_download_leaves_nothing(server: Server, settings: Settings) -> None:
    server.files[PATH] = bytes(1_000_000)

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Client(settings, interrupt).fetch(BUILD_ID, FileKind.DEBUGINFO)
    assert kept(settings) == {}

    prog = kdive.Program()
    module = prog.extra_module("program", create=True)
    module.build_id = BUILD_ID
    Finder(Client(settings, interrupt))([module])
    assert module.debug_file_status == kdive.ModuleFileStatus.WANT


@pytest.fixture
def served(
    server: Server, settings: Settings, executable: Path, monkeypatch: pytest.MonkeyPatch
) -> str:
    """The build ID of a program that the server of the environment has."""
    notes = subprocess.run(
        ["readelf", "-n", executable], capture_output=True, text=True, check=True
    )
    build_id = notes.stdout.split("Build ID: ")[1].split()[0]
    for kind in FileKind:
        server.files[f"/buildid/{build_id}/{kind.value}"] = executable.read_bytes()
    monkeypatch.setenv("DEBUGINFOD_URLS", server.url)
    monkeypatch.setenv("DEBUGINFOD_CACHE_PATH", str(settings.cache))
    return build_id


def extra_module(prog: kdive.Program, build_id: str) -> kdive.Module:
    module = prog.extra_module("program", create=True)
    module.build_id = bytes.fromhex(build_id)
    return module


def test_a_module_gets_its_file(settings: Settings, served: str) -> None:
    prog = kdive.Program()
    assert prog.registered_debug_info_finders() == {"standard", "debuginfod"}
    assert prog.enabled_debug_info_finders() == ["standard", "debuginfod"]
    with pytest.raises(ValueError, match="duplicate module debug info finder name"):
        prog.register_debug_info_finder("debuginfod", print)
    module = extra_module(prog, served)
    seen: list[tuple[str, int, int | None]] = []
    report_to(lambda *progress: seen.append(progress))
    prog.load_module_debug_info(module)
    report_to(None)
    assert module.debug_file_status == kdive.ModuleFileStatus.HAVE
    assert module.debug_file_path == str(settings.cache / served / "debuginfo")
    assert kdive.sizeof(prog.type("struct point")) == 16
    assert {url.rpartition("/")[2] for url, _, _ in seen} == {"debuginfo"}


@pytest.mark.parametrize("is_enabled", [True, False])
def test_scripts_choose_whether_servers_are_asked(
    server: Server, served: str, is_enabled: bool
) -> None:
    prog = kdive.Program()
    finders = ["standard", "debuginfod"] if is_enabled else ["standard"]
    prog.set_enabled_debug_info_finders(finders)
    assert prog.enabled_debug_info_finders() == finders
    module = extra_module(prog, served)
    prog.load_module_debug_info(module)
    assert module.wants_debug_file() is not is_enabled
    assert bool(server.asked) is is_enabled


def test_nobody_is_asked_without_servers(
    server: Server, served: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DEBUGINFOD_URLS", "")
    prog = kdive.Program()
    module = extra_module(prog, served)
    prog.load_module_debug_info(module)
    assert module.wants_debug_file()
    assert server.asked == []
