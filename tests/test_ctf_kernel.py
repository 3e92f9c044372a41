"""CTF of a real kernel's types: against the DWARF of that kernel, and as all that is known of its dump.

gcc writes the types of the headers of Debian's kernel, libctf makes the archive.
"""

import json
import subprocess
from collections import Counter
from functools import cache
from pathlib import Path
from typing import Any

import pytest

import kdive
import lab
from kdive import TypeKind
from kdive.helpers.linux import for_each_file, for_each_task, load_ctf
from lab import ctfkernel, kernels, testmodules
from tests.support import Kdive

pytestmark = [pytest.mark.lab, pytest.mark.scenario]

HEADERS = [
    "sched/signal", "module", "fs", "fdtable", "mm", "nsproxy", "pid_namespace", "workqueue",
    "netdevice", "blkdev", "cgroup", "memcontrol", "irq", "kernfs", "kallsyms", "utsname",
    "interrupt", "bpf", "skbuff", "tcp", "xarray", "kexec", "swap", "perf_event", "pci", "tty",
]  # fmt: skip
VARIABLES = """
struct list_head modules;
struct task_struct init_task;
struct pid_namespace init_pid_ns;
int vm_swappiness;
unsigned int nr_cpu_ids;
"""
SOURCE = "".join(f"#include <linux/{header}.h>\n" for header in HEADERS) + VARIABLES
KEYWORDS = {"STRUCT": "struct ", "UNION": "union ", "ENUM": "enum ", "TYPEDEF": ""}


@pytest.fixture(scope="module")
def ctf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The archive."""
    folder = tmp_path_factory.mktemp("ctf")
    types = testmodules.compile_types(kernels.get(lab.DEFAULT_KERNEL), SOURCE, folder)
    path = folder / "vmlinux.ctfa"
    ctfkernel.make_archive([("vmlinux", types)], path)
    return path


@cache
def with_dwarf() -> kdive.Program:
    prog = kdive.Program()
    prog.set_core_dump(lab.target("idle").dumps["elf"])
    prog.load_debug_info([lab.target("idle").vmlinux])
    return prog


@cache
def with_ctf(path: Path) -> kdive.Program:
    """The dump with nothing but CTF and what kallsyms and ORC tell."""
    prog = kdive.Program()
    prog.set_core_dump(lab.target("idle").dumps["elf"])
    prog.set_enabled_type_finders(["ctf"])
    prog.set_enabled_object_finders(["linux", "ctf", "known"])
    load_ctf(prog, path)
    return prog


def shape(kind: kdive.Type) -> Any:
    """What a type is, down to the next names."""
    own = kind.qualifiers.value
    match kind.kind:
        case TypeKind.TYPEDEF:
            return own, "typedef", kind.name
        case TypeKind.POINTER:
            return own, "pointer", shape(kind.type)
        case TypeKind.ARRAY:
            # CTF that was linked doesn't tell `[0]` from `[]`.
            return own, "array", kind.length or 0, shape(kind.type)
        case TypeKind.STRUCT | TypeKind.UNION | TypeKind.ENUM:
            return own, kind.kind.name, kind.tag or content(kind)
        case TypeKind.FUNCTION:
            parameters = [shape(one.type) for one in kind.parameters]
            return own, shape(kind.type), parameters, kind.is_variadic
        case TypeKind.VOID:
            return own, "void"
    return own, kind.kind.name, kind.name, kind.size


def content(kind: kdive.Type) -> Any:
    """What the definition of a named type holds."""
    if kind.kind == TypeKind.ENUM:
        # What doesn't fit 32 bits with a sign is not in CTF.
        values = kind.enumerators or ()
        return [(one.name, one.value) for one in values if -(1 << 31) <= one.value < 1 << 31]
    if kind.kind in (TypeKind.STRUCT, TypeKind.UNION):
        return kind.size, [
            (member.name, member.bit_offset, member.bit_field_size, shape(member.type))
            for member in kind.members or ()
        ]
    return shape(kind.type) if kind.kind == TypeKind.TYPEDEF else shape(kind)


def test_types_are_those_of_the_kernels_dwarf(ctf: Path) -> None:
    dump = subprocess.run(
        ["bpftool", "--json", "btf", "dump", "file", lab.target("idle").vmlinux],
        capture_output=True,
        check=True,
    )
    names = Counter(
        KEYWORDS[record["kind"]] + record["name"]
        for record in json.loads(dump.stdout)["types"]
        if record["kind"] in KEYWORDS and record["name"] != "(anon)"
    )
    mine, full = with_ctf(ctf), with_dwarf()
    different: set[str] = set()
    structures = 0
    for name in (name for name, count in names.items() if count == 1):
        try:
            one, other = mine.type(name), full.type(name)
        except LookupError:
            continue
        if not one.is_complete() and other.is_complete():
            continue  # its header was not read
        if content(one) != content(other):
            different.add(name)
        structures += one.kind == TypeKind.STRUCT
    assert different == set()
    assert structures > 1300


def test_tasks_and_their_files_are_those_of_the_dwarf_session(ctf: Path) -> None:
    def facts(prog: kdive.Program) -> dict[int, Any]:
        return {
            task.pid.value_(): (
                task.comm.string_(),
                task.mm.value_(),
                [(number, file.value_()) for number, file in for_each_file(task)],
            )
            for task in for_each_task(prog)
        }

    expected = facts(with_dwarf())
    assert len(expected) > 70
    assert facts(with_ctf(ctf)) == expected


def test_stacks_are_those_of_the_dwarf_session(ctf: Path) -> None:
    def stacks(prog: kdive.Program) -> dict[int, Any]:
        found: dict[int, Any] = {}
        for task in for_each_task(prog):
            try:
                trace = prog.stack_trace(task)
            except kdive.FaultError as error:
                found[task.pid.value_()] = str(error)
                continue
            frames = [frame.pc for frame in trace if not frame.is_inline and not frame.is_tail_call]
            found[task.pid.value_()] = frames
        return found

    expected = stacks(with_dwarf())
    assert sum(map(len, expected.values())) > 5 * len(expected)
    assert stacks(with_ctf(ctf)) == expected


def test_the_command_as_it_was_published(kdive: Kdive, ctf: Path, tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "from drgn.helpers.linux.pid import for_each_task\n"
        "print(len(list(for_each_task(prog))), prog['vm_swappiness'].value_())\n"
    )
    release = lab.target("idle").kernel
    root = tmp_path / "root"
    place = root / "lib" / "modules" / release / "kernel" / "vmlinux.ctfa"
    place.parent.mkdir(parents=True)
    place.write_bytes(ctf.read_bytes())
    dump = lab.target("idle").dumps["elf"]
    done = kdive("--ctf", "-c", dump, "--kernel-directory", root, script)
    count = len(list(for_each_task(with_dwarf())))
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{count} 60\n", "")
