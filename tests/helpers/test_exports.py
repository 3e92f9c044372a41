# SPDX-License-Identifier: Apache-2.0
import importlib
import pkgutil
import subprocess
import sys
from types import ModuleType

import pytest

import kdive.helpers.common
import kdive.helpers.linux

PACKAGES = [kdive.helpers.common, kdive.helpers.linux]


def public_modules(package: ModuleType) -> dict[str, ModuleType]:
    return {
        module.name: importlib.import_module(f"{package.__name__}.{module.name}")
        for module in pkgutil.iter_modules(package.__path__)
        if not module.name.startswith("_")
    }


@pytest.mark.parametrize("package", PACKAGES, ids=lambda p: p.__name__)
def test_the_table_holds_what_the_modules_offer(package: ModuleType) -> None:
    offered = {
        name: tuple(module.__all__)
        for name, module in public_modules(package).items()
        if module.__all__
    }
    table = {name: tuple(names) for name, names in package._MODULES.items()}
    assert table == offered


@pytest.mark.parametrize("package", PACKAGES, ids=lambda p: p.__name__)
def test_no_name_is_offered_by_two_modules(package: ModuleType) -> None:
    names = [name for names in package._MODULES.values() for name in names]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("package", PACKAGES, ids=lambda p: p.__name__)
def test_every_name_leads_to_the_module_that_defines_it(package: ModuleType) -> None:
    modules = public_modules(package)
    for module, names in package._MODULES.items():
        for name in names:
            assert getattr(package, name) is getattr(modules[module], name)


@pytest.mark.parametrize("package", PACKAGES, ids=lambda p: p.__name__)
def test_what_is_offered_is_documented(package: ModuleType) -> None:
    undocumented = [name for name in package.__all__ if not getattr(package, name).__doc__]
    assert undocumented == []


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'for_each_unicorn'"):
        kdive.helpers.linux.for_each_unicorn  # noqa: B018


def test_importing_the_packages_loads_no_module() -> None:
    code = (
        "import sys, kdive.helpers.linux, kdive.helpers.common;"
        "print([m for m in sys.modules if m.startswith(('kdive.helpers.linux.', 'kdive.helpers.common.'))])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
