"""Diagnoses of a kernel that runs: the guest's own, through /proc/kcore. What they say is what they say of a dump."""

import dataclasses
import json
import os
import shlex
import sys
from pathlib import Path
from typing import Any

import pytest

import lab
from kdive.lens import Result, Severity, Status
from lab import kernels, scenario
from tests.lens import checks
from tests.lens.support import result_of_json, rows

pytestmark = [pytest.mark.lab, pytest.mark.scenario]

ROOT = Path(__file__).parents[2]


@dataclasses.dataclass
class Live:
    """What `kdive lens` said in a guest, and what the guest said of itself."""

    status: int
    results: dict[str, Result]
    truth: dict[str, Any]

    @property
    def facts(self) -> dict[str, Any]:
        """What the scenario recorded."""
        recorded: dict[str, Any] = self.truth["facts"]
        return recorded

    @property
    def found(self) -> dict[str, list[Severity]]:
        """The severities of the findings, by diagnosis."""
        return {
            name: [finding.severity for finding in result.findings]
            for name, result in self.results.items()
            if result.findings
        }


def diagnose_live(name: str, *arguments: str) -> Live:
    """Run `kdive lens` in a guest in which a scenario is established."""
    kernel = kernels.get(lab.DEFAULT_KERNEL)
    wanted = scenario.load(name)
    command = [sys.executable, "-m", "kdive", "lens", "-k", "-s", str(kernel.vmlinux)]
    for path in kernel.debug_modules(wanted.debug_modules).values():
        command += ["-s", str(path)]
    for module in wanted.test_modules:
        command += ["-s", f"/run/lab/modules/{module}.ko"]
    command += ["--main-symbols", "--json", "--time-limit", "300", *arguments]
    variables = {"PYTHONPATH": str(ROOT), "HOME": os.environ["HOME"]}
    variables |= {name: os.environ[name] for name in ("KDIVE_CACHE",) if name in os.environ}
    environment = shlex.join(f"{name}={value}" for name, value in variables.items())
    script = f"env {environment} {shlex.join(command)} 2>/dev/null"
    # The debug information has to fit, and is read through a slow file system.
    ran = lab.run_in_guest(script, scenario_name=name, memory_mib=2048, timeout_s=1800)
    diagnoses = json.loads(ran.output)["diagnoses"]
    results = [result_of_json(diagnosis) for diagnosis in diagnoses]
    # What else the kernel does meanwhile may leave a structure unread; the values that must hold all the same are
    # for the caller to compare.
    assert all(r.status in (Status.OK, Status.PARTIAL) for r in results), [
        (diagnosis["name"], diagnosis["reason"], diagnosis["damages"]) for diagnosis in diagnoses
    ]
    return Live(ran.status, {result.name: result for result in results}, ran.truth)


def test_a_live_kernel_names_who_holds_a_file_system() -> None:
    live = diagnose_live("btrfs-eexist", "btrfs", "delayed-works", "irq-vectors", "sys")
    assert live.status == 3
    assert live.found == {"btrfs": [Severity.CRITICAL]}
    checks.btrfs(live.results["btrfs"], live.facts)
    (system,) = rows(live.results["sys"], "System")
    assert system.mode == "live kernel"
    assert all(row.unexplained == 0 for row in rows(live.results["irq-vectors"], "CpuTotals"))


def test_a_live_kernel_has_work_on_an_offline_cpu() -> None:
    live = diagnose_live("delayed-work", "delayed-works", "workqueues", "tasks")
    assert live.status == 3
    assert live.found == {"delayed-works": [Severity.CRITICAL]}
    checks.delayed_works(live.results["delayed-works"], live.facts)


def test_a_live_kernel_has_connections_over_tcp_that_hang() -> None:
    live = diagnose_live("rds-tcp", "rds", "stacks", "mounts", "modules")
    assert live.status == 3
    assert live.found == {"rds": [Severity.CRITICAL]}
    checks.rds_over_tcp(live.results["rds"], live.facts, is_live=True)


def test_a_live_kernel_has_connections_over_infiniband_that_hang() -> None:
    live = diagnose_live("rds-rdma", "rds", "ib-mad", "memory", "slabs")
    assert live.status == 3
    assert live.found == {"rds": [Severity.CRITICAL]}
    checks.rds_over_infiniband(live.results["rds"], live.facts)
    checks.ib_mad(live.results["ib-mad"], live.facts)


def test_a_live_kernel_has_memory_cgroups_that_live_on() -> None:
    live = diagnose_live("memcg-zombies", "memcg", "memcg-pages")
    # More memory than the guest of the dump has, of which the zombies hold the same.
    assert live.found == {"memcg": [Severity.NOTICE]}
    assert live.status == 0
    checks.memcg(live.results["memcg"], live.facts)
    pages = live.results["memcg-pages"]
    checks.memcg_pages(pages, live.facts)
    checks.memcg_slab(pages, live.facts)
    checks.memcg_sockets(pages, live.facts, live.truth["before"]["processes"])


def test_a_live_kernel_counts_its_interrupt_vectors() -> None:
    live = diagnose_live("irq-vectors", "irq-vectors", "dmesg")
    assert live.status == 0
    checks.irq_vectors(live.results["irq-vectors"], live.facts)
    checks.irq_devices(live.results["irq-vectors"], live.facts)


def test_a_live_kernel_has_a_deadlock() -> None:
    live = diagnose_live("blocked", "blocked")
    assert live.found == {"blocked": [Severity.CRITICAL]}
    checks.blocked(live.results["blocked"], live.facts)
