"""The commands that every program has: `sh`, `py` and `source`."""

import argparse
import re
import subprocess
import sys
import traceback
from typing import Any

from kdive import Program, execscript
from kdive.commands._commands import argument, command, custom_command, raw_command
from kdive.commands._errors import CommandArgumentError
from kdive.commands._shell import ParsedCommand, parse_shell_command

_FILE = "<input>"


@raw_command(
    description="run a shell command",
    usage="sh [command]",
    long_description="Run a command with sh, or an interactive shell; the value is its exit status.",
)
def _cmd_sh(
    prog: Program, name: str, args: str, *, parser: argparse.ArgumentParser, globals: dict[str, Any]
) -> int:
    sys.stdout.flush()
    return subprocess.call(["sh", "-c", "--", args] if args else ["sh", "-i"])


def _parse_python(source: str) -> ParsedCommand[str]:
    """The longest text before an operator of the shell is hard to tell; the shortest that is Python is taken."""
    for operator in re.finditer(r"[|<>]", source):
        code = source[: operator.start()].rstrip()
        if code and _is_python(code):
            rest = parse_shell_command(source[operator.start() :])
            if rest.args:
                raise SyntaxError(f"unexpected {rest.args[0]!r} after the redirection")
            return ParsedCommand(code, rest.redirections, rest.pipeline)
    return ParsedCommand(source)


def _is_python(code: str) -> bool:
    try:
        compile(code, _FILE, "single")
    except (SyntaxError, ValueError):
        return False
    return True


@custom_command(
    description="run a Python statement, with its output where a shell would put it",
    usage="py code",
    long_description=(
        "Run a Python statement. What follows the first |, < or > before which there is a\n"
        "whole statement is a redirection or pipeline; put parentheses around these operators\n"
        "where they are Python's: %py (1 | 2) | cat"
    ),
    parse=_parse_python,
)
def _cmd_py(
    prog: Program, name: str, args: str, *, parser: argparse.ArgumentParser, globals: dict[str, Any]
) -> None:
    if not args:
        raise CommandArgumentError("expected code")
    try:
        exec(compile(args, _FILE, "single"), globals)
    except SyntaxError:
        traceback.print_exc(limit=0)
    except Exception as error:  # noqa: BLE001 - shown as at the prompt
        own = error.__traceback__
        traceback.print_exception(error.with_traceback(own and own.tb_next))


@command(
    description="run a script",
    long_description="Run a script with the names of the prompt, which keeps those that the script defines.",
    arguments=(
        argument("script", help="the script"),
        argument("args", nargs=argparse.REMAINDER, help="its arguments"),
    ),
)
def _cmd_source(
    prog: Program,
    name: str,
    args: argparse.Namespace,
    *,
    parser: argparse.ArgumentParser,
    globals: dict[str, Any],
) -> None:
    execscript(args.script, *args.args, globals=globals)
