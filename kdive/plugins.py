"""Plug-ins that were written for drgn: modules whose functions are called when something happens.

There is one occasion, `drgn_prog_set(prog)`: a program has been given its target. A hook may have an attribute
`drgn_priority`; those with lower numbers are called first, others count as 50.

Plug-ins are the entry points `drgn.plugins` of installed packages, except those whose names match one of the
comma-separated patterns of `DRGN_DISABLE_PLUGINS`, and what `DRGN_PLUGINS` lists: `NAME`, an entry point whatever is
disabled, `NAME=MODULE` or `NAME=/path/to/file.py`. One that fails is logged and passed over.

They import drgn, so they are called only after `kdive.compat.install()`, as the command does it.
"""

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

_DEFAULT_PRIORITY = 50
_GROUP = "drgn.plugins"

# Those that were loaded, with their names.
_loaded: list[tuple[str, object]] | None = None


def call(hook: str, *arguments: object) -> None:
    """Call a hook of every plug-in that has it.

    Args:
        hook: The name of the function.
        *arguments: What it is called with.
    """
    if not _is_installed():
        return
    found = [(name, getattr(plugin, hook)) for name, plugin in _plugins() if hasattr(plugin, hook)]
    found.sort(key=lambda item: getattr(item[1], "drgn_priority", _DEFAULT_PRIORITY))
    for name, function in found:
        try:
            function(*arguments)
        except Exception:  # noqa: BLE001 - whatever a plug-in does, the program can be looked at
            _log(f"the plug-in {name} failed in {hook}()")


def _is_installed() -> bool:
    compat = sys.modules.get("kdive.compat")
    return compat is not None and compat.is_installed()


def _log(message: str) -> None:
    import logging

    logging.getLogger("kdive").warning(message, exc_info=True)


def _plugins() -> "list[tuple[str, object]]":
    global _loaded
    if _loaded is None:
        _loaded = []
        for name, place in _places():
            try:
                _loaded.append((name, _load(place)))
            except Exception:  # noqa: BLE001 - as above
                _log(f"the plug-in {name} can't be loaded")
    return _loaded


def _places() -> "Iterator[tuple[str, str]]":
    """The plug-ins that are wanted: names, and modules or paths; an empty one where there is none."""
    from fnmatch import fnmatch

    disabled = [
        pattern for pattern in os.environ.get("DRGN_DISABLE_PLUGINS", "").split(",") if pattern
    ]
    listed = [item for item in os.environ.get("DRGN_PLUGINS", "").split(",") if item]
    installed = dict(_entry_points())
    for name, place in installed.items():
        if not any(fnmatch(name, pattern) for pattern in disabled) and name not in listed:
            yield name, place
    for item in listed:
        name, _, place = item.partition("=")
        yield name, place or installed.get(name, "")


def _entry_points() -> "Iterator[tuple[str, str]]":
    # Loading importlib.metadata takes longer than most commands do.
    if not any(_has_plugins(directory) for directory in sys.path):
        return
    from importlib.metadata import entry_points

    for found in entry_points(group=_GROUP):
        # drgn's own are commands, which kdive.commands has.
        if not found.value.startswith("drgn."):
            yield found.name, found.value


def _has_plugins(directory: str) -> bool:
    try:
        with os.scandir(directory or ".") as entries:
            packages = [
                entry.path for entry in entries if entry.name.endswith((".dist-info", ".egg-info"))
            ]
    except OSError:
        return False
    return any(_mentions_group(os.path.join(package, "entry_points.txt")) for package in packages)  # noqa: PTH118


def _mentions_group(path: str) -> bool:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return f"[{_GROUP}]" in file.read()
    except OSError:
        return False


def _load(place: str) -> object:
    from importlib import import_module

    if not place:
        raise ModuleNotFoundError("no installed package has it, and no module or path is given")
    if "/" not in place:
        name, _, attribute = place.partition(":")
        module: object = import_module(name)
        return getattr(module, attribute) if attribute else module
    from runpy import run_path
    from types import SimpleNamespace

    return SimpleNamespace(**run_path(place))
