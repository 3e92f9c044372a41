"""How far something is that takes time, on the terminal that standard error is."""

import contextlib
import sys
import time
from collections.abc import Callable, Iterator

from kdive.cli.size import show_size

_WIDTH = 30
_REDRAW_S = 0.1
_PATIENCE_S = 0.5


class Bar:
    """Draws one line that is drawn over, once something has taken half a second."""

    def __init__(self, what: str = "") -> None:
        """Start the clock.

        Args:
            what: What it is that goes on; shown at the end of the line.
        """
        self._what = what
        self._start = time.monotonic()
        self._drawn: float | None = None

    def __call__(self, done: int, total: int | None) -> None:
        """Show how many bytes are done of how many, if that is known; not more often than eyes can see."""
        now = time.monotonic()
        if now - self._start > _PATIENCE_S and (
            self._drawn is None or now - self._drawn > _REDRAW_S
        ):
            self._drawn = now
            text = _text(self._what, done, total, now - self._start)
            print(f"\r{text}\x1b[K", end="", file=sys.stderr, flush=True)

    def clear(self) -> None:
        """Leave the line empty, if anything was drawn."""
        if self._drawn is not None:
            self._drawn = None
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)


def bar_on_terminal(what: str = "") -> Bar | None:
    """Return a bar if standard error is a terminal."""
    return Bar(what) if sys.stderr.isatty() else None


@contextlib.contextmanager
def watching(what: str, read: Callable[[], tuple[int, int]]) -> Iterator[None]:
    """Show a bar while the body runs, if standard error is a terminal.

    Args:
        what: What goes on in the body.
        read: Returns how many bytes are done of how many; 0 of 0 while nothing is known. It is called in another
            thread.
    """
    bar = bar_on_terminal(what)
    if bar is None:
        yield
        return
    import threading

    ended = threading.Event()

    def watch() -> None:
        while not ended.wait(_REDRAW_S):
            done, total = read()
            if done < total:
                bar(done, total)
            else:
                bar.clear()
        bar.clear()

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _text(what: str, done: int, total: int | None, elapsed_s: float) -> str:
    rate = f"{show_size(int(done / elapsed_s))}/s"
    if not total:
        return f"{show_size(done)}, {rate}  {what}"
    filled = _WIDTH * done // total
    bar = f"[{'#' * filled:{_WIDTH}}] {100 * done // total:3} %"
    return f"{bar}  {show_size(done)} of {show_size(total)}, {rate}  {what}"
