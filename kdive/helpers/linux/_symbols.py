# SPDX-License-Identifier: Apache-2.0
"""Variables of the kernel that must be found even where their types are not known (BTF has few variables)."""

from kdive import Program


def variable(prog: Program, name: str, signed: bool = False) -> int | None:
    """Read a word-sized variable by its symbol.

    :param signed: Whether the word is a signed number.
    :return: Value, None if the kernel has no such symbol.
    :raises FaultError: if the variable can't be read
    """
    key = f"kdive.variable.{name}"
    cached: int | None
    try:
        cached = prog.cache[key]
    except KeyError:
        try:
            cached = prog.read_word(prog.symbol(name).address)
        except LookupError:
            cached = None
        prog.cache[key] = cached
    if cached is not None and signed:
        bits = 8 * prog.address_size()
        return cached - (1 << bits) if cached >> bits - 1 else cached
    return cached
