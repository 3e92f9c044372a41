# SPDX-License-Identifier: Apache-2.0
"""Packages whose names are loaded when they are first used."""

from __future__ import annotations

import importlib
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any


def lazy_exports(
    package: str, modules: Mapping[str, Sequence[str]]
) -> tuple[Callable[[str], Any], Callable[[], list[str]], tuple[str, ...]]:
    """Make the module-level functions of a package that re-exports its submodules lazily.

    :param package: ``__name__`` of the package.
    :param modules: For each submodule, the names that the package offers from it.
    :return: ``__getattr__``, ``__dir__`` and ``__all__`` for the package.
    """
    home_of = {name: module for module, names in modules.items() for name in names}

    def load(name: str) -> Any:
        home = home_of.get(name)
        if home is None:
            if name in modules:
                return importlib.import_module(f"{package}.{name}")
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        value = getattr(importlib.import_module(f"{package}.{home}"), name)
        setattr(sys.modules[package], name, value)
        return value

    def names() -> list[str]:
        return sorted({*vars(sys.modules[package]), *home_of, *modules})

    return load, names, tuple(home_of)
