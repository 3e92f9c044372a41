# SPDX-License-Identifier: Apache-2.0
"""The same questions to kernels of several releases and architectures, with what each guest said of itself."""

import re
from collections.abc import Iterator
from typing import Any

import pytest

import kdive
from kdive import Program
from kdive.helpers.linux import fs, mm, slab
from kdive.helpers.linux.block import disk_name, for_each_disk
from kdive.helpers.linux.cpumask import cpu_online_mask, cpumask_to_cpulist
from kdive.helpers.linux.irq import irq_desc_action_names, irq_desc_kstat_cpu, irq_to_desc
from kdive.helpers.linux.memcg import for_each_mem_cgroup, mem_cgroup_path
from kdive.helpers.linux.mmzone import for_each_present_section
from kdive.helpers.linux.module import address_to_module, find_module, for_each_module
from kdive.helpers.linux.net import for_each_netdev, netdev_name
from kdive.helpers.linux.pid import find_task, for_each_task
from kdive.helpers.linux.printk import get_printk_records
from kdive.helpers.linux.sched import task_state_to_char
from kdive.helpers.linux.sysfs import sysfs_listdir
from kdive.helpers.linux.timekeeping import uptime
from kdive.helpers.linux.workqueue import for_each_delayed_work_timer, for_each_worker

pytestmark = pytest.mark.lab


@pytest.fixture(params=["5.10-amd64", "6.1-amd64", "6.1-arm64", "6.12-amd64"])
def guest(
    request: pytest.FixtureRequest, scenario: Any
) -> Iterator[tuple[Program, dict[str, Any]]]:
    prog, truth = scenario("idle", "elf", request.param)
    kdive.set_default_prog(prog)
    yield prog, truth
    kdive.set_default_prog(None)


def unescape(text: str) -> str:
    """Undo how /dev/kmsg writes bytes that it does not let through."""
    return re.sub(r"\\x([0-9a-f]{2})", lambda m: chr(int(m[1], 16)), text)


def same(truth: dict[str, Any], table: str) -> list[dict[str, Any]]:
    """Get the rows that the guest gave alike before and after the dump."""
    earlier = {row["pid"]: row for row in truth["before"][table]}
    return [row for row in truth["after"][table] if earlier.get(row["pid"]) == row]


def test_tasks(guest: Any) -> None:
    prog, truth = guest
    rows = same(truth, "tasks")
    assert len(rows) > 40
    alive = {task.pid.value_() for task in for_each_task(prog)}
    for row in rows:
        assert row["pid"] in alive
        task = find_task(prog, row["pid"])
        assert task.comm.string_().decode() == row["comm"]
        assert task_state_to_char(task) == row["state"]
        assert mm.task_vsize(task) == row["vm_bytes"]


def test_processes(guest: Any) -> None:
    prog, truth = guest
    rows = [
        row
        for row in same(truth, "processes")
        if row["pid"] in truth["facts"].values() and row["maps"]
    ]
    assert len(rows) >= 4
    for row in rows:
        task = find_task(prog, row["pid"])
        assert [argument.decode() for argument in mm.cmdline(task) or []] == row["cmdline"]
        paths = {str(fd): fs.d_path(file.f_path).decode() for fd, file in fs.for_each_file(task)}
        assert paths == row["files"]
        areas = [line.split(None, 5) for line in row["maps"] if "[vsyscall]" not in line]
        found = [
            (f"{v.vm_start.value_():x}-{v.vm_end.value_():x}", mm.vma_name(v).decode())
            for v in mm.for_each_vma(task.mm)
        ]
        assert [span.split("-")[0].lstrip("0") for span, _ in found] == [
            a[0].split("-")[0].lstrip("0") for a in areas
        ]
        assert [name for _, name in found] == [a[5].strip() if len(a) > 5 else "" for a in areas]


def test_modules_and_their_addresses(guest: Any) -> None:
    prog, truth = guest
    rows = {row["name"]: row for row in truth["after"]["modules"]}
    assert [m.name.string_().decode() for m in for_each_module(prog)] == list(rows)
    for name, row in rows.items():
        assert address_to_module(prog, row["sections"][".text"]) == find_module(prog, name)


def test_mounts(guest: Any) -> None:
    prog, truth = guest
    mounts = {m.mnt_id.value_(): m for m in fs.for_each_mount(find_task(prog, 1).nsproxy.mnt_ns)}
    for row in truth["after"]["mounts"]:
        mount = mounts[row["id"]]
        if row["type"] != "btrfs":
            # btrfs answers for itself what is shown as its source, and since Linux 6.8 the mount doesn't know it.
            assert fs.mount_src(mount).decode() == row["source"]
        assert fs.mount_fstype(mount).decode() == row["type"]
        assert mount in list(fs.super_block_for_each_mount(mount.mnt.mnt_sb))


def test_the_log(guest: Any) -> None:
    prog, truth = guest
    records = {record.seq: record for record in get_printk_records(prog)}
    lines = [line for line in truth["before"]["kernel_log"] if not line.startswith(" ")]
    assert len(lines) > 100
    for line in lines:
        head, text = line.split(";", 1)
        _, seq, microseconds, *_ = head.split(",")
        record = records[int(seq)]
        assert record.timestamp // 1000 == int(microseconds)
        assert record.text.decode() == unescape(text.split("\n")[0])


def test_slabs(guest: Any) -> None:
    prog, truth = guest
    caches = {cache.name.string_().decode(): cache for cache in slab.for_each_slab_cache(prog)}
    for name, (_, _, size, objects, pages) in truth["after"]["tables"]["slabinfo"].items():
        assert caches[name].size.value_() == size
        assert slab.slab_cache_objects_per_slab(caches[name]) == objects
        assert slab.slab_cache_pages_per_slab(caches[name]) == pages
    for name in ("dentry", "task_struct", "kmalloc-256"):
        found = list(slab.slab_cache_for_each_allocated_object(caches[name], "void"))
        assert slab.slab_cache_usage(caches[name]).active_objs == len(found) > 0
    tasks = {task.value_() for task in for_each_task(prog)}
    allocated = {
        o.value_() for o in slab.slab_cache_for_each_allocated_object(caches["task_struct"], "void")
    }
    assert tasks <= allocated


def test_memory(guest: Any) -> None:
    prog, truth = guest
    assert (
        mm.totalram_pages(prog) * prog["PAGE_SIZE"].value_()
        == truth["after"]["tables"]["meminfo_kib"]["MemTotal"] * 1024
    )
    init = find_task(prog, 1)
    assert mm.follow_phys(prog["init_mm"].address_of_(), init) == mm.virt_to_phys(prog, init)
    assert mm.PageSlab(mm.virt_to_page(prog, init))
    assert len(list(for_each_present_section(prog))) >= 1
    area = mm.find_vmap_area(prog, init.stack)
    assert area.va_start.value_() <= init.stack.value_() < area.va_end.value_()
    assert area in list(mm.for_each_vmap_area(prog))


def test_devices(guest: Any) -> None:
    prog, truth = guest
    tables = truth["after"]["tables"]
    assert sorted(disk_name(d).decode() for d in for_each_disk(prog)) == sorted(
        tables["block_devices"]
    )
    assert sorted(netdev_name(d).decode() for d in for_each_netdev(prog)) == sorted(
        tables["network_devices"]
    )
    assert sorted(n.decode() for n in sysfs_listdir(prog, "/sys/class/net")) == sorted(
        tables["network_devices"]
    )
    assert cpumask_to_cpulist(cpu_online_mask(prog)) == truth["after"]["cpus"]["online"]
    for number, row in tables["interrupts"].items():
        if number.isdigit():
            desc = irq_to_desc(prog, int(number))
            names = ", ".join(name.decode() for name in irq_desc_action_names(desc))
            assert row["description"].endswith(names)
            for cpu, count in enumerate(row["counts"]):
                assert irq_desc_kstat_cpu(desc, cpu) <= count


def test_clocks_workers_and_cgroups(guest: Any) -> None:
    prog, truth = guest
    assert truth["before"]["uptime_s"] - 0.1 <= uptime(prog) <= truth["after"]["uptime_s"]
    workers = {t.value_() for t in for_each_task(prog) if t.comm.string_().startswith(b"kworker/")}
    assert workers <= {worker.task.value_() for worker in for_each_worker(prog)} | rescuers(prog)
    works = [item for cpu in (0, 1) for item in for_each_delayed_work_timer(prog, cpu)]
    assert works
    assert all(item.work.work.func for item in works)
    assert b"/" in [mem_cgroup_path(m) for m in for_each_mem_cgroup(prog)]


def rescuers(prog: Program) -> set[int]:
    """Get the rescuer tasks, which belong to a queue and not to a pool; since Linux 6.7 they are named like workers."""
    return {
        task.value_()
        for task in for_each_task(prog)
        if task.comm.string_().startswith(b"kworker/R-")
    }
