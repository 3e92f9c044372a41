"""What a diagnosis declares, and what it yields."""

import dataclasses
import enum
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeAlias, TypeVar

from kdive.lens.needs import Needs

if TYPE_CHECKING:
    from kdive.lens.context import Context

OptionsT = TypeVar("OptionsT")

_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
_OPTION_TYPES = (bool, int, float, str)


class Severity(enum.IntEnum):
    """How bad it is what was found."""

    NOTICE = 1
    """Worth knowing; nothing has to be wrong."""
    WARNING = 2
    """Something is wrong, or will be."""
    CRITICAL = 3
    """Something does not work at all."""


@dataclass(frozen=True)
class Row:
    """A line of a table. A table is a dataclass derived from this one whose fields are made by `column()`."""

    title: ClassVar[str]
    """What the table is called."""
    layout: ClassVar[str] = "table"
    """How text shows it: ``table``; ``record``, a line for each column; or ``lines``, only the values."""


def column(sentence: str, header: str = "", *, hexadecimal: bool = False) -> Any:
    """Make a field of a row.

    Args:
        sentence: What the column means, with its unit.
        header: What the text report calls it; by default the field's name.
        hexadecimal: Whether it holds addresses or masks, to be shown as such.
    """
    return field(metadata={"sentence": sentence, "header": header, "hexadecimal": hexadecimal})


def option(default: bool | int | float | str, sentence: str) -> Any:
    """Make a field of a diagnosis's options: a flag of the command line with the field's name.

    Args:
        default: Its value where it isn't given; the flag takes a value of the same type, or none if this is False.
        sentence: What it does, with its unit.
    """
    return field(default=default, metadata={"sentence": sentence})


@dataclass(frozen=True)
class Finding:
    """Something that is wrong, or may be."""

    severity: Severity
    sentence: str
    """What is wrong, in one plain sentence."""
    evidence: tuple[str, ...] = ()
    """What it was concluded from, a sentence each."""
    more: str = ""
    """What shows more: the arguments that follow ``kdive lens``."""


@dataclass(frozen=True)
class Checked:
    """How much was looked at. Without findings, this is what the absence of trouble rests on."""

    count: int
    what: str
    """What was counted, in the singular."""
    plural: str = ""
    """Its plural, if that is not made by adding an s."""


@dataclass(frozen=True)
class Note:
    """Something that whoever reads the rows should know, such as what this kernel doesn't record."""

    text: str


@dataclass(frozen=True)
class Damage:
    """Something that could not be read or made no sense. The result is partial then."""

    where: str
    error: str


@dataclass(frozen=True)
class Progress:
    """How far a long diagnosis is."""

    done: int
    total: int


Item: TypeAlias = Row | Finding | Checked | Note | Damage | Progress


@dataclass(frozen=True)
class NoOptions:
    """The options of a diagnosis that has none."""


@dataclass(frozen=True)
class Diagnosis(Generic[OptionsT]):
    """A question and the code that answers it; made by `diagnosis()`.

    Raises:
        TypeError: What is declared contradicts itself.
    """

    name: str
    sentence: str
    """What it shows, in one sentence."""
    answer: Callable[["Context[OptionsT]"], Iterator[Item]]
    rows: tuple[type[Row], ...]
    """The tables that it fills, in the order of the report."""
    options: type[OptionsT]
    """A frozen dataclass whose fields are made by `option()`."""
    needs: Needs
    standard: bool
    """Whether ``kdive lens`` runs it when none is named."""

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise TypeError(
                f"{self.name!r} is no name for a diagnosis: words of a-z and 0-9 with - between them"
            )
        if not self.sentence:
            raise TypeError(f"diagnosis {self.name}: the sentence is empty")
        for row in self.rows:
            self._check_row(row)
        for made in dataclasses.fields(self.options):  # type: ignore[arg-type]
            if "sentence" not in made.metadata or not isinstance(made.default, _OPTION_TYPES):
                raise TypeError(f"diagnosis {self.name}: make its option {made.name} with option()")
            if made.default is True:
                raise TypeError(
                    f"diagnosis {self.name}: a flag can't turn off the option {made.name}"
                )

    def _check_row(self, row: type) -> None:
        if not (
            issubclass(row, Row)
            and "title" in row.__dict__
            and "__dataclass_fields__" in row.__dict__
        ):
            raise TypeError(
                f"diagnosis {self.name}: {row.__name__} must be a dataclass derived from Row with a title"
            )
        if row.layout not in ("table", "record", "lines"):
            raise TypeError(
                f"diagnosis {self.name}: {row.__name__} has the unknown layout {row.layout!r}"
            )
        for made in dataclasses.fields(row):
            if not made.metadata.get("sentence"):
                raise TypeError(
                    f"diagnosis {self.name}: make {row.__name__}.{made.name} with column()"
                )


def diagnosis(
    name: str,
    sentence: str,
    *,
    rows: tuple[type[Row], ...],
    options: type[OptionsT],
    needs: Needs | None = None,
    standard: bool = True,
) -> Callable[[Callable[["Context[OptionsT]"], Iterator[Item]]], Diagnosis[OptionsT]]:
    """Make a `Diagnosis` of a generator function; to be used as a decorator.

    >>> @diagnosis("answer", "The answer to everything.", rows=(), options=NoOptions)
    ... def answer(context: Context[NoOptions]) -> Iterator[Item]:
    ...     yield Checked(1, "question")
    """

    def made_of(answer: Callable[["Context[OptionsT]"], Iterator[Item]]) -> Diagnosis[OptionsT]:
        return Diagnosis(name, sentence, answer, rows, options, needs or Needs(), standard)

    return made_of
