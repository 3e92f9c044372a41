"""Debug files from debuginfod servers, as a finder of debug information.

Every program has the finder `debuginfod`, the last one to be asked, which is `find()`. It does
nothing unless `$DEBUGINFOD_URLS` is set. The environment variables and the cache are those of
elfutils' debuginfod-client, so what one of its users has downloaded the others need not. Nothing
here prints: whoever wants to show progress gives a function to `report_to()`.
"""

import contextlib
import enum
import functools
import http.client
import logging
import os
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import kdive

__all__ = ("Client", "FileKind", "Finder", "Progress", "Settings", "find", "report_to")

_logger = logging.getLogger("kdive")

_CHUNK_SIZE = 1 << 18
_DEFAULT_TIMEOUT_S = 90.0
_DEFAULT_MISS_S = 600.0

Progress = Callable[[str, int, int | None], None]
"""Is told what is downloaded, the number of bytes so far, and of all if that is known. A last call
has both numbers equal."""


class FileKind(enum.Enum):
    """What servers have of a build ID."""

    DEBUGINFO = "debuginfo"
    """The file with debug information."""
    EXECUTABLE = "executable"
    """The file that was loaded."""


@dataclass(frozen=True)
class Settings:
    """Where files come from and where they are kept."""

    urls: tuple[str, ...] = ()
    """The servers, in the order in which they are asked."""
    cache: Path = Path()
    """The folder of downloaded files."""
    timeout_s: float = _DEFAULT_TIMEOUT_S
    """For how long a server may be silent."""
    max_time_s: float | None = None
    """How long one download may take."""
    max_size: int | None = None
    """How many bytes one file may have."""
    miss_s: float = _DEFAULT_MISS_S
    """For how long a file that no server has is not asked for again."""

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> "Settings":
        """The settings that `$DEBUGINFOD_URLS` and its like ask for."""

        def number(name: str) -> float | None:
            try:
                value = float(environment.get(name, ""))
            except ValueError:
                return None
            return value if value > 0 else None

        cache = _cache_folder(environment)
        max_size = number("DEBUGINFOD_MAXSIZE")
        return cls(
            urls=tuple(environment.get("DEBUGINFOD_URLS", "").split()),
            cache=cache,
            timeout_s=number("DEBUGINFOD_TIMEOUT") or _DEFAULT_TIMEOUT_S,
            max_time_s=number("DEBUGINFOD_MAXTIME"),
            max_size=None if max_size is None else int(max_size),
            miss_s=_read_number(cache / "cache_miss_s", _DEFAULT_MISS_S),
        )


def _cache_folder(environment: Mapping[str, str]) -> Path:
    if chosen := environment.get("DEBUGINFOD_CACHE_PATH"):
        return Path(chosen)
    home = Path(environment.get("HOME", "/"))
    # What debuginfod-client used before it followed the XDG directories.
    old = home / ".debuginfod_client_cache"
    if old.is_dir():
        return old
    base = environment.get("XDG_CACHE_HOME")
    return (Path(base) if base else home / ".cache") / "debuginfod_client"


def _read_number(path: Path, default: float) -> float:
    try:
        return float(path.read_text())
    except (OSError, ValueError):
        return default


class _CannotDownloadError(Exception):
    """One server can't give a file, although it may have it."""


@dataclass
class Client:
    """Asks servers for files."""

    settings: Settings
    progress: Progress | None = None
    _silent: set[str] = field(default_factory=set)
    """Servers that did not answer in time: waiting for them again helps nobody."""

    def path(self, build_id: bytes, kind: FileKind) -> Path:
        """Where a file is kept."""
        return self.settings.cache / build_id.hex() / kind.value

    def urls(self, build_id: bytes, kind: FileKind) -> list[str]:
        """Where a file may be downloaded from."""
        return [
            f"{server.rstrip('/')}/buildid/{build_id.hex()}/{kind.value}"
            for server in self.settings.urls
            if server.startswith(("http://", "https://")) and server not in self._silent
        ]

    def is_known_missing(self, path: Path, now: float) -> bool:
        """Whether no server had a file when it was last asked for, not long before `now`."""
        try:
            status = path.stat()
        except OSError:
            return False
        return status.st_size == 0 and now - status.st_mtime < self.settings.miss_s

    def fetch(self, build_id: bytes, kind: FileKind) -> Path | None:
        """The file of a kind with a build ID, downloaded unless it is here; none if there is none.

        Raises:
            KeyboardInterrupt: The user does not want to wait. Nothing is left behind.
        """
        path = self.path(build_id, kind)
        if self.is_known_missing(path, time.time()):
            return None
        if path.is_file() and path.stat().st_size > 0:
            return path
        failed = False
        for url in self.urls(build_id, kind):
            try:
                if self._download(url, path):
                    return path
            except (_CannotDownloadError, OSError) as error:
                failed = True
                _logger.warning("%s: %s", url, error)
                if isinstance(error, TimeoutError) or "timed out" in str(error):
                    self._silent.add(self._server(url))
        if self.settings.urls and not failed and not self._silent:
            with contextlib.suppress(OSError):
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(b"")
        return None

    def _server(self, url: str) -> str:
        return next(server for server in self.settings.urls if url.startswith(server.rstrip("/")))

    def _download(self, url: str, path: Path) -> bool:
        """Downloads a file under another name and renames it; false if the server lacks it."""
        request = urllib.request.Request(url, headers={"User-Agent": f"kdive/{kdive.__version__}"})
        timeout = self.settings.timeout_s
        try:
            response = urllib.request.urlopen(request, timeout=timeout)
        except urllib.error.HTTPError as error:
            if error.code == 404:
                return False
            raise
        with response:
            length = response.headers.get("Content-Length")
            size = length or response.headers.get("X-DEBUGINFOD-SIZE")
            total = int(size) if size and size.isdigit() else None
            self._check_size(total or 0)
            path.parent.mkdir(parents=True, exist_ok=True)
            descriptor, name = tempfile.mkstemp(prefix=f"{path.name}.", dir=path.parent)
            unfinished = Path(name)
            try:
                with open(descriptor, "wb") as file:
                    done = self._copy(response, file.write, url, total)
                if length and done != int(length):
                    raise _CannotDownloadError(f"the download ended after {done} of {length} bytes")
                unfinished.chmod(0o400)
                unfinished.replace(path)
            except BaseException:
                unfinished.unlink()
                raise
        return True

    def _copy(
        self,
        response: http.client.HTTPResponse,
        write: Callable[[bytes], int],
        url: str,
        total: int | None,
    ) -> int:
        start, done = time.monotonic(), 0
        while chunk := response.read(_CHUNK_SIZE):
            write(chunk)
            done += len(chunk)
            self._check_size(done)
            limit = self.settings.max_time_s
            if limit is not None and time.monotonic() - start > limit:
                raise _CannotDownloadError(f"the download took longer than {limit:g} s")
            if self.progress is not None:
                self.progress(url, done, total)
        if self.progress is not None:
            self.progress(url, done, done)
        return done

    def _check_size(self, size: int) -> None:
        limit = self.settings.max_size
        if limit is not None and size > limit:
            raise _CannotDownloadError(f"the file has {size} bytes, more than {limit}")


@dataclass
class Finder:
    """Finds the files of modules by their build IDs."""

    client: Client

    def __call__(self, modules: Iterable[kdive.Module]) -> None:
        """Downloads what modules want. Ctrl-C ends the search, and nothing else."""
        try:
            for module in modules:
                self._find(module)
        except KeyboardInterrupt:
            _logger.warning("the download of debug files was interrupted")

    def _find(self, module: kdive.Module) -> None:
        build_id = module.build_id
        if build_id is None:
            return
        if module.debug_file_status == kdive.ModuleFileStatus.WANT:
            self._try(module, build_id, FileKind.DEBUGINFO)
        if module.debug_file_status == kdive.ModuleFileStatus.WANT_SUPPLEMENTARY:
            wanted = module.wanted_supplementary_debug_file()
            self._try(module, wanted.checksum, FileKind.DEBUGINFO)
        # Dumps of kernels have the code in them, and their files are large.
        is_kernel = bool(module.prog.flags & kdive.ProgramFlags.IS_LINUX_KERNEL)
        if module.wants_loaded_file() and not is_kernel:
            self._try(module, build_id, FileKind.EXECUTABLE)

    def _try(self, module: kdive.Module, build_id: bytes, kind: FileKind) -> None:
        path = self.client.fetch(build_id, kind)
        if path is not None:
            module.try_file(path)


_progress: Progress | None = None


def report_to(progress: Progress | None) -> None:
    """Tell a function how the downloads of `find()` go on, from now on.

    Args:
        progress: The function; None to tell nobody.
    """
    global _progress
    _progress = progress


@functools.cache
def _client(settings: Settings) -> Client:
    """The client that remembers which of these servers don't answer."""
    return Client(settings)


def find(modules: Iterable[kdive.Module]) -> None:
    """Search the servers of `$DEBUGINFOD_URLS` for what modules want: the finder `debuginfod`.

    Args:
        modules: The modules; what is found is given to their `try_file()`.
    """
    client = _client(Settings.from_environment(os.environ))
    client.progress = _progress
    Finder(client)(modules)
