"""The diagnoses that there are: whatever the modules of `kdive.lens.diagnoses` define."""

import importlib
import pkgutil
from typing import Any

import kdive.lens.diagnoses
from kdive.lens.diagnosis import Diagnosis


def all_diagnoses() -> dict[str, Diagnosis[Any]]:
    """Return every diagnosis by its name, in alphabetical order.

    Raises:
        TypeError: Two have the same name.
    """
    found: dict[str, Diagnosis[Any]] = {}
    for module in pkgutil.iter_modules(kdive.lens.diagnoses.__path__):
        loaded = importlib.import_module(f"{kdive.lens.diagnoses.__name__}.{module.name}")
        for value in vars(loaded).values():
            if isinstance(value, Diagnosis) and found.setdefault(value.name, value) is not value:
                raise TypeError(f"two diagnoses are called {value.name}")
    return dict(sorted(found.items()))


def find_diagnosis(name: str) -> Diagnosis[Any]:
    """Return the diagnosis with a name.

    Raises:
        LookupError: There is none.
    """
    known = all_diagnoses()
    if name not in known:
        raise LookupError(f"there is no diagnosis {name!r}; there are {', '.join(known)}")
    return known[name]
