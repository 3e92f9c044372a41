"""Processes and core dumps of programs compiled with `gcc -gctf` or `-gbtf`: types and variables without DWARF."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

import kdive
from tests.support import Kdive

SOURCE = r"""
#include <stdio.h>
#include <sys/prctl.h>
#include <unistd.h>

enum color { RED, GREEN = 5 };
struct point {
    int x, y;
    unsigned low : 3, high : 9;
    enum color color;
    const char *label;
    struct point *next;
};

struct point other = {7, 8, 1, 2, RED, "there", 0};
struct point origin = {3, -4, 5, 300, GREEN, "here", &other};
int table[2][3] = {{1, 2, 3}, {4, 5, 6}};
static long counter = 1L << 40;

int scale(struct point *point, int by) { counter++; return point->x * by; }

int main(void)
{
    prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY);
    printf("%d\n", scale(&origin, 2));
    fflush(stdout);
    for (;;)
        pause();
}
"""
# CTF with the names of all variables, and with those of global ones in the order of the dynamic symbols.
OPTIONS = {
    "variables": ["-gctf", "-Wl,--ctf-variables"],
    "dynamic": ["-gctf", "-rdynamic"],
    "btf": ["-gbtf"],
}


@pytest.fixture(scope="module", params=OPTIONS)
def program(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A program with CTF or BTF and no DWARF."""
    folder = tmp_path_factory.mktemp(request.param)
    (folder / "program.c").write_text(SOURCE)
    command = ["gcc", "-O0", *OPTIONS[request.param], "-o", "program", "program.c"]
    subprocess.run(command, cwd=folder, check=True)
    sections = subprocess.run(
        ["readelf", "-SW", folder / "program"], check=True, capture_output=True, text=True
    ).stdout
    assert (".BTF" if request.param == "btf" else ".ctf") in sections
    assert ".debug_info" not in sections
    return folder / "program"


@pytest.fixture
def pid(program: Path) -> Iterator[int]:
    """A process that runs the program."""
    with subprocess.Popen([program], stdout=subprocess.PIPE) as running:
        assert running.stdout is not None
        assert running.stdout.readline() == b"6\n"
        yield running.pid
        running.kill()


def check(prog: kdive.Program, program: Path) -> None:
    """Compare with what the source says."""
    assert prog["origin"].x == 3
    assert prog["origin"].y == -4
    assert prog["origin"].low == 5
    assert prog["origin"].high == 300
    assert prog["origin"].color == prog["GREEN"]
    assert prog["origin"].label.string_() == b"here"
    assert prog["origin"].next.label.string_() == b"there"
    assert prog["table"].value_() == [[1, 2, 3], [4, 5, 6]]
    assert str(prog["table"].type_) == "int [2][3]"
    assert str(prog.type("struct point")) == (
        "struct point {\n"
        "\tint x;\n"
        "\tint y;\n"
        "\tunsigned int low : 3;\n"
        "\tunsigned int high : 9;\n"
        "\tenum color color;\n"
        "\tconst char *label;\n"
        "\tstruct point *next;\n"
        "}"
    )
    scale = prog.function("scale")
    is_btf = program.parent.name.startswith("btf")
    # Only BTF has the names of parameters.
    assert str(scale.type_) == (
        "int (struct point *point, int by)" if is_btf else "int (struct point *, int)"
    )
    assert scale.address_ == prog.symbol("scale").address
    assert prog.main_module().debug_file_path == str(program)
    if program.parent.name.startswith(("variables", "btf")):
        assert prog["counter"] == (1 << 40) + 1
    else:
        with pytest.raises(LookupError):
            prog["counter"]


def test_a_process_has_types_and_variables(program: Path, pid: int) -> None:
    prog = kdive.Program()
    prog.set_pid(pid)
    prog.load_debug_info(main=True)
    check(prog, program)


def test_a_core_dump_has_types_and_variables(program: Path, pid: int, tmp_path: Path) -> None:
    core = tmp_path / "core"
    subprocess.run(
        ["gdb", "-nx", "-batch", "-p", str(pid), "-ex", f"generate-core-file {core}"],
        check=True,
        capture_output=True,
    )
    prog = kdive.Program()
    prog.set_core_dump(core)
    prog.load_debug_info([program])
    check(prog, program)


def test_the_command_opens_it_without_complaint(kdive: Kdive, pid: int) -> None:
    done = kdive("-p", pid, "--main-symbols", "-e", 'prog["origin"].next.x')
    assert (done.returncode, done.stdout, done.stderr) == (0, "(int)7\n", "")


def test_the_format_can_be_chosen(kdive: Kdive, tmp_path: Path) -> None:
    (tmp_path / "both.c").write_text(SOURCE + "struct matrix { int cell[2][3]; } matrix;\n")
    subprocess.run(
        ["gcc", "-g", "-gctf", "-Wl,--ctf-variables", "-o", "both", "both.c"],
        cwd=tmp_path,
        check=True,
    )
    # gcc writes CTF or BTF, not both.
    subprocess.run(["pahole", "-J", "both"], cwd=tmp_path, check=True)
    without = "int (struct point *, int)\n"
    with subprocess.Popen([tmp_path / "both"], stdout=subprocess.PIPE) as running:
        assert running.stdout is not None
        running.stdout.readline()
        try:
            # The names of parameters are known from DWARF only.
            code = 'prog.function("scale").type_'
            shown = {
                options: kdive("-p", running.pid, "--main-symbols", *options, "-e", code).stdout
                for options in ((), ("--types", "ctf,dwarf"), ("--types", "ctf"), ("--ctf",))
            }
            # BTF has no arrays of arrays.
            code = 'prog.type("struct matrix").member("cell").type'
            arrays = {
                types: kdive(
                    "-p", running.pid, "--main-symbols", "--types", types, "-e", code
                ).stdout
                for types in ("dwarf,btf", "btf,dwarf", "btf")
            }
        finally:
            running.kill()
    with_names = "int (struct point *point, int by)\n"
    assert [text.replace("prog.", "") for text in shown.values()] == [
        with_names,
        without,
        without,
        without,
    ]
    assert arrays == {"dwarf,btf": "int [2][3]\n", "btf,dwarf": "int [6]\n", "btf": "int [6]\n"}


def test_damaged_types_are_told_and_the_rest_used(
    kdive: Kdive, program: Path, pid: int, tmp_path: Path
) -> None:
    damaged = tmp_path / "damaged"
    contents = tmp_path / "types"
    name = ".BTF" if program.parent.name.startswith("btf") else ".ctf"
    only_types = ("-O", "binary", f"--only-section={name}", f"--set-section-flags={name}=alloc")
    subprocess.run(["objcopy", *only_types, program, contents], check=True)
    contents.write_bytes(contents.read_bytes()[:60])
    subprocess.run(["objcopy", f"--update-section={name}={contents}", program, damaged], check=True)
    done = kdive(
        *("-p", pid, "--no-default-symbols", "--extra-symbols", damaged),
        *("-e", 'prog.symbol("scale").name'),
    )
    assert done.returncode == 0
    assert done.stdout == "'scale'\n"


def test_a_kernels_archive_is_refused_for_a_process(kdive: Kdive, pid: int, program: Path) -> None:
    done = kdive("-p", pid, "--ctf-file", program, "-e", "1")
    assert done.returncode == 1
    assert "CTF archives are of Linux kernels" in done.stderr
