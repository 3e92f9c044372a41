"""Sizes as people write them."""

_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}


def show_size(size: int) -> str:
    """Return a number of bytes with the unit that suits it, such as `1.5 MiB`."""
    for letter, unit in reversed(_UNITS.items()):
        if letter and size >= unit:
            return f"{size / unit:.1f} {letter}iB"
    return f"{size} bytes"


def parse_size(text: str) -> int:
    """Return the number of bytes that a text such as `0`, `500M` or `2 GiB` means.

    Raises:
        ValueError: It is no size.
    """
    import re

    match = re.fullmatch(r"\s*(\d+)\s*([KMGT]?)(?:i?B)?\s*", text, re.IGNORECASE)
    if match is None:
        raise ValueError(f"{text!r} is no size; write 500M or 2G, for example")
    return int(match[1]) * _UNITS[match[2].upper()]
