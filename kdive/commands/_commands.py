"""Commands and their names."""

import argparse
import re
import sys
import textwrap
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NoReturn, Protocol

from kdive import Program
from kdive.commands import _redirect
from kdive.commands._errors import CommandArgumentError, CommandNotFoundError
from kdive.commands._shell import ParsedCommand, parse_shell_command, split_name


class Command(Protocol):
    """What a namespace runs."""

    def description(self) -> str:
        """Return what it does, in a few words."""

    def format_usage(self) -> str:
        """Return the line that shows its arguments."""

    def format_help(self, *, indent: str = "") -> str:
        """Return the text that explains it, each line after `indent`."""

    def enabled(self, prog: Program) -> bool:
        """Return whether it can run on a program."""

    def parse(self, source: str) -> ParsedCommand[Any]:
        """Return the arguments in what follows its name; SyntaxError if they are malformed."""

    def run(self, prog: Program, name: str, args: Any, *, globals: dict[str, Any]) -> Any:
        """Run it and return its value.

        Args:
            prog: The program.
            name: The name that it was called by.
            args: What `parse()` returned as arguments.
            globals: The names of the prompt.
        """


class CommandFunc(Protocol):
    """A function that `command` makes a command of; `args` are those that were parsed."""

    def __call__(
        self,
        prog: Program,
        name: str,
        args: argparse.Namespace,
        *,
        parser: argparse.ArgumentParser,
        globals: dict[str, Any],
    ) -> Any:
        """Run the command and return its value."""


class CustomCommandFunc(Protocol):
    """A function that `custom_command` or `raw_command` makes a command of."""

    def __call__(
        self,
        prog: Program,
        name: str,
        args: Any,
        *,
        parser: argparse.ArgumentParser,
        globals: dict[str, Any],
    ) -> Any:
        """Run the command and return its value."""


class argument:  # noqa: N801 - as drgn calls it
    """An argument of a command; what it is made of is that of `argparse.ArgumentParser.add_argument()`."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.args = args
        self.kwargs = kwargs

    def _add_to(self, parser: "argparse._ActionsContainer") -> None:
        parser.add_argument(*self.args, **self.kwargs)


class mutually_exclusive_group:  # noqa: N801 - as above
    """Arguments of which one at most may be given.

    Args:
        *arguments: The arguments.
        required: Whether one must be given.
    """

    def __init__(self, *arguments: argument, required: bool = False) -> None:
        self.arguments = arguments
        self.required = required

    def _add_to(self, parser: "argparse._ActionsContainer") -> None:
        group = parser.add_mutually_exclusive_group(required=self.required)
        for each in self.arguments:
            each._add_to(group)


class argument_group:  # noqa: N801 - as above
    """Arguments that are explained together.

    Args:
        *arguments: The arguments.
        title: The heading.
        description: A sentence below it.
    """

    def __init__(
        self,
        *arguments: argument | mutually_exclusive_group,
        title: str,
        description: str | None = None,
    ) -> None:
        self.arguments = arguments
        self.title = title
        self.description = description

    def _add_to(self, parser: "argparse._ActionsContainer") -> None:
        group = parser.add_argument_group(title=self.title, description=self.description)
        for each in self.arguments:
            each._add_to(group)


_Argument = argument | argument_group | mutually_exclusive_group

drgn_argument = argument(
    "--drgn",
    action="store_true",
    help="print how to do the equivalent operation using drgn APIs",
)


class _Formatter(argparse.HelpFormatter):
    """Keeps the paragraphs of descriptions."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        paragraphs = re.split(r"\n\s*\n", text)
        return "\n\n".join(
            super(_Formatter, self)._fill_text(each, width, indent) for each in paragraphs
        )


class _Parser(argparse.ArgumentParser):
    """Raises what is wrong instead of leaving the process."""

    def error(self, message: str) -> NoReturn:
        self.print_usage(sys.stderr)
        raise CommandArgumentError(f"{self.prog}: error: {message}")


class _Command:
    """A function with a parser for its arguments."""

    def __init__(
        self,
        function: CustomCommandFunc,
        parser: _Parser,
        description: str,
        parse: Callable[[str], ParsedCommand[Any]],
        is_enabled: Callable[[Program], bool],
    ) -> None:
        self._function = function
        self._parser = parser
        self._description = description
        self._parse = parse
        self._is_enabled = is_enabled

    def description(self) -> str:
        return self._description

    def format_usage(self) -> str:
        return self._parser.format_usage().removeprefix("usage: ").rstrip("\n")

    def format_help(self, *, indent: str = "") -> str:
        text = self._parser.format_help().removeprefix(self._parser.format_usage())
        return textwrap.indent(text.strip("\n"), indent)

    def enabled(self, prog: Program) -> bool:
        return self._is_enabled(prog)

    def parse(self, source: str) -> ParsedCommand[Any]:
        return self._parse(source)

    def run(self, prog: Program, name: str, args: Any, *, globals: dict[str, Any]) -> Any:
        return self._function(prog, name, args, parser=self._parser, globals=globals)


class CommandNamespace:
    """Commands by name.

    Args:
        func_name_prefix: What the names of functions begin with that commands are made of without a name.
        argparse_types: Names with functions from a string to a value, for `type=` of arguments.
    """

    def __init__(
        self,
        *,
        func_name_prefix: str = "_cmd_",
        argparse_types: Sequence[tuple[str, Callable[[str], Any]]] = (),
    ) -> None:
        self._prefix = func_name_prefix
        self._types = argparse_types
        self._commands: dict[str, Command] = {}

    def register(self, name: str, command: Command) -> None:
        """Give a name to a command; it hides one that had it."""
        self._commands[name] = command

    def lookup(self, prog: Program, name: str) -> Command:
        """Return the command of a name.

        Raises:
            CommandNotFoundError: There is none, or it is not for this program.
        """
        found = self._commands.get(name)
        if found is None or not found.enabled(prog):
            raise CommandNotFoundError(name)
        return found

    def enabled(self, prog: Program) -> Iterator[tuple[str, Command]]:
        """Iterate over the names and commands that a program has."""
        for name, each in self._commands.items():
            if each.enabled(prog):
                yield name, each

    def run(
        self,
        prog: Program,
        command: str,
        *,
        globals: dict[str, Any] | None = None,
        onerror: Callable[[Exception], None] | None = None,
    ) -> Any:
        """Run a command line and return the command's value.

        Args:
            prog: The program.
            command: The name and what follows it.
            globals: The names of the prompt; the caller's global ones by default.
            onerror: Is called with each error, instead of raising it.

        Raises:
            SyntaxError: The line is malformed.
            CommandNotFoundError: There is no such command.
            CommandArgumentError: It does not take these arguments.
            CommandExitStatusError: What its output was piped into failed.
            ExceptionGroup: More than one of these, or an error of the command's own.
        """
        names = sys._getframe(1).f_globals if globals is None else globals
        errors: list[Exception] = []
        value = None
        try:
            name, rest = split_name(command)
            found = self.lookup(prog, name)
            parsed = found.parse(rest)
        except Exception as error:  # noqa: BLE001 - told below
            errors.append(error)
        else:
            value = _redirect.run(
                lambda: found.run(prog, name, parsed.args, globals=names),
                parsed.redirections,
                parsed.pipeline,
                errors,
            )
        if not errors:
            return value
        if onerror is None:
            if len(errors) == 1:
                raise errors[0]
            raise ExceptionGroup("errors while running command", errors)
        for each in errors:
            onerror(each)
        return None

    def _name_of(self, name: str | None, function: Callable[..., Any]) -> str:
        if name is not None:
            return name
        own: str = function.__name__
        if not own.startswith(self._prefix):
            raise ValueError(
                f"{own!r} doesn't start with {self._prefix}; rename it or pass name explicitly"
            )
        return own.removeprefix(self._prefix)

    def _parser(
        self, name: str, texts: dict[str, str | None], arguments: Sequence[_Argument]
    ) -> _Parser:
        parser = _Parser(
            prog=name,
            usage=texts["usage"],
            description=texts["long_description"],
            epilog=texts["epilog"],
            formatter_class=_Formatter,
            add_help=False,
            allow_abbrev=False,
        )
        for type_name, convert in self._types:
            parser.register("type", type_name, convert)
        for each in arguments:
            each._add_to(parser)
        return parser


DEFAULT_COMMAND_NAMESPACE = CommandNamespace()
"""The commands of the prompt."""


def _always(_prog: Program) -> bool:
    return True


def command(
    *,
    name: str | None = None,
    description: str,
    usage: str | None = None,
    long_description: str | None = None,
    epilog: str | None = None,
    arguments: Sequence[_Argument] = (),
    enabled: Callable[[Program], bool] = _always,
    namespace: CommandNamespace = DEFAULT_COMMAND_NAMESPACE,
) -> Callable[[CommandFunc], CommandFunc]:
    """Make a command of a function; a decorator.

    Args:
        name: Its name; that of the function without `_cmd_` by default.
        description: What it does, in a few words.
        usage: The line that shows its arguments; made of `arguments` by default.
        long_description: What it does, in sentences.
        epilog: What the help ends with.
        arguments: Its arguments.
        enabled: Whether it can run on a program.
        namespace: Where it is registered.
    """

    def decorate(function: CommandFunc) -> CommandFunc:
        own = namespace._name_of(name, function)
        texts = {"usage": usage, "long_description": long_description, "epilog": epilog}
        parser = namespace._parser(own, texts, arguments)

        def run(
            prog: Program,
            name: str,
            args: Any,
            *,
            parser: argparse.ArgumentParser,
            globals: dict[str, Any],
        ) -> Any:
            parsed = parser.parse_args(args)
            return function(prog, name, parsed, parser=parser, globals=globals)

        made = _Command(run, parser, description, parse_shell_command, enabled)
        namespace.register(own, made)
        return function

    return decorate


def custom_command(
    *,
    name: str | None = None,
    description: str,
    usage: str | None = None,
    long_description: str | None = None,
    epilog: str | None = None,
    arguments: Sequence[_Argument] | None = None,
    parse: Callable[[str], ParsedCommand[Any]],
    enabled: Callable[[Program], bool] = _always,
    namespace: CommandNamespace = DEFAULT_COMMAND_NAMESPACE,
) -> Callable[[CustomCommandFunc], CustomCommandFunc]:
    """Make a command of a function that has its own way of parsing; a decorator.

    Args:
        name: As for `command`.
        description: As for `command`.
        usage: As for `command`; needed without `arguments`.
        long_description: As for `command`; needed without `arguments`.
        epilog: As for `command`.
        arguments: As for `command`, for the help alone.
        parse: Takes apart what follows the name.
        enabled: As for `command`.
        namespace: As for `command`.

    Raises:
        TypeError: There are neither `arguments` nor `usage` and `long_description`.
    """
    if arguments is None:
        for what, text in (("usage", usage), ("long_description", long_description)):
            if text is None:
                raise TypeError(f"{what} is mandatory if arguments not given")

    def decorate(function: CustomCommandFunc) -> CustomCommandFunc:
        own = namespace._name_of(name, function)
        texts = {"usage": usage, "long_description": long_description, "epilog": epilog}
        parser = namespace._parser(own, texts, arguments or ())
        namespace.register(own, _Command(function, parser, description, parse, enabled))
        return function

    return decorate


def raw_command(
    *,
    name: str | None = None,
    description: str,
    usage: str | None = None,
    long_description: str | None = None,
    epilog: str | None = None,
    arguments: Sequence[_Argument] | None = None,
    parse: Callable[[str], ParsedCommand[Any]] = ParsedCommand,
    enabled: Callable[[Program], bool] = _always,
    namespace: CommandNamespace = DEFAULT_COMMAND_NAMESPACE,
) -> Callable[[CustomCommandFunc], CustomCommandFunc]:
    """Make a command of a function that gets what follows its name as it is; else like `custom_command`."""
    return custom_command(
        name=name,
        description=description,
        usage=usage,
        long_description=long_description,
        epilog=epilog,
        arguments=arguments,
        parse=parse,
        enabled=enabled,
        namespace=namespace,
    )


def run_command(
    prog: Program,
    command: str,
    *,
    globals: dict[str, Any] | None = None,
    onerror: Callable[[Exception], None] | None = None,
) -> Any:
    """Run a command line of the prompt; like `DEFAULT_COMMAND_NAMESPACE.run()`."""
    names = sys._getframe(1).f_globals if globals is None else globals
    return DEFAULT_COMMAND_NAMESPACE.run(prog, command, globals=names, onerror=onerror)
