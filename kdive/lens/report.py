"""Makes text and JSON of results. The same results give both; neither holds what the other lacks but the layout."""

import dataclasses
import json
import shlex
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from kdive.lens.diagnosis import Finding, Row
from kdive.lens.result import Result, Status
from kdive.lens.text import count_text

_MARKS = {
    Status.OK: "ok",
    Status.PARTIAL: "PARTIAL",
    Status.SKIPPED: "skipped",
    Status.FAILED: "FAILED",
    Status.TIMED_OUT: "TIMED OUT",
}
_MARK_WIDTH = max(map(len, _MARKS.values()))
_FORMAT_VERSION = 1


@dataclasses.dataclass(frozen=True)
class Report:
    """The results of a run, and what they are about.

    Attributes:
        target: What was looked at, for people.
        command: What shows more begins with this: the command and the target's flags.
        results: The results, in the order of the report.
    """

    target: str
    command: Sequence[str]
    results: Sequence[Result]

    def findings(self) -> list[tuple[Result, Finding]]:
        """Return all findings, the most severe first."""
        pairs = [(result, finding) for result in self.results for finding in result.findings]
        return sorted(pairs, key=lambda pair: -pair[1].severity)


def summary_text(report: Report) -> str:
    """Make the text that comes first: the findings, then a line for each diagnosis."""
    findings = report.findings()
    lines = [report.target, _overview(report, len(findings)), ""]
    for result, finding in findings:
        lines += [*_finding_lines(report, result, finding), ""]
    width = max((len(result.name) for result in report.results), default=0)
    lines += [
        f"{_MARKS[result.status]:<{_MARK_WIDTH}}  {result.name:<{width}}  {_in_short(result)}".rstrip()
        for result in report.results
    ]
    return "\n".join(lines) + "\n"


def result_text(result: Result) -> str:
    """Make the text of all that a diagnosis says: its tables, notes, damage and what it checked."""
    parts = [f"{result.name}: {result.sentence}\n"]
    for table in result.tables:
        rows = [row for row in result.rows if type(row) is table]
        if rows:
            parts.append(f"{table.title}\n{_rows_text(table, rows)}")
    remarks = [f"note: {note.text}" for note in result.notes]
    remarks += [f"damaged: {damage.where}: {damage.error}" for damage in result.damages]
    if result.status != Status.OK:
        remarks.append(f"{result.status.value}: {result.reason}")
    remarks.append(
        f"{count_text(len(result.rows), 'row')}; checked {_checked(result) or 'nothing'}"
    )
    parts.append("\n".join(remarks) + "\n")
    return "\n".join(parts)


def report_json(report: Report) -> dict[str, Any]:
    """Make the report as JSON.

    Addresses and masks are strings with hexadecimal numbers: many readers of JSON round numbers of more than 53 bits.
    """
    return {
        "format": _FORMAT_VERSION,
        "target": report.target,
        "findings": [
            {"diagnosis": result.name, **_finding_json(report, finding)}
            for result, finding in report.findings()
        ],
        "diagnoses": [result_json(report, result) for result in report.results],
    }


def result_json(report: Report, result: Result) -> dict[str, Any]:
    """Make the JSON of a diagnosis."""
    return {
        "name": result.name,
        "sentence": result.sentence,
        "status": result.status.value,
        "reason": result.reason,
        "details": result.details,
        "seconds": round(result.seconds, 3),
        "findings": [_finding_json(report, finding) for finding in result.findings],
        "tables": [
            {
                "name": table.__name__,
                "title": table.title,
                "columns": {
                    made.name: made.metadata["sentence"] for made in dataclasses.fields(table)
                },
                "rows": [_row_json(row) for row in result.rows if type(row) is table],
            }
            for table in result.tables
        ],
        "checked": [{"count": checked.count, "what": checked.what} for checked in result.checked],
        "notes": [note.text for note in result.notes],
        "damages": [dataclasses.asdict(damage) for damage in result.damages],
    }


def write_directory(report: Report, directory: Path) -> None:
    """Write the report into a folder: ``index.txt``, ``index.json``, and two files for each diagnosis.

    Raises:
        OSError: It can't be written.
    """
    directory.mkdir(parents=True, exist_ok=True)
    for result in report.results:
        (directory / f"{result.name}.txt").write_text(result_text(result))
        _write_json(directory / f"{result.name}.json", result_json(report, result))
    index = report_json(report)
    for diagnosis in index["diagnoses"]:
        diagnosis["rows"] = sum(len(table["rows"]) for table in diagnosis.pop("tables"))
        diagnosis["files"] = [f"{diagnosis['name']}.txt", f"{diagnosis['name']}.json"]
    _write_json(directory / "index.json", index)
    (directory / "index.txt").write_text(summary_text(report))


def _write_json(path: Path, value: dict[str, Any]) -> None:
    path.write_text(json.dumps(value, indent=1, ensure_ascii=False) + "\n")


def _overview(report: Report, findings: int) -> str:
    statuses = [f"{count} {status.value}" for status in Status if (count := _count(report, status))]
    return (
        f"{count_text(findings, 'finding')}; {count_text(len(report.results), 'diagnosis', 'diagnoses')}: "
        + ", ".join(statuses)
    )


def _count(report: Report, status: Status) -> int:
    return sum(result.status == status for result in report.results)


def _finding_lines(report: Report, result: Result, finding: Finding) -> Iterable[str]:
    yield f"{finding.severity.name} {result.name}: {finding.sentence}"
    for evidence in finding.evidence:
        yield f"  - {evidence}"
    if finding.more:
        yield f"  more: {_more(report, finding)}"


def _more(report: Report, finding: Finding) -> str:
    return f"{shlex.join(report.command)} {finding.more}" if finding.more else ""


def _finding_json(report: Report, finding: Finding) -> dict[str, Any]:
    return {
        "severity": finding.severity.name.lower(),
        "sentence": finding.sentence,
        "evidence": list(finding.evidence),
        "more": _more(report, finding),
    }


def _in_short(result: Result) -> str:
    if result.status in (Status.OK, Status.PARTIAL):
        found = count_text(len(result.findings), "finding") if result.findings else "nothing found"
        if not result.checked:
            found = count_text(len(result.rows), "row")
        text = f"{found}; checked {_checked(result)}" if result.checked else found
        return f"{text}; {result.reason}" if result.reason else text
    kept = f"; {count_text(len(result.rows), 'row')} kept" if result.rows else ""
    return result.reason + kept


def _checked(result: Result) -> str:
    return ", ".join(
        count_text(checked.count, checked.what, checked.plural) for checked in result.checked
    )


def _header(made: Any) -> str:
    return str(made.metadata["header"] or made.name)


def _value_text(value: Any, hexadecimal: bool) -> str:
    match value:
        case None:
            return "-"
        case bool():
            return "yes" if value else "no"
        case int() if hexadecimal:
            return hex(value)
        case float():
            return f"{value:.3f}"
        case tuple():
            return "\n".join(str(part) for part in value)
        case _:
            return _printable(str(value))


def _printable(text: str) -> str:
    """Replace what would do something to a terminal: texts come from the target, and so may be anything."""
    if text.isprintable():
        return text
    return "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape").decode()
        for letter in text
    )


def _cells(row: Row) -> list[str]:
    return [
        _value_text(getattr(row, made.name), made.metadata["hexadecimal"])
        for made in dataclasses.fields(row)
    ]


def _rows_text(table: type[Row], rows: Sequence[Row]) -> str:
    headers = [_header(made) for made in dataclasses.fields(table)]
    if table.layout == "record":
        return "\n".join(_record_text(headers, row) for row in rows)
    cells = [_cells(row) for row in rows]
    if table.layout == "lines":
        return "".join("  ".join(line) + "\n" for line in cells)
    numbers = [
        all(type(getattr(row, made.name)) in (int, float, type(None)) for row in rows)
        and not made.metadata["hexadecimal"]
        for made in dataclasses.fields(table)
    ]
    widths = [max(map(len, column)) for column in zip(headers, *cells, strict=True)]
    lines = [
        "  ".join(
            f"{cell:>{width}}" if number else f"{cell:<{width}}"
            for cell, width, number in zip(line, widths, numbers, strict=True)
        ).rstrip()
        for line in [headers, *cells]
    ]
    return "\n".join(lines) + "\n"


def _record_text(headers: list[str], row: Row) -> str:
    width = max(map(len, headers))
    lines = []
    for header, cell in zip(headers, _cells(row), strict=True):
        first, *others = cell.split("\n")
        lines.append(f"{header:<{width}} : {first}".rstrip())
        lines += [" " * (width + 3) + other for other in others]
    return "\n".join(lines) + "\n"


def _row_json(row: Row) -> dict[str, Any]:
    values = {}
    for made in dataclasses.fields(row):
        value = getattr(row, made.name)
        if made.metadata["hexadecimal"] and value is not None:
            value = hex(value)
        values[made.name] = list(value) if isinstance(value, tuple) else value
    return values
