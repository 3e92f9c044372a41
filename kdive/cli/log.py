"""Shows what is logged on standard error, a line each: `kdive: warning: ...`."""

import logging

logger = logging.getLogger("kdive")


def configure(level: str) -> None:
    """Show messages of at least a level, one of `Options.log_level`."""
    handler = logging.StreamHandler()
    handler.setFormatter(_Line())
    root = logging.getLogger()
    root.addHandler(handler)
    root.setLevel(logging.CRITICAL + 1 if level == "none" else level.upper())


class _Line(logging.Formatter):
    """A message after its level, and after its logger if that isn't kdive's own."""

    def format(self, record: logging.LogRecord) -> str:
        origin = "" if record.name == "kdive" else f" {record.name}:"
        return f"kdive: {record.levelname.lower()}:{origin} {super().format(record)}"
