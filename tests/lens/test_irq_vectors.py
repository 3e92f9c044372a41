"""Interrupt vectors: held against what the guest said of its interrupts, and before and after devices are unplugged."""

import pytest

from kdive.lens import Result, Severity
from tests.lens import checks
from tests.lens.support import diagnose, facts, findings_of_everything, program, rows

pytestmark = [pytest.mark.lab, pytest.mark.scenario]


def test_irq_vectors_run_out() -> None:
    truth = facts("irq-exhaustion")
    assert "Removing after probe failure status: -28" in truth["log"]  # ENOSPC
    prog = program("irq-exhaustion")
    result = diagnose(prog, "irq-vectors")
    (matrix,) = rows(result, "Matrix")
    # Devices that did not get all that they need gave back what they had got: how many are left is up to chance.
    assert matrix.global_available < 2
    severity = Severity.WARNING if matrix.global_available else Severity.CRITICAL
    assert findings_of_everything(prog) == {"irq-vectors": [severity]}
    consumers = rows(result, "Consumer")
    taken = sum(row.vectors for row in consumers if row.driver in ("virtio-pci", "nvme"))
    assert taken == truth["interrupts"] > 150
    assert [row.vectors for row in consumers[:3]] == [64, 64, 40]
    (totals,) = rows(result, "CpuTotals")
    assert (totals.matrix_available, totals.unexplained) == (matrix.global_available, 0)
    (finding,) = result.findings
    assert f"virtio-pci {consumers[0].device} takes 64" in finding.evidence


def test_irq_vectors_agree_with_the_guest() -> None:
    checks.irq_vectors(diagnose(program("irq-vectors"), "irq-vectors"), facts("irq-vectors"))


def test_irq_vectors_of_unplugged_devices_are_free_again() -> None:
    unplugged = facts("irq-vectors")["unplugged"]
    assert [len(device["irqs"]) for device in unplugged] == [5, 5]
    result = diagnose(program("irq-vectors"), "irq-vectors")
    gone = {device["device"] for device in unplugged}
    irqs = {irq for device in unplugged for irq in device["irqs"]}
    assert not gone & {row.device for row in rows(result, "Consumer")}
    for row in rows(result, "Vector"):
        assert row.irq not in irqs
        assert row.device not in gone


def test_irq_vectors_by_device_are_reconciled_with_the_matrix() -> None:
    checks.irq_devices(diagnose(program("irq-vectors"), "irq-vectors"), facts("irq-vectors"))


def irqs_by_device(moment: str) -> dict[str, set[int]]:
    """What sysfs said at a moment of the scenario `irq-unplug`."""
    return {row["device"]: set(row["irqs"]) for row in facts("irq-unplug")[f"devices_{moment}"]}


def in_use(result: Result) -> dict[int, tuple[int, int]]:
    """The CPU and the vector of each interrupt that has one; those of the old controller have one on each CPU."""
    return {
        row.irq: (row.cpu, row.vector)
        for row in rows(result, "Vector")
        if row.irq is not None and row.driver != "XT-PIC"
    }


@pytest.mark.parametrize("moment", ["plugged", "unplugged", "after"])
def test_vectors_are_those_of_the_devices_that_are_there(moment: str) -> None:
    form = "elf" if moment == "after" else f"elf-{moment}"
    result = diagnose(program("irq-unplug", form), "irq-vectors")
    assert result.findings == []
    listed: dict[str, set[int]] = {}
    for row in rows(result, "Vector"):
        if row.irq is not None and row.device:
            listed.setdefault(row.device, set()).add(row.irq)
    known = irqs_by_device(moment)
    # The NVMe queue of a CPU that is gone has no vector.
    (stays,) = [row.device for row in rows(result, "Consumer") if row.shut_down] or [None]
    for device, irqs in known.items():
        assert len(irqs - listed[device]) == (1 if device == stays else 0)
        assert listed[device] <= irqs
    assert set(listed) == set(known)
    assert (stays is None) == (moment != "after")
    assert {(row.total, row.unexplained) for row in rows(result, "CpuTotals")} == {(256, 0)}
    (matrix,) = rows(result, "Matrix")
    assert matrix.total_allocated == sum(row.vectors for row in rows(result, "Consumer"))


def test_devices_that_are_unplugged_give_all_their_vectors_back() -> None:
    before = diagnose(program("irq-unplug", "elf-plugged"), "irq-vectors")
    after = diagnose(program("irq-unplug", "elf-unplugged"), "irq-vectors")
    gone = set(facts("irq-unplug")["unplugged"])
    assert gone == set(irqs_by_device("plugged")) - set(irqs_by_device("unplugged"))
    # An NVMe disk, a virtio disk with a vector for each of four queues and its configuration, and a network card
    taken = [row for row in rows(before, "Consumer") if row.device in gone]
    assert [(row.driver, row.vectors, row.managed) for row in taken] == [
        ("nvme", 5, 4),
        ("virtio-pci", 5, 4),
        ("virtio-pci", 3, 0),
    ]
    (was,), (now,) = rows(before, "Matrix"), rows(after, "Matrix")
    assert was.total_allocated - now.total_allocated == 13
    assert now.global_available - was.global_available == 13
    assert (was.global_reserved, was.online_maps) == (now.global_reserved, now.online_maps)
    # Each CPU gets back what it had: nothing leaks, and nothing stays set aside for queues that are gone.
    for cpu in range(4):
        freed = [row for row in rows(before, "Vector") if row.cpu == cpu and row.device in gone]
        (old,) = [row for row in rows(before, "CpuMap") if row.cpu == cpu]
        (new,) = [row for row in rows(after, "CpuMap") if row.cpu == cpu]
        assert new.available - old.available == old.allocated - new.allocated == len(freed)
        managed = sum(bool(row.managed) for row in freed)
        assert (old.managed - new.managed, old.managed_allocated - new.managed_allocated) == (
            managed,
            managed,
        )
        # The entries stay until they are needed again, but lead to no interrupt any more.
        shut = {(row.cpu, row.vector) for row in rows(after, "Vector") if row.state == "SHUTDOWN"}
        assert {(row.cpu, row.vector) for row in freed} <= shut
    irqs = set().union(*(irqs_by_device("plugged")[device] for device in gone))
    assert not irqs & set(in_use(after))
    kept = {irq: place for irq, place in in_use(before).items() if irq not in irqs}
    assert in_use(after) == kept


def test_a_cpu_that_is_unplugged_gives_its_vectors_to_the_others() -> None:
    before = diagnose(program("irq-unplug", "elf-unplugged"), "irq-vectors")
    after = diagnose(program("irq-unplug", "elf"), "irq-vectors")
    moved = {irq: place for irq, place in in_use(before).items() if place[0] == 3}
    lost = set(moved) - set(in_use(after))
    # All but the queue that the NVMe disk had for that CPU alone.
    assert len(moved) == 5
    assert len(lost) == 1
    (queue,) = [row for row in rows(before, "Vector") if row.irq in lost]
    assert (queue.driver, queue.managed) == ("nvme", True)
    assert all(place[0] != 3 for place in in_use(after).values())
    (was,), (now,) = rows(before, "Matrix"), rows(after, "Matrix")
    assert was.total_allocated - now.total_allocated == 1
    assert (was.online_maps, now.online_maps) == (4, 3)
    maps = {row.cpu: row for row in rows(after, "CpuMap")}
    left = maps.pop(3)
    # The vector of that queue stays set aside for when the CPU comes back.
    assert (left.online, left.allocated, left.managed, left.managed_allocated) == (False, 0, 1, 0)
    assert now.global_available == sum(row.available for row in maps.values())
    (old,) = [row for row in rows(before, "CpuMap") if row.cpu == 3]
    assert was.global_available - now.global_available == old.available + 4
