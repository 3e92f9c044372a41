"""Lays out text in sections for whoever reads along: as wide as the terminal, plain where there is none."""

import os
import textwrap

from kdive.render import terminal_columns

_USUAL_COLUMNS = 100
_WIDEST_COLUMNS = 120
_BOLD, _DIM, _NORMAL = "\x1b[1m", "\x1b[2m", "\x1b[0m"


class Page:
    """Prints headings, sentences, tables and commands on standard output.

    Attributes:
        columns: The width that sentences are wrapped in.
    """

    def __init__(self) -> None:
        width = terminal_columns()
        self.columns = min(width or _USUAL_COLUMNS, _WIDEST_COLUMNS)
        self._is_styled = (
            width is not None and "NO_COLOR" not in os.environ and os.environ.get("TERM") != "dumb"
        )

    def heading(self, text: str, command: str = "") -> None:
        """Begin a section; the command that shows more of it stands beside the heading."""
        title = self._style(_BOLD, text.upper())
        room = self.columns - len(text) - len(command)
        if not command:
            print(f"\n{title}")
        elif room >= 2:
            print(f"\n{title}{' ' * room}{self._style(_DIM, command)}")
        else:
            print(f"\n{title}\n{self._style(_DIM, command)}")

    def sentence(self, text: str, mark: str = "") -> None:
        """Print a sentence, with a mark before it that its further lines are indented by."""
        lines = textwrap.wrap(
            text,
            self.columns - len(mark),
            break_long_words=False,
            break_on_hyphens=False,
        )
        for line in lines:
            print(f"{mark}{line}")
            mark = " " * len(mark)

    def lines(self, text: str) -> None:
        """Print lines that are laid out already; what doesn't fit on the terminal is cut off."""
        for line in text.splitlines():
            print(line if terminal_columns() is None else line[: self.columns])

    def table(self, rows: list[tuple[str, ...]]) -> None:
        """Print rows in columns. Those of numbers only, below their header, are aligned to the right."""
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        numeric = [all(cell.isdigit() for cell in column[1:]) for column in zip(*rows, strict=True)]
        for row in rows:
            cells = zip(row, widths, numeric, strict=True)
            self.lines(
                "  ".join(
                    f"{cell:>{width}}" if is_number else f"{cell:<{width}}"
                    for cell, width, is_number in cells
                ).rstrip()
            )

    def commands(self, rows: list[tuple[str, str]]) -> None:
        """Print commands and what each is for, on lines of their own where they don't fit beside each other."""
        width = max(len(command) for command, _ in rows)
        if all(width + 2 + len(sentence) <= self.columns for _, sentence in rows):
            self.table([*rows])
            return
        for command, sentence in rows:
            print(command)
            self.sentence(sentence, "    ")

    def _style(self, code: str, text: str) -> str:
        return f"{code}{text}{_NORMAL}" if self._is_styled and text else text
