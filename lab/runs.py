"""One run of a scenario in a guest: what it is given, serving its requests, collecting what it left."""

import contextlib
import json
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from lab import cache, conversions, testmodules, userland
from lab.errors import LabError
from lab.files import make_sparse
from lab.kernels import Kernel
from lab.machine import Machine
from lab.scenario import DIRECTORY as SCENARIOS, GUEST_FILES, Scenario

#: Between the scenario's "ready" and the dump, so that its shell is asleep again.
SETTLE_S = 0.5
#: How much of each log an error shows.
SHOWN_LINES = 15
LOGS = ("console.log", "qemu.log", "output")


@dataclass(frozen=True)
class Run:
    """What a finished run left.

    :param truth: what the guest said and recorded; see :class:`lab.Target`.
    :param output: what the script given beside the scenario printed, if there was one.
    :param status: its exit status.
    """

    truth: dict[str, Any]
    output: str
    status: int


def run(
    kernel: Kernel, scenario: Scenario, *, keep: Path | None = None, live_script: str | None = None
) -> Run:
    """Boot ``kernel``, run ``scenario`` to its end and return what it left.

    :param keep: an existing directory that gets ``dumps/`` and ``console.log``.
    :param live_script: run in the guest with bash when the scenario is ready, instead of dumps.
    :raises LabError: the guest does not boot, the scenario fails, or its time is over. The logs are
        kept where the message says.
    """
    with _shared_directory() as shared:
        _give(kernel, scenario, live_script, shared)
        try:
            with Machine(kernel, scenario, shared) as machine:
                _serve(machine, scenario, keep)
            _check_status(scenario, shared)
            truth = _truth(shared)
        except LabError as error:
            raise LabError(_keep_logs(scenario, shared, str(error))) from None
        if keep is not None:
            shutil.copy(shared / "console.log", keep)
            if scenario.test_modules:
                shutil.copytree(shared / "modules", keep / "modules")
            if (shared / "vmcore").exists():
                (keep / "dumps").mkdir(exist_ok=True)
                shutil.move(shared / "vmcore", keep / "dumps" / "vmcore")
                make_sparse(keep / "dumps" / "vmcore")
                if scenario.conversions:
                    conversions.convert(keep / "dumps" / "vmcore", keep / "dumps")
        if live_script is None:
            return Run(truth, "", 0)
        output = (shared / "live-output").read_text(errors="surrogateescape")
        return Run(truth, output, int((shared / "live-status").read_text()))


@dataclass(frozen=True)
class Held:
    """A guest that stays as its scenario has made it, and goes on running.

    :param monitor: the path of a socket on which QEMU speaks QMP.
    :param truth: what the guest said and recorded before; see :class:`lab.Target`.
    """

    monitor: Path
    truth: dict[str, Any]


@contextlib.contextmanager
def hold(kernel: Kernel, scenario: Scenario) -> Iterator[Held]:
    """Boot ``kernel``, run ``scenario`` until it is ready, and keep the guest while the context lasts.

    :raises LabError: the guest does not boot, or ends before it is ready.
    """
    with _shared_directory() as shared:
        monitor = shared / "monitor"
        argument = f"unix:{monitor},server=on,wait=off"
        wanted = replace(scenario, qemu_arguments=[*scenario.qemu_arguments, "-qmp", argument])
        _give(kernel, wanted, None, shared)
        try:
            with Machine(kernel, wanted, shared) as machine:
                while (message := machine.hear()) != "ready":
                    if message is None:
                        raise LabError(f"the guest of scenario {scenario.name} ended too early")
                    _do(machine, wanted, None, message)
                yield Held(monitor, _truth(shared))
        except LabError as error:
            raise LabError(_keep_logs(scenario, shared, str(error))) from None


@contextlib.contextmanager
def _shared_directory() -> Iterator[Path]:
    parent = cache.root() / "runs"
    parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=parent) as directory:
        yield Path(directory)


def _give(kernel: Kernel, scenario: Scenario, live_script: str | None, shared: Path) -> None:
    shutil.copytree(GUEST_FILES, shared, dirs_exist_ok=True)
    (shared / "scenario.sh").write_text(scenario.script)
    for name in scenario.files:
        shutil.copy(SCENARIOS / name, shared)
    if scenario.test_modules:
        (shared / "modules").mkdir()
        testmodules.build(kernel, scenario.test_modules, shared / "modules")
    if live_script is not None:
        (shared / "live.sh").write_text(live_script)
    (shared / "environment").write_text(
        f"LAB_IMAGE='/run/kernel/{kernel.image.relative_to(kernel.modules_root)}'\n"
        f"LAB_PYTHON='{userland.python(kernel.architecture, sys.executable)}'\n"
    )


def _serve(machine: Machine, scenario: Scenario, keep: Path | None) -> None:
    """Do what the scenario asks for until its guest is off."""
    while (message := machine.hear()) is not None:
        _do(machine, scenario, keep, message)


def _do(machine: Machine, scenario: Scenario, keep: Path | None, message: str) -> None:
    """Do one thing that the scenario asks for."""
    request, _, argument = message.partition(" ")
    match request:
        case "ready" if keep is not None:
            time.sleep(SETTLE_S)
            _dump_all(machine, scenario, keep)
        case "moment":
            if keep is not None:
                time.sleep(SETTLE_S)
                _dump_all(machine, scenario, keep, f"-{argument}")
        case "qmp":
            command = json.loads(argument)
            machine.monitor.execute(command["execute"], **command.get("arguments", {}))
        case _:
            raise LabError(f"scenario {scenario.name} says {message!r}: nothing known")
    machine.answer()


def _dump_all(machine: Machine, scenario: Scenario, keep: Path, suffix: str = "") -> None:
    dumps = keep / "dumps"
    dumps.mkdir(exist_ok=True)
    supported = machine.dump_formats()
    for format in scenario.dumps:
        if format in supported:
            path = dumps / f"{format}{suffix}"
            machine.dump(path, format)
            make_sparse(path)
    machine.resume()


def _check_status(scenario: Scenario, shared: Path) -> None:
    status = shared / "status"
    if not status.exists():
        raise LabError(f"the guest of scenario {scenario.name} ended before its script")
    if status.read_text().strip() != "0":
        raise LabError(f"scenario {scenario.name} failed in the guest")


def _truth(shared: Path) -> dict[str, Any]:
    truth: dict[str, Any] = {
        name: json.loads((shared / f"{name}.json").read_text())
        for name in ("before", "after")
        if (shared / f"{name}.json").exists()
    }
    facts = sorted((shared / "facts").iterdir())
    truth["facts"] = {
        path.stem: json.loads(path.read_text()) if path.suffix == ".json" else path.read_text()
        for path in facts
    }
    truth["output"] = (shared / "output").read_text(errors="surrogateescape")
    return truth


def _keep_logs(scenario: Scenario, shared: Path, message: str) -> str:
    """Put the logs of a failed run where they outlive it, and their ends into the message."""
    kept = cache.root() / "failed" / f"{scenario.name}-{time.strftime('%Y%m%d-%H%M%S')}"
    kept.mkdir(parents=True, exist_ok=True)
    for name in LOGS:
        if (shared / name).exists():
            shutil.copy(shared / name, kept)
            end = (kept / name).read_text(errors="replace").splitlines()[-SHOWN_LINES:]
            message += f"\n--- the end of {kept / name}:\n" + "\n".join(end)
    return message
