"""The documentation names every diagnosis, and the one that it shows how to write is one."""

import re
import sys
from pathlib import Path
from types import ModuleType

import pytest

from kdive.lens import Checked, Diagnosis, Status, all_diagnoses, run_here
from tests.lens.support import program

TEXT = (Path(__file__).parents[2] / "docs" / "diagnoses.md").read_text()


def test_every_diagnosis_is_named() -> None:
    (table,) = re.findall(r"\| Question \| Diagnosis \|\n(.*?)\n\n", TEXT, re.DOTALL)
    assert set(re.findall(r"`([a-z-]+)`", table)) == set(all_diagnoses())


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
