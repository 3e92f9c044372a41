"""BTF in files: sections of ELF files, tables by themselves, modules' types that go on from their kernel's."""

import random
import struct
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

import kdive
import lab
from kdive.helpers.linux import find_module, load_btf
from lab import kernels
from tests.support import Kdive

pytestmark = pytest.mark.lab

KIND_INT, KIND_PTR, KIND_ARRAY, KIND_STRUCT, KIND_FWD = 1, 2, 3, 4, 7
DAMAGES = 60


class Table:
    """Makes BTF; `first` and `names_before` are where its base ends, if it has one."""

    def __init__(self, first: int = 1, names_before: int = 0) -> None:
        self.first, self.names_before = first, names_before
        self.names = b"" if names_before else b"\0"
        self.records: list[bytes] = []

    def name(self, text: str) -> int:
        self.names += text.encode() + b"\0"
        return self.names_before + len(self.names) - len(text) - 1

    def add(self, name: int, kind: int, count: int, third: int, *more: int) -> int:
        """A record; returns its ID."""
        words = (name, kind << 24 | count, third, *more)
        self.records.append(struct.pack(f"<{len(words)}I", *words))
        return self.first + len(self.records) - 1

    @property
    def end(self) -> tuple[int, int]:
        """Where the IDs and the names of a table go on that has this one as its base."""
        return self.first + len(self.records), self.names_before + len(self.names)

    def __bytes__(self) -> bytes:
        types = b"".join(self.records)
        header = struct.pack(
            "<HBBIIIII", 0xEB9F, 1, 0, 24, 0, len(types), len(types), len(self.names)
        )
        return header + types + self.names


def distilled(task_size: int) -> tuple[Table, Table]:
    """The types of a module that was built apart from its kernel, and the base that it brings with it:

    struct lab_item { struct task_struct task; int count; struct list_head *head; struct net_device *device; };
    """
    base = Table()
    base.add(base.name("int"), KIND_INT, 0, 4, 1 << 24 | 32)
    base.add(base.name("task_struct"), KIND_STRUCT, 0, task_size)
    base.add(base.name("list_head"), KIND_STRUCT, 0, 16)
    base.add(base.name("net_device"), KIND_FWD, 0, 0)
    split = Table(*base.end)
    head = split.add(0, KIND_PTR, 0, 3)
    device = split.add(0, KIND_PTR, 0, 4)
    at = task_size * 8
    members = [
        ("task", 2, 0),
        ("count", 1, at),
        ("head", head, at + 64),
        ("device", device, at + 128),
    ]
    words = [word for name, kind, offset in members for word in (split.name(name), kind, offset)]
    split.add(split.name("lab_item"), KIND_STRUCT, len(members), task_size + 24, *words)
    return base, split


def object_file(folder: Path, name: str, **sections: bytes) -> Path:
    """An ELF file with sections of these contents."""
    source = folder / "empty.s"
    source.write_text("")
    path = folder / name
    subprocess.run(["gcc", "-c", "-o", path, source], check=True)
    for section, contents in sections.items():
        (folder / section).write_bytes(contents)
        flag = f"--add-section=.{section.replace('_', '.')}={folder / section}"
        subprocess.run(["objcopy", flag, path], check=True)
    return path


def table(path: Path, folder: Path) -> Path:
    """The contents of the section `.BTF` as a file."""
    out = folder / f"{path.stem}.btf"
    command = ["objcopy", "-O", "binary", "--only-section=.BTF"]
    if path.suffix == ".ko":
        command += ["--set-section-flags", ".BTF=alloc"]
    subprocess.run([*command, path, out], check=True)
    return out


def dump(kernel: str = lab.DEFAULT_KERNEL, name: str = "idle") -> kdive.Program:
    """A dump of which nothing is known that is not in a file."""
    prog = kdive.Program()
    prog.set_core_dump(lab.target(name, kernel).dumps["elf"])
    return prog


@pytest.fixture(scope="module")
def in_memory() -> kdive.Program:
    """The dump with the types in its memory."""
    prog = dump()
    with pytest.raises(kdive.MissingDebugInfoError):
        prog.load_debug_info(main=True)
    return prog


def module_file(name: str, kernel: str = lab.DEFAULT_KERNEL) -> Path:
    """The file of a kernel module as it is installed."""
    return kernels.get(kernel).load_order([name])[-1]


def same(one: kdive.Program, other: kdive.Program, names: Sequence[str]) -> None:
    for name in names:
        assert str(one.type(name)) == str(other.type(name)), name


@pytest.mark.parametrize("form", ["elf", "table"])
def test_the_kernels_types_come_from_a_file(
    form: str, in_memory: kdive.Program, tmp_path: Path
) -> None:
    prog = dump()
    vmlinux = lab.target("idle").vmlinux
    load_btf(prog, vmlinux if form == "elf" else table(vmlinux, tmp_path))
    same(prog, in_memory, ["struct task_struct", "struct super_block", "enum pid_type", "gfp_t"])
    assert prog["init_task"].comm.string_() == b"swapper/0"
    # From the file, before those in memory: the modules' names come from types, too.
    assert "btrfs" in {module.name for module in prog.modules()}


@pytest.mark.parametrize("form", ["elf", "table"])
def test_a_modules_types_go_on_from_the_kernels(
    form: str, in_memory: kdive.Program, tmp_path: Path
) -> None:
    prog = dump()
    load_btf(prog, lab.target("idle").vmlinux)
    btrfs = module_file("btrfs")
    load_btf(prog, btrfs if form == "elf" else table(btrfs, tmp_path))
    same(prog, in_memory, ["struct btrfs_fs_info", "struct btrfs_inode", "struct btrfs_root"])
    inode = prog.type("struct btrfs_inode").member("vfs_inode").type
    assert str(inode) == str(prog.type("struct inode"))
    function = prog.function("btrfs_mount_root")
    assert function.address_ == in_memory.symbol("btrfs_mount_root").address


def test_per_cpu_variables_of_a_module_are_where_its_symbols_say() -> None:
    target = lab.target("rds-tcp")
    prog, full = dump(name="rds-tcp"), dump(name="rds-tcp")
    with pytest.raises(kdive.MissingDebugInfoError):
        prog.load_debug_info(main=True)
    full.load_debug_info([target.vmlinux, target.modules["rds"]])
    percpu = find_module(full, "rds").percpu.value_()
    assert percpu > 0
    for variable, offset in (("rds_stats", 0), ("rds_page_remainders", 320)):
        found = [program[variable] for program in (prog, full)]
        assert [one.address_ for one in found] == [percpu + offset] * 2
        assert found[0].type_.type_name() == found[1].type_.type_name()


def test_a_distilled_base_becomes_the_kernels_types(
    in_memory: kdive.Program, tmp_path: Path
) -> None:
    task = in_memory.type("struct task_struct")
    assert task.size is not None
    base, split = distilled(task.size)
    module = object_file(tmp_path, "lab_module.ko", BTF=bytes(split), BTF_base=bytes(base))
    prog = dump()
    load_btf(prog, lab.target("idle").vmlinux)
    load_btf(prog, module)
    item = prog.type("struct lab_item")
    assert str(item.member("task").type) == str(task)
    assert str(item) == (
        "struct lab_item {\n"
        "\tstruct task_struct task;\n"
        "\tint count;\n"
        "\tstruct list_head *head;\n"
        "\tstruct net_device *device;\n"
        "}"
    )
    assert [member.offset for member in item.members or ()] == [
        0,
        task.size,
        task.size + 8,
        task.size + 16,
    ]
    assert item.member("device").type.type.size == prog.type("struct net_device").size
    assert item.member("device").type.type.member("name").offset == 0


def test_a_distilled_base_of_another_kernel_is_refused(tmp_path: Path) -> None:
    base, split = distilled(task_size=64)
    module = object_file(tmp_path, "lab_module.ko", BTF=bytes(split), BTF_base=bytes(base))
    prog = dump()
    load_btf(prog, lab.target("idle").vmlinux)
    with pytest.raises(kdive.BadDataError, match="no type task_struct as the module was built for"):
        load_btf(prog, module)


def test_a_distilled_base_serves_where_the_kernel_is_not_known(tmp_path: Path) -> None:
    base, split = distilled(task_size=64)
    module = object_file(tmp_path, "lab_module.ko", BTF=bytes(split), BTF_base=bytes(base))
    prog = kdive.Program()
    load_btf(prog, module)
    item = prog.type("struct lab_item")
    assert (item.size, item.member("task").type.size) == (88, 64)


def test_types_of_another_kernel_are_refused() -> None:
    other = lab.target("idle", "6.12-amd64").vmlinux
    prog = dump()
    with pytest.raises(ValueError, match=r"belongs to another kernel: the .* of .* in this kernel"):
        load_btf(prog, other)
    strange = dump("6.12-amd64")
    load_btf(strange, other)
    with pytest.raises(kdive.BadDataError, match="go on from those of another kernel"):
        load_btf(strange, module_file("btrfs"))


def test_what_is_missing_is_said(tmp_path: Path) -> None:
    module = table(module_file("btrfs"), tmp_path)
    plain = object_file(tmp_path, "plain.o")
    prog = kdive.Program()
    with pytest.raises(
        kdive.BadDataError, match=r"go on from those of a kernel that are not known"
    ):
        load_btf(prog, module)
    with pytest.raises(ValueError, match=r"has no section \.BTF"):
        load_btf(prog, plain)
    with pytest.raises(FileNotFoundError):
        load_btf(prog, tmp_path / "nothing")


def test_damaged_files_are_refused_and_the_rest_used(
    in_memory: kdive.Program, tmp_path: Path
) -> None:
    task = in_memory.type("struct task_struct")
    assert task.size is not None
    base, split = distilled(task.size)
    chosen = random.Random(7)
    prog = dump()
    load_btf(prog, lab.target("idle").vmlinux)
    refused = 0
    for _ in range(DAMAGES):
        tables = [bytearray(bytes(split)), bytearray(bytes(base))]
        damaged = chosen.choice(tables)
        damaged[chosen.randrange(len(damaged))] = chosen.randrange(256)
        module = object_file(
            tmp_path, "damaged.ko", BTF=bytes(tables[0]), BTF_base=bytes(tables[1])
        )
        try:
            load_btf(prog, module)
        except (kdive.BadDataError, ValueError):
            refused += 1
        else:
            prog.type("struct list_head")
    assert refused > DAMAGES // 4
    assert prog.type("struct task_struct").size == task.size


def test_the_command_takes_files(kdive: Kdive, in_memory: kdive.Program) -> None:
    target = lab.target("idle")
    code = 'prog.type("struct btrfs_inode").size, len(list(for_each_task()))'
    files = ("--btf-file", target.vmlinux, "--btf-file", module_file("btrfs"))
    done = kdive("-c", target.dumps["elf"], *files, "-e", code)
    size = in_memory.type("struct btrfs_inode").size
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"({size}, ")
    done = kdive(
        "-c", target.dumps["elf"], "--btf-file", lab.target("idle", "6.12-amd64").vmlinux, "-e", "1"
    )
    assert done.returncode == 1
    assert "belongs to another kernel" in done.stderr


BPF_SOURCE = """
struct lab_key { int number; char name[16]; struct { unsigned a : 3, b : 5; }; };
enum lab_big { BIG = 1 << 30, NEGATIVE = -1 };
struct lab_key last;
enum lab_big chosen;
int cells[2][3];
__attribute__((section("socket"))) int filter(void *context) { chosen = BIG; return last.number; }
"""


def test_types_of_a_bpf_object(tmp_path: Path) -> None:
    source, path = tmp_path / "filter.bpf.c", tmp_path / "filter.bpf.o"
    source.write_text(BPF_SOURCE)
    subprocess.run(["clang", "-target", "bpf", "-g", "-O2", "-c", "-o", path, source], check=True)
    prog = dump()
    load_btf(prog, lab.target("idle").vmlinux)
    load_btf(prog, path)
    key = prog.type("struct lab_key")
    assert key.size == 24
    assert [(one.name, one.bit_offset) for one in key.members or ()] == [
        ("number", 0),
        ("name", 32),
        (None, 160),
    ]
    (bits,) = [one.type for one in key.members or () if one.name is None]
    assert [(one.name, one.bit_field_size) for one in bits.members or ()] == [("a", 3), ("b", 5)]
    values = {one.name: one.value for one in prog.type("enum lab_big").enumerators or ()}
    assert values == {"BIG": 1 << 30, "NEGATIVE": -1}
