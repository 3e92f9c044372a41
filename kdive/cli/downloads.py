"""Lets programs download debug files, and shows how that goes on."""

import os
import sys
import time

from kdive import Program
from kdive.cli.size import show_size

_BAR_WIDTH = 30
_REDRAW_S = 0.1
_PATIENCE_S = 0.5


def enable(prog: Program) -> None:
    """Add the finder `debuginfod` if the user has servers, with a bar on a terminal."""
    if not os.environ.get("DEBUGINFOD_URLS"):
        return
    from kdive import debuginfod

    debuginfod.register(prog, DownloadBar() if sys.stderr.isatty() else None)


class DownloadBar:
    """Shows on the terminal that standard error is how far a download is, unless it is quick."""

    def __init__(self) -> None:
        self._url = ""
        self._start = self._drawn = 0.0

    def __call__(self, url: str, done: int, total: int | None) -> None:
        """Draw the bar for the bytes of a URL that were downloaded; remove it after the last."""
        now = time.monotonic()
        if url != self._url:
            self._url, self._start, self._drawn = url, now, 0.0
        if done == total:
            if self._drawn:
                print("\r\x1b[K", end="", file=sys.stderr, flush=True)
            self._url = ""
        elif now - self._start > _PATIENCE_S and now - self._drawn > _REDRAW_S:
            self._drawn = now
            print(f"\r{self._text(done, total)}\x1b[K", end="", file=sys.stderr, flush=True)

    def _text(self, done: int, total: int | None) -> str:
        if total is None:
            return f"{self._url}: {show_size(done)}"
        filled = _BAR_WIDTH * done // total
        bar = f"[{'#' * filled:{_BAR_WIDTH}}] {100 * done // total:3} %"
        return f"{bar}  {show_size(done)} of {show_size(total)}, {self._url}"
