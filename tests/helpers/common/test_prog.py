# SPDX-License-Identifier: Apache-2.0
from collections.abc import Iterator
from typing import Any

import pytest

from kdive import (
    IntegerLike,
    NoDefaultProgramError,
    Object,
    Program,
    host_platform,
    set_default_prog,
)
from kdive.helpers.common.prog import takes_object_or_program_or_default, takes_program_or_default


@takes_program_or_default
def needs_program(prog: Program, number: IntegerLike = 0) -> tuple[Program, int]:
    """Say what was passed."""
    return prog, int(number)


@takes_object_or_program_or_default
def needs_either(
    prog: Program, obj: Object | None, number: IntegerLike, *, flag: bool = False
) -> tuple[Program, Object | None, int, bool]:
    """Say what was passed."""
    return prog, obj, int(number), flag


@pytest.fixture
def two() -> Iterator[tuple[Program, Program]]:
    default, other = Program(host_platform), Program(host_platform)
    set_default_prog(default)
    yield default, other
    set_default_prog(None)


def number(prog: Program, value: int) -> Object:
    return Object(prog, prog.int_type("int", 4, True), value)


def test_the_program_may_be_given_taken_from_an_object_or_the_default(
    two: tuple[Program, Program],
) -> None:
    default, other = two
    assert needs_program(other, 1) == (other, 1)
    # The type system has no word for a keyword that may be left out of the front.
    by_keyword: Any = needs_program
    assert by_keyword(prog=other, number=2) == (other, 2)
    assert needs_program(number(other, 3)) == (other, 3)
    assert needs_program(number=number(other, 4)) == (other, 4)
    assert needs_program(5) == (default, 5)


def test_an_object_counts_as_the_object_only_if_enough_arguments_follow(
    two: tuple[Program, Program],
) -> None:
    default, other = two
    obj = number(other, 7)
    assert needs_either(other, 1) == (other, None, 1, False)
    assert needs_either(obj, 2, flag=True) == (other, obj, 2, True)
    assert needs_either(obj) == (other, None, 7, False)
    assert needs_either(3) == (default, None, 3, False)
    by_keyword: Any = needs_either
    assert by_keyword(obj=obj, number=4) == (other, obj, 4, False)


def test_without_any_program_there_is_an_error() -> None:
    set_default_prog(None)
    with pytest.raises(NoDefaultProgramError):
        needs_program()


def test_parameters_with_defaults_would_be_ambiguous() -> None:
    with pytest.raises(TypeError, match="must not have positional parameters with defaults"):

        @takes_object_or_program_or_default
        def ambiguous(prog: Program, obj: Object | None, number: IntegerLike = 0) -> None:
            """Never called."""


def test_the_wrapped_function_keeps_its_name_and_documentation() -> None:
    assert needs_program.__name__ == "needs_program"  # type: ignore[attr-defined]
    assert needs_program.__doc__ == "Say what was passed."
