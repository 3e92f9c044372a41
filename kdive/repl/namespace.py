"""The names that code sees at the prompt, in `kdive -e` and on standard input.

The helpers are a few hundred names in dozens of modules. Loading all of them would cost more than most
commands do, so a name is supplied when code that mentions it is about to run.
"""

from __future__ import annotations

import importlib
from types import CodeType

import kdive

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from kdive import Program

Namespace = dict[str, "Any"]

_API_NAMES = (
    "FaultError",
    "NULL",
    "Object",
    "alignof",
    "cast",
    "container_of",
    "execscript",
    "implicit_convert",
    "offsetof",
    "reinterpret",
    "search_memory",
    "search_memory_regex",
    "search_memory_u16",
    "search_memory_u32",
    "search_memory_u64",
    "search_memory_word",
    "sizeof",
    "source_location",
    "stack_trace",
)

# Code that uses these may reach names that it doesn't mention.
_REACHES_ANY_NAME = frozenset(("dir", "eval", "exec", "execscript", "globals", "locals", "vars"))


def base_namespace(prog: Program) -> Namespace:
    """Return the names that are always there: `prog`, the module as `kdive` and `drgn`, and its main functions."""
    names: Namespace = {"prog": prog, "kdive": kdive, "drgn": kdive}
    names.update((name, getattr(kdive, name)) for name in _API_NAMES)
    return names


def helper_packages(prog: Program) -> tuple[str, ...]:
    """Return the packages of helpers whose names suit a program."""
    if prog.flags & kdive.ProgramFlags.IS_LINUX_KERNEL:
        return ("kdive.helpers.common", "kdive.helpers.linux")
    return ("kdive.helpers.common",)


def helper_names(prog: Program) -> set[str]:
    """Return the names of all helpers that suit a program, without loading them."""
    return {
        name
        for package in helper_packages(prog)
        for name in importlib.import_module(package).__all__
    }


def supply(namespace: Namespace, code: CodeType) -> None:
    """Add the helpers that code mentions to the namespace that it is about to run in.

    Names that are there already stay as they are. `namespace["prog"]` says which helpers suit.
    """
    prog = namespace.get("prog")
    if not isinstance(prog, kdive.Program):
        return
    mentioned = set(_names_in(code))
    everything = not mentioned.isdisjoint(_REACHES_ANY_NAME)
    for package in helper_packages(prog):
        module = importlib.import_module(package)
        wanted = set(module.__all__) if everything else mentioned.intersection(module.__all__)
        for name in wanted.difference(namespace):
            namespace[name] = getattr(module, name)


def full_namespace(prog: Program) -> Namespace:
    """Return all names, with every helper loaded."""
    names = base_namespace(prog)
    for package in helper_packages(prog):
        module = importlib.import_module(package)
        for name in module.__all__:
            names.setdefault(name, getattr(module, name))
    return names


def _names_in(code: CodeType) -> Iterator[str]:
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names_in(constant)
