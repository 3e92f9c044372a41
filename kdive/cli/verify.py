"""`kdive verify`: reads all of a dump and says what is damaged and what is still usable."""

import argparse
from collections.abc import Sequence

from kdive import BadDataError
from kdive._records import Verification
from kdive.cli import log
from kdive.cli.errors import UserError
from kdive.cli.options import Options, add_target_details
from kdive.cli.progress import bar_on_terminal
from kdive.cli.size import show_size
from kdive.cli.target import new_program, why_not_opened

_MOST_DAMAGES = 20


def run(arguments: Sequence[str]) -> int:
    """Verify a dump and return 0 if it is sound, 1 if not."""
    options = _parser().parse_args(arguments, namespace=Options())
    log.configure("none")  # what would be logged is among the problems
    prog = new_program(options)
    try:
        prog.set_core_dump(options.core[0] if len(options.core) == 1 else options.core)
    except (BadDataError, OSError, ValueError) as error:
        raise UserError(why_not_opened(options, error)) from error
    bar = bar_on_terminal(options.core[0])
    try:
        found = prog.verify(bar)
    finally:
        if bar is not None:
            bar.clear()
    _show(found)
    return 0 if found.is_sound else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="kdive verify",
        description="Read and decode every page of a dump, and check its notes, its VMCOREINFO and whether the "
        "kernel's page tables lead to the kernel.",
        epilog="Exit status: 0 if nothing is wrong, 1 if something is.",
        allow_abbrev=False,
    )
    parser.add_argument(
        "core", metavar="DUMP", nargs="+", help="the dump; all files of a split one"
    )
    add_target_details(parser)
    return parser


def _show(found: Verification) -> None:
    for problem in found.problems:
        print(f"problem: {problem}")
    for damage in found.damages[:_MOST_DAMAGES]:
        last = damage.address + damage.size - 1
        print(
            f"damaged: {damage.address:#x} to {last:#x} ({show_size(damage.size)}): {damage.reason}"
        )
    if len(found.damages) > _MOST_DAMAGES:
        print(f"damaged: {len(found.damages) - _MOST_DAMAGES} more ranges")
    readable = f"{found.readable_bytes} of {found.expected_bytes} bytes of memory are readable"
    if found.is_sound:
        print(f"sound: all {readable}")
    elif found.is_usable:
        print(f"usable, but not sound: {readable}")
    elif found.readable_bytes:
        print(f"only physical addresses are usable: {readable}")
    else:
        print(f"not usable: {readable}")
