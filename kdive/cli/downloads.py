"""Shows how downloads of debug files go on."""

import os

from kdive.cli.progress import Bar, bar_on_terminal


def show() -> None:
    """Have a bar for downloads, if there is a terminal, and servers that files may come from."""
    if os.environ.get("DEBUGINFOD_URLS") and bar_on_terminal():
        from kdive import debuginfod

        debuginfod.report_to(_Downloads())


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
