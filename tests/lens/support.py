"""Opens lab targets for the tests of diagnoses, and runs diagnoses on them."""

import contextlib
import dataclasses
from typing import Any

import kdive
import lab
from kdive.lens import Finding, Result, Row, Severity, Status, Task, all_diagnoses, run

_programs: dict[tuple[str, str, str], kdive.Program] = {}


def program(name: str, form: str = "elf", kernel: str = lab.DEFAULT_KERNEL) -> kdive.Program:
    """A dump of a lab target with its debug files, opened once in a session."""
    key = name, form, kernel
    if key not in _programs:
        target = lab.target(name, kernel)
        prog = kdive.Program()
        prog.set_core_dump(target.dumps[form])
        # The modules that a scenario does not name have no debug files here.
        with contextlib.suppress(kdive.MissingDebugInfoError):
            prog.load_debug_info([target.vmlinux, *target.modules.values()])
        _programs[key] = prog
    return _programs[key]


def facts(name: str) -> dict[str, Any]:
    """What a scenario recorded of itself."""
    found: dict[str, Any] = lab.target(name).truth["facts"]
    return found


def diagnose(prog: kdive.Program, name: str, **options: object) -> Result:
    """Run a diagnosis that has to come to its end."""
    diagnosis = all_diagnoses()[name]
    (result,) = run(prog, [Task(diagnosis, diagnosis.options(**options))])
    assert result.status == Status.OK, (result.reason, result.details, result.damages)
    return result


def rows(result: Result, table: str) -> list[Any]:
    """The rows of a table, given by the name of its class."""
    found: list[Row] = [row for row in result.rows if type(row).__name__ == table]
    return found


def findings_of_everything(prog: kdive.Program) -> dict[str, list[Severity]]:
    """The severities of what each diagnosis finds, those that find nothing left out."""
    known = all_diagnoses().values()
    results = run(prog, [Task(diagnosis, diagnosis.options()) for diagnosis in known])
    unfinished = [r for r in results if r.status not in (Status.OK, Status.SKIPPED)]
    assert not unfinished, [(r.name, r.reason, r.details, r.damages[:3]) for r in unfinished]
    return {r.name: [f.severity for f in r.findings] for r in results if r.findings}


def result_of_json(content: dict[str, Any]) -> Result:
    """Make a result of its JSON again."""
    made = Result.of(all_diagnoses()[content["name"]])
    made.status, made.reason = Status(content["status"]), content["reason"]
    for table, rows_of_table in zip(made.tables, content["tables"], strict=True):
        assert rows_of_table["name"] == table.__name__
        made.rows += [_row_of_json(table, values) for values in rows_of_table["rows"]]
    made.findings = [
        Finding(Severity[f["severity"].upper()], f["sentence"], tuple(f["evidence"]), f["more"])
        for f in content["findings"]
    ]
    return made


def _row_of_json(table: type[Row], values: dict[str, Any]) -> Row:
    """Make a row of its JSON again: addresses are strings there."""
    converted = {
        column.name: int(value, 16)
        if column.metadata["hexadecimal"] and (value := values[column.name]) is not None
        else values[column.name]
        for column in dataclasses.fields(table)
    }
    return table(**converted)
