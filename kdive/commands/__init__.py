"""The commands of the prompt, `%NAME ARGUMENTS`: how they are made, found and run.

Here live the interface that drgn documents and the commands `sh`, `py` and `source`; what the prompt does with lines
that begin with `%` is in `kdive.repl`.

    from kdive.commands import argument, command

    @command(description="print the name of a task", arguments=(argument("pid", type=int),))
    def _cmd_comm(prog, name, args, *, parser, globals):
        print(find_task(args.pid).comm.string_().decode())
"""

from kdive.commands import _builtin as _builtin
from kdive.commands._code import DrgnCodeBlockContext, DrgnCodeBuilder
from kdive.commands._commands import (
    DEFAULT_COMMAND_NAMESPACE,
    Command,
    CommandFunc,
    CommandNamespace,
    CustomCommandFunc,
    argument,
    argument_group,
    command,
    custom_command,
    drgn_argument,
    mutually_exclusive_group,
    raw_command,
    run_command,
)
from kdive.commands._errors import (
    CommandArgumentError,
    CommandError,
    CommandExitStatusError,
    CommandNotFoundError,
)
from kdive.commands._shell import (
    ParsedCommand,
    ShellRedirection,
    parse_shell_command,
    unquote_shell_word,
)

__all__ = (
    "DEFAULT_COMMAND_NAMESPACE",
    "Command",
    "CommandArgumentError",
    "CommandError",
    "CommandExitStatusError",
    "CommandFunc",
    "CommandNamespace",
    "CommandNotFoundError",
    "CustomCommandFunc",
    "DrgnCodeBlockContext",
    "DrgnCodeBuilder",
    "ParsedCommand",
    "ShellRedirection",
    "argument",
    "argument_group",
    "command",
    "custom_command",
    "drgn_argument",
    "mutually_exclusive_group",
    "parse_shell_command",
    "raw_command",
    "run_command",
    "unquote_shell_word",
)
