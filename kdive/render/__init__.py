"""How values look to people: at the prompt and after `kdive -e`.

What is shown is made here; what is computed is made elsewhere, and never printed there.
"""

import os
import sys

from kdive import FaultError, Object, SourceLocationList, StackFrame, StackTrace, Type

__all__ = ("display_str", "show", "terminal_columns", "text_of")

# Shown as people read them, where the prompt would otherwise show how to construct them.
_shown_as_str: list[type] = [SourceLocationList, StackFrame, StackTrace, Type]


def display_str(cls: type) -> type:
    """Have the prompt show the instances of a class by `str()`; to be used as a decorator."""
    _shown_as_str.append(cls)
    return cls


def terminal_columns() -> int | None:
    """Return the width of the terminal that standard output is, or None when it is none."""
    try:
        return os.get_terminal_size(sys.stdout.fileno()).columns or None
    except (OSError, ValueError):
        return None


def text_of(value: object, columns: int | None = None) -> str:
    """Return a value as the prompt shows it.

    Args:
        value: Any value.
        columns: The width that an `Object` may be laid out in; None means without limit.

    Raises:
        FaultError: The value is an object whose memory can't be read.
    """
    if isinstance(value, Object):
        return value.format_(columns=columns)
    if isinstance(value, tuple(_shown_as_str)):
        return str(value)
    return repr(value)


def show(value: object) -> None:
    """Print a value the way the prompt shows it, and None not at all."""
    if value is None:
        return
    try:
        text = text_of(value, terminal_columns())
    except FaultError as error:
        print(f"the value can't be read: {error}", file=sys.stderr)
        text = repr(value)
    print(text)
