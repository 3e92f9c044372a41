"""What a diagnosis may declare; what is wrong shows when it is made."""

from collections.abc import Iterator
from dataclasses import FrozenInstanceError, field, fields

import pytest

from kdive.lens import (
    Context,
    Item,
    Needs,
    NoOptions,
    Options,
    Row,
    all_diagnoses,
    column,
    diagnosis,
    option,
)


def nothing(_context: Context[NoOptions]) -> Iterator[Item]:
    return iter(())


@pytest.mark.parametrize("name", ["Upper", "under_score", "", "-dash", "two--dashes", "a/b"])
def test_a_name_is_one_for_commands_and_files(name: str) -> None:
    with pytest.raises(TypeError, match="is no name for a diagnosis"):
        diagnosis(name, "A sentence.", rows=(), options=NoOptions)(nothing)


def test_a_row_is_a_dataclass_that_can_not_be_changed() -> None:
    class Good(Row, title="Good", layout="record"):
        size: int = column("its size in bytes", "SIZE")

    row = Good(3)
    assert (row, row.size, Good.title, Good.layout) == (Good(size=3), 3, "Good", "record")
    (made,) = fields(row)
    assert made.metadata["header"] == "SIZE"
    with pytest.raises(FrozenInstanceError):
        row.size = 4  # type: ignore[misc]


def test_rows_are_described() -> None:
    with pytest.raises(TypeError, match="title"):

        class WithoutTitle(Row):  # type: ignore[call-arg]
            size: int = column("its size in bytes")

    with pytest.raises(TypeError, match=r"make WithoutSentence.size with column\(\)"):

        class WithoutSentence(Row, title="Bad"):
            size: int = 0

    with pytest.raises(TypeError, match="OddLayout has the unknown layout 'pie chart'"):

        class OddLayout(Row, title="Odd", layout="pie chart"):
            size: int = column("its size in bytes")


def test_options_are_described() -> None:
    with pytest.raises(TypeError, match=r"make Undescribed.size with option\(\)"):

        class Undescribed(Options):
            size: int = field(default=1)

    with pytest.raises(TypeError, match=r"can't turn off the option CannotBeTurnedOff.every"):

        class CannotBeTurnedOff(Options):
            every: bool = option(True, "list all")


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
