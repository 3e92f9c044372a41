"""The flags of the `kdive` command. Each is defined here once; help and checks come from it.

Sub-commands share those of the target, of its symbols and of the log.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence

from kdive.cli.commands import COMMANDS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Literal

# The formats of debugging information that tell types, in the order in which they are asked.
TYPE_FORMATS = ("dwarf", "ctf", "btf")
_USUAL_COLUMNS = 80
_LOG_LEVELS = ("debug", "info", "warning", "error", "critical", "none")


class Options(argparse.Namespace):
    """What the command line asks for."""

    kernel: bool = False
    core: list[str]
    incomplete: bool = False
    excluded_pages: Literal["fault", "zero"]
    pid: int | None
    qemu: str | None = None
    snapshot: bool = False
    architecture: str | None
    vmcoreinfo: str | None
    symbols: list[str]
    extra_symbols: list[str]
    default_symbols: bool
    main_symbols: bool
    symbol_methods: list[tuple[str, bool]]
    types: list[str] | None = None
    ctf: bool = False
    ctf_file: str | None = None
    btf_files: list[str]
    debug_directories: list[str]
    default_debug_directories: bool
    debug_link_directories: list[str]
    default_debug_link_directories: bool
    kernel_directories: list[str]
    default_kernel_directories: bool
    log_level: str
    quiet: bool


class RunOptions(Options):
    """What the command line asks for when it is not a sub-command's."""

    code: str | None
    script: str | None
    arguments: list[str]


def parse(arguments: Sequence[str]) -> RunOptions:
    """Parse the command line; a wrong one ends the command with a message and status 2."""
    options = _parser().parse_args(arguments, namespace=RunOptions())
    # What follows the flags is a script and its arguments, or with -e only arguments.
    if options.code is None and options.arguments:
        options.script, *options.arguments = options.arguments
    else:
        options.script = None
    if options.quiet:
        options.log_level = "none"
    return options


class _Version(argparse.Action):
    """Prints the version. The native module, which knows it, is loaded for that only."""

    def __call__(self, *_arguments: object, **_options: object) -> None:
        from kdive.cli import version_header

        print(version_header())
        sys.exit(0)


class _Help(argparse.HelpFormatter):
    """As wide as the terminal. argparse makes one for each flag, and loads much only to learn the width."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, width=_columns() - 2)


def _columns() -> int:
    chosen = os.environ.get("COLUMNS", "")
    if chosen.isdigit() and int(chosen):
        return int(chosen)
    try:
        return os.get_terminal_size().columns or _USUAL_COLUMNS
    except OSError:
        return _USUAL_COLUMNS


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="kdive",
        description="Explore a Linux kernel, a crash dump or a process with Python.",
        epilog="Code finds the program as `prog`. With -e and at the prompt all helpers are at hand; "
        "a script imports what it needs, from kdive or under the names of drgn. "
        "Instead of a script, a sub-command can be given first; `kdive SUBCOMMAND --help` describes it: "
        + "; ".join(f"{name} ({what})" for name, (_, what) in COMMANDS.items()),
        allow_abbrev=False,
        formatter_class=_Help,
    )
    parser.add_argument(
        "arguments",
        metavar="ARG",
        nargs=argparse.REMAINDER,
        help="script to run, and its arguments; with -e, arguments only. "
        "With neither, kdive reads commands from its standard input",
    )
    add_target(parser)
    add_symbols(parser)
    parser.add_argument(
        "-e",
        dest="code",
        metavar="CODE",
        help="run this code; the value of a single expression is shown",
    )
    add_log(parser)
    parser.add_argument(
        "-q", "--quiet", action="store_true", help="no banner, and nothing of the log"
    )
    parser.add_argument(
        "--version", action=_Version, nargs=0, help="print the version of kdive and exit"
    )
    return parser


def add_target(parser: argparse.ArgumentParser) -> None:
    """Define the flags that choose the target."""
    group = parser.add_argument_group("target")
    target = group.add_mutually_exclusive_group()
    target.add_argument(
        "-k", "--kernel", action="store_true", help="the running kernel (the default)"
    )
    target.add_argument(
        "-c",
        "--core",
        metavar="PATH",
        action="append",
        default=[],
        help="a crash dump or core dump; given again for the other files of a split dump",
    )
    target.add_argument(
        "-p", "--pid", metavar="PID", type=_pid, help="a running process; 0 is kdive itself"
    )
    target.add_argument(
        "--qemu",
        metavar="ADDRESS",
        help="a guest of QEMU, by its QMP socket: a path, or HOST:PORT",
    )
    group.add_argument(
        "--snapshot",
        action="store_true",
        help="let a page of what runs, once it was read, stay what it was",
    )
    group.add_argument(
        "--incomplete",
        action="store_true",
        help="open a truncated dump; reading what is missing raises FaultError",
    )
    group.add_argument(
        "--excluded-pages",
        choices=("fault", "zero"),
        default="fault",
        help="how memory reads that was left out when the dump was made (default: %(default)s)",
    )
    add_target_details(parser)


def add_target_details(parser: argparse.ArgumentParser) -> None:
    """Define the flags that say what a target may not tell by itself."""
    advanced = parser.add_argument_group("what the target doesn't tell by itself")
    advanced.add_argument(
        "--architecture",
        metavar="ARCH",
        type=_architecture,
        help="the processor architecture, such as x86_64 or aarch64",
    )
    advanced.add_argument(
        "--vmcoreinfo",
        metavar="PATH",
        help="file with the VMCOREINFO of the kernel, or the physical address (0x...) where it is in the target's "
        "memory; it replaces what the target has",
    )


def add_symbols(parser: argparse.ArgumentParser) -> None:
    """Define the flags that choose the debugging symbols."""
    symbols = parser.add_argument_group("debugging symbols")
    symbols.add_argument(
        "-s",
        "--symbols",
        metavar="PATH",
        action="append",
        default=[],
        help="file with debugging symbols of the target, such as its vmlinux; may be given again",
    )
    which = symbols.add_mutually_exclusive_group()
    which.add_argument(
        "--main-symbols",
        action="store_true",
        help="only look for the symbols of the kernel itself or of the executable, beside those given",
    )
    which.add_argument(
        "--no-default-symbols",
        dest="default_symbols",
        action="store_false",
        help="use the symbols given and look for no others",
    )
    symbols.add_argument(
        "--extra-symbols",
        metavar="PATH",
        action="append",
        default=[],
        help="file with debugging symbols that belongs to nothing loaded in the target; may be given again",
    )

    symbols.add_argument(
        "--try-symbols-by",
        metavar="METHOD[,METHOD...]",
        dest="symbol_methods",
        action="extend",
        type=_methods(True),
        default=[],
        help="find symbols by these too: standard, debuginfod, module-name, build-id, debug-link, procfs, "
        "embedded-vdso, reuse, supplementary, kmod=depmod, kmod=walk, kmod=depmod-or-walk, kmod=depmod-and-walk; "
        "may be given again",
    )
    symbols.add_argument(
        "--no-symbols-by",
        metavar="METHOD[,METHOD...]",
        dest="symbol_methods",
        action="extend",
        type=_methods(False),
        help="do not find symbols by these; kmod stands for all its ways; may be given again",
    )
    formats = symbols.add_mutually_exclusive_group()
    formats.add_argument(
        "--types",
        metavar="FORMAT[,FORMAT...]",
        type=_formats,
        help="take types and variables from these formats only, asked in this order; without it: "
        + ",".join(TYPE_FORMATS),
    )
    formats.add_argument(
        "--ctf",
        action="store_true",
        help="take types and variables from CTF only; a kernel's from the vmlinux.ctfa that is installed with it",
    )
    formats.add_argument(
        "--ctf-file",
        metavar="FILE",
        help="take types and variables of the kernel from this CTF only",
    )
    formats.add_argument(
        "--btf-file",
        metavar="FILE",
        dest="btf_files",
        action="append",
        default=[],
        help="take types from BTF only, that of this file first: vmlinux, a module, a program, or a table by itself; "
        "may be given again, for a module after its kernel",
    )

    directories = parser.add_argument_group("directories of debugging symbols")
    for name, of_what in (
        ("debug", "debugging symbols"),
        (
            "debug-link",
            "files named by a debug link; $ORIGIN is the folder of the file that has it",
        ),
        ("kernel", "the kernel and its modules"),
    ):
        attribute = f"{name.replace('-', '_')}_directories"
        directories.add_argument(
            f"--{name}-directory",
            metavar="PATH",
            dest=attribute,
            action="append",
            default=[],
            help=f"look here first for {of_what}; may be given again",
        )
        directories.add_argument(
            f"--no-default-{name}-directories",
            dest=f"default_{attribute}",
            action="store_false",
            help="and not in the usual places",
        )


def add_log(parser: argparse.ArgumentParser) -> None:
    """Define the flag that chooses what is logged."""
    parser.add_argument(
        "--log-level",
        choices=_LOG_LEVELS,
        default="warning",
        help="say what is at least this important on standard error (default: %(default)s)",
    )


def _methods(wanted: bool) -> Callable[[str], list[tuple[str, bool]]]:
    def split(text: str) -> list[tuple[str, bool]]:
        return [(method, wanted) for method in text.split(",")]

    return split


def _formats(text: str) -> list[str]:
    formats = text.split(",")
    for position, name in enumerate(formats):
        if name not in TYPE_FORMATS:
            raise argparse.ArgumentTypeError(f"{name!r} is none of {', '.join(TYPE_FORMATS)}")
        if name in formats[:position]:
            raise argparse.ArgumentTypeError(f"{name!r} is given twice")
    return formats


def _architecture(text: str) -> str:
    from kdive import Architecture

    names = [member.name for member in Architecture]
    if text.upper() not in names:
        known = ", ".join(name.lower() for name in names)
        raise argparse.ArgumentTypeError(f"{text!r} is none of {known}")
    return text.upper()


def _pid(text: str) -> int:
    try:
        pid = int(text)
    except ValueError:
        pid = -1
    if pid < 0:
        raise argparse.ArgumentTypeError(f"{text!r} is no process ID")
    return pid
