"""Diagnoses of dumps in which something is wrong: what they say is what the guest said and what was done to it."""

from collections import Counter

import pytest

import lab
from kdive.lens import Severity
from lab import scenario
from tests.lens import checks
from tests.lens.support import diagnose, facts, findings_of_everything, program, rows

pytestmark = [pytest.mark.lab, pytest.mark.scenario]


# What is found in each scenario; that of irq-exhaustion is up to chance, see test_irq_vectors.py.
FOUND = [
    ("btrfs-eexist", {"btrfs": [Severity.CRITICAL]}),
    ("memcg-zombies", {"memcg": [Severity.WARNING]}),
    ("delayed-work", {"delayed-works": [Severity.CRITICAL]}),
    ("rds-tcp", {"rds": [Severity.CRITICAL]}),
    ("rds-rdma", {"rds": [Severity.CRITICAL]}),
    ("ib-mad-overflow", {"rds": [Severity.CRITICAL], "ib-mad": [Severity.CRITICAL]}),
    ("blocked", {"blocked": [Severity.CRITICAL]}),
    ("panic", {"panic": [Severity.CRITICAL]}),
    ("crash-in-irq", {"panic": [Severity.CRITICAL]}),
    ("crash-in-bpf", {"panic": [Severity.CRITICAL]}),
    ("irq-vectors", {}),
    ("irq-unplug", {}),
    ("busy", {}),
    ("stacks", {}),
    ("many-threads", {}),
    ("idle", {}),
    ("bare", {}),
]


@pytest.mark.parametrize(("name", "found"), FOUND)
def test_each_finds_its_trouble_and_no_other(name: str, found: dict[str, list[Severity]]) -> None:
    form = "elf" if "elf" in lab.target(name).dumps else "vmcore"
    assert findings_of_everything(program(name, form)) == found


def test_no_scenario_is_left_out() -> None:
    assert {name for name, _ in FOUND} | {"irq-exhaustion"} == set(scenario.names())


@pytest.mark.parametrize("form", ["elf", "kdump-zlib"])
def test_btrfs_names_the_device_and_the_holders(form: str) -> None:
    truth = facts("btrfs-eexist")
    assert truth["mount_status"] == 32
    assert "File exists" in truth["mount_message"]
    checks.btrfs(diagnose(program("btrfs-eexist", form), "btrfs"), truth)
    # The mounts that the guest sees are all but the detached one.
    seen = {row["directory"] for row in lab.target("btrfs-eexist").truth["after"]["mounts"]}
    assert "/mnt/healthy" in seen
    assert "/mnt/first" not in seen


def test_btrfs_finds_holders_of_healthy_file_systems_when_asked() -> None:
    result = diagnose(program("btrfs-eexist"), "btrfs", holders=True)
    assert {row.fs_uuid for row in rows(result, "Holder")} == {facts("btrfs-eexist")["uuid"]}


@pytest.mark.parametrize("form", ["elf", "kdump-zlib"])
def test_delayed_works_on_the_offline_cpu(form: str) -> None:
    result = diagnose(program("delayed-work", form), "delayed-works")
    checks.delayed_works(result, facts("delayed-work"))


def test_delayed_works_of_online_cpus_when_asked() -> None:
    truth = facts("delayed-work")
    result = diagnose(program("delayed-work"), "delayed-works", every=True)
    (online,) = [row for row in rows(result, "DelayedWork") if row.work == truth["online_address"]]
    assert online.state == "online"
    assert online.remaining_jiffies > 0


def test_rds_over_tcp() -> None:
    checks.rds_over_tcp(diagnose(program("rds-tcp"), "rds"), facts("rds-tcp"))


def test_rds_over_infiniband() -> None:
    checks.rds_over_infiniband(diagnose(program("rds-rdma"), "rds"), facts("rds-rdma"))


def test_rds_lists_connections_of_a_state() -> None:
    result = diagnose(program("rds-tcp"), "rds", state="connecting")
    assert [row.remote for row in rows(result, "Connection")] == ["192.0.2.99"]
    assert len(result.findings) == 1


def test_ib_mad_knows_the_device() -> None:
    checks.ib_mad(diagnose(program("rds-rdma"), "ib-mad"), facts("rds-rdma"))


def test_ib_mad_shows_the_datagrams_that_wait() -> None:
    truth = facts("ib-mad-overflow")
    prog = program("ib-mad-overflow")
    result = diagnose(prog, "ib-mad")
    (pair,) = rows(result, "QueuePair")
    waiting = Counter(row.list for row in rows(result, "Datagram"))
    assert pair.limit == pair.sending == waiting["sq_list"] == 128
    assert pair.overflow == waiting["ovfl_list"] > 0
    requests = [row for row in rows(result, "Datagram") if row.message == "REQ"]
    # A peer that does not answer is asked again; nobody has anything else to say.
    assert len(requests) == len(rows(result, "Datagram"))
    assert {row.management_class for row in requests} == {"communication management"}
    assert pair.oldest == requests[0].address
    (finding,) = result.findings
    assert f"{pair.overflow} management datagrams of rxe0 port 1 wait" in finding.sentence
    assert f"send_queue 128 of 128, overflow_list {pair.overflow}" in finding.evidence[0]
    connections = rows(diagnose(prog, "rds"), "Connection")
    assert len(connections) == truth["peers"]
    assert {(row.rdma_cm_state, row.ib_cm_state) for row in connections} == {
        ("RDMA_CM_CONNECT", "IB_CM_REQ_SENT")
    }


@pytest.mark.parametrize("form", ["elf", "kdump-zlib"])
def test_blocked_tasks_and_who_holds_what_they_wait_for(form: str) -> None:
    checks.blocked(diagnose(program("blocked", form), "blocked"), facts("blocked"))


@pytest.mark.parametrize("name", ["panic", "crash-in-irq"])
def test_panic_says_why_and_where(name: str) -> None:
    target = lab.target(name)
    result = diagnose(program(name, "vmcore"), "panic")
    (row,) = rows(result, "Panic")
    (finding,) = result.findings
    assert finding.severity == Severity.CRITICAL
    functions = [frame.function.split("+")[0].split(" ")[0] for frame in rows(result, "Frame")]
    registers = {register.name: register.value for register in rows(result, "Register")}
    assert registers["rip"] == rows(result, "Frame")[0].address
    if name == "panic":
        assert "sysrq triggered crash" in row.message
        assert "sysrq_handle_crash" in functions
    else:
        assert "NULL pointer dereference" in row.message
        assert {"lab_crash_here", "lab_timer_function", "lab_spin_inner"} <= set(functions)
        assert row.command.startswith("lab_spinner/")
        assert row.cpu == target.truth["facts"].get("cpu", 1)
