"""kdive.repl.completion."""

from types import SimpleNamespace
from typing import Any

import pytest

from kdive import Program
from kdive.repl.completion import candidates

NAMES: dict[str, Any] = {
    "prog": {"init_task": SimpleNamespace(comm="c", comments=1, _hidden=2, pid=0)},
    "process": SimpleNamespace(frames=[SimpleNamespace(pc=1, parent=SimpleNamespace(pc=2))]),
    "explode": property,
}


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("pro", ["process", "prog", "property"]),
        ("x = pro", ["process", "prog", "property"]),
        ("for_each_t", ["for_each_task"]),
        ("whi", ["while"]),
        ('prog["init_task"].com', ["comm", "comments"]),
        ("print(prog['init_task'].com", ["comm", "comments"]),
        ('prog["init_task"].', ["comm", "comments", "pid"]),
        ('prog["init_task"]._h', ["_hidden"]),
        ("1 + process.frames[-1].parent.p", ["pc"]),
        ("process.fr", ["frames"]),
        ("subprocess.fr", []),
        ('prog["nosuch"].com', []),
        ("undefined.com", []),
        ('"text".title', []),
        ("", None),
    ],
)
def test_candidates(line: str, words: list[str] | None) -> None:
    found = candidates(line, NAMES, {"for_each_task", "for_each_file"})
    if words is None:
        assert {"prog", "for_each_task", "len", "lambda"} <= set(found)
    else:
        assert found == words


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ('prog["jif', ["jiffies", "jiffies_64"]),
        ("print(prog['jif", ["jiffies", "jiffies_64"]),
        ('x.prog.symbol("jiffies_', ["jiffies_64"]),
        ('prog.function("', ["jiffies", "jiffies_64"]),
        ('prog["__', ["__init_begin"]),
        ('other["jif', []),
        ('prog.type("jif', []),
    ],
)
def test_symbols(line: str, words: list[str]) -> None:
    prog = Program()
    names = {"prog": prog, "x": SimpleNamespace(prog=prog), "other": {}}

    def symbol_names(asked: Program) -> list[str]:
        assert asked is prog
        return ["jiffies", "jiffies_64", "__init_begin"]

    assert candidates(line, names, symbol_names=symbol_names) == words


def test_nothing_is_called() -> None:
    called = []
    names = {"call": lambda: called.append(1)}
    assert candidates("call().app", names) == []
    assert called == []
