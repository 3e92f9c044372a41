"""What came out of a diagnosis."""

import enum
from dataclasses import dataclass, field
from typing import Any

from kdive.lens.diagnosis import (
    Checked,
    Damage,
    Diagnosis,
    Finding,
    Item,
    Note,
    Progress,
    Row,
)


class Status(enum.Enum):
    """How a diagnosis ended."""

    OK = "ok"
    """It looked at everything."""
    PARTIAL = "partial"
    """It came to its end, but something was damaged; `Result.damages` says what."""
    SKIPPED = "skipped"
    """It did not run; the reason says what was missing."""
    FAILED = "failed"
    """It ended before its end; the rows are those it had by then."""
    TIMED_OUT = "timed out"
    """It was stopped at its limit of time; the rows are those it had by then."""


@dataclass
class Result:
    """What came out of a diagnosis: its rows and findings, and how far they can be trusted."""

    name: str
    sentence: str
    tables: tuple[type[Row], ...]
    """The tables that it fills."""
    status: Status = Status.OK
    reason: str = ""
    """Why it is not `Status.OK`."""
    details: str = ""
    """The traceback of a failure."""
    rows: list[Row] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    checked: list[Checked] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)
    damages: list[Damage] = field(default_factory=list)
    seconds: float = 0.0

    def add(self, item: Item) -> None:
        """Put what the diagnosis yielded where it belongs."""
        match item:
            case Finding():
                self.findings.append(item)
            case Checked():
                self.checked.append(item)
            case Note():
                self.notes.append(item)
            case Damage():
                self.damages.append(item)
            case Progress():
                pass
            case _:
                self.rows.append(item)

    def end(self, status: Status, reason: str = "", details: str = "") -> None:
        """Note how it ended."""
        if status == Status.OK and self.damages:
            count = len(self.damages)
            status = Status.PARTIAL
            reason = f"{count} {'structure' if count == 1 else 'structures'} could not be read"
        self.status, self.reason, self.details = status, reason, details

    @property
    def complete(self) -> bool:
        """Whether everything was looked at."""
        return self.status == Status.OK

    @classmethod
    def of(cls, diagnosis: Diagnosis[Any]) -> "Result":
        """Return the empty result of a diagnosis."""
        return cls(diagnosis.name, diagnosis.sentence, diagnosis.rows)
