"""Shows what is logged on standard error, a line each: `kdive: warning: ...`.

`logging` takes longer to load than much of what a command does. So it is set up when something else imports it, and the
command's own warnings go without it.
"""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from importlib.machinery import ModuleSpec
    from logging import Handler
    from types import ModuleType

_SHOW_WARNINGS = ("debug", "info", "warning")
_shown_from = "warning"
# What shows messages; each run of the command in a process has its own standard error.
_handler: Handler | None = None


def configure(level: str) -> None:
    """Show messages of at least a level, one of `Options.log_level`."""
    global _shown_from
    _shown_from = level
    if "logging" in sys.modules:
        _set_up(level)
    else:
        sys.meta_path.insert(0, _SetUpOnImport(level))


def warning(message: str) -> None:
    """Show a warning of the command's own."""
    if _shown_from in _SHOW_WARNINGS:
        print(f"kdive: warning: {message}", file=sys.stderr)


class _SetUpOnImport:
    """Sets `logging` up when it is imported, and otherwise leaves all to the usual finders."""

    def __init__(self, level: str) -> None:
        self._level = level

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name != "logging":
            return None
        from importlib.machinery import PathFinder

        sys.meta_path.remove(self)
        spec = PathFinder.find_spec(name, path, target)
        if spec is None or spec.loader is None:
            return None
        execute = spec.loader.exec_module

        def execute_and_set_up(module: ModuleType) -> None:
            execute(module)
            _set_up(self._level)

        spec.loader.exec_module = execute_and_set_up  # type: ignore[method-assign]
        return spec


def _set_up(level: str) -> None:
    import logging

    class Line(logging.Formatter):
        """A message after its level, and after its logger if that isn't kdive's own."""

        def format(self, record: logging.LogRecord) -> str:
            origin = "" if record.name == "kdive" else f" {record.name}:"
            return f"kdive: {record.levelname.lower()}:{origin} {super().format(record)}"

    global _handler
    root = logging.getLogger()
    if _handler is not None:
        root.removeHandler(_handler)
    _handler = logging.StreamHandler()
    _handler.setFormatter(Line())
    root.addHandler(_handler)
    root.setLevel(logging.CRITICAL + 1 if level == "none" else level.upper())
