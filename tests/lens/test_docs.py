"""The diagnosis that the documentation shows how to write is one."""

import re
import sys
from pathlib import Path
from types import ModuleType

import pytest

from kdive.lens import Checked, Diagnosis, Status, run_here
from tests.lens.support import program


@pytest.mark.lab
def test_the_example_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    text = (Path(__file__).parents[2] / "docs" / "diagnoses.md").read_text()
    (source,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    module = ModuleType("swap_example")
    # Where dataclasses look for the types of fields
    monkeypatch.setitem(sys.modules, module.__name__, module)
    exec(source, module.__dict__)
    example = module.__dict__["swap"]
    assert isinstance(example, Diagnosis)
    result = run_here(program("idle"), example)
    assert result.status == Status.OK
    assert result.checked == [Checked(0, "swap device")]
