"""The prompt itself."""

import builtins
import code
import contextlib
import os
import readline
import sys
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from types import CodeType

import kdive
from kdive import render
from kdive.repl import completion
from kdive.repl.namespace import Namespace, base_namespace, helper_names, supply

_HISTORY_LINES = 10_000


def run(
    prog: kdive.Program,
    *,
    banner: str = "",
    adjust: Callable[[Namespace], Namespace] | None = None,
) -> None:
    """Read and run lines until the end of input.

    Args:
        prog: The program that `prog` means.
        banner: What is printed before the first prompt.
        adjust: Gets the names that the lines will see and returns those that they shall see.
    """
    namespace = base_namespace(prog)
    namespace["__name__"] = "__main__"
    if adjust is not None:
        namespace = adjust(namespace)
    helpers = helper_names(prog)
    _Completer(namespace, helpers).install()
    sys.argv[:] = [""]
    if "" not in sys.path:
        sys.path.insert(0, "")
    previous_hook = sys.displayhook
    sys.displayhook = _display
    try:
        with _history(_history_file()):
            _Console(namespace).interact(banner=banner, exitmsg="")
    finally:
        sys.displayhook = previous_hook


class _Console(code.InteractiveConsole):
    """A console whose lines may name any helper, or a command after `%`."""

    def __init__(self, namespace: Namespace) -> None:
        super().__init__(namespace, filename="<console>")
        self._namespace = namespace

    def runsource(self, source: str, filename: str = "<input>", symbol: str = "single") -> bool:
        if not source.lstrip().startswith("%"):
            return super().runsource(source, filename, symbol)
        from kdive.commands import run_command

        try:
            run_command(
                self._namespace["prog"],
                source.lstrip()[1:],
                globals=self._namespace,
                onerror=self._report,
            )
        except Exception:  # noqa: BLE001 - the prompt goes on
            self.showtraceback()
        return False

    def _report(self, error: Exception) -> None:
        from kdive.commands import CommandError

        if isinstance(error, (CommandError, OSError, SyntaxError)):
            self.write(f"kdive: {error}\n")
        else:
            traceback.print_exception(error)

    def runcode(self, code: CodeType) -> None:
        supply(self._namespace, code)
        super().runcode(code)


class _Completer:
    """Answers readline's questions, one candidate at a time."""

    def __init__(self, namespace: Namespace, helpers: set[str]) -> None:
        self._namespace = namespace
        self._helpers = helpers
        self._found: list[str] = []
        self._symbols: dict[kdive.Program, list[str]] = {}

    def install(self) -> None:
        readline.set_completer_delims(" \t\n`~!@#$%^&*()-=+[{]}\\|;:'\",<>/?.")
        readline.set_completer(self)
        readline.parse_and_bind("tab: complete")

    def __call__(self, _word: str, state: int) -> str | None:
        if state == 0:
            line = readline.get_line_buffer()[: readline.get_endidx()]
            self._found = completion.candidates(
                line, self._namespace, self._helpers, self._symbol_names
            )
        return self._found[state] if state < len(self._found) else None

    def _symbol_names(self, prog: kdive.Program) -> list[str]:
        if prog not in self._symbols:
            names = {symbol.name for symbol in prog.symbols()}
            # Others, such as foo.cold, are of no use as the name of a variable or function.
            self._symbols[prog] = [name for name in names if name.isidentifier()]
        return self._symbols[prog]


def _display(value: object) -> None:
    if value is None:
        return
    render.show(value)
    builtins.__dict__["_"] = value


def _history_file() -> Path:
    state = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(state) / "kdive" / "history"


@contextlib.contextmanager
def _history(path: Path) -> Iterator[None]:
    """Have the lines of earlier sessions at hand, and keep those of this one."""
    readline.set_history_length(_HISTORY_LINES)
    with contextlib.suppress(OSError):  # there is none yet, or it can't be read: begin without
        readline.read_history_file(path)
    before = readline.get_current_history_length()
    try:
        yield
    finally:
        new = readline.get_current_history_length() - before
        with contextlib.suppress(OSError):  # a read-only home is no reason to fail at the end
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch(mode=0o600)
            readline.append_history_file(new, path)
