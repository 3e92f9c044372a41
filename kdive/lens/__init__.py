"""Diagnoses: questions that kdive answers about a kernel by itself.

The frame is here, a diagnosis in a file of `kdive.lens.diagnoses`:

- `diagnosis`: what a diagnosis declares and what it yields: rows, findings, what was checked, what was damaged
- `needs`: what must be there for it to run, checked before it does
- `context`: what it gets to work with
- `catalog`: the diagnoses that there are
- `worker`: runs one in this process
- `runner`: runs many, each in a process of its own with limits
- `report`: makes text and JSON of the results

Nothing here prints; `kdive.cli.lens` does.
"""

from kdive.lens.catalog import all_diagnoses, find_diagnosis
from kdive.lens.context import Context
from kdive.lens.diagnosis import (
    Checked,
    Damage,
    Diagnosis,
    Finding,
    Item,
    NoOptions,
    Note,
    Options,
    Progress,
    Row,
    Severity,
    column,
    diagnosis,
    option,
)
from kdive.lens.needs import Needs
from kdive.lens.result import Result, Status
from kdive.lens.runner import Limits, Task, run
from kdive.lens.worker import run_here

__all__ = (
    "Checked",
    "Context",
    "Damage",
    "Diagnosis",
    "Finding",
    "Item",
    "Limits",
    "Needs",
    "NoOptions",
    "Note",
    "Options",
    "Progress",
    "Result",
    "Row",
    "Severity",
    "Status",
    "Task",
    "all_diagnoses",
    "column",
    "diagnosis",
    "find_diagnosis",
    "option",
    "run",
    "run_here",
)
