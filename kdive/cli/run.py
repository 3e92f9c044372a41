"""Runs code in a program: a script, the argument of -e, or what comes in on standard input."""

from __future__ import annotations

import os
import sys
from types import ModuleType

from kdive import set_default_prog
from kdive.cli.errors import UserError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import CodeType
    from typing import TextIO

    from kdive import Program
    from kdive.repl.namespace import Namespace

_DUMP_MAGICS = (b"KDUMP   ", b"DISKDUMP", b"makedumpfile")
_ELF_MAGIC = b"\x7fELF"
_ET_CORE = 4


def check_script(path: str) -> None:
    """Make sure that a script can be read and isn't a file of another kind.

    Raises:
        UserError: It can't, or it is; the message guesses what was meant.
    """
    try:
        with open(path, "rb") as file:
            start = file.read(20)
    except IsADirectoryError:
        raise UserError(f"{path} is a directory; give a Python script") from None
    except OSError as error:
        raise UserError(f"cannot read the script {path}: {error.strerror}") from None
    if _is_dump(start):
        raise UserError(f"{path} is a dump, not a script; use -c {path}")
    if start.startswith(_ELF_MAGIC):
        raise UserError(f"{path} is a binary, not a script; symbols are given with -s {path}")


def run_script(prog: Program, path: str, arguments: Sequence[str]) -> int:
    """Run a script as `__main__`, with `prog` as its only extra name, and return the exit status."""
    with open(path, "rb") as file:
        source = file.read()
    main = _main_module(prog)
    main.__file__ = path
    sys.argv[:] = [path, *arguments]
    sys.path.insert(0, os.path.dirname(os.path.abspath(path)))  # noqa: PTH100, PTH120
    return _guarded(lambda: exec(compile(source, path, "exec"), main.__dict__))


def run_code(prog: Program, code: str, arguments: Sequence[str]) -> int:
    """Run the argument of -e and return the exit status.

    The value of a single expression is shown as at the prompt, unless evaluating it has written to standard
    output already: then showing what was wanted is what the expression did.
    """
    sys.argv[:] = ["-e", *arguments]
    sys.path.insert(0, "")
    return _guarded(lambda: _evaluate(prog, code))


def run_input(prog: Program) -> int:
    """Run all of standard input as one script that sees the prompt's names; return the exit status."""
    source = sys.stdin.read()
    sys.argv[:] = [""]
    sys.path.insert(0, "")
    return _guarded(lambda: _execute(prog, compile(source, "<stdin>", "exec")))


def _is_dump(start: bytes) -> bool:
    if not start.startswith(_ELF_MAGIC):
        return start.startswith(_DUMP_MAGICS)
    if len(start) < 18:
        return False
    big_endian = start[5] == 2
    return int.from_bytes(start[16:18], "big" if big_endian else "little") == _ET_CORE


def _main_module(prog: Program) -> ModuleType:
    set_default_prog(prog)
    main = ModuleType("__main__")
    main.__dict__["prog"] = prog
    sys.modules["__main__"] = main
    return main


def _prompt_names(prog: Program, code: CodeType) -> Namespace:
    from kdive.repl.namespace import base_namespace, supply

    namespace = _main_module(prog).__dict__
    namespace.update(base_namespace(prog))
    supply(namespace, code)
    return namespace


def _execute(prog: Program, code: CodeType) -> None:
    exec(code, _prompt_names(prog, code))


def _evaluate(prog: Program, source: str) -> None:
    code = _as_expression(source)
    if code is None:
        _execute(prog, compile(source, "<string>", "exec"))
        return
    namespace = _prompt_names(prog, code)
    watch = _WatchedOutput(sys.stdout)
    sys.stdout = watch
    try:
        value = eval(code, namespace)
    finally:
        if sys.stdout is watch:
            sys.stdout = watch.stream
    if value is not None and not watch.was_used:
        from kdive import render

        render.show(value)


def _as_expression(source: str) -> CodeType | None:
    try:
        return compile(source.strip(), "<string>", "eval")
    except SyntaxError:
        return None


class _WatchedOutput:
    """Stands before a stream and notices when something is written to it."""

    _WRITES = frozenset(("buffer", "fileno", "write", "writelines"))

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream
        self.was_used = False

    def __getattr__(self, name: str) -> object:
        if name in self._WRITES:
            self.was_used = True
        return getattr(self.stream, name)


def _guarded(run: Callable[[], None]) -> int:
    """Run code of the user. What it raises is reported without the frames of kdive; return the status."""
    try:
        run()
    except SystemExit:
        raise
    except BaseException as error:
        if isinstance(error, BrokenPipeError) and _output_is_closed():
            raise
        _report(error)
        return 130 if isinstance(error, KeyboardInterrupt) else 1
    return 0


def _output_is_closed() -> bool:
    """Return whether standard output is a pipe that nobody reads any more."""
    import select

    poll = select.poll()
    poll.register(sys.stdout.fileno(), 0)
    return bool(poll.poll(0))


def _report(error: BaseException) -> None:
    trace = error.__traceback__
    while trace is not None and _is_own(trace.tb_frame.f_code):
        trace = trace.tb_next
    sys.excepthook(type(error), error.with_traceback(trace), trace)


def _is_own(code: CodeType) -> bool:
    return code.co_filename == __file__
