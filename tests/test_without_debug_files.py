"""kdive on a dump alone: symbols and types come out of the kernel's own memory."""

import contextlib
from collections.abc import Callable
from functools import cache
from typing import Any

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

KERNELS = ["5.10-amd64", "6.1-amd64", "6.1-arm64", "6.12-amd64"]

FACTS: dict[str, Callable[[kdive.Program], Any]] = {
    "tasks": lambda prog: sorted(
        (task.pid.value_(), task.comm.string_()) for task in for_each_task(prog)
    ),
    "modules": lambda prog: sorted(module.name.string_() for module in for_each_module(prog)),
    "mounts": lambda prog: sorted(mount_dst(mount) for mount in for_each_mount(prog)),
    "files": lambda prog: sorted(
        d_path(file.f_path)
        for task in for_each_task(prog)
        if task.mm
        for _, file in for_each_file(task)
    ),
    "dmesg": lambda prog: get_dmesg(prog).splitlines(),
}

# What a kernel has no symbol for: Debian builds this one without CONFIG_KALLSYMS_ALL, so that variables are known
# only if modules may use them.
WITHOUT_SYMBOL = {("6.1-arm64", "modules"): "modules"}

# Labels within assembler code that symbols of ELF files with their sizes hide; kallsyms has no sizes.
INNER_LABELS = {"entry_SYSCALL_64_after_hwframe": "entry_SYSCALL_64"}


@cache
def sessions(kernel: str) -> tuple[kdive.Program, kdive.Program]:
    """The dump of a kernel without its vmlinux, and with it."""
    target = lab.target("idle", kernel)
    bare, full = kdive.Program(), kdive.Program()
    bare.set_core_dump(target.dumps["elf"])
    full.set_core_dump(target.dumps["elf"])
    with pytest.raises(kdive.MissingDebugInfoError):
        bare.load_debug_info(main=True)
    # Not all modules have debug files here.
    with contextlib.suppress(kdive.MissingDebugInfoError):
        full.load_debug_info([target.vmlinux, *target.modules.values()], default=True)
    return bare, full


@pytest.fixture
def bare() -> kdive.Program:
    """The dump of the lab's default kernel without its vmlinux."""
    return sessions(lab.DEFAULT_KERNEL)[0]


@pytest.fixture
def full() -> kdive.Program:
    """The same with its vmlinux."""
    return sessions(lab.DEFAULT_KERNEL)[1]


@pytest.mark.parametrize("fact", FACTS)
@pytest.mark.parametrize("kernel", KERNELS)
def test_facts_are_those_of_the_dwarf_session(kernel: str, fact: str) -> None:
    bare, full = sessions(kernel)
    describe = FACTS[fact]
    missing = WITHOUT_SYMBOL.get((kernel, fact))
    if missing is not None:
        with pytest.raises(kdive.ObjectNotFoundError, match=f"'{missing}'"):
            describe(bare)
        return
    expected = describe(full)
    assert len(expected) > 10
    assert describe(bare) == expected


Frames = list[tuple[int, str, int]]


def place(prog: kdive.Program, address: int) -> tuple[str, int]:
    """The name of the symbol at an address, and the distance from it."""
    try:
        symbol = prog.symbol(address)
    except LookupError:
        return "", 0
    if symbol.name in INNER_LABELS:
        symbol = prog.symbol(INNER_LABELS[symbol.name])
    return symbol.name, address - symbol.address


def frames_of(prog: kdive.Program, task: kdive.Object) -> Frames:
    """The frames of a task: the address, the symbol's name and the distance from it."""
    found = []
    try:
        trace = prog.stack_trace(task)
    except kdive.FaultError as error:
        # A task that has ended has no stack any more.
        return [(0, str(error), 0)]
    for frame in trace:
        # What was inlined, and what left its frame by a jump, is known from DWARF only.
        if not frame.is_inline and not frame.is_tail_call:
            found.append((frame.pc, *place(prog, frame.pc)))
    return found


@pytest.mark.parametrize("kernel", KERNELS)
def test_stacks_are_those_of_the_dwarf_session(kernel: str) -> None:
    bare, full = sessions(kernel)
    expected = {task.pid.value_(): frames_of(full, task) for task in for_each_task(full)}
    assert len(expected) > 70
    assert sum(map(len, expected.values())) > 5 * len(expected)
    if (kernel, "modules") in WITHOUT_SYMBOL:
        # Nor are the functions of modules known then, only their addresses.
        kernel_range = full.main_module().address_range
        assert kernel_range is not None
        for frames in expected.values():
            frames[:] = [
                frame
                if not frame[0] or kernel_range[0] <= frame[0] < kernel_range[1]
                else (frame[0], "", 0)
                for frame in frames
            ]
    for task in for_each_task(bare):
        pid = task.pid.value_()
        assert frames_of(bare, task) == expected.pop(pid), f"the stack of task {pid}"
    assert expected == {}


def test_functions_of_modules_are_found(bare: kdive.Program, full: kdive.Program) -> None:
    # The session with DWARF has the file of btrfs, the other one what the kernel keeps of it.
    symbol = bare.symbol("cleaner_kthread")
    assert symbol == full.symbol("cleaner_kthread")
    assert bare.symbol(symbol.address + symbol.size - 1) == symbol


@pytest.mark.parametrize("kernel", KERNELS)
def test_symbols_are_where_the_guest_had_them(kernel: str) -> None:
    bare, _ = sessions(kernel)
    symbols = lab.target("idle", kernel).truth["before"]["symbols"]
    assert len(symbols) >= 3
    assert {name: bare.symbol(name).address for name in symbols} == symbols


def test_types_of_modules_are_found(bare: kdive.Program, full: kdive.Program) -> None:
    mine, other = bare.type("struct btrfs_fs_info"), full.type("struct btrfs_fs_info")
    assert mine.size == other.size
    assert [(m.name, m.bit_offset, m.bit_field_size) for m in mine.members or ()] == [
        (m.name, m.bit_offset, m.bit_field_size) for m in other.members or ()
    ]


def test_a_variable_of_unknown_type_is_not_found(bare: kdive.Program) -> None:
    address = bare.symbol("watermark_boost_factor").address
    with pytest.raises(
        kdive.ObjectNotFoundError, match=f"no debug information has its type.*{address:#x}"
    ):
        bare["watermark_boost_factor"]
    assert kdive.Object(bare, "int", address=address) == 15000
