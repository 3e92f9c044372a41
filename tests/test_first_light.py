"""kdive on a dump of a real kernel agrees with what the guest said about itself."""

import re

import pytest

import kdive
import lab
from kdive.helpers.linux import for_each_task, task_is_kthread, task_state_to_char
from tests.support import Kdive

pytestmark = pytest.mark.lab


@pytest.fixture(scope="module")
def prog(idle: lab.Target) -> kdive.Program:
    prog = kdive.Program()
    prog.set_core_dump(idle.dumps["elf"])
    prog.load_debug_info([idle.vmlinux])
    return prog


def test_tasks_are_those_of_the_guest(prog: kdive.Program, idle: lab.Target) -> None:
    found = {
        (
            task.pid.value_(),
            task.tgid.value_(),
            task.comm.string_().decode(),
            task_state_to_char(task),
            task_is_kthread(task),
        )
        for task in for_each_task(prog)
    }
    stable = {
        (row["pid"], row["tgid"], row["comm"], row["state"], row["kernel_thread"])
        for row in idle.stable_tasks
    }
    assert len(stable) > 60
    assert stable <= found
    # Whatever else is in the dump came or went while the guest was observed.
    known = {row["pid"] for moment in ("before", "after") for row in idle.truth[moment]["tasks"]}
    assert {pid for pid, *_ in found} <= known


def test_first_expressions(prog: kdive.Program, idle: lab.Target) -> None:
    assert str(prog["init_task"].comm) == '(char [16])"swapper/0"'
    assert str(prog.type("struct list_head")) == (
        "struct list_head {\n\tstruct list_head *next;\n\tstruct list_head *prev;\n}"
    )
    jiffies = prog["jiffies_64"]
    assert str(jiffies + 1) == f"(u64){jiffies.value_() + 1}"
    assert jiffies.address_ == prog.symbol("jiffies_64").address
    assert prog["UTS_RELEASE"].string_().decode() == idle.kernel


def test_symbols_are_where_the_guest_had_them(prog: kdive.Program, idle: lab.Target) -> None:
    symbols = idle.truth["before"]["symbols"]
    assert len(symbols) > 3
    assert {name: prog.symbol(name).address for name in symbols} == symbols


def test_unmapped_address(prog: kdive.Program) -> None:
    with pytest.raises(kdive.FaultError) as caught:
        prog.read(0xFFFF_7FFF_FFFF_FFF8, 8)
    assert caught.value.address == 0xFFFF_7FFF_FFFF_FFF8
    # QEMU's dumps say p_vaddr = 0 of physical memory; it is no virtual address.
    with pytest.raises(kdive.FaultError):
        prog.read(0, 8)


def test_command(kdive: Kdive, idle: lab.Target) -> None:
    result = kdive(
        *("-c", idle.dumps["elf"], "-s", idle.vmlinux, "--main-symbols"),
        *("-e", "print(prog['init_task'].comm, per_cpu(prog['runqueues'], 1).cpu)"),
    )
    assert (result.stdout, result.stderr) == ('(char [16])"swapper/0" (int)1\n', "")


def test_prompt_knows_the_kernel(kdive: Kdive, idle: lab.Target) -> None:
    result = kdive(
        *("-c", idle.dumps["elf"], "-s", idle.vmlinux, "--main-symbols"),
        stdin="from kdive.cli.target import banner\nprint(banner(prog))\n",
    )
    assert re.search(rf"prog is Linux {re.escape(idle.kernel)};", result.stdout)
