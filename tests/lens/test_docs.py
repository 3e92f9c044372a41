"""The documentation names every diagnosis, and the one that it shows how to write is one."""

import re
import sys
from dataclasses import fields
from pathlib import Path
from types import ModuleType

import pytest

from kdive.lens import Checked, Diagnosis, Row, Status, all_diagnoses, run_here
from tests.lens.support import program

DOCS = Path(__file__).parents[2] / "docs"
TEXT = (DOCS / "diagnoses.md").read_text()
CASES = ("btrfs", "rds", "ib-mad", "memcg", "memcg-pages", "delayed-works", "irq-vectors")


def test_every_diagnosis_is_named() -> None:
    (table,) = re.findall(r"\| Question \| Diagnosis \|\n(.*?)\n\n", TEXT, re.DOTALL)
    assert set(re.findall(r"`([a-z-]+)`", table)) == set(all_diagnoses())


def test_the_cases_show_the_tables_that_are_printed() -> None:
    """Under the title of a table is what its columns are called now; each table of the five cases is shown."""
    known = [(table, headers(table)) for name in CASES for table in all_diagnoses()[name].rows]
    titles = {table.title for table, _ in known}
    shown = []
    lines = (DOCS / "cases.md").read_text().splitlines()
    for number, title in enumerate(lines):
        if title in titles and lines[number + 1]:
            below = lines[number + 1 :]
            (table,) = [
                table
                for table, names in known
                if table.title == title
                and names == (first_words(below) if table.layout == "record" else words(below[0]))
            ]
            shown.append(table)
    # That of the one file system that is held is shown without its title.
    assert {table.__name__ for table, _ in known if table not in shown} == {"FileSystem"}


def headers(table: type[Row]) -> list[str]:
    return [made.metadata["header"] or made.name for made in fields(table)]


def words(line: str) -> list[str]:
    return re.split(r"\s{2,}", line.strip())


def first_words(lines: list[str]) -> list[str]:
    """What is left of the colons of a record, which an empty line ends."""
    return [line.partition(" : ")[0].strip() for line in lines[: lines.index("")]]


@pytest.mark.lab
def test_the_example_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    (source,) = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
    module = ModuleType("swap_example")
    # Where dataclasses look for the types of fields
    monkeypatch.setitem(sys.modules, module.__name__, module)
    exec(source, module.__dict__)
    example = module.__dict__["swap"]
    assert isinstance(example, Diagnosis)
    result = run_here(program("idle"), example)
    assert result.status == Status.OK
    assert result.checked == [Checked(0, "swap device")]
