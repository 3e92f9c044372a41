# SPDX-License-Identifier: Apache-2.0
from typing import Any

import pytest

from kdive import Program
from kdive.helpers.common.memory import identify_address, identify_address_all
from kdive.helpers.linux import slab
from kdive.helpers.linux.pid import find_task, for_each_task
from kdive.helpers.linux.vmstat import global_node_page_state

pytestmark = pytest.mark.lab


def test_the_caches_are_those_of_slabinfo(prog: Program, truth: dict[str, Any]) -> None:
    caches = {cache.name.string_().decode(): cache for cache in slab.for_each_slab_cache(prog)}
    table = truth["tables"]["slabinfo"]
    assert set(table) == set(caches)
    for name, (_, _, size, objects, pages) in table.items():
        cache = caches[name]
        assert cache.size.value_() == size
        assert slab.slab_cache_objects_per_slab(cache) == objects
        assert slab.slab_cache_pages_per_slab(cache) == pages == 1 << slab.slab_cache_order(cache)
        assert slab.find_slab_cache(prog, name) == cache
    assert slab.find_slab_cache(prog, "no such cache") is None


def test_usage_is_what_a_walk_over_the_objects_finds(prog: Program) -> None:
    for name in (
        "task_struct",
        "dentry",
        "kmalloc-64",
        "kmalloc-4k",
        "sigqueue",
        "proc_inode_cache",
        "filp",
    ):
        cache = slab.find_slab_cache(prog, name)
        assert cache is not None
        objects = list(slab.slab_cache_for_each_allocated_object(cache, "void"))
        usage = slab.slab_cache_usage(cache)
        assert usage.active_objs == len(objects) == len({o.value_() for o in objects})
        assert usage.num_objs == usage.num_slabs * slab.slab_cache_objects_per_slab(cache)


def test_every_task_is_an_allocated_object(prog: Program) -> None:
    cache = slab.find_slab_cache(prog, "task_struct")
    assert cache is not None
    allocated = {
        task.value_()
        for task in slab.slab_cache_for_each_allocated_object(cache, "struct task_struct")
    }
    tasks = {task.value_() for task in for_each_task(prog)}
    assert tasks <= allocated
    assert len(allocated) - len(tasks) < 10


def test_objects_by_address(prog: Program) -> None:
    task = find_task(prog, 1)
    info = slab.slab_object_info(prog, task.comm.address_of_())
    assert info is not None
    assert info.slab_cache.name.string_() == b"task_struct"
    assert (info.address, info.allocated) == (task.value_(), True)
    assert slab.find_containing_slab_cache(prog, task) == info.slab_cache
    for address in (0, task.stack.value_(), prog["init_task"].address_of_().value_()):
        assert slab.slab_object_info(prog, address) is None
        assert not slab.find_containing_slab_cache(prog, address)


def test_the_end_of_a_slab_is_no_object(prog: Program) -> None:
    cache = slab.find_slab_cache(prog, "dentry")
    assert cache is not None
    size, count = cache.size.value_(), slab.slab_cache_objects_per_slab(cache)
    first = next(slab.slab_cache_for_each_allocated_object(cache, "struct dentry")).value_() & -4096
    assert slab.slab_object_info(prog, first + size * count - 1) is not None
    assert slab.slab_object_info(prog, first + size * count) is None


def test_merged_caches(prog: Program) -> None:
    aliases = slab.get_slab_cache_aliases(prog)
    assert len(aliases) > 50
    for alias, name in aliases.items():
        assert alias != name
        merged = slab.find_slab_cache(prog, name)
        assert merged is not None
        assert slab.slab_cache_is_merged(merged)


def test_total_usage(prog: Program, truth: dict[str, Any]) -> None:
    usage = slab.slab_total_usage(prog)
    assert usage.reclaimable_pages == global_node_page_state(prog, prog["NR_SLAB_RECLAIMABLE_B"])
    assert abs(usage.total_pages * 4 - truth["tables"]["meminfo_kib"]["Slab"]) < 2000


def test_what_addresses_are(prog: Program, capsys: pytest.CaptureFixture[str]) -> None:
    task = find_task(prog, 1)
    schedule = prog.symbol("schedule").address
    assert identify_address(prog, schedule + 5) == "function symbol: schedule+0x5"
    assert identify_address(prog, prog["jiffies_64"].address_of_()) in (
        "object symbol: jiffies_64+0x0",
        "object symbol: jiffies+0x0",
    )
    assert identify_address(prog, task) == "task: 1 (bash)"
    assert str(identify_address(prog, task.comm.address_of_())).startswith("task: 1 (bash) +0x")
    assert [str(i) for i in identify_address_all(prog, task)] == [
        "task: 1 (bash)",
        "slab object: task_struct+0x0",
    ]
    assert identify_address(prog, task.stack.value_() + 0x123) == "task stack: 1 (bash) +0x123"
    stack = [type(i).__name__ for i in identify_address_all(prog, task.stack)]
    assert stack == ["IdentifiedTaskStack", "IdentifiedVmap"]
    assert identify_address(prog, task.mm) == "slab object: mm_struct+0x0"
    assert identify_address(prog, prog["vmemmap"].value_() + 64 * 100 + 8) == "page: pfn 100 +0x8"
    assert (
        identify_address(prog, prog["init_task"].address_of_().value_() + 16)
        == "task: 0 (swapper/0) +0x10"
    )
    assert identify_address(prog, 0) is None
    slab.print_slab_caches(prog)
    cache = slab.find_slab_cache(prog, "task_struct")
    assert cache is not None
    assert f"task_struct (struct kmem_cache *){hex(cache)}" in capsys.readouterr().out.splitlines()
