"""Lets code written for drgn run on kdive: `import drgn` and its like give the modules of kdive.

Only the `kdive` command and an explicit call of `install()` do this; importing kdive alone leaves the
name `drgn` as it is. While installed, these names come from kdive and never from a module on disk.
"""

import importlib
import sys
from importlib.machinery import ModuleSpec

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from importlib.abc import Loader
    from types import ModuleType
else:
    Loader = object  # importlib.abc would load more than the rest of the command

# Names of drgn, and what they are here. Submodules are only found below the ones in _PACKAGES.
_MODULES = {"_drgn": "kdive._native", "drgn": "kdive", "drgn.cli": "kdive.cli"}
_PACKAGES = {"drgn.commands": "kdive.commands", "drgn.helpers": "kdive.helpers"}


def counterpart(name: str) -> str | None:
    """Return the name of the kdive module that stands for the module `name` of drgn, if there is one."""
    if name in _MODULES:
        return _MODULES[name]
    for theirs, ours in _PACKAGES.items():
        if name == theirs or name.startswith(theirs + "."):
            return ours + name.removeprefix(theirs)
    return None


def install() -> None:
    """Make `import drgn`, what lies below it, and `_drgn` give the modules of kdive from here on.

    Calling it again does nothing.

    Raises:
        ImportError: drgn itself has been imported already, so both would be mixed.
    """
    if is_installed():
        return
    for name in ("drgn", "_drgn"):
        if name in sys.modules:
            raise ImportError(
                f"the module {name} is already loaded from elsewhere; "
                "call kdive.compat.install() before anything imports it",
                name=name,
            )
    sys.meta_path.insert(0, _Finder())


def is_installed() -> bool:
    """Return whether the names of drgn give the modules of kdive."""
    return any(isinstance(finder, _Finder) for finder in sys.meta_path)


class _Finder:
    """Answers for every name of drgn, also for those that kdive lacks."""

    def find_spec(
        self, fullname: str, path: "Sequence[str] | None", target: "ModuleType | None" = None
    ) -> ModuleSpec | None:
        del path, target
        if fullname.partition(".")[0] not in ("drgn", "_drgn"):
            return None
        ours = counterpart(fullname)
        if ours is None:
            raise ModuleNotFoundError(f"kdive has no counterpart of {fullname}", name=fullname)
        return ModuleSpec(fullname, _AliasLoader(ours))


class _AliasLoader(Loader):
    """Gives a module of kdive under another name, as it is."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._own_spec: ModuleSpec | None = None

    def create_module(self, spec: ModuleSpec) -> "ModuleType":
        try:
            module = importlib.import_module(self._name)
        except ModuleNotFoundError as error:
            if error.name is None or not self._name.startswith(error.name):
                raise
            raise ModuleNotFoundError(
                f"kdive has no counterpart of {spec.name} (that would be {self._name})",
                name=spec.name,
            ) from None
        self._own_spec = module.__spec__
        return module

    def exec_module(self, module: "ModuleType") -> None:
        # The import system has put the alias's spec into the module, which is loaded already.
        module.__spec__ = self._own_spec
