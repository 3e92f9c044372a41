# SPDX-License-Identifier: Apache-2.0
"""Bounded walks over linked structures, as addresses.

Everything that follows a chain of pointers in the kernel does so through these functions, so that a corrupted
chain ends in an error instead of an endless loop. They work on integers; the public helpers
turn the addresses into objects.
"""

from collections.abc import Callable, Iterable, Iterator

from kdive import Object, Program, Type, TypeKind, offsetof
from kdive.helpers import ValidationError


def pointer_value(obj: Object, what: str) -> int:
    """Get the address that a pointer object holds.

    :param what: What the pointer should point to, for the message of the error.
    :raises TypeError: if *obj* is not a pointer
    """
    if obj.type_.unaliased_kind() != TypeKind.POINTER:
        raise TypeError(f"expected {what} *, not '{obj.type_.type_name()}'")
    value: int = obj.value_()
    return value


def follow(step: Callable[[int], int], first: int, end: int, kind: str) -> Iterator[int]:
    """Yield addresses from *first* by calling *step* until it returns *end*.

    A cycle that does not contain *end* is found by Brent's algorithm: a marked address is compared with each one that
    follows and is moved forward at growing distances, which needs no memory.

    :raises ValidationError: when the chain runs into a cycle; addresses on the cycle may have been yielded twice
    """
    marked = address = first
    steps_left = limit = 64
    while address != end:
        yield address
        address = step(address)
        if address == marked and address != end:
            raise ValidationError(f"{kind} {hex(first)} runs into a cycle at {hex(address)}")
        steps_left -= 1
        if not steps_left:
            marked = address
            limit *= 2
            steps_left = limit


def member_reader(prog: Program, offset: int) -> Callable[[int], int]:
    """Get a function that reads the pointer-sized member at *offset* of the structure at an address."""
    read_word = prog.read_word
    if not offset:
        return read_word

    def read(address: int) -> int:
        return read_word(address + offset)

    return read


def pointers(prog: Program, type: Type | str, addresses: Iterable[int]) -> Iterator[Object]:
    """Turn addresses into ``type *`` objects."""
    pointer_type = prog.pointer_type(prog.type(type))
    for address in addresses:
        yield Object(prog, pointer_type, address)


def entries(
    prog: Program, type: Type | str, addresses: Iterable[int], member: str
) -> Iterator[Object]:
    """Turn addresses of the *member* of structures into ``type *`` objects: `container_of()` for many."""
    entry_type = prog.type(type)
    pointer_type = prog.pointer_type(entry_type)
    offset = offsetof(entry_type, member)
    for address in addresses:
        yield Object(prog, pointer_type, address - offset)
