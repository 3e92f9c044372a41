# SPDX-License-Identifier: Apache-2.0
"""Questions about types: enumerations as Python classes, members by offset, types by member path."""

import enum
import operator
from collections.abc import Container, Iterator

from kdive import NULL, IntegerLike, Type, TypeKind, get_default_prog, sizeof

__all__ = ("enum_type_to_class", "member_at_offset", "typeof_member")

_COMPOUND_KINDS = frozenset({TypeKind.STRUCT, TypeKind.UNION, TypeKind.CLASS})


def enum_type_to_class(
    type: Type, name: str, exclude: Container[str] = (), prefix: str = ""
) -> type[enum.IntEnum]:
    """Make an `enum.IntEnum` class from an enumerated type.

    :param type: Enumerated type, possibly behind typedefs.
    :param name: Name of the class.
    :param exclude: Enumerators to leave out, by their full name.
    :param prefix: Prefix to strip from the names of the enumerators that have it.
    :raises TypeError: if *type* has no enumerators
    """
    enumerators = type.unaliased().enumerators
    if enumerators is None:
        raise TypeError("enum type is incomplete")
    members = [(n.removeprefix(prefix), value) for n, value in enumerators if n not in exclude]
    return enum.IntEnum(name, members)  # type: ignore[return-value]


def _is_compound(type: Type) -> bool:
    return type.unaliased_kind() in _COMPOUND_KINDS


def _names_at(type: Type, bit_offset: int, prefix: str) -> Iterator[str]:
    """Yield what lies at a bit offset inside *type*, as the path *prefix* extended by members and subscripts."""
    kind = type.unaliased_kind()
    if kind in _COMPOUND_KINDS:
        yield from _names_in_compound(type.unaliased(), bit_offset, prefix)
    elif kind == TypeKind.ARRAY:
        element = type.unaliased().type
        index, rest = divmod(bit_offset, 8 * sizeof(element))
        yield from _names_at(element, rest, f"{prefix}[{index}]")
    else:
        distance = f"+{bit_offset} bits" if bit_offset % 8 else f"+{hex(bit_offset // 8)}"
        yield prefix + (distance if bit_offset else "")


def _names_in_compound(type: Type, bit_offset: int, prefix: str) -> Iterator[str]:
    total_bits = 8 * sizeof(type)
    found = False
    before = after = None
    for member in type.members or ():
        start = member.bit_offset
        size = member.bit_field_size
        if size is None:
            size = 8 * sizeof(member.type) if member.type.is_complete() else 0
        # A flexible array member has no end of its own.
        flexible = size == 0 and member.type.unaliased_kind() == TypeKind.ARRAY
        end = start + size
        if start <= bit_offset and (bit_offset < end or flexible):
            found = True
            path = prefix
            if member.name is not None:
                path = f"{prefix}.{member.name}" if prefix else member.name
            yield from _names_at(member.type, bit_offset - start, path)
        elif end <= bit_offset:
            before = member.name
        elif after is None and start > bit_offset:
            after = member.name
    if found:
        return
    where = f"{prefix}: " if prefix else ""
    if bit_offset > total_bits:
        yield f"{where}<past end>"
    elif bit_offset == total_bits:
        yield f"{where}<end>"
    elif after is None:
        yield f"{where}<padding at end>"
    elif before is None:
        yield f"{where}<padding at beginning>"
    else:
        yield f"{where}<padding between {before} and {after}>"


def member_at_offset(type: Type | str, offset: IntegerLike) -> str:
    """Name the member at an offset in a type; the opposite of `offsetof()`.

    Nested members and array elements are given as a path. Several members of a union at that offset are joined by
    ``or``, the middle of a member is given as ``name+0x4``, and padding and offsets beyond the
    type are named between angle brackets (``<padding at end>``, ``<end>``, ``<past end>``).

    >>> member_at_offset("struct sigpending", 16)
    'signal.sig[0]'

    :param type: Structure, union, class or array type, or a typedef of one. A string is looked up in the default
        program.
    :param offset: Offset in bytes.
    :raises TypeError: if *type* is of another kind
    """
    if isinstance(type, str):
        type = get_default_prog().type(type)
    if not _is_compound(type) and type.unaliased_kind() != TypeKind.ARRAY:
        raise TypeError("must be structure, union, class, or array type")
    byte_offset = operator.index(offset)
    if type.unaliased_kind() == TypeKind.ARRAY:
        size = sizeof(type)
        if byte_offset == size:
            return "<end>"
        if byte_offset > size:
            return "<past end>"
    return " or ".join(_names_at(type, 8 * byte_offset, ""))


def typeof_member(type: Type | str, member: str) -> Type:
    """Get the type of a member, like the kernel's macro of that name.

    :param type: Structure, union or class type. A string is looked up in the default program.
    :param member: Name of the member; may go through members and subscripts, e.g. ``"a.b[1].c"``.
    :raises TypeError: if *type* is not a structure, union or class
    :raises LookupError: if it has no such member
    """
    if isinstance(type, str):
        type = get_default_prog().type(type)
    if not _is_compound(type):
        raise TypeError(f"'{type.type_name()}' is not a structure, union, or class")
    prog = type.prog
    return NULL(prog, prog.pointer_type(type))[0].subobject_(member).type_
