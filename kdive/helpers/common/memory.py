# SPDX-License-Identifier: Apache-2.0
"""What addresses refer to, and memory printed with that."""

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from operator import index
from typing import Any, Protocol

from kdive import IntegerLike, PlatformFlags, Program, ProgramFlags, Symbol, SymbolKind
from kdive.helpers.common.prog import takes_program_or_default

__all__ = ("identify_address", "identify_address_all", "print_annotated_memory")


class IdentifiedAddress(Protocol):
    """An address of which something is known. As a string it says what."""

    @property
    def address(self) -> int:
        """Address."""


@dataclass(frozen=True)
class IdentifiedSymbol:
    """An address in what a symbol names."""

    address: int
    """Address."""
    symbol: Symbol
    """Symbol."""

    def __str__(self) -> str:
        kind = {SymbolKind.OBJECT: "object symbol", SymbolKind.FUNC: "function symbol"}.get(
            self.symbol.kind, "symbol"
        )
        return f"{kind}: {self.symbol.name}+{hex(self.address - self.symbol.address)}"


@takes_program_or_default
def identify_address_all(
    prog: Program, addr: IntegerLike, *, cache: dict[Any, Any] | None = None
) -> Iterator[IdentifiedAddress]:
    """Find everything that an address refers to, from what tells most to what tells least.

    In the Linux kernel these are, besides symbols, tasks and their stacks, objects of the slab
    allocator, pages and areas of vmalloc; see `kdive.helpers.linux.common`.

    :param addr: ``void *``
    :param cache: Dictionary that keeps what is expensive to find. Pass the same one, empty at first, to calls that
        follow each other, and drop it before what it knows gets old.
    """
    address = index(addr)
    is_kernel = bool(prog.flags & ProgramFlags.IS_LINUX_KERNEL)
    if is_kernel:
        from kdive.helpers.linux.common import identify_task

        yield from identify_task(prog, address)
    try:
        yield IdentifiedSymbol(address, prog.symbol(address))
    except LookupError:
        if is_kernel:
            from kdive.helpers.linux.common import identify_kernel_address

            yield from identify_kernel_address(prog, address, {} if cache is None else cache)


@takes_program_or_default
def identify_address(
    prog: Program, addr: IntegerLike, *, cache: dict[Any, Any] | None = None
) -> str | None:
    """Say what an address refers to, e.g. ``"slab object: dentry+0x0"`` or ``"function symbol: schedule+0x5"``.

    :param addr: ``void *``
    :param cache: See `identify_address_all()`.
    :return: What tells most, None if nothing is known.
    """
    identified = next(iter(identify_address_all(prog, addr, cache=cache)), None)
    return None if identified is None else str(identified)


@takes_program_or_default
def print_annotated_memory(
    prog: Program, address: IntegerLike, size: IntegerLike, physical: bool = False
) -> None:
    """Print memory in words, with what those that are addresses refer to.

    :param address: Where to start.
    :param size: Number of bytes. What does not fill a word at the end is printed byte by byte.
    :param physical: Whether *address* is a physical address.
    :raises FaultError: if the memory can't be read
    """
    start, length = index(address), index(size)
    data = prog.read(start, length, physical)
    width = 2 * prog.address_size()
    sys.stdout.write(f"{'ADDRESS':<{width}}  VALUE\n")
    for line in annotated_words(prog, start, data, {}):
        sys.stdout.write(line + "\n")


def annotated_words(prog: Program, start: int, data: bytes, cache: dict[Any, Any]) -> Iterator[str]:
    """Format bytes as lines of one word each, with what it refers to."""
    platform = prog.platform
    little = platform is None or bool(platform.flags & PlatformFlags.IS_LITTLE_ENDIAN)
    word = prog.address_size()
    for offset in range(0, len(data), word):
        piece = data[offset : offset + word]
        where = f"{start + offset:0{2 * word}x}:"
        if len(piece) < word:
            yield f"{where} {piece.hex(' ')}"
            continue
        value = int.from_bytes(piece, "little" if little else "big")
        identified = identify_address(prog, value, cache=cache)
        yield f"{where} {value:0{2 * word}x}" + (f" [{identified}]" if identified else "")
