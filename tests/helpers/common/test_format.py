# SPDX-License-Identifier: Apache-2.0
import io
from collections.abc import Sequence
from typing import Any

import pytest

from kdive.helpers.common.format import (
    CellFormat,
    RowOptions,
    decode_enum_type_flags,
    decode_flags,
    double_quote_ascii_string,
    escape_ascii_character,
    escape_ascii_string,
    number_in_binary_units,
    print_table,
)

FLAGS = [("SMALL", 0), ("BIG", 1), ("LARGE", 1), ("ROUND", 4)]


@pytest.mark.parametrize(
    ("byte", "text"),
    [
        (0, "\\0"),
        (7, "\\a"),
        (9, "\\t"),
        (10, "\\n"),
        (13, "\\r"),
        (0x1B, "\\x1b"),
        (0x7F, "\\x7f"),
        (255, "\\xff"),
        (65, "A"),
    ],
)
def test_bytes_that_cannot_be_printed_are_escaped(byte: int, text: str) -> None:
    assert escape_ascii_character(byte) == text


def test_quotes_are_escaped_only_where_asked() -> None:
    assert escape_ascii_string(b"a'b\"c\\") == "a'b\"c\\"
    assert escape_ascii_string(b"'", escape_single_quote=True) == "\\'"
    assert double_quote_ascii_string(b'say "hi"\\\n') == '"say \\"hi\\"\\\\\\n"'


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0, "0"),
        (1023, "1023"),
        (1024, "1K"),
        (1280, "1.2K"),
        (1536 * 1024, "1.5M"),
        (-2048, "-2K"),
        (1 << 90, "1024Y"),
    ],
)
def test_numbers_in_binary_units(number: int, text: str) -> None:
    assert number_in_binary_units(number) == text
    assert number_in_binary_units(1280, precision=2) == "1.25K"


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (1, "SMALL"), (2, "BIG|LARGE"), (17, "SMALL|ROUND"), (0x65, "SMALL|0x64")],
)
def test_flags_by_bit_numbers(value: int, text: str) -> None:
    assert decode_flags(value, FLAGS) == text


def test_flags_by_values_and_without_aliases() -> None:
    by_value = [(name, 1 << bit) for name, bit in FLAGS]
    assert decode_flags(0x13, by_value, bit_numbers=False) == "SMALL|BIG|LARGE|ROUND"
    assert decode_flags(0x13, by_value, bit_numbers=False, aliases=False) == "SMALL|BIG|ROUND"


@pytest.mark.lab
def test_flags_of_an_enumerated_type(prog: Any) -> None:
    flags = prog.type("enum pageflags")
    assert decode_enum_type_flags(5, flags) == "PG_locked|PG_uptodate|PG_reported"


def table(rows: Sequence[Sequence[Any]]) -> list[str]:
    out = io.StringIO()
    print_table(rows, file=out)
    return out.getvalue().splitlines()


def test_numbers_are_aligned_right_and_text_left() -> None:
    assert table([[2, 2000, 4], ["", 3, 13, 19]]) == ["2  2000   4", "      3  13  19"]


def test_a_cell_may_have_its_own_format() -> None:
    rows: list[Any] = [
        ["DECIMAL", "HEX"],
        [CellFormat(10, "<"), CellFormat(10, "<x")],
        [CellFormat(7, "^"), CellFormat(3.14159, ".2f")],
    ]
    assert table(rows) == ["DECIMAL  HEX", "10       a", "   7     3.14"]


def test_a_cell_format_has_no_width() -> None:
    with pytest.raises(ValueError, match="must not have width"):
        CellFormat(10, "08x")


def test_groups_of_rows_are_aligned_apart() -> None:
    rows: list[Any] = [
        ["LETTER", "INDEX"],
        ["A", 1],
        RowOptions(["WORD", "LENGTH"], group=1),
        RowOptions(["angstrom", 8], group=1),
    ]
    assert table(rows) == ["LETTER  INDEX", "A           1", "WORD      LENGTH", "angstrom       8"]
