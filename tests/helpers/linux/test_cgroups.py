# SPDX-License-Identifier: Apache-2.0
from collections import Counter
from typing import Any

import pytest

from kdive import NULL, Program
from kdive.helpers.linux import cgroup, memcg, workqueue
from kdive.helpers.linux.mm import pfn_to_page
from kdive.helpers.linux.pid import find_task, for_each_task

pytestmark = pytest.mark.lab


@pytest.fixture
def zombies(scenario: Any) -> tuple[Program, dict[str, Any]]:
    prog, truth = scenario("memcg-zombies", "elf")
    return prog, truth["facts"]


def test_the_tree_of_memory_cgroups(zombies: Any) -> None:
    prog, facts = zombies
    groups = {memcg.mem_cgroup_path(m).decode(): m for m in memcg.for_each_mem_cgroup(prog)}
    online = {path for path, m in groups.items() if memcg.css_is_online(m.css)}
    dying = set(groups) - online
    assert len(online) - 1 == facts["descendants"]
    assert dying == {f"/lab/{zombie['name']}" for zombie in facts["zombies"]}
    assert len(dying) == facts["dying"]
    for path in dying:
        assert memcg.decode_css_flags(groups[path].css.address_of_()) == "CSS_DYING"
        assert memcg.percpu_ref_is_dying(groups[path].css.refcnt)
    for path in online:
        assert not memcg.percpu_ref_is_dying(groups[path].css.refcnt)
        assert "CSS_ONLINE" in memcg.decode_css_flags(groups[path].css.address_of_())


def test_what_pins_dying_memory_cgroups(zombies: Any) -> None:
    prog, facts = zombies
    groups = {memcg.mem_cgroup_path(m).decode(): m for m in memcg.for_each_mem_cgroup(prog)}
    pages: Counter[str] = Counter()
    samples: dict[str, int] = {}
    for pfn, data in memcg.for_each_page_memcg_data(prog):
        owner = memcg.memcg_data_mem_cgroup(prog, data)
        if owner:
            path = memcg.mem_cgroup_path(owner).decode()
            pages[path] += 1
            samples[path] = pfn
    for zombie in facts["zombies"]:
        path = f"/lab/{zombie['name']}"
        assert pages[path] > 0
        assert pages[path] <= groups[path].memory.usage.counter.value_()
        assert memcg.page_mem_cgroup(pfn_to_page(prog, samples[path])) == groups[path]
        # A page of the cache or of anonymous memory holds one reference, and nothing else is left.
        assert memcg.percpu_ref_sum(groups[path].css.refcnt) >= pages[path]
    assert not memcg.page_mem_cgroup(pfn_to_page(prog, 0))


def test_walking_the_states_of_a_controller(zombies: Any) -> None:
    prog, _ = zombies
    root = prog["root_mem_cgroup"].css.address_of_()
    nothing = NULL(prog, "struct cgroup_subsys_state *")
    everything = list(cgroup.css_for_each_descendant_pre(root))
    step, stepwise = cgroup.css_next_descendant_pre(nothing, root), []
    while step:
        stepwise.append(step)
        step = cgroup.css_next_descendant_pre(step, root)
    assert stepwise == everything
    assert everything[0] == root
    child, children = cgroup.css_next_child(nothing, root), []
    while child:
        children.append(child)
        child = cgroup.css_next_child(child, root)
    assert children == list(cgroup.css_for_each_child(root))


def test_cgroups_by_path(zombies: Any) -> None:
    prog, facts = zombies
    lab = cgroup.cgroup_get_from_path(prog, "/lab")
    assert cgroup.cgroup_name(lab) == b"lab"
    assert cgroup.cgroup_path(lab) == b"/lab"
    root = cgroup.cgroup_parent(lab)
    assert root == prog["cgrp_dfl_root"].cgrp.address_of_()
    assert cgroup.cgroup_path(root) == b"/"
    assert not cgroup.cgroup_parent(root)
    assert not cgroup.cgroup_get_from_path(prog, "/lab/cache1"), "it was removed"
    holder = find_task(prog, facts["holders"]["locked"])
    assert holder.pid.value_() == facts["holders"]["locked"]


@pytest.fixture
def delayed(scenario: Any) -> tuple[Program, dict[str, Any]]:
    prog, truth = scenario("delayed-work", "elf")
    return prog, truth["facts"]


def test_delayed_work_on_an_offline_cpu(delayed: Any) -> None:
    prog, facts = delayed
    by_work = {
        item.work.work.address_of_().value_(): item
        for cpu in range(4)
        for item in workqueue.for_each_delayed_work_timer(prog, cpu)
    }
    overdue, later, online = (
        by_work[facts[f"{kind}_address"]] for kind in ("overdue", "later", "online")
    )
    assert overdue.cpu == later.cpu == facts["cpu"] != online.cpu
    assert overdue.remaining_jiffies < 0 < later.remaining_jiffies
    for kind, item in (("overdue", overdue), ("later", later), ("online", online)):
        assert item.timer.expires.value_() == facts[f"{kind}_expires"]
        assert item.remaining_jiffies == facts[f"{kind}_expires"] - prog["jiffies"].value_()
        assert item.base_name == "BASE_STD"
    assert overdue.work.wq.value_() == facts["queue_address"]
    assert workqueue.workqueue_name(overdue.work.wq) == b"lab_queue"
    assert workqueue.find_workqueue(prog, "lab_queue") == overdue.work.wq
    assert not workqueue.find_workqueue(prog, "no such queue")
    # Its timer has not queued it yet.
    assert not workqueue.work_pwq(overdue.work.work.address_of_())


def test_pools_and_workers(delayed: Any) -> None:
    prog, _ = delayed
    tasks = {t.value_() for t in for_each_task(prog) if t.comm.string_().startswith(b"kworker/")}
    workers = list(workqueue.for_each_worker(prog))
    assert {worker.task.value_() for worker in workers} == tasks
    for pool in workqueue.for_each_worker_pool(prog):
        of_pool = list(workqueue.for_each_pool_worker(pool))
        assert len(of_pool) == pool.nr_workers.value_()
        assert len(list(workqueue.pool_idle_workers(pool))) == pool.nr_idle.value_()
        busy = list(workqueue.pool_busy_workers(pool))
        assert len(busy) + pool.nr_idle.value_() == len(of_pool)
        assert list(workqueue.for_each_pending_work(pool)) == []
    for cpu in range(4):
        assert [p.cpu.value_() for p in workqueue.for_each_cpu_worker_pool(prog, cpu)] == [cpu, cpu]
    for worker in workers:
        assert workqueue.task_is_worker(worker.task)
        assert workqueue.current_work_worker(worker.task) == worker
    assert not workqueue.current_work_worker(find_task(prog, 1))


def test_queues_and_their_pools(delayed: Any) -> None:
    prog, _ = delayed
    pools = {pool.value_() for pool in workqueue.for_each_worker_pool(prog)}
    for wq in workqueue.for_each_workqueue(prog):
        connections = list(workqueue.for_each_pwq(wq))
        assert connections
        for pwq in connections:
            assert pwq.wq == wq
            assert pwq.pool.value_() in pools
            assert list(workqueue.for_each_inactive_work(pwq)) == []


def test_the_pool_that_work_was_on(delayed: Any) -> None:
    prog, _ = delayed
    vmstat_work = [
        item.work.work.address_of_()
        for cpu in (0, 2, 3)
        for item in workqueue.for_each_delayed_work_timer(prog, cpu)
        if item.work.wq == workqueue.find_workqueue(prog, "mm_percpu_wq")
    ]
    assert vmstat_work
    for work in vmstat_work:
        pool = workqueue.work_pool(work)
        assert pool
        assert pool in list(workqueue.for_each_worker_pool(prog))
