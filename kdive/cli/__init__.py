"""The `kdive` command: what it is asked for, which target it opens, what it runs there.

`options` defines the flags, `log` shows what is logged, `target` opens the program, `run` runs code in it. The prompt
is in `kdive.repl`. Sub-commands have a module each, named after them; `commands` lists them. What `drgn.cli` offers to
programs with a prompt of their own is here too.
"""

from __future__ import annotations

import os
import sys

from kdive.cli.errors import UserError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from kdive import Program

__all__ = ("default_globals", "display_str", "main", "run_interactive", "version_header")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the `kdive` command and return its exit status.

    Args:
        arguments: The command line without the command's name; `sys.argv` is used by default.
    """
    try:
        status = _run(sys.argv[1:] if arguments is None else arguments)
        sys.stdout.flush()
    except UserError as error:
        print(f"kdive: {error}", file=sys.stderr)
        return 1
    except BrokenPipeError:
        # Whoever read the output has seen enough. Python would complain once more when it exits.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except KeyboardInterrupt:
        print("kdive: interrupted", file=sys.stderr)
        return 130
    return status


def _run(arguments: Sequence[str]) -> int:
    from kdive.cli.commands import COMMANDS

    if arguments and arguments[0] in COMMANDS:
        from importlib import import_module

        module, _ = COMMANDS[arguments[0]]
        status: int = import_module(module).run(arguments[1:])
        return status

    from kdive.cli.options import parse

    options = parse(arguments)

    from kdive import compat
    from kdive.cli import log, run, target

    log.configure(options.log_level)
    if options.script is not None:
        run.check_script(options.script)
    # Before the target is set, which plug-ins are told.
    compat.install()
    prog = target.open_program(options)
    if options.code is not None:
        return run.run_code(prog, options.code, options.arguments)
    if options.script is not None:
        return run.run_script(prog, options.script, options.arguments)
    if not sys.stdin.isatty():
        return run.run_input(prog)

    from kdive.repl import interactive

    interactive.run(prog, banner="" if options.quiet else target.banner(prog))
    return 0


def default_globals(prog: Program) -> dict[str, Any]:
    """Return the names that the prompt starts with, every helper that suits the program among them."""
    from kdive.repl.namespace import full_namespace

    return full_namespace(prog)


def display_str(cls: type) -> type:
    """Have the prompt show the instances of a class by `str()`; to be used as a decorator."""
    from kdive import render

    return render.display_str(cls)


def run_interactive(
    prog: Program,
    banner_func: Callable[[str], str] | None = None,
    globals_func: Callable[[dict[str, Any]], dict[str, Any]] | None = None,
    quiet: bool = False,
) -> None:
    """Run the prompt on a program that has been opened already.

    Args:
        prog: The program; it is the default program until the prompt ends.
        banner_func: Gets the usual banner and returns the one to print.
        globals_func: Gets the names that the prompt starts with and returns those to use.
        quiet: Whether to leave out the line with the version.
    """
    import kdive
    from kdive.cli import target
    from kdive.repl import interactive

    banner = target.banner(prog)
    if banner_func is not None:
        banner = banner_func(banner)
    if not quiet:
        print(version_header(), file=sys.stderr)
    try:
        previous = kdive.get_default_prog()
    except kdive.NoDefaultProgramError:
        previous = None
    kdive.set_default_prog(prog)
    try:
        interactive.run(prog, banner=banner, adjust=globals_func)
    finally:
        kdive.set_default_prog(previous)


def version_header() -> str:
    """Return one line with the versions of kdive and of Python."""
    from kdive.cli import version

    return version.version_header()
