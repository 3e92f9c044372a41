"""What a diagnosis declares, and what it yields."""

import dataclasses
import enum
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import (
    TYPE_CHECKING,
    Any,
    ClassVar,
    Generic,
    TypeAlias,
    TypeVar,
    dataclass_transform,
)

from kdive.lens.needs import Needs

if TYPE_CHECKING:
    from kdive.lens.context import Context

_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
_LAYOUTS = ("table", "record", "lines")


class Severity(enum.IntEnum):
    """How bad it is what was found."""

    NOTICE = 1
    """Worth knowing; nothing has to be wrong."""
    WARNING = 2
    """Something is wrong, or will be."""
    CRITICAL = 3
    """Something does not work at all."""


def column(sentence: str, header: str = "", *, hexadecimal: bool = False) -> Any:
    """Make a field of a row.

    Args:
        sentence: What the column means, with its unit.
        header: What the text report calls it; by default the field's name.
        hexadecimal: Whether it holds addresses or masks, to be shown as such.
    """
    return field(metadata={"sentence": sentence, "header": header, "hexadecimal": hexadecimal})


@dataclass_transform(frozen_default=True, field_specifiers=(column,))
@dataclass(frozen=True)
class Row:
    """A line of a table. A table is a class derived from this one whose fields are made by `column()`.

    >>> class Module(Row, title="Modules"):
    ...     name: str = column("its name", "NAME")
    ...     size_bytes: int = column("memory that it takes, in bytes", "SIZE")

    Raises:
        TypeError: What is declared contradicts itself.
    """

    title: ClassVar[str]
    """What the table is called."""
    layout: ClassVar[str]
    """How text shows it: ``table``; ``record``, a line for each column; or ``lines``, only the values."""

    def __init_subclass__(cls, *, title: str, layout: str = "table") -> None:
        if layout not in _LAYOUTS:
            raise TypeError(f"{cls.__name__} has the unknown layout {layout!r}")
        cls.title, cls.layout = title, layout
        dataclass(frozen=True)(cls)
        _check_fields(cls, "column")


def option(default: bool | int | float | str, sentence: str) -> Any:
    """Make a field of a diagnosis's options: a flag of the command line with the field's name.

    Args:
        default: Its value where it isn't given; the flag takes a value of the same type, or none if this is False.
        sentence: What it does, with its unit.
    """
    return field(default=default, metadata={"sentence": sentence})


@dataclass_transform(frozen_default=True, field_specifiers=(option,))
@dataclass(frozen=True)
class Options:
    """The options of a diagnosis: a class derived from this one whose fields are made by `option()`.

    Raises:
        TypeError: What is declared contradicts itself.
    """

    def __init_subclass__(cls) -> None:
        dataclass(frozen=True)(cls)
        _check_fields(cls, "option")
        for made in dataclasses.fields(cls):
            if made.default is True:
                raise TypeError(f"a flag can't turn off the option {cls.__name__}.{made.name}")


def _check_fields(made: type[Row] | type[Options], by: str) -> None:
    for part in dataclasses.fields(made):
        if not part.metadata.get("sentence"):
            raise TypeError(f"make {made.__name__}.{part.name} with {by}()")


class NoOptions(Options):
    """The options of a diagnosis that has none."""


OptionsT = TypeVar("OptionsT", bound=Options)


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
