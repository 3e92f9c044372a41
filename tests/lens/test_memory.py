"""Reports about memory, held against /proc/meminfo and /proc/slabinfo of the guest."""

import pytest

import lab
from tests.lens.support import diagnose, program, rows

pytestmark = pytest.mark.lab

FORMS = ["elf", "kdump-zlib"]
MIB = 1 << 20


@pytest.mark.parametrize("form", FORMS)
def test_memory_is_what_meminfo_says(form: str, idle: lab.Target) -> None:
    result = diagnose(program("idle", form), "memory")
    uses = {row.kind: row.size_bytes for row in rows(result, "Use")}
    said = [idle.truth[when]["tables"]["meminfo_kib"] for when in ("before", "after")]
    names = {
        "free": "MemFree",
        "shared memory": "Shmem",
        "anonymous": "AnonPages",
        "slab, reclaimable": "SReclaimable",
        "slab, unreclaimable": "SUnreclaim",
        "page tables": "PageTables",
    }
    # Who asked /proc/meminfo took some memory to do so, and CPUs add to most counters with some delay.
    asking = 8 * MIB
    for kind, name in names.items():
        low, high = sorted(table[name] * 1024 for table in said)
        slack = asking if kind in ("free", "anonymous") else MIB
        assert low - slack < uses[kind] < high + slack, kind
    low, high = sorted(
        (table["Cached"] + table["Buffers"] - table["Shmem"]) * 1024 for table in said
    )
    assert low - MIB < uses["page cache"] < high + MIB
    assert uses["per-CPU"] in {table["Percpu"] * 1024 for table in said}
    # One of 16 KiB for each task, of which one was asking.
    stacks = [table["KernelStack"] * 1024 - uses["kernel stacks"] for table in said]
    assert all(-(64 << 10) <= difference <= 64 << 10 for difference in stacks)
    vmalloc = [(table["VmallocUsed"] - table["KernelStack"]) * 1024 for table in said]
    assert min(vmalloc) - MIB < uses["vmalloc"] < max(vmalloc) + MIB
    assert sum(uses.values()) == said[0]["MemTotal"] * 1024
    # What nobody accounts for is little in a guest that has just been started.
    assert 0 <= uses["not accounted for"] < 0.05 * said[0]["MemTotal"] * 1024
    assert result.findings == []


@pytest.mark.parametrize("form", FORMS)
def test_slabs_are_what_slabinfo_says(form: str, idle: lab.Target) -> None:
    result = diagnose(program("idle", form), "slabs")
    caches = {row.name: row for row in rows(result, "SlabCache")}
    before, after = (idle.truth[when]["tables"]["slabinfo"] for when in ("before", "after"))
    assert set(caches) == set(before) == set(after)
    still = [name for name in caches if before[name][1] == after[name][1]]
    assert len(still) > 100
    for name in still:
        _, total, _, objects_of_slab, pages_of_slab = before[name]
        row = caches[name]
        assert row.total == total
        assert row.slab_bytes == pages_of_slab * 4096
        assert row.slabs == -(-total // objects_of_slab)
        assert row.size_bytes == row.slabs * row.slab_bytes
        assert 0 <= row.allocated <= row.total
    # A task each, also of those that have ended and are not buried yet, and of the idle loops of other CPUs.
    tasks = len(idle.truth["before"]["tasks"])
    assert tasks <= caches["task_struct"].allocated <= tasks + 8
    sizes = [row.size_bytes for row in rows(result, "SlabCache")]
    assert sizes == sorted(sizes, reverse=True)
