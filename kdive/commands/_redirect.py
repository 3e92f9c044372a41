"""Runs a function with its input and output where a command line says."""

import contextlib
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from kdive.commands._errors import CommandExitStatusError
from kdive.commands._shell import ShellRedirection

T = TypeVar("T")

_FLAGS = {
    "<": os.O_RDONLY,
    ">": os.O_WRONLY | os.O_CREAT | os.O_TRUNC,
    ">>": os.O_WRONLY | os.O_CREAT | os.O_APPEND,
}
_STREAMS = {0: ("stdin", "r"), 1: ("stdout", "w"), 2: ("stderr", "w")}


def run(
    function: Callable[[], T],
    redirections: Sequence[ShellRedirection],
    pipeline: str | None,
    errors: list[Exception],
) -> T | None:
    """Return what a function returns.

    Args:
        function: The function.
        redirections: Where its descriptors go. The descriptors of this process and Python's streams are replaced
            meanwhile.
        pipeline: What a shell does with its output, if anything.
        errors: Gets the errors of the function and of the shell.
    """
    if not redirections and pipeline is None:
        try:
            return function()
        except Exception as error:  # noqa: BLE001 - the caller tells its user of all
            errors.append(error)
            return None
    result = None
    shell = None
    try:
        with contextlib.ExitStack() as stack:
            if pipeline is not None:
                sys.stdout.flush()
                shell = subprocess.Popen(["sh", "-c", "--", pipeline], stdin=subprocess.PIPE)
                assert shell.stdin is not None
                stack.callback(shell.stdin.close)
                stack.enter_context(_replaced(1, shell.stdin.fileno()))
            for redirection in redirections:
                opened = os.open(redirection.path, _FLAGS[redirection.op] | os.O_CLOEXEC, 0o666)
                stack.callback(os.close, opened)
                stack.enter_context(_replaced(redirection.fd, opened))
            try:
                result = function()
            except BrokenPipeError:
                raise
            except Exception as error:  # noqa: BLE001 - as above; the output is closed all the same
                errors.append(error)
    except BrokenPipeError as error:
        # Whoever read the output has seen enough.
        if shell is None:
            errors.append(error)
    except Exception as error:  # noqa: BLE001 - as above
        errors.append(error)
    if shell is not None and pipeline is not None and shell.wait() != 0:
        errors.append(CommandExitStatusError(pipeline, shell.returncode))
    return result


@contextlib.contextmanager
def _replaced(descriptor: int, source: int) -> Iterator[None]:
    """Have a descriptor, and Python's stream of it, mean what another one means."""
    name, mode = _STREAMS.get(descriptor, (None, ""))
    stream = None if name is None else getattr(sys, name)
    if stream is not None and mode == "w":
        stream.flush()
    try:
        saved = os.dup(descriptor)
    except OSError:  # it is not open otherwise
        saved = None
    os.dup2(source, descriptor)
    try:
        if name is None:
            yield
            return
        with open(descriptor, mode, closefd=False) as replacement:
            setattr(sys, name, replacement)
            yield
    finally:
        if name is not None:
            setattr(sys, name, stream)
        if saved is None:
            os.close(descriptor)
        else:
            os.dup2(saved, descriptor)
            os.close(saved)
