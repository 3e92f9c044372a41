"""What a diagnosis may declare; what is wrong shows when it is made."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import ClassVar

import pytest

from kdive.lens import (
    Context,
    Item,
    Needs,
    NoOptions,
    Row,
    all_diagnoses,
    column,
    diagnosis,
    option,
)


def nothing(_context: Context[NoOptions]) -> Iterator[Item]:
    return iter(())


@dataclass(frozen=True)
class Good(Row):
    title: ClassVar[str] = "Good"
    size: int = column("its size in bytes")


@dataclass(frozen=True)
class WithoutTitle(Row):
    size: int = column("its size in bytes")


@dataclass(frozen=True)
class WithoutSentence(Row):
    title: ClassVar[str] = "Bad"
    size: int = 0


@dataclass(frozen=True)
class OddLayout(Row):
    title: ClassVar[str] = "Odd"
    layout: ClassVar[str] = "pie chart"
    size: int = column("its size in bytes")


@pytest.mark.parametrize("name", ["Upper", "under_score", "", "-dash", "two--dashes", "a/b"])
def test_a_name_is_one_for_commands_and_files(name: str) -> None:
    with pytest.raises(TypeError, match="is no name for a diagnosis"):
        diagnosis(name, "A sentence.", rows=(), options=NoOptions)(nothing)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (WithoutTitle, "must be a dataclass derived from Row with a title"),
        (WithoutSentence, r"make WithoutSentence.size with column\(\)"),
        (OddLayout, "unknown layout 'pie chart'"),
        (int, "must be a dataclass derived from Row"),
    ],
)
def test_rows_are_described(row: type[Row], message: str) -> None:
    with pytest.raises(TypeError, match=message):
        diagnosis("test", "A sentence.", rows=(Good, row), options=NoOptions)(nothing)


def test_options_are_described() -> None:
    @dataclass(frozen=True)
    class Undescribed:
        size: int = field(default=1)

    @dataclass(frozen=True)
    class CannotBeTurnedOff:
        every: bool = option(True, "list all")

    for options, message in (
        (Undescribed, r"make its option size with option\(\)"),
        (CannotBeTurnedOff, "a flag can't turn off the option every"),
    ):
        with pytest.raises(TypeError, match=message):
            diagnosis("test", "A sentence.", rows=(), options=options)(nothing)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("needs", "message"),
    [
        ({"modules": ("ib-core",)}, "'ib-core' names no kernel module"),
        ({"members": ("struct task_struct",)}, "'struct task_struct' names no member"),
        ({"types": ("struct a.b",)}, "names no type"),
        ({"variables": {"a b": "int"}}, "names no variable"),
        ({"symbols": ("",)}, "names no symbol"),
        ({"target": "vmcore"}, "the target 'vmcore' is none of any, live, dump"),
    ],
)
def test_needs_that_could_never_be_met_are_refused(needs: dict[str, object], message: str) -> None:
    with pytest.raises(TypeError, match=message):
        Needs(**needs)  # type: ignore[arg-type]


def test_the_catalog_has_the_cases_and_the_first_look() -> None:
    known = all_diagnoses()
    standard = {name for name, found in known.items() if found.standard}
    assert standard >= {
        *("btrfs", "rds", "ib-mad", "memcg", "delayed-works", "workqueues", "irq-vectors"),
        *("sys", "dmesg", "tasks", "stacks", "modules", "mounts", "panic"),
    }
    assert set(known) - standard == {"memcg-pages"}
    assert list(known) == sorted(known)
    for found in known.values():
        assert found.sentence.endswith(".")
