"""Targets: a scenario run on a kernel, its dumps and its truth, made once and kept in the cache."""

import json
import shutil
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lab import cache, commands, kernels, scenario
from lab.errors import LabError
from lab.kernels import Kernel
from lab.machine import Machine
from lab.scenario import Scenario

DEFAULT_KERNEL = "6.1-amd64"
#: Between the scenario's "ready" and the dump, so that its shell is asleep again.
SETTLE_S = 0.5


@dataclass(frozen=True)
class Target:
    """What a scenario left behind.

    :param name: the scenario's name.
    :param kernel: the release, as in ``uname -r``.
    :param directory: holds everything but the debug files.
    :param vmlinux: the kernel with its debug information.
    :param dumps: format to file. All were taken at one moment, with the guest frozen.
    :param truth: ``before`` and ``after`` hold what the guest said about itself on both sides of
        that moment (see ``guest/observe.py``), ``facts`` what the scenario recorded, ``output``
        what it printed.
    :param modules: debug files of the modules that the scenario names.
    """

    name: str
    kernel: str
    directory: Path
    vmlinux: Path
    dumps: dict[str, Path]
    truth: dict[str, Any]
    modules: dict[str, Path]

    @property
    def stable_tasks(self) -> list[dict[str, Any]]:
        """The tasks that were the same before and after the dump, and so must be the same in it."""
        key = ("pid", "start_ticks", "comm", "state")
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
        vmlinux=chosen.vmlinux,
        dumps={path.name: path for path in sorted((directory / "dumps").iterdir())},
        truth=truth,
        modules=chosen.debug_modules(wanted.debug_modules),
    )


def _make(kernel: Kernel, wanted: Scenario, directory: Path) -> None:
    dumps = directory / "dumps"
    dumps.mkdir()
    with tempfile.TemporaryDirectory(prefix="kdive-lab-") as temporary:
        shared = Path(temporary)
        for path in scenario.GUEST_FILES.iterdir():
            if path.is_file():
                shutil.copy(path, shared)
        (shared / "scenario.sh").write_text(wanted.script)
        (shared / "environment").write_text(
            f"LAB_MODULES='{kernel.modules_root}'\nLAB_PYTHON='{Path(sys.executable).resolve()}'\n"
        )
        try:
            with Machine(kernel, wanted, shared) as machine:
                message = machine.hear()
                if message != "ready":
                    raise LabError(
                        f"scenario {wanted.name} says {message!r} instead of being ready"
                    )
                time.sleep(SETTLE_S)
                for format in wanted.dumps:
                    _dump(machine, format, dumps / format)
                machine.resume()
                machine.answer()
                machine.wait_for_end()
            _check_status(wanted, shared)
            truth = _truth(shared)
        except LabError as error:
            raise LabError(_keep_logs(wanted, shared, str(error))) from None
        (directory / "truth.json").write_text(json.dumps(truth))
        shutil.copy(shared / "console.log", directory)


def _dump(machine: Machine, format: str, path: Path) -> None:
    if format != "elf" and format not in machine.dump_formats():
        return
    machine.dump(path, None if format == "elf" else format)
    commands.run(["fallocate", "--dig-holes", str(path)], timeout_s=120)


def _check_status(wanted: Scenario, shared: Path) -> None:
    status = shared / "status"
    if not status.exists() or status.read_text().strip() != "0":
        shown = (
            (shared / "output").read_text(errors="replace") if (shared / "output").exists() else ""
        )
        raise LabError(f"scenario {wanted.name} failed in the guest:\n{shown[-2000:]}")


def _truth(shared: Path) -> dict[str, Any]:
    truth: dict[str, Any] = {
        name: json.loads((shared / f"{name}.json").read_text()) for name in ("before", "after")
    }
    truth["facts"] = {
        path.stem: path.read_text() for path in sorted((shared / "facts").glob("*.txt"))
    }
    for path in sorted((shared / "facts").glob("*.json")):
        truth["facts"][path.stem] = json.loads(path.read_text())
    truth["output"] = (shared / "output").read_text(errors="surrogateescape")
    return truth


def _keep_logs(wanted: Scenario, shared: Path, message: str) -> str:
    """Move the logs of a failed run to where they outlive it and name that place in the message."""
    kept = cache.root() / "failed" / f"{wanted.name}-{time.strftime('%Y%m%d-%H%M%S')}"
    kept.mkdir(parents=True, exist_ok=True)
    for name in ("console.log", "qemu.log", "output"):
        if (shared / name).exists():
            shutil.copy(shared / name, kept)
    return message.replace(str(shared), str(kept)) + f"\nthe logs are in {kept}"
