"""Named tuples that the native module returns; `kdive` exports them.

Neither imports this module before it is needed: `typing` costs a short script more than the rest
of kdive.
"""

from collections.abc import Callable
from typing import NamedTuple

from kdive._enums import SupplementaryFileKind

__all__ = ("Damage", "SourceLocation", "Verification", "WantedSupplementaryFile")


class WantedSupplementaryFile(NamedTuple):
    """The supplementary file that a debug file refers to."""

    kind: SupplementaryFileKind
    """What kind of file it is."""
    path: str
    """The debug file."""
    supplementary_path: str
    """The file as the debug file spells it: absolute, or relative to the debug file."""
    checksum: bytes
    """The build ID that the file must have."""


class Damage(NamedTuple):
    """Adjoining memory of a dump that can't be read."""

    address: int
    """The first address: a physical one of a kernel, a virtual one of a process."""
    size: int
    """The number of bytes."""
    reason: str
    """Why the first of them can't be read."""


class Verification(NamedTuple):
    """What `Program.verify()` found."""

    expected_bytes: int
    """The number of bytes of memory that should be readable."""
    readable_bytes: int
    """The number of bytes that are."""
    damages: list[Damage]
    """What can't be read, in the order of addresses; of very many pieces the first 1000."""
    problems: list[str]
    """What else is wrong or missing, one sentence each."""
    is_usable: bool
    """Whether virtual addresses can be read: those of a kernel lead through its page tables."""

    @property
    def is_sound(self) -> bool:
        """Whether nothing is wrong."""
        return self.is_usable and not self.problems and self.readable_bytes == self.expected_bytes


class _Place(NamedTuple):
    filename: str
    line: int
    column: int


class SourceLocation(_Place):
    """A place in source code; unpacks to `(filename, line, column)`.

    Attributes:
        filename: The source file; the empty string if it is not known.
        line: The line, from 1; 0 if it is not known.
        column: The column, from 1; 0 if it is not known.
    """

    __module__ = "kdive"

    _name: Callable[[], str | None] | None

    def __new__(
        cls,
        filename: str,
        line: int,
        column: int,
        name: Callable[[], str | None] | None = None,
    ) -> "SourceLocation":
        """Make a location; `name` is called when its function's name is needed."""
        self = super().__new__(cls, filename, line, column)
        self._name = name
        return self

    def name(self) -> str | None:
        """Return the function (or symbol and offset) at this place, if it is known."""
        return None if self._name is None else self._name()

    def __str__(self) -> str:
        if not self.filename:
            place = "??:?"
        elif self.column:
            place = f"{self.filename}:{self.line}:{self.column}"
        else:
            place = f"{self.filename}:{self.line}"
        return f"{self.name() or '???'} at {place}"
