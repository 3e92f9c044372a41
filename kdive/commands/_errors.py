"""What goes wrong with commands."""


class CommandError(Exception):
    """A command failed; the message says why."""


class CommandNotFoundError(CommandError):
    """There is no command of this name that can run on the program."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name

    def __str__(self) -> str:
        return f"{self.name}: command not found"


class CommandArgumentError(CommandError):
    """A command was given arguments that it does not take."""


class CommandExitStatusError(CommandError):
    """A shell command did not exit with status 0.

    Args:
        command: The shell command.
        exit_status: Its exit status, or the negative number of the signal that ended it.
    """

    def __init__(self, command: str, exit_status: int) -> None:
        super().__init__(command, exit_status)
        self.command = command
        self.exit_status = exit_status

    def __str__(self) -> str:
        return f"{self.command!r} exited with status {self.exit_status}"
