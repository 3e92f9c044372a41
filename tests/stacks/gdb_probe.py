"""Prints as JSON what gdb says of the stack of the selected thread; gdb itself runs this (`source gdb_probe.py`)."""

import json
from typing import Any

import gdb  # type: ignore[import-untyped]

# Of very deep stacks, only the innermost frames are compared with their variables.
WITH_VARIABLES = 1000
# Values that a debugger shows as one number.
NUMBERS = (gdb.TYPE_CODE_INT, gdb.TYPE_CODE_PTR, gdb.TYPE_CODE_ENUM, gdb.TYPE_CODE_BOOL)


def number(value: Any) -> int | None:
    """Return the value of a variable that is a number; None for others, and if it has none."""
    try:
        # A pointer into a variable that is not in memory has no number.
        if (
            "synthetic pointer" in str(value)
            or value.is_optimized_out
            or value.type.strip_typedefs().code not in NUMBERS
        ):
            return None
        return int(value)
    except gdb.error:
        return None


def add(found: dict[str, int | None], name: str, value: Any, depth: int = 0) -> None:
    """Add a variable; of a structure its members, as `name.member`."""
    if value.type.strip_typedefs().code != gdb.TYPE_CODE_STRUCT:
        found[name] = number(value)
        return
    for field in value.type.strip_typedefs().fields():
        if field.name and hasattr(field, "bitpos") and not field.is_base_class and depth < 3:
            add(found, f"{name}.{field.name}", value[field], depth + 1)


def variables(frame: Any) -> dict[str, int | None]:
    """Return the variables of a frame, those of inner blocks before others of the same name."""
    found: dict[str, int | None] = {}
    names: set[str] = set()
    try:
        block = frame.block()
    except RuntimeError:
        return found
    while block is not None:
        for symbol in block:
            if (symbol.is_argument or symbol.is_variable) and symbol.name not in names:
                names.add(symbol.name)
                try:
                    add(found, symbol.name, frame.read_var(symbol, block))
                except (gdb.error, RuntimeError):
                    found[symbol.name] = None
        if block.function is not None:
            break
        block = block.superblock
    return found


def main() -> None:
    """Print all frames, innermost first."""
    kinds = {
        gdb.INLINE_FRAME: "inline",
        gdb.TAILCALL_FRAME: "tail call",
        gdb.SIGTRAMP_FRAME: "signal",
    }
    frames: list[dict[str, Any]] = []
    frame = gdb.newest_frame()
    while frame is not None:
        place = frame.find_sal()
        frames.append(
            {
                "name": frame.name(),
                "kind": kinds.get(frame.type(), "normal"),
                "pc": frame.pc(),
                "line": place.line if place.symtab else None,
                "variables": variables(frame) if len(frames) < WITH_VARIABLES else {},
            }
        )
        frame = frame.older()
    print("FRAMES " + json.dumps(frames))


main()
