# SPDX-License-Identifier: Apache-2.0
"""The symbols that the kernel keeps for itself (CONFIG_KALLSYMS, kernel/kallsyms.c, kernel/module/kallsyms.c)."""

import bisect
import re
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from kdive import (
    Object,
    PlatformFlags,
    Program,
    ProgramFlags,
    Symbol,
    SymbolBinding,
    SymbolIndex,
    SymbolKind,
)
from kdive.helpers.common.prog import takes_program_or_default
from kdive.helpers.linux.module import for_each_module

__all__ = ("load_module_kallsyms", "load_vmlinux_kallsyms", "module_kallsyms")

_TOKENS = 256
_MAX_TOKEN_TABLE_BYTES = 1 << 14
_MAX_SYMBOLS = 1 << 24
# The longest name is 511 characters, each of at least one byte before compression.
_MAX_NAME_BYTES = 520
# What follows further away does not tell where a symbol ends: per-CPU addresses are far from the others.
_MAX_SYMBOL_BYTES = 1 << 30
_LIVE_SYMBOLS = Path("/proc/kallsyms")
_SHN_UNDEF = 0
_STT = {
    0: SymbolKind.UNKNOWN,
    1: SymbolKind.OBJECT,
    2: SymbolKind.FUNC,
    3: SymbolKind.SECTION,
    4: SymbolKind.FILE,
    5: SymbolKind.COMMON,
    6: SymbolKind.TLS,
    10: SymbolKind.IFUNC,
}
_STB = {
    0: SymbolBinding.LOCAL,
    1: SymbolBinding.GLOBAL,
    2: SymbolBinding.WEAK,
    10: SymbolBinding.UNIQUE,
}


class _Entry(NamedTuple):
    """A symbol as kallsyms has it; the letter is that of nm(1)."""

    address: int
    letter: str
    name: str


def _kind(letter: str) -> SymbolKind:
    lower = letter.lower()
    if lower == "t":
        return SymbolKind.FUNC
    return SymbolKind.OBJECT if lower in "bcdgrsv" else SymbolKind.UNKNOWN


def _binding(letter: str) -> SymbolBinding:
    if letter in "wWvV":
        return SymbolBinding.WEAK
    if letter == "u":
        return SymbolBinding.UNIQUE
    return SymbolBinding.GLOBAL if letter.isupper() else SymbolBinding.LOCAL


def _index(entries: list[_Entry]) -> SymbolIndex:
    """Make an index of symbols, each of which reaches to the next address that has one."""
    addresses = sorted({entry.address for entry in entries})
    symbols = []
    for address, letter, name in entries:
        place = bisect.bisect_right(addresses, address)
        size = addresses[place] - address if place < len(addresses) else 0
        if size > _MAX_SYMBOL_BYTES:
            size = 0
        symbols.append(Symbol(name, address, size, _binding(letter), _kind(letter)))
    return SymbolIndex(symbols)


class _CompressedTable:
    """The table of the core kernel: names are compressed by a dictionary of 256 tokens."""

    def __init__(self, prog: Program) -> None:
        self._prog = prog
        vmcoreinfo: bytes = prog["VMCOREINFO"].string_()
        # "vmcoreinfo: add kallsyms_num_syms symbol" and its neighbours (Linux 6.0)
        self._places = {
            name.decode(): int(address, 16)
            for name, address in re.findall(
                rb"^SYMBOL\((\w+)\)=([0-9a-f]+)$", vmcoreinfo, re.MULTILINE
            )
        }
        platform = prog.platform
        little = platform is None or bool(platform.flags & PlatformFlags.IS_LITTLE_ENDIAN)
        self._order = "<" if little else ">"
        self._count: int = prog.read_u32(self._place("kallsyms_num_syms"))
        if not 0 < self._count <= _MAX_SYMBOLS:
            raise ValueError(f"kallsyms has an implausible number of symbols: {self._count}")

    def _find(self, name: str) -> int | None:
        address = self._places.get(name)
        if address is not None:
            return address
        try:
            return self._prog.symbol(name).address
        except LookupError:
            return None

    def _place(self, name: str) -> int:
        address = self._find(name)
        if address is None:
            raise LookupError(
                f"could not find {name!r}, neither in VMCOREINFO (since Linux 6.0) nor in the symbols that are loaded"
            )
        return address

    def _tokens(self) -> list[bytes]:
        offsets = struct.unpack(
            f"{self._order}{_TOKENS}H",
            self._prog.read(self._place("kallsyms_token_index"), 2 * _TOKENS),
        )
        if max(offsets) >= _MAX_TOKEN_TABLE_BYTES:
            raise ValueError("kallsyms has an implausible token table")
        # The last token ends after the last offset; names are shorter than the slack.
        table = self._prog.read(self._place("kallsyms_token_table"), max(offsets) + 64)
        return [table[offset : table.index(b"\0", offset)] for offset in offsets]

    def _names(self) -> Iterator[bytes]:
        """Yield the expanded names, each with the letter of its type before it."""
        tokens = self._tokens()
        start = self._place("kallsyms_names")
        # Where the names end is not known; they are read as far as they are needed.
        data = b""
        position = 0
        chunk = 1 << 16
        for _ in range(self._count):
            if len(data) - position < _MAX_NAME_BYTES:
                start += len(data[:position])
                data = self._prog.read(start, chunk)
                position = 0
            length = data[position]
            position += 1
            if length & 0x80:
                # "kallsyms: support "big" kernel symbols" (Linux 6.1)
                length = length & 0x7F | data[position] << 7
                position += 1
            yield b"".join(tokens[c] for c in data[position : position + length])
            position += length

    def _addresses(self) -> list[int]:
        offsets_place = self._find("kallsyms_offsets")
        if offsets_place is None:
            # Without CONFIG_KALLSYMS_BASE_RELATIVE, which went in Linux 6.15
            data = self._prog.read(
                self._place("kallsyms_addresses"), self._count * self._prog.address_size()
            )
            word = "Q" if self._prog.address_size() == 8 else "I"
            return [*struct.unpack(f"{self._order}{self._count}{word}", data)]
        data = self._prog.read(offsets_place, 4 * self._count)
        offsets = struct.unpack(f"{self._order}{self._count}i", data)
        mask = (1 << 8 * self._prog.address_size()) - 1
        base_place = self._find("kallsyms_relative_base")
        if base_place is None:
            # Since Linux 7.0 each offset is relative to its own place.
            return [offsets_place + 4 * i + offset & mask for i, offset in enumerate(offsets)]
        base = self._prog.read_word(base_place)
        if any(offset < 0 for offset in offsets):
            # CONFIG_KALLSYMS_ABSOLUTE_PERCPU, which went in Linux 6.15: what isn't negative is absolute.
            return [offset if offset >= 0 else base - 1 - offset & mask for offset in offsets]
        return [base + offset & mask for offset in offsets]

    def entries(self) -> Iterator[_Entry]:
        """Yield the symbols."""
        for address, name in zip(self._addresses(), self._names(), strict=True):
            text = name.decode("ascii", "replace")
            yield _Entry(address, text[:1], text[1:])


def _live_entries() -> Iterator[_Entry]:
    """Read the symbols of the running kernel, without those of modules."""
    with _LIVE_SYMBOLS.open(encoding="ascii", errors="replace") as lines:
        for line in lines:
            fields = line.split()
            if len(fields) == 3:
                yield _Entry(int(fields[0], 16), fields[1], fields[2])


@takes_program_or_default
def load_vmlinux_kallsyms(prog: Program) -> SymbolIndex:
    """Get the symbols of the core kernel from its own table.

    This needs no debugging information: the places of the table are in VMCOREINFO since Linux 6.0. For the running
    kernel, ``/proc/kallsyms`` is read if they are not; that needs privileges.

    >>> prog.register_symbol_finder("vmlinux_kallsyms", load_vmlinux_kallsyms(), enable_index=1)

    :raises LookupError: if the table can't be found
    :raises ValueError: if it is damaged
    """
    try:
        return _index(list(_CompressedTable(prog).entries()))
    except LookupError:
        local_live = ProgramFlags.IS_LIVE | ProgramFlags.IS_LOCAL
        if prog.flags & local_live != local_live:
            raise
        return _index(list(_live_entries()))


def module_kallsyms(module: Object) -> list[Symbol]:
    """Get the symbols of a module from the table that the kernel keeps with it: ``module.kallsyms``.

    :param module: ``struct module *``
    :raises ValueError: if the table is damaged
    """
    prog = module.prog_
    kallsyms = module.kallsyms.read_()
    if not kallsyms:
        return []
    count = kallsyms.num_symtab.value_()
    if count > _MAX_SYMBOLS:
        raise ValueError(f"module at {hex(module)} has an implausible number of symbols: {count}")
    platform = prog.platform
    order = "<" if platform is None or platform.flags & PlatformFlags.IS_LITTLE_ENDIAN else ">"
    # Elf64_Sym and Elf32_Sym have the same members in different orders.
    wide = prog.address_size() == 8
    layout = struct.Struct(order + ("IBBHQQ" if wide else "IIIBBH"))
    strings = kallsyms.strtab.value_()
    symbols = []
    for fields in layout.iter_unpack(prog.read(kallsyms.symtab, count * layout.size)):
        if wide:
            name_offset, info, _, section, value, size = fields
        else:
            name_offset, value, size, info, _, section = fields
        name = prog.read_c_string(strings + name_offset).decode("ascii", "replace")
        if section == _SHN_UNDEF or not name:
            continue
        binding = _STB.get(info >> 4, SymbolBinding.UNKNOWN)
        symbols.append(Symbol(name, value, size, binding, _STT.get(info & 0xF, SymbolKind.UNKNOWN)))
    return symbols


@takes_program_or_default
def load_module_kallsyms(prog: Program) -> SymbolIndex:
    """Get the symbols of all modules from the tables that the kernel keeps with them.

    :raises ValueError: if a table is damaged
    """
    return SymbolIndex(
        symbol for module in for_each_module(prog) for symbol in module_kallsyms(module)
    )
