"""Lets programs download debug files, and shows how that goes on."""

import os

from kdive import Program
from kdive.cli.progress import Bar, bar_on_terminal


def enable(prog: Program) -> None:
    """Add the finder `debuginfod` if the user has servers, with a bar on a terminal."""
    if not os.environ.get("DEBUGINFOD_URLS"):
        return
    from kdive import debuginfod

    debuginfod.register(prog, _Downloads() if bar_on_terminal() else None)


class _Downloads:
    """Has a bar for each file."""

    def __init__(self) -> None:
        self._url = ""
        self._bar = Bar()

    def __call__(self, url: str, done: int, total: int | None) -> None:
        """Draw the bar for the bytes of a URL that were downloaded; remove it after the last."""
        if url != self._url:
            self._bar.clear()
            self._url, self._bar = url, Bar(url)
        if done == total:
            self._bar.clear()
        else:
            self._bar(done, total)
