"""Texts that several diagnoses make of what the kernel holds."""

import ipaddress
import uuid

from kdive import FaultError, Object, Program
from kdive.helpers import ValidationError
from kdive.helpers.linux.module import address_to_module

_MAX_TEXT_BYTES = 4096


def string(pointer: Object) -> str:
    """Get the text that a ``char *`` points to or a ``char []`` holds; empty for ``NULL``."""
    if not pointer:
        return ""
    text: bytes = pointer.string_()
    return text[:_MAX_TEXT_BYTES].decode(errors="replace")


def uuid_text(array: Object) -> str:
    """Get the usual text of a UUID.

    Args:
        array: An array of 16 bytes.
    """
    return str(uuid.UUID(bytes=array.to_bytes_()))


def address_text(in6_addr: Object) -> str:
    """Get the text of an IP address; one that stands for an IPv4 address is shown as that.

    Args:
        in6_addr: ``struct in6_addr``
    """
    address = ipaddress.IPv6Address(in6_addr.to_bytes_())
    return str(address.ipv4_mapped or address)


def function_name(prog: Program, address: int) -> str:
    """Name the code at an address: ``function+0x12 [module]``.

    Where the symbols of the module aren't known, its name is. An address of no known code is shown as a number.
    """
    if not address:
        return ""
    name = symbol_name(prog, address) or hex(address)
    try:
        module = address_to_module(prog, address)
    except (FaultError, LookupError, ValidationError):
        return name
    return f"{name} [{string(module.name)}]" if module else name


def symbol_name(prog: Program, address: int) -> str:
    """Name what is at an address: ``symbol+0x12``; empty where no symbol is."""
    try:
        symbol = prog.symbol(address)
    except LookupError:
        return ""
    offset = address - symbol.address
    return f"{symbol.name}+{offset:#x}" if offset else symbol.name


def bytes_text(size: int) -> str:
    """Get the text of a size for a sentence: ``1.5 MiB``."""
    amount = float(size)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if abs(amount) < 1024:
            return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1024
    return f"{amount:.1f} TiB"


def count_text(count: int, noun: str, plural: str = "") -> str:
    """Get a number with its noun: ``1 device``, ``2 devices``."""
    return f"{count} {noun if count == 1 else plural or noun + 's'}"
