"""How far something is that takes time, on the terminal that standard error is."""

import os
import sys
import time
from collections.abc import Callable

from kdive.cli.size import show_size

_USUAL_COLUMNS = 80
# Of the bar, where a line has more columns than usual, and elsewhere.
_WIDTH = 30
_SMALL_WIDTH = 12
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
        self._first: float | None = None
        self._drawn: float | None = None

    def __call__(self, done: int, total: int | None) -> None:
        """Show how many bytes are done of how many, if that is known; not more often than eyes can see."""
        now = time.monotonic()
        if self._first is None:
            # What was waited for may begin late: its rate counts from then.
            self._first = now
            return
        if now - self._start > _PATIENCE_S and (
            self._drawn is None or now - self._drawn > _REDRAW_S
        ):
            self._drawn = now
            text = _text(self._what, done, total, now - self._first, _columns())
            print(f"\r{text}\x1b[K", end="", file=sys.stderr, flush=True)

    def clear(self) -> None:
        """Leave the line empty, if anything was drawn."""
        if self._drawn is not None:
            self._drawn = None
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)


def bar_on_terminal(what: str = "") -> Bar | None:
    """Return a bar if standard error is a terminal."""
    return Bar(what) if sys.stderr.isatty() else None


class Watched:
    """A context in which something goes on that another thread shows, if standard error is a terminal."""

    def __init__(self, what: str, read: Callable[[], tuple[int, int]]) -> None:
        """Remember what to watch.

        Args:
            what: What goes on in the body.
            read: Returns how many bytes are done of how many; both are equal while nothing goes on. It is called in
                another thread.
        """
        self._what = what
        self._read = read
        self._end: Callable[[], None] | None = None

    def __enter__(self) -> None:
        """Start to watch."""
        bar = bar_on_terminal(self._what)
        if bar is None:
            return
        # Without a terminal nobody waits for this to be loaded.
        import threading

        ended = threading.Event()

        def watch() -> None:
            while not ended.wait(_REDRAW_S):
                done, total = self._read()
                if done < total:
                    bar(done, total)
                else:
                    bar.clear()
            bar.clear()

        thread = threading.Thread(target=watch, daemon=True)
        thread.start()

        def end() -> None:
            ended.set()
            thread.join()

        self._end = end

    def __exit__(self, *_: object) -> None:
        """Remove the bar."""
        if self._end is not None:
            self._end()


def _columns() -> int:
    """Return how much fits on a line."""
    try:
        columns = os.get_terminal_size(sys.stderr.fileno()).columns
    except OSError:
        columns = 0
    # Terminals that don't know their size say 0.
    return columns or _USUAL_COLUMNS


def _text(what: str, done: int, total: int | None, elapsed_s: float, columns: int) -> str:
    rate = f"{show_size(int(done / elapsed_s))}/s"
    if total:
        width = _WIDTH if columns > _USUAL_COLUMNS else _SMALL_WIDTH
        bar = f"[{'#' * (width * done // total):{width}}] {100 * done // total:3} %"
        text = f"{bar}  {show_size(done)} of {show_size(total)}, {rate}"
    else:
        text = f"{show_size(done)}, {rate}"
    # A line that is wrapped can't be drawn over. What a path ends with tells most.
    room = columns - 1 - len(text) - 2
    if len(what) > room:
        what = f"…{what[len(what) - room + 1 :]}" if room > 1 else ""
    return f"{text}  {what}".rstrip()[: columns - 1]
