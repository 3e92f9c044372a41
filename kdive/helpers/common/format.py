# SPDX-License-Identifier: Apache-2.0
"""Text from values: flags, ASCII, binary units, aligned tables."""

import operator
import re
import sys
from collections.abc import Hashable, Iterable, Iterator, Sequence
from typing import Any, Protocol, SupportsFloat, TypeVar, overload

from kdive import IntegerLike, Type

__all__ = (
    "CellFormat",
    "RowOptions",
    "decode_enum_type_flags",
    "decode_flags",
    "double_quote_ascii_string",
    "escape_ascii_character",
    "escape_ascii_string",
    "number_in_binary_units",
    "print_table",
)

T_co = TypeVar("T_co", covariant=True)


class SupportsWriteText(Protocol):
    """A destination for text, such as an open file."""

    def write(self, text: str, /) -> object: ...


_BINARY_PREFIXES = ("", "K", "M", "G", "T", "P", "E", "Z", "Y")
_ESCAPES = {0: "\\0", 7: "\\a", 8: "\\b", 9: "\\t", 10: "\\n", 11: "\\v", 12: "\\f", 13: "\\r"}


def escape_ascii_character(
    c: int,
    escape_single_quote: bool = False,
    escape_double_quote: bool = False,
    escape_backslash: bool = False,
) -> str:
    r"""Format an ASCII byte as a character.

    Bytes that can't be printed are escaped, as in C where C has a name for them (``\0 \a \b \t \n \v \f \r``)
    and as ``\x7f`` otherwise.

    :param c: Byte value.
    :param escape_single_quote: Write ``'`` as ``\'``.
    :param escape_double_quote: Write ``"`` as ``\"``.
    :param escape_backslash: Write a backslash as two.
    """
    escape = _ESCAPES.get(c)
    if escape is not None:
        return escape
    if not 0x20 <= c < 0x7F:
        return f"\\x{c:02x}"
    char = chr(c)
    quoted = (
        (char == "'" and escape_single_quote)
        or (char == '"' and escape_double_quote)
        or (char == "\\" and escape_backslash)
    )
    return "\\" + char if quoted else char


def escape_ascii_string(
    buffer: Iterable[int],
    escape_single_quote: bool = False,
    escape_double_quote: bool = False,
    escape_backslash: bool = False,
) -> str:
    """Escape every byte of *buffer* with `escape_ascii_character()`.

    :param buffer: Byte values, e.g. `bytes`.
    """
    return "".join(
        escape_ascii_character(c, escape_single_quote, escape_double_quote, escape_backslash)
        for c in buffer
    )


def double_quote_ascii_string(buffer: Iterable[int]) -> str:
    """Format ASCII bytes as a double-quoted string, escaping double quotes and backslashes.

    :param buffer: Byte values, e.g. `bytes`.
    """
    return f'"{escape_ascii_string(buffer, escape_double_quote=True, escape_backslash=True)}"'


def number_in_binary_units(n: SupportsFloat, precision: int = 1) -> str:
    """Format a number with the binary prefixes K, M, G, T, P, E, Z and Y (K is 1024).

    Numbers below 1024 are not scaled, and a fraction is written only where there is one.

    >>> number_in_binary_units(1280, precision=2)
    '1.25K'

    :param precision: Digits of the fraction.
    """
    value = float(n)
    exponent = 0
    while abs(value) >= 1024 and exponent < len(_BINARY_PREFIXES) - 1:
        value /= 1024
        exponent += 1
    unit = _BINARY_PREFIXES[exponent]
    return f"{value:.{0 if value.is_integer() else precision}f}{unit}"


def decode_flags(
    value: IntegerLike,
    flags: Iterable[tuple[str, int]],
    bit_numbers: bool = True,
    aliases: bool = True,
) -> str:
    """Name the flags that are set in a bitmask, joined by ``|``.

    Bits without a name are added as one hexadecimal number, and zero is ``"0"``.

    >>> decode_flags(27, [("BOLD", 0), ("ITALIC", 1), ("UNDERLINE", 2)])
    'BOLD|ITALIC|0x18'

    :param value: Bitmask.
    :param flags: Names with their bit numbers or values.
    :param bit_numbers: Whether *flags* holds bit numbers (0 is the least significant bit) or values.
    :param aliases: Whether to give every name of a flag or only the first.
    """
    remaining = bits = operator.index(value)
    if not bits:
        return "0"
    names = []
    for name, flag in flags:
        mask = 1 << flag if bit_numbers else flag
        if mask & (bits if aliases else remaining):
            names.append(name)
            remaining &= ~mask
    if remaining:
        names.append(hex(remaining))
    return "|".join(names)


def decode_enum_type_flags(value: IntegerLike, type: Type, bit_numbers: bool = True) -> str:
    """Name the flags that are set in a bitmask whose flags are the enumerators of a type.

    >>> decode_enum_type_flags(5, prog.type("enum style_bits"))
    'BOLD|UNDERLINE'

    :param value: Bitmask.
    :param type: Enumerated type.
    :param bit_numbers: Whether the enumerators are bit numbers or values.
    :raises TypeError: if the type is incomplete
    """
    enumerators = type.unaliased().enumerators
    if enumerators is None:
        raise TypeError("cannot decode incomplete enumerated type")
    return decode_flags(value, ((name, flag) for name, flag in enumerators), bit_numbers)


class CellFormat:
    """A value in a table with its own format.

    :param value: Value to print.
    :param format_spec: Format specification as `format()` takes it, but without a width, which the column decides. An
        alignment applies to the whole cell.
    :raises ValueError: if *format_spec* has a width
    """

    _SPEC = re.compile(
        r"(?P<align>.?[<>^])?(?P<rest>[-+ ]?z?#?(?P<width>[0-9]*)[_,]?(\..*|[^0-9]*))", re.DOTALL
    )

    def __init__(self, value: Any, format_spec: str) -> None:
        parts = self._SPEC.fullmatch(format_spec)
        if parts is None:
            raise ValueError(f"invalid format specifier: {format_spec!r}")
        if parts["width"]:
            raise ValueError("format_spec must not have width")
        self.text = format(value, parts["rest"])
        self.align = parts["align"] or _default_align(value)


class RowOptions(Sequence[T_co]):
    """A row of a table with options.

    :param row: Cells.
    :param group: Rows of the same group are aligned with each other. The default group is 0.
    """

    def __init__(self, row: Sequence[T_co], *, group: Hashable = 0) -> None:
        self.row = row
        self.group = group

    @overload
    def __getitem__(self, index: int) -> T_co: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[T_co]: ...
    def __getitem__(self, index: int | slice) -> T_co | Sequence[T_co]:
        return self.row[index]

    def __len__(self) -> int:
        return len(self.row)

    def __iter__(self) -> Iterator[T_co]:
        return iter(self.row)


def _default_align(value: Any) -> str:
    # What formats as a number when aligned with "=" is a number: int, float, Decimal, numeric objects.
    return (
        ">"
        if isinstance(value, (int, float))
        or hasattr(value, "__index__")
        or hasattr(value, "__float__")
        else "<"
    )


def print_table(
    rows: Sequence[Sequence[Any]], *, sep: str = "  ", file: SupportsWriteText | None = None
) -> None:
    """Print rows as a table with aligned columns.

    Numbers are aligned to the right and everything else to the left, unless a `CellFormat` says otherwise.
    Rows may have different lengths. Rows in a `RowOptions` group are aligned among themselves.

    >>> print_table([[2, 2000, 4], ["", 3, 13, 19]])
    2  2000   4
          3  13  19

    :param rows: Rows of cells.
    :param sep: Separator of columns.
    :param file: Where to write; standard output by default.
    """
    out: SupportsWriteText = sys.stdout if file is None else file
    widths: dict[Hashable, list[int]] = {}
    table: list[tuple[list[int], list[tuple[str, str]]]] = []
    for row in rows:
        group_widths = widths.setdefault(row.group if isinstance(row, RowOptions) else 0, [])
        cells = []
        for column, cell in enumerate(row):
            if isinstance(cell, CellFormat):
                text, align = cell.text, cell.align
            else:
                text, align = str(cell), _default_align(cell)
            if column == len(group_widths):
                group_widths.append(0)
            group_widths[column] = max(group_widths[column], len(text))
            cells.append((text, align))
        table.append((group_widths, cells))
    for group_widths, cells in table:
        line = sep.join(
            f"{text:{align}{width}}"
            for (text, align), width in zip(cells, group_widths, strict=False)
        )
        out.write(line.rstrip() + "\n")
