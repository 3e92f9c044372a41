"""The prompt, typed at through a pseudo-terminal."""

import os
import pty
import select
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PROMPT = ">>> "


class Terminal:
    """What a person sees and types."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def until(self, text: str, limit_s: float = 60) -> str:
        """Return what is printed up to and including a text."""
        seen = ""
        end = time.monotonic() + limit_s
        while not seen.endswith(text):
            ready, _, _ = select.select([self._descriptor], [], [], max(0, end - time.monotonic()))
            assert ready, f"no {text!r} in {seen!r}"
            seen += os.read(self._descriptor, 1).decode()
        return seen.replace("\r\n", "\n")

    def type(self, keys: str) -> None:
        os.write(self._descriptor, keys.encode())

    def answer(self, line: str) -> str:
        """Type a line and return what is printed between it and the next prompt."""
        self.type(line + "\n")
        return self.until(PROMPT).partition("\n")[2].removesuffix(PROMPT)


@contextmanager
def prompt(process: int, home: Path) -> Iterator[Terminal]:
    master, slave = pty.openpty()
    environment = {**os.environ, "XDG_STATE_HOME": str(home), "TERM": "dumb"}
    command = [sys.executable, "-m", "kdive", "-q", "-p", str(process)]
    with subprocess.Popen(
        command, stdin=slave, stdout=slave, stderr=slave, env=environment, start_new_session=True
    ) as running:
        os.close(slave)
        try:
            terminal = Terminal(master)
            terminal.until(PROMPT)
            yield terminal
            terminal.type("\x04")
            assert running.wait(60) == 0
        finally:
            running.kill()
            os.close(master)


def test_session(process: int, tmp_path: Path) -> None:
    with prompt(process, tmp_path) as terminal:
        assert terminal.answer('prog["answer"]') == "(int)42\n"
        assert terminal.answer("_ + 1") == "(int)43\n"
        assert terminal.answer("number_in_binary_units(1024)") == "'1K'\n"
        assert terminal.answer("None") == ""
        assert terminal.answer("x = 1") == ""
        assert terminal.answer('prog.type("struct point")') == (
            "struct point {\n\tint x;\n\tint y;\n\tconst char *label;\n}\n"
        )
        fault = terminal.answer("prog.read(8, 1)")
        assert fault.startswith("Traceback (most recent call last):\n")
        assert '  File "<console>", line 1, in <module>\n' in fault
        assert fault.splitlines()[-1].startswith("kdive.FaultError: ")
        terminal.type('prog["origin"].lab\t\n')
        assert '"here"' in terminal.until(PROMPT)
        assert terminal.answer("%py prog['answer'] | tr 0-9 a-j") == "(int)ec\n"
        assert terminal.answer("%nope") == "kdive: nope: command not found\n"
        # Readline closes the quotation mark of a word that is complete.
        terminal.type('prog["answ\t]\n')
        assert "(int)42\n" in terminal.until(PROMPT)


def test_history_is_kept(process: int, tmp_path: Path) -> None:
    with prompt(process, tmp_path) as terminal:
        terminal.answer('prog["answer"]')
    kept = tmp_path / "kdive" / "history"
    assert kept.read_text() == 'prog["answer"]\n'
    with prompt(process, tmp_path) as terminal:
        terminal.type("\x1b[A\n")
        assert "(int)42\n" in terminal.until(PROMPT)
    assert kept.read_text().splitlines()[0] == 'prog["answer"]'
