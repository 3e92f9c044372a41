"""Evaluates expressions with drgn, or with kdive in its place, and prints what each gives as JSON.

    python evaluate.py drgn|kdive < EXPRESSIONS

Each expression is evaluated with the names of the API, the programs `prog` (64 bits, little-endian), `be` (big-endian)
and `p32` (32 bits), and the objects of `mock.objects` for each of them.
"""

import copy
import importlib
import json
import math
import operator
import pickle
import sys
from pathlib import Path
from typing import Any

sys.path[:0] = [str(Path(__file__).parents[2]), str(Path(__file__).parent)]


def shown(value: Any, tool: Any) -> list[Any]:
    """What can be compared of a value."""
    kind = type(value).__name__
    if isinstance(value, tool.Object):
        return [kind, repr(value), None if value.absent_ else str(value)]
    if isinstance(value, tool.Type):
        return [kind, repr(value), str(value)]
    if type(value) in (list, tuple):
        return [kind, *(shown(item, tool) for item in value)]
    return [kind, repr(value)]


def outcome(expression: str, names: dict[str, Any], tool: Any) -> list[Any]:
    """The value of an expression, or the class, the message and the attributes of the exception."""
    try:
        return shown(eval(expression, dict(names)), tool)
    except Exception as error:  # noqa: BLE001 - which one is the question
        # Notes only say which argument an error is about.
        attributes = {
            name: repr(value) for name, value in sorted(vars(error).items()) if name != "__notes__"
        }
        bases = [base.__name__ for base in type(error).__mro__[1:]]
        return ["raise", type(error).__name__, str(error), bases, attributes]


def main() -> None:
    """Evaluate what is read from standard input."""
    if sys.argv[1] == "kdive":
        importlib.import_module("kdive.compat").install()
    tool = importlib.import_module("drgn")
    mock = importlib.import_module("mock")
    names = {name: getattr(tool, name) for name in tool.__all__}
    names |= {module.__name__: module for module in (copy, math, operator, pickle)}
    for name, flags in (
        ("prog", ("IS_64_BIT", "IS_LITTLE_ENDIAN")),
        ("be", ("IS_64_BIT",)),
        ("p32", ("IS_LITTLE_ENDIAN",)),
    ):
        names[name] = mock.program(tool, *flags)
        names[name + "_"] = type("Objects", (), mock.objects(tool, names[name]))
    outcomes = [outcome(expression, names, tool) for expression in json.load(sys.stdin)]
    json.dump(outcomes, sys.stdout)


if __name__ == "__main__":
    main()
