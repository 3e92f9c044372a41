"""CTF archives of kernels: found, refused, and used for a dump whose kernel has no CTF of its own.

The archives have a few types and variables, compiled here; a whole one is that of `test_ctf_kernel`.
"""

import subprocess
from pathlib import Path

import pytest

import kdive
import lab
from kdive.helpers.linux import load_ctf
from lab import ctfkernel
from tests.support import Kdive

pytestmark = pytest.mark.lab

KERNEL = """
struct list_head { struct list_head *next, *prev; };
struct shared_by_both { struct list_head list; long number; };
int vm_swappiness;
struct shared_by_both *unused;
"""
LOOP = """
struct list_head { struct list_head *next, *prev; };
struct shared_by_both { struct list_head list; long number; };
struct only_in_loop { struct shared_by_both both; unsigned bits : 5; } *pointer;
static int max_loop;
int use(void) { return max_loop; }
"""
OTHER_KERNEL = "struct list_head { struct list_head *next, *prev; long more; } head;"


def archive(folder: Path, sources: dict[str, str]) -> Path:
    objects = []
    for name, source in sources.items():
        (folder / f"{name}.c").write_text(source)
        subprocess.run(["gcc", "-gctf", "-c", f"{name}.c"], cwd=folder, check=True)
        objects.append((name, folder / f"{name}.o"))
    path = folder / "vmlinux.ctfa"
    ctfkernel.make_archive(objects, path)
    return path


@pytest.fixture
def ctf(tmp_path: Path) -> Path:
    """An archive of a kernel with the module loop."""
    return archive(tmp_path, {"vmlinux": KERNEL, "loop": LOOP})


@pytest.fixture
def dump() -> Path:
    """The dump of the lab's default kernel."""
    return lab.target("idle").dumps["elf"]


def test_variables_are_where_kallsyms_has_them(kdive: Kdive, ctf: Path, dump: Path) -> None:
    done = kdive("-c", dump, "--ctf-file", ctf, "-e", 'prog["vm_swappiness"]')
    assert (done.returncode, done.stdout, done.stderr) == (0, "(int)60\n", "")
    done = kdive("-c", dump, "--ctf-file", ctf, "-e", 'prog.type("struct task_struct")')
    assert done.returncode == 1
    assert "could not find 'struct task_struct'" in done.stderr


def test_it_is_found_beside_the_modules_of_the_kernel(kdive: Kdive, ctf: Path, dump: Path) -> None:
    release = lab.target("idle").kernel
    root = ctf.parent / "root"
    place = root / "lib" / "modules" / release / "kernel" / "vmlinux.ctfa"
    place.parent.mkdir(parents=True)
    ctf.rename(place)
    here = ("-c", dump, "--no-default-kernel-directories", "--kernel-directory", root)
    code = 'print(prog["vm_swappiness"].value_(), prog["init_task"].comm.string_().decode())'
    script = f"from drgn.helpers.linux.ctf import load_ctf; load_ctf(prog); {code}"
    # By itself, where it is asked for, and as scripts ask for it.
    for arguments in (
        ("-e", code),
        ("--types", "ctf,btf", "-e", code),
        ("--no-default-symbols", "-e", script),
    ):
        done = kdive(*here, "--no-default-debug-directories", *arguments)
        assert (done.returncode, done.stdout) == (0, "60 swapper/0\n"), done.stderr
    done = kdive(*here, "--ctf", "-e", 'prog["vm_swappiness"]')
    assert (done.returncode, done.stdout) == (0, "(int)60\n"), done.stderr
    done = kdive("-c", dump, "--ctf", "-e", "1")
    assert done.returncode == 1
    assert f"there is no CTF of Linux {release}" in done.stderr


def test_modules_have_dictionaries_of_their_own(ctf: Path, dump: Path) -> None:
    prog = kdive.Program()
    prog.set_core_dump(dump)
    with pytest.raises(kdive.MissingDebugInfoError):
        prog.load_debug_info(main=True)
    load_ctf(prog, ctf)
    kind = prog.type("struct only_in_loop")
    assert [(m.name, m.bit_offset, m.bit_field_size) for m in kind.members or ()] == [
        ("both", 0, None),
        ("bits", 192, 5),
    ]
    assert kind.members is not None
    assert str(kind.members[0].type) == str(prog.type("struct shared_by_both"))
    full = kdive.Program()
    full.set_core_dump(dump)
    full.load_debug_info([lab.target("idle").vmlinux, lab.target("idle").modules["loop"]])
    expected = full.variable("max_loop")
    found = prog.variable("max_loop", "loop")
    assert (found.address_, found) == (expected.address_, expected)
    statuses = {module.name: module.debug_file_status for module in prog.modules()}
    assert statuses["kernel"] == statuses["loop"] == kdive.ModuleFileStatus.DONT_NEED
    assert statuses["btrfs"] == kdive.ModuleFileStatus.WANT


def test_that_of_another_kernel_is_refused(kdive: Kdive, dump: Path, tmp_path: Path) -> None:
    other = archive(tmp_path, {"vmlinux": OTHER_KERNEL})
    done = kdive("-c", dump, "--ctf-file", other, "-e", "1")
    assert done.returncode == 1
    assert "belongs to another kernel: the size of struct list_head is 24 bytes" in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("contents", "message"),
    [
        (b"", "neither CTF nor an archive"),
        (b"\xf2\xdf\x05\x00" + bytes(100), "format number 5 is not supported"),
        (b"\xf2\xdf\x04\x01" + bytes(44) + b"\x10\0\0\0no zlib", "damaged compressed data"),
    ],
)
def test_what_is_no_ctf_is_told(
    kdive: Kdive, dump: Path, tmp_path: Path, contents: bytes, message: str
) -> None:
    file = tmp_path / "file"
    file.write_bytes(contents)
    done = kdive("-c", dump, "--ctf-file", file, "-e", "1")
    assert done.returncode == 1
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert len(done.stderr.splitlines()) == 1
