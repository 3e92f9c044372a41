"""Macros of programs that were compiled with -g3, as objects."""

import subprocess

import pytest

import kdive

HEADER = """
#define _AC(X, Y) __AC(X, Y)
#define __AC(X, Y) (X##Y)
#define SAMPLE_SHIFT 12
#define SAMPLE_SIZE (_AC(1,UL) << SAMPLE_SHIFT)
#define SAMPLE_MASK (~(SAMPLE_SIZE - 1))
#define SAMPLE_NAME "sample" "s"
#define SAMPLE_LETTER 'x'
#define SAMPLE_NULL ((void *)0)
#define SAMPLE_COLOR (SAMPLE_BLUE + 1)
#define SAMPLE_BLUE SAMPLE_BLUE
#define SAMPLE_RECORDS (4096 / sizeof(struct record))
#define SAMPLE_RATIO 1.5
#define SAMPLE_ADD(a, b) ((a) + (b))
#define SAMPLE_SUM SAMPLE_ADD(2, SAMPLE_SHIFT)
#define SAMPLE_VARIABLE counter
#define SAMPLE_LOOP do { counter++; } while (0)
#define SAMPLE_ITSELF SAMPLE_ITSELF
"""
SOURCE = """
#include "header.h"
enum color { SAMPLE_RED, SAMPLE_BLUE = 6 };
struct record { long number; enum color color; } record;
int counter;
int main(void) { return counter + (int)SAMPLE_SIZE; }
"""


@pytest.fixture(scope="module", params=["-gdwarf-5", "-gdwarf-4", "-gdwarf-3 -gstrict-dwarf"])
def prog(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> kdive.Program:
    folder = tmp_path_factory.mktemp("macros")
    (folder / "header.h").write_text(HEADER)
    (folder / "program.c").write_text(SOURCE)
    options = [*request.param.split(), "-g3"]
    subprocess.run(["gcc", *options, "program.c", "-o", "program"], cwd=folder, check=True)
    program = kdive.Program()
    program.extra_module("program", create=True).try_file(folder / "program")
    return program


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("SAMPLE_SHIFT", "(int)12"),
        ("SAMPLE_SIZE", "(unsigned long)4096"),
        ("SAMPLE_MASK", "(unsigned long)18446744073709547520"),
        ("SAMPLE_NAME", '(const char [8])"samples"'),
        ("SAMPLE_LETTER", "(int)120"),
        ("SAMPLE_NULL", "(void *)0x0"),
        ("SAMPLE_COLOR", "(unsigned int)7"),
        ("SAMPLE_BLUE", "(enum color)SAMPLE_BLUE"),
        ("SAMPLE_RECORDS", "(size_t)256"),
        ("SAMPLE_RATIO", "(double)1.5"),
        ("SAMPLE_SUM", "(int)14"),
    ],
)
def test_constants(prog: kdive.Program, name: str, expected: str) -> None:
    assert str(prog[name]).replace("long unsigned int", "unsigned long") == expected
    assert str(prog.constant(name)) == str(prog[name])
    assert name in prog


def test_the_file_that_defines_one_may_be_given(prog: kdive.Program) -> None:
    assert prog.constant("SAMPLE_SHIFT", filename="header.h").value_() == 12
    with pytest.raises(LookupError):
        prog.constant("SAMPLE_SHIFT", filename="program.c")


@pytest.mark.parametrize(
    ("name", "definition"),
    [
        ("SAMPLE_ADD", "SAMPLE_ADD(a, b) ((a) + (b))"),
        ("SAMPLE_VARIABLE", "SAMPLE_VARIABLE counter"),
        ("SAMPLE_LOOP", "SAMPLE_LOOP do { counter++; } while (0)"),
        ("SAMPLE_ITSELF", "SAMPLE_ITSELF SAMPLE_ITSELF"),
    ],
)
def test_what_is_no_constant_is_not_found_and_said_to_be_a_macro(
    prog: kdive.Program, name: str, definition: str
) -> None:
    with pytest.raises(kdive.ObjectNotFoundError) as error:
        prog[name]
    message = f"could not find '{name}': the macro has no constant value (#define {definition})"
    assert str(error.value) == message
    assert name not in prog
    with pytest.raises(kdive.ObjectNotFoundError, match=f"^could not find variable '{name}'$"):
        prog.variable(name)
