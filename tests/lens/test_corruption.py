"""Dumps with damage in them: every diagnosis ends, says what it could not read, and keeps what it could."""

import contextlib
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import kdive
import lab
from kdive import Object, Program
from kdive.helpers.linux.cgroup import css_for_each_child
from kdive.helpers.linux.list import list_for_each_entry
from kdive.helpers.linux.pid import find_task
from kdive.helpers.linux.slab import for_each_slab_cache
from kdive.lens import Limits, Result, Severity, Status, Task, all_diagnoses, run, run_here
from tests.lens.support import program, rows

pytestmark = [pytest.mark.lab, pytest.mark.scenario]

Break = Callable[[str, dict[int, bytes]], Program]

ENDS = {Status.OK, Status.PARTIAL, Status.SKIPPED, Status.FAILED}


def broken(name: str, changes: dict[int, bytes]) -> Program:
    """A lab target opened once more, with some of its memory replaced."""
    target = lab.target(name)
    prog = kdive.Program()
    prog.set_core_dump(target.dumps["elf"])
    with contextlib.suppress(kdive.MissingDebugInfoError):
        prog.load_debug_info([target.vmlinux, *target.modules.values()])
    for address, data in changes.items():

        def read(
            _address: int, count: int, offset: int, _physical: bool, data: bytes = data
        ) -> bytes:
            return data[offset : offset + count]

        prog.add_memory_segment(address, len(data), read)
        assert prog.read(address, len(data)) == data
    return prog


def word(value: int) -> bytes:
    return (value % (1 << 64)).to_bytes(8, "little")


def address(member: Object) -> int:
    return int(member.address_of_())


def diagnose_damaged(prog: Program, name: str, **options: object) -> Result:
    diagnosis = all_diagnoses()[name]
    (result,) = run(prog, [Task(diagnosis, diagnosis.options(**options))], Limits(seconds=20))
    return result


def damages(result: Result) -> str:
    return "\n".join(f"{damage.where}: {damage.error}" for damage in result.damages)


def btrfs_systems() -> tuple[Object, Object]:
    """The file systems in the order of the list: the healthy one and the one that is held."""
    head = program("btrfs-eexist")["fs_uuids"].address_of_()
    first, second = list_for_each_entry("struct btrfs_fs_devices", head, "fs_list")
    return first, second


def test_a_list_that_never_comes_back_to_its_head() -> None:
    first, second = btrfs_systems()
    prog = broken("btrfs-eexist", {address(second.fs_list.next): word(address(first.fs_list))})
    result = diagnose_damaged(prog, "btrfs")
    assert result.status == Status.PARTIAL
    assert "the list fs_uuids: " in damages(result)
    assert "runs into a cycle" in damages(result)
    # Both were seen before that, and what is wrong with the one is still found.
    assert {row.state for row in rows(result, "FileSystem")} == {"mounted", "DETACHED"}
    assert "/dev/loop0" in result.findings[0].sentence


def test_a_pointer_to_nowhere_hides_nothing_else() -> None:
    first, second = btrfs_systems()
    prog = broken("btrfs-eexist", {address(first.fs_info): word(0xDEAD000000000100)})
    result = diagnose_damaged(prog, "btrfs")
    assert result.status == Status.PARTIAL
    assert "struct btrfs_fs_info 0xdead000000000100: " in damages(result)
    # Whether the one is mounted can't be known; its devices are, and so is all about the other.
    states = {row.address: row.state for row in rows(result, "FileSystem")}
    assert states == {int(first): "unknown", int(second): "DETACHED"}
    assert {row.name for row in rows(result, "Device")} == {"/dev/loop0", "/dev/loop2"}
    assert len(rows(result, "Holder")) == 2
    assert len(result.findings) == 1


def test_a_task_that_can_not_be_read_is_not_all_tasks() -> None:
    prog = program("btrfs-eexist")
    task = find_task(prog, lab.target("btrfs-eexist").truth["facts"]["holder_cwd"])
    damaged = broken("btrfs-eexist", {address(task.fs): word(0x1000)})
    result = diagnose_damaged(damaged, "btrfs")
    assert f"the directories of task {hex(task)}: " in damages(result)
    assert [row.how for row in rows(result, "Holder")] == ["fd 9"]
    assert result.status == Status.PARTIAL


def test_a_tree_of_memory_cgroups_that_bites_its_tail() -> None:
    prog = program("memcg-zombies")
    css = prog["root_mem_cgroup"].css
    lab_css = next(css_for_each_child(css.address_of_()))
    children = list(css_for_each_child(lab_css))
    changes = {address(children[-1].sibling.next): word(address(children[2].sibling))}
    result = diagnose_damaged(broken("memcg-zombies", changes), "memcg")
    assert result.status == Status.PARTIAL
    assert "the tree of memory cgroups: " in damages(result)
    assert {row.path for row in rows(result, "MemoryCgroup")} >= {"/lab/cache1", "/lab/cache2"}


def test_a_connection_whose_manager_is_gone() -> None:
    result = run_here(program("rds-rdma"), all_diagnoses()["rds"])
    connection = rows(result, "Connection")[0]
    ib_conn = Object(program("rds-rdma"), "struct rds_ib_connection *", connection.ib_conn)
    prog = broken("rds-rdma", {address(ib_conn.i_cm_id): word(0xDEAD000000000000)})
    damaged = diagnose_damaged(prog, "rds")
    assert damaged.status == Status.PARTIAL
    assert f"the managers of struct rds_connection {connection.rds_conn:#x}: " in damages(damaged)
    # All else about it is known, and so is all about the others.
    first, *others = rows(damaged, "Connection")
    assert (first.rds_conn, first.ib_conn) == (connection.rds_conn, connection.ib_conn)
    assert (first.state, first.rdma_cm_state) == ("RDS_CONN_CONNECTING", None)
    assert others == rows(result, "Connection")[1:]
    assert damaged.findings[0].sentence.startswith("4 of 4 RDS connections hang")


def test_a_timer_list_that_loops() -> None:
    facts = lab.target("delayed-work").truth["facts"]
    prog = program("delayed-work")
    work = Object(prog, "struct delayed_work *", facts["overdue_address"])
    entry = work.timer.entry
    known = rows(run_here(prog, all_diagnoses()["delayed-works"]), "DelayedWork")
    result = diagnose_damaged(
        broken("delayed-work", {address(entry.next): word(address(entry))}), "delayed-works"
    )
    assert result.status == Status.PARTIAL
    assert "the timers of CPU 1: " in damages(result)
    # The timers that expire at other times are in other lists.
    assert rows(result, "DelayedWork") == known
    assert len(result.findings) == 1


def test_an_interrupt_that_can_not_be_read() -> None:
    listed = rows(run_here(program("irq-vectors"), all_diagnoses()["irq-vectors"]), "Vector")
    (vector,) = [row for row in listed if row.function == "nvme0q1"]
    desc = Object(program("irq-vectors"), "struct irq_desc *", vector.address)
    prog = broken("irq-vectors", {address(desc.action): word(0x10)})
    result = diagnose_damaged(prog, "irq-vectors")
    assert result.status == Status.PARTIAL
    assert f"interrupt {vector.irq}, struct irq_desc {vector.address:#x}: " in damages(result)
    left = rows(result, "Vector")
    assert len(left) == len(listed)
    (unknown,) = [row for row in left if row.state == "unknown"]
    assert (unknown.cpu, unknown.vector, unknown.address) == (
        vector.cpu,
        vector.vector,
        vector.address,
    )


def slab_with_free_objects() -> tuple[Object, Object]:
    """A slab cache of the idle guest, and a slab on its partial list with two free objects at least."""
    for cache in for_each_slab_cache(program("idle")):
        head = cache.node[0].partial.address_of_()
        for slab in list_for_each_entry("struct slab", head, "slab_list"):
            if slab.objects.value_() - slab.inuse.value_() >= 2:
                return cache, slab
    raise AssertionError("no slab has free objects")


def free_pointer(cache: Object, place: int, target: int) -> dict[int, bytes]:
    """What makes a free object, given by where its pointer to the next one is, point to something else."""
    swapped = int.from_bytes(place.to_bytes(8, "little"), "big")
    return {place: word(target ^ cache.random.value_() ^ swapped)}


def slab_finding(changes: dict[int, bytes]) -> tuple[str, list[str]]:
    """What `slabs` finds in the idle guest with some of its memory replaced, and its evidence."""
    before = rows(run_here(program("idle"), all_diagnoses()["slabs"]), "SlabCache")
    result = diagnose_damaged(broken("idle", changes), "slabs")
    assert result.status == Status.OK
    (finding,) = result.findings
    assert finding.severity == Severity.CRITICAL
    assert {row.name for row in rows(result, "SlabCache")} == {row.name for row in before}
    return finding.sentence, list(finding.evidence)


def test_a_slab_object_that_was_written_to_after_it_was_freed() -> None:
    cache, slab = slab_with_free_objects()
    place = slab.freelist.value_() + cache.offset.value_()
    sentence, (evidence,) = slab_finding({place: b"AAAAAAAA"})
    name = cache.name.string_().decode()
    assert sentence.startswith(f"the free objects of the slab cache {name} make no sense")
    swapped = int.from_bytes(place.to_bytes(8, "little"), "big")
    found = int.from_bytes(b"AAAAAAAA", "little") ^ cache.random.value_() ^ swapped
    assert f"leads to {found:#x}, which is no object of slab {hex(slab)}" in evidence


def test_a_slab_object_that_was_freed_twice() -> None:
    cache, slab = slab_with_free_objects()
    first = slab.freelist.value_()
    _, (evidence,) = slab_finding(free_pointer(cache, first + cache.offset.value_(), first))
    assert f"runs into a cycle at {first:#x}" in evidence


def test_a_list_of_free_objects_that_lost_some() -> None:
    cache, slab = slab_with_free_objects()
    free = slab.objects.value_() - slab.inuse.value_()
    place = slab.freelist.value_() + cache.offset.value_()
    _, (evidence,) = slab_finding(free_pointer(cache, place, 0))
    assert evidence == (
        f"slab {hex(slab)} of slab cache {hex(cache)} counts {free} free objects, its freelist has 1"
    )


def test_a_list_of_partial_slabs_that_is_torn() -> None:
    _, slab = slab_with_free_objects()
    place = address(slab.slab_list.next)
    sentence, (evidence,) = slab_finding({place: word(address(slab.slab_list))})
    assert "make no sense" in sentence
    assert evidence.startswith("partial list of node ")


@pytest.mark.parametrize("name", ["btrfs-eexist", "memcg-zombies", "rds-rdma", "delayed-work"])
def test_noise_ends_every_diagnosis(name: str) -> None:
    """Overwrite pages that hold what diagnoses read with noise, always the same."""
    noise = random.Random(name)
    known = all_diagnoses()
    prog = program(name)
    tasks = [Task(diagnosis, diagnosis.options()) for diagnosis in known.values()]
    touched: list[int] = []
    for result in run(prog, tasks):
        for row in result.rows:
            touched += [
                value
                for value in vars(row).values()
                if isinstance(value, int) and value >= 0xFFFF800000000000
            ]
    pages = noise.sample(sorted({place & ~0xFFF for place in touched}), 32)
    changes = {}
    for page in pages:
        data = bytearray(prog.read(page, 4096))
        for _ in range(256):
            data[noise.randrange(4096)] = noise.randrange(256)
        changes[page] = bytes(data)
    results = run(broken(name, changes), tasks, Limits(seconds=60, memory_mib=1024))
    assert {result.status for result in results} <= ENDS
    assert any(result.status in (Status.PARTIAL, Status.FAILED) for result in results)
    for result in results:
        # What is not complete says why, and is not there because of a mistake in the diagnosis.
        assert (result.status == Status.OK) == (not result.reason), result
        assert "Error: " not in result.reason, (result.reason, result.details)


@pytest.mark.parametrize("kept", [0.3, 0.7])
def test_truncated_dumps(kept: float, tmp_path: Path) -> None:
    target = lab.target("idle")
    content = target.dumps["kdump-zlib"].read_bytes()
    path = tmp_path / "truncated"
    path.write_bytes(content[: int(len(content) * kept)])
    prog = kdive.Program()
    options: dict[str, Any] = {"allow_truncated": True}
    try:
        prog.set_core_dump(path, **options)
        with contextlib.suppress(kdive.MissingDebugInfoError):
            prog.load_debug_info([target.vmlinux])
    except (kdive.BadDataError, kdive.FaultError) as error:
        pytest.fail(f"it can't be opened: {error}")
    known = all_diagnoses().values()
    results = run(prog, [Task(diagnosis, diagnosis.options()) for diagnosis in known])
    assert {result.status for result in results} <= ENDS
    assert any(result.status in (Status.PARTIAL, Status.FAILED) for result in results)
