"""C++ that drgn refuses: pointers to members, `nullptr_t`, sizes of references."""

import subprocess
from pathlib import Path

import pytest

import kdive

SOURCE = """
namespace ns { struct S { int a; int b; int f(int x) const { return a + x; } }; }
int ns::S::*data = &ns::S::b;
int ns::S::*no_data = nullptr;
int (ns::S::*function)(int) const = &ns::S::f;
char (ns::S::*no_array)[3] = nullptr;
decltype(nullptr) nothing = nullptr;
struct Holder { char &reference; int ns::S::*data; decltype(nullptr) nothing; char last; };
char letter;
Holder holder = {letter, nullptr, nullptr, 0};
int main() { return 0; }
"""


@pytest.fixture(scope="module", params=["g++", "clang++"])
def prog(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> kdive.Program:
    path = tmp_path_factory.mktemp("cpp") / "program"
    command = [request.param, "-g", "-O0", "-no-pie", "-x", "c++", "-", "-o", str(path)]
    subprocess.run(command, input=SOURCE, text=True, check=True)
    prog = kdive.Program(kdive.host_platform)
    prog.main_module(path, create=True).try_file(path)
    data = path.read_bytes()
    # What is initialized is read from the file, at the same distance as in memory.
    start = int(next(line for line in headers(path) if line[0] == ".data")[2], 16)
    offset = int(next(line for line in headers(path) if line[0] == ".data")[3], 16)
    prog.add_memory_segment(start, 4096, lambda _a, count, at, _p: data[offset + at :][:count])
    return prog


def headers(path: Path) -> list[list[str]]:
    """The sections of a file: name, type, address, offset."""
    output = subprocess.check_output(["readelf", "-SW", path], text=True)
    return [line.partition("]")[2].split() for line in output.splitlines() if "] ." in line]


def test_pointers_to_members(prog: kdive.Program) -> None:
    data = prog["data"]
    assert data.type_.type_name() == "int ns::S::*"
    assert data.value_() == 4
    assert kdive.sizeof(data) == kdive.alignof(data.type_) == 8
    assert prog.type("struct Holder").member("data").offset == 8


def test_pointers_to_member_functions(prog: kdive.Program) -> None:
    function = prog["function"]
    assert function.type_.type_name() == "int (ns::S::*)(const ns::S *, int)"
    assert kdive.sizeof(function) == 16
    assert function.ptr == prog.function("ns::S::f").address_
    assert function.adj == 0


def test_declarators_with_suffixes(prog: kdive.Program) -> None:
    assert prog["no_array"].type_.type_name() == "char (ns::S::*)[3]"


def test_the_type_of_nullptr(prog: kdive.Program) -> None:
    assert kdive.sizeof(prog["nothing"]) == 8
    assert kdive.alignof(prog.type("struct Holder")) == 8
    assert kdive.offsetof(prog.type("struct Holder"), "last") == 24


def test_sizes_of_references(prog: kdive.Program) -> None:
    assert kdive.sizeof(prog.type("char &")) == kdive.alignof(prog.type("char &")) == 1
    assert kdive.sizeof(prog.type("char &&")) == 1
    # In a structure it is a pointer.
    assert kdive.offsetof(prog.type("struct Holder"), "data") == 8
