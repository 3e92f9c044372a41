"""kdive on a dump alone: symbols and types come out of the kernel's own memory."""

import pytest

import kdive
import lab
from kdive.helpers.linux import (
    d_path,
    for_each_file,
    for_each_module,
    for_each_mount,
    for_each_task,
    get_dmesg,
    mount_dst,
)

pytestmark = pytest.mark.lab

Facts = dict[str, object]


def describe(prog: kdive.Program) -> Facts:
    """What both sessions must agree on."""
    return {
        "tasks": sorted((task.pid.value_(), task.comm.string_()) for task in for_each_task(prog)),
        "modules": sorted(module.name.string_() for module in for_each_module(prog)),
        "mounts": sorted(mount_dst(mount) for mount in for_each_mount(prog)),
        "files": sorted(
            d_path(file.f_path)
            for task in for_each_task(prog)
            if task.mm
            for _, file in for_each_file(task)
        ),
        "dmesg": get_dmesg(prog),
    }


@pytest.fixture(scope="module")
def bare(idle: lab.Target) -> kdive.Program:
    """The dump without its vmlinux."""
    prog = kdive.Program()
    prog.set_core_dump(idle.dumps["elf"])
    with pytest.raises(kdive.MissingDebugInfoError):
        prog.load_debug_info(main=True)
    return prog


def test_facts_are_those_of_the_dwarf_session(bare: kdive.Program, idle: lab.Target) -> None:
    full = kdive.Program()
    full.set_core_dump(idle.dumps["elf"])
    full.load_debug_info([idle.vmlinux])
    facts = describe(bare)
    assert len(str(facts["tasks"])) > 500
    assert facts == describe(full)


def test_symbols_are_where_the_guest_had_them(bare: kdive.Program, idle: lab.Target) -> None:
    symbols = idle.truth["before"]["symbols"]
    assert {name: bare.symbol(name).address for name in symbols} == symbols


def test_types_have_the_members_of_the_dwarf(bare: kdive.Program, idle: lab.Target) -> None:
    full = kdive.Program()
    full.set_core_dump(idle.dumps["elf"])
    full.load_debug_info([idle.vmlinux])
    for name in ("struct task_struct", "struct inode", "struct page", "struct mm_struct"):
        mine, other = bare.type(name), full.type(name)
        assert mine.size == other.size
        assert [(m.name, m.bit_offset, m.bit_field_size) for m in mine.members or ()] == [
            (m.name, m.bit_offset, m.bit_field_size) for m in other.members or ()
        ]


def test_a_variable_of_unknown_type_is_not_found(bare: kdive.Program) -> None:
    assert bare.symbol("vm_swappiness").address
    with pytest.raises(kdive.ObjectNotFoundError):
        bare["vm_swappiness"]
