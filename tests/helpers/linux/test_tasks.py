# SPDX-License-Identifier: Apache-2.0
from typing import Any

import pytest

from kdive import Program
from kdive.helpers.linux.cpumask import cpumask_to_cpulist
from kdive.helpers.linux.fs import d_path, fget, for_each_file
from kdive.helpers.linux.kthread import kthread_data, task_is_kthread, to_kthread
from kdive.helpers.linux.mm import cmdline, environ, task_rss, task_vsize
from kdive.helpers.linux.pid import (
    find_pid,
    find_task,
    for_each_task,
    for_each_task_in_group,
    pid_task,
)
from kdive.helpers.linux.resource import task_rlimits
from kdive.helpers.linux.sched import (
    cpu_curr,
    get_task_state,
    idle_task,
    loadavg,
    task_cpu,
    task_on_cpu,
    task_rq,
    task_state_to_char,
    thread_group_leader,
)
from kdive.helpers.linux.signal import decode_sigset, sigset_to_hex
from kdive.helpers.linux.user import find_user, for_each_user, kuid_val

pytestmark = pytest.mark.lab


def same_before_and_after(idle: Any, before: dict[str, Any], table: str) -> list[dict[str, Any]]:
    """Get the rows, one per PID, that the guest gave alike before and after the dump."""
    _, truth = idle
    earlier = {row["pid"]: row for row in before[table]}
    return [row for row in truth[table] if earlier.get(row["pid"]) == row]


@pytest.fixture
def stable(idle: Any, before: dict[str, Any]) -> list[dict[str, Any]]:
    return same_before_and_after(idle, before, "tasks")


@pytest.fixture
def processes(idle: Any, before: dict[str, Any], facts: dict[str, int]) -> list[dict[str, Any]]:
    """Get the processes that the scenario made and that only wait; others serve the one who makes the dump."""
    rows = same_before_and_after(idle, before, "processes")
    return [row for row in rows if row["pid"] in facts.values()]


def test_the_tasks_are_those_the_guest_listed(idle: Any, stable: list[dict[str, Any]]) -> None:
    prog, truth = idle
    found = {task.pid.value_(): task for task in for_each_task(prog)}
    assert {task["pid"] for task in truth["tasks"]} - {truth["observer_pid"]} <= set(found)
    assert len(stable) > 50
    for expected in stable:
        task = found[expected["pid"]]
        assert task.comm.string_().decode() == expected["comm"]
        assert task.tgid.value_() == expected["tgid"]
        assert task.real_parent.tgid.value_() == expected["ppid"]
        assert task_is_kthread(task) == expected["kernel_thread"]
        assert task.static_prio.value_() - 120 == expected["nice"]
        assert kuid_val(task.cred.uid) == expected["uid"]
        assert cpumask_to_cpulist(task.cpus_ptr) == expected["allowed_cpus"]


def test_the_states_of_tasks(
    prog: Program, stable: list[dict[str, Any]], facts: dict[str, int]
) -> None:
    expected = {task["pid"]: task["state"] for task in stable}
    for name, state in (("sleeper", "S"), ("stopped", "T"), ("zombie", "Z")):
        assert expected[facts[name]] == state
    assert {"S", "I", "T", "Z"} <= set(expected.values())
    for pid, state in expected.items():
        task = find_task(prog, pid)
        assert task_state_to_char(task) == get_task_state(task)[0] == state


@pytest.fixture
def facts(scenario: Any) -> dict[str, int]:
    facts: dict[str, int] = scenario("idle", "elf")[1]["facts"]
    return facts


def test_looking_up_tasks(idle: Any) -> None:
    prog, _ = idle
    assert find_task(prog, 1).comm.string_() == b"bash"
    assert find_task(prog["init_pid_ns"].address_of_(), 1) == find_task(1)
    assert pid_task(find_pid(prog, 1), prog["PIDTYPE_TGID"]) == find_task(prog, 1)
    assert not find_task(prog, 999999)
    assert not pid_task(find_pid(prog, 999999), 0)


def test_idle_tasks_come_only_when_asked_for(prog: Program) -> None:
    with_idle = [task.comm.string_() for task in for_each_task(prog, idle=True)]
    assert with_idle[:2] == [b"swapper/0", b"swapper/1"]
    assert len(with_idle) == len(list(for_each_task(prog))) + 2
    assert idle_task(prog, 1).comm.string_() == b"swapper/1"


def test_threads_of_a_process(
    prog: Program, stable: list[dict[str, Any]], facts: dict[str, int]
) -> None:
    leader = find_task(prog, facts["threads"])
    group = [task["pid"] for task in stable if task["tgid"] == facts["threads"]]
    assert len(group) > 1
    assert [t.pid.value_() for t in for_each_task_in_group(leader, include_self=True)] == sorted(
        group
    )
    assert [t.pid.value_() for t in for_each_task_in_group(leader)] == sorted(group)[1:]
    assert thread_group_leader(leader)
    assert not any(thread_group_leader(task) for task in for_each_task_in_group(leader))


def test_cpus(prog: Program, stable: list[dict[str, Any]], facts: dict[str, int]) -> None:
    bound = find_task(prog, facts["bound"])
    expected = next(task for task in stable if task["pid"] == facts["bound"])
    assert task_cpu(bound) == expected["cpu"] == int(expected["allowed_cpus"])
    assert task_rq(bound).cpu.value_() == expected["cpu"]
    for cpu in (0, 1):
        assert task_on_cpu(cpu_curr(prog, cpu))
        assert task_cpu(cpu_curr(prog, cpu)) == cpu
    one, five, fifteen = loadavg(prog)
    assert 0 <= fifteen <= five <= one < 5


def test_kernel_threads(prog: Program) -> None:
    kthreadd = find_task(prog, 2)
    assert task_is_kthread(kthreadd)
    workers = [t for t in for_each_task(prog) if t.comm.string_().startswith(b"kworker/0:")]
    for worker in workers:
        assert prog.symbol(to_kthread(worker).threadfn.value_()).name == "worker_thread"
    init = find_task(prog, 1)
    assert not to_kthread(init)
    with pytest.raises(ValueError, match="is not a kernel thread"):
        kthread_data(init)


def test_memory_of_processes(
    prog: Program, stable: list[dict[str, Any]], processes: list[dict[str, Any]]
) -> None:
    rows = {row["pid"]: row for row in stable}
    checked = 0
    for process in processes:
        if not process["cmdline"] or process["pid"] not in rows:
            continue
        task = find_task(prog, process["pid"])
        arguments = cmdline(task)
        assert arguments is not None
        assert [argument.decode() for argument in arguments] == process["cmdline"]
        assert task_vsize(task) == rows[process["pid"]]["vm_bytes"]
        # The guest leaves out the pages that threads have counted but not yet handed over.
        threads = for_each_task_in_group(task, include_self=True)
        not_handed_over = sum(
            sum(thread.rss_stat.count.value_()[i] for i in (0, 1, 3)) for thread in threads
        )
        assert task_rss(prog, task).total - not_handed_over == rows[process["pid"]]["rss_pages"]
        checked += 1
    assert checked >= 4
    assert cmdline(find_task(prog, 2)) is None
    assert environ(find_task(prog, 2)) is None
    variables = environ(find_task(prog, 1))
    assert variables is not None
    assert all(b"=" in variable for variable in variables)


def test_open_files_and_directories(prog: Program, processes: list[dict[str, Any]]) -> None:
    checked = 0
    for process in processes:
        if not process["files"]:
            continue
        task = find_task(prog, process["pid"])
        paths = {str(fd): d_path(file.f_path).decode() for fd, file in for_each_file(task)}
        assert paths == process["files"]
        assert d_path(task.fs.pwd).decode() == process["cwd"]
        assert d_path(task.fs.root).decode() == process["root"]
        assert d_path(task.mm.exe_file.f_path).decode() == process["exe"]
        number, file = next(for_each_file(task))
        assert fget(task, number) == file
        assert not fget(task, 1 << 20)
        checked += 1
    assert checked >= 4


def test_limits_signals_and_users(prog: Program) -> None:
    init = find_task(prog, 1)
    limits = task_rlimits(init)
    assert len(limits) == 16
    assert limits["NOFILE"].max is not None
    assert limits["CPU"].cur is None
    assert sigset_to_hex(init.blocked) == f"{init.blocked.sig[0].value_():016x}"
    assert decode_sigset(prog, 0x14003) == "{SIGHUP,SIGINT,SIGTERM,SIGCHLD}"
    assert decode_sigset(prog, 1 << 63 | 1 << 33) == "{SIGRTMIN+2,SIGRTMAX}"
    assert 0 in [kuid_val(user.uid) for user in for_each_user(prog)]
    assert find_user(prog, 0) == prog["root_user"].address_of_()
    assert not find_user(prog, 4242)
