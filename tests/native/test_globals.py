"""What DWARF says of things outside functions: where they are, what is left of them, what they are made of."""

import subprocess
from pathlib import Path

import pytest

from kdive import AbsenceReason, Language, Program, host_platform

SOURCE = r"""
static inline int inlined(const char *text, int number) { return text[number]; }
static struct pair { int written; int kept; } pair;
enum wide { WIDE_LOW = -1 } low = WIDE_LOW;
struct __attribute__((packed)) packed { char c; int x : 12; int y : 20; long z : 40; long w : 33; } packed;
void write(int value) { pair.written = value; }
int read(void) { return pair.kept; }
void keep(void) { pair.kept++; }
int main(int argc, char **argv) { return inlined(argv[0], argc); }
"""
CPP_SOURCE = r"""
typedef unsigned char byte;
enum class level : const byte { LOW, HIGH = 200 };
level current = level::HIGH;
int main() { return 0; }
"""


def load(path: Path) -> Program:
    prog = Program(host_platform)
    prog.extra_module("program", create=True).try_file(path, force=True)
    return prog


def compiled(directory: Path, command: list[str], name: str, source: str) -> Program:
    (directory / name).write_text(source)
    program = directory / "program.o"
    subprocess.run([*command, "-g", "-c", "-o", program, directory / name], check=True)
    return load(program)


@pytest.mark.parametrize("compiler", ["gcc", "clang"])
@pytest.mark.parametrize("version", range(2, 6))
def test_an_inlined_function_has_a_type_and_no_address(
    tmp_path: Path, compiler: str, version: int
) -> None:
    prog = compiled(tmp_path, [compiler, "-O2", f"-gdwarf-{version}"], "program.c", SOURCE)
    function = prog.function("inlined")
    assert function.type_.type_name() == "int (const char *text, int number)"
    assert (function.address_, function.absence_reason_) == (None, AbsenceReason.OPTIMIZED_OUT)


def test_a_function_that_another_module_calls_has_an_address(tmp_path: Path) -> None:
    prog = compiled(tmp_path, ["gcc", "-O2"], "program.c", SOURCE)
    other = tmp_path / "other"
    other.mkdir()
    compiled(other, ["gcc"], "other.c", "int before; int inlined(void) { return before; }")
    prog.extra_module("other", create=True).try_file(other / "program.o", force=True)
    assert prog.function("inlined").type_.type_name() == "int (void)"


def test_what_is_left_of_a_variable_is_known(tmp_path: Path) -> None:
    """clang keeps no memory for the member that is written and never read."""
    prog = compiled(tmp_path, ["clang", "-O2"], "program.c", SOURCE)
    byte = b"\7"
    prog.add_memory_segment(0, 4096, lambda _address, count, _offset, _is_physical: byte * count)
    pair = prog["pair"]
    assert pair.kept.value_() == 0x07070707
    assert pair.written.absence_reason_ == AbsenceReason.OPTIMIZED_OUT
    byte = b"\5"
    assert prog["pair"].kept.value_() == 0x05050505


@pytest.mark.parametrize("compiler", ["gcc", "clang"])
@pytest.mark.parametrize(
    "options", [["-gdwarf-2", "-gstrict-dwarf"], ["-gdwarf-3"], ["-gdwarf-4"], ["-gdwarf-5"]]
)
def test_bit_fields_may_start_before_their_storage(
    tmp_path: Path, compiler: str, options: list[str]
) -> None:
    prog = compiled(tmp_path, [compiler, *options], "program.c", SOURCE)
    members = prog.type("struct packed").members
    assert members is not None
    places = [(member.name, member.bit_offset, member.bit_field_size) for member in members]
    assert places == [("c", 0, None), ("x", 8, 12), ("y", 20, 20), ("z", 40, 40), ("w", 80, 33)]


def test_a_type_that_is_only_declared_is_not_found(tmp_path: Path) -> None:
    prog = compiled(
        tmp_path, ["gcc"], "program.c", "struct absent *pointer; struct present { int x; } object;"
    )
    assert prog.type("struct present").size == 4
    with pytest.raises(LookupError, match="could not find 'struct absent': it is only declared"):
        prog.type("struct absent")
    pointer = prog.type("struct absent *")
    assert (pointer.type_name(), pointer.type.is_complete()) == ("struct absent *", False)


def test_the_integer_of_an_enumeration_is_no_typedef(tmp_path: Path) -> None:
    prog = compiled(tmp_path, ["g++"], "program.cc", CPP_SOURCE)
    integer = prog.type("enum level").type
    assert (integer.type_name(), integer.size, integer.is_signed) == ("unsigned char", 1, False)


def test_the_language_is_that_of_main_unless_it_was_set(tmp_path: Path) -> None:
    prog = compiled(tmp_path, ["g++"], "program.cc", CPP_SOURCE)
    assert prog.language == Language.CPP
    prog = Program(host_platform)
    prog.language = Language.C
    prog.extra_module("program", create=True).try_file(tmp_path / "program.o", force=True)
    assert prog.language == Language.C
