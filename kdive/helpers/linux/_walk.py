# SPDX-License-Identifier: Apache-2.0
"""Bounded walks over linked structures, as addresses.

Everything that follows a chain of pointers in the kernel does so through these functions, so that a corrupted
chain ends in an error instead of an endless loop. They work on integers; the public helpers
turn the addresses into objects.
"""

from collections.abc import Callable, Iterable, Iterator

from kdive import Object, Program, Type, TypeKind, offsetof
from kdive._native import _BinaryTree, _Chain, _MemberReader, _Pointers


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

    :param step: Function of an address that gives the next one; those of `member_reader()` are fastest.
    :param kind: What the chain is, for the message of the error.
    :raises ValidationError: when the chain runs into a cycle; addresses on the cycle may have been yielded twice
    """
    return _Chain(step, first, end, kind)


def member_reader(prog: Program, offset: int) -> Callable[[int], int]:
    """Get a function that reads the pointer-sized member at *offset* of the structure at an address."""
    return _MemberReader(prog, offset)


def inorder(prog: Program, root: int, left: int, right: int, kind: str) -> Iterator[int]:
    """Yield the addresses of the nodes of a binary tree in order.

    :param root: Address of the root, 0 if the tree is empty.
    :param left: Offset in bytes of the pointer to the left child in a node.
    :param right: Offset in bytes of the pointer to the right child in a node.
    :param kind: What the tree is, for the message of the error.
    :raises ValidationError: if the tree reaches a node twice
    """
    return _BinaryTree(_MemberReader(prog, left), _MemberReader(prog, right), root, kind)


def pointers(prog: Program, type: Type | str, addresses: Iterable[int]) -> Iterator[Object]:
    """Turn addresses into ``type *`` objects."""
    return _Pointers(prog.pointer_type(prog.type(type)), addresses)


def entries(
    prog: Program, type: Type | str, addresses: Iterable[int], member: str
) -> Iterator[Object]:
    """Turn addresses of the *member* of structures into ``type *`` objects: `container_of()` for many."""
    entry_type = prog.type(type)
    return _Pointers(prog.pointer_type(entry_type), addresses, offsetof(entry_type, member))
