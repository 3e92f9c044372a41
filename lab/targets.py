"""Targets: a scenario run on a kernel, its dumps and its truth, made once and kept in the cache."""

import contextlib
import json
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from lab import cache, kernels, runs, scenario
from lab.kernels import Kernel
from lab.scenario import Scenario

DEFAULT_KERNEL = "6.1-amd64"


@dataclass(frozen=True)
class Target:
    """What a scenario left behind.

    :param name: the scenario's name.
    :param kernel: the release, as in ``uname -r``.
    :param directory: holds everything but the debug files.
    :param dumps: format to file. All were taken at one moment, with the guest frozen.
    :param truth: ``before`` and ``after`` hold what the guest said about itself on both sides of
        that moment (see ``guest/observe.py``), ``facts`` what the scenario recorded, ``output``
        what it printed.
    :param debug: where the debug files come from; they are downloaded when they are first asked for.
    """

    name: str
    kernel: str
    directory: Path
    dumps: dict[str, Path]
    truth: dict[str, Any]
    debug: Kernel

    @property
    def vmlinux(self) -> Path:
        """The kernel with its debug information."""
        return self.debug.vmlinux

    @cached_property
    def modules(self) -> dict[str, Path]:
        """Debug files of the modules that the scenario names, the lab's own included."""
        wanted = scenario.load(self.name)
        built = {name: self.directory / "modules" / f"{name}.ko" for name in wanted.test_modules}
        return self.debug.debug_modules(wanted.debug_modules) | built

    @property
    def stable_tasks(self) -> list[dict[str, Any]]:
        """The tasks that did not run between the observations, and so must be the same in the dump."""
        key = ("pid", "start_ticks", "comm", "state", "switches")
        after = {tuple(row[name] for name in key) for row in self.truth["after"]["tasks"]}
        return [
            row
            for row in self.truth["before"]["tasks"]
            if tuple(row[name] for name in key) in after
        ]


def target(name: str, kernel: str = DEFAULT_KERNEL) -> Target:
    """The target of the scenario ``name`` on ``kernel``, made if the cache does not have it.

    :param kernel: a series and an architecture, for example ``6.1-amd64``.
    :raises LabError: it can't be made.
    """
    wanted = scenario.load(name)
    chosen = kernels.get(kernel)
    directory = cache.directory(
        cache.root() / "targets" / chosen.identity / f"{name}-{wanted.digest}",
        lambda unfinished: _make(chosen, wanted, unfinished),
    )
    with (directory / "truth.json").open() as file:
        truth = json.load(file)
    return Target(
        name=name,
        kernel=chosen.release,
        directory=directory,
        dumps={path.name: path for path in sorted((directory / "dumps").iterdir())},
        truth=truth,
        debug=chosen,
    )


def run_in_guest(
    script: str,
    *,
    scenario_name: str = "bare",
    kernel: str = DEFAULT_KERNEL,
    memory_mib: int | None = None,
    timeout_s: float | None = None,
) -> runs.Run:
    """Run ``script`` with bash in a guest in which a scenario is established, and return its output.

    The guest sees this machine's files, and may change them without this machine noticing; so
    programs and Python environments installed here work there, on the guest's ``/proc/kcore`` for
    example. ``$LAB_PYTHON`` is this interpreter. Nothing of this is cached.

    :param memory_mib: the guest's memory; the scenario's own where not given.
    :param timeout_s: for the whole life of the guest; the scenario's own where not given.
    :raises LabError: the guest does not boot or the scenario fails. A failing script is no error.
    """
    wanted = scenario.load(scenario_name)
    wanted = replace(
        wanted,
        memory_mib=memory_mib or wanted.memory_mib,
        timeout_s=timeout_s or wanted.timeout_s,
    )
    return runs.run(kernels.get(kernel), wanted, live_script=script)


def held_guest(
    name: str, kernel: str = DEFAULT_KERNEL
) -> contextlib.AbstractContextManager[runs.Held]:
    """A guest in which the scenario ``name`` is established, which runs while the context lasts.

    It can be looked at from outside, through QEMU. Nothing of this is cached.

    :raises LabError: the guest does not boot or the scenario fails.
    """
    return runs.hold(kernels.get(kernel), scenario.load(name))


def _make(kernel: Kernel, wanted: Scenario, directory: Path) -> None:
    made = runs.run(kernel, wanted, keep=directory)
    (directory / "truth.json").write_text(json.dumps(made.truth))
