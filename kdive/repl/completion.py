"""What the Tab key offers: names, attributes, members and symbols at the end of a line."""

import ast
import builtins
import keyword
import re
from collections.abc import Callable, Iterable

from kdive import Program
from kdive.repl.namespace import Namespace

# `prog["na`, `prog.symbol('na` and their like; the first group is what stands for the program.
_SYMBOL_NAME = re.compile(
    r"""(\b[\w.]+?)(?:\[|\.(?:function|object|symbol|variable)\()\s*["'](\w*)$"""
)


def candidates(
    line: str,
    namespace: Namespace,
    more_names: Iterable[str] = (),
    symbol_names: Callable[[Program], Iterable[str]] | None = None,
) -> list[str]:
    """Return the words that can stand for the unfinished word at the end of a line, sorted.

    After a dot these are the attributes of what stands before it, provided that it consists of names,
    attributes and literal subscripts only: completing never calls anything in the line.

    Args:
        line: The text up to the cursor.
        namespace: The names that the line sees.
        more_names: Further names that can be used without being in the namespace yet.
        symbol_names: Returns the names of a program's symbols, offered where it is asked for one (`prog["`).
    """
    if symbol_names is not None and (asked := _SYMBOL_NAME.search(line)):
        prog = _value_of(asked[1], namespace)
        if isinstance(prog, Program):
            return _starting_with(asked[2], symbol_names(prog))
    word = _last_word(line)
    before = line[: len(line) - len(word)]
    if before.endswith("."):
        return _starting_with(word, _attributes(_value_of(before[:-1], namespace)))
    names = {*namespace, *more_names, *dir(builtins), *keyword.kwlist}
    return _starting_with(word, names)


def _last_word(line: str) -> str:
    start = len(line)
    while start and _is_part_of_word(line[start - 1]):
        start -= 1
    return line[start:]


def _is_part_of_word(character: str) -> bool:
    return character.isalnum() or character == "_"


def _attributes(value: object) -> Iterable[str]:
    return () if value is None else dir(value)


def _value_of(text: str, namespace: Namespace) -> object:
    """Return the value of the chain that a text ends with, or None if that has none."""
    chain = _last_chain(text)
    if chain is None:
        return None
    try:
        return eval(compile(chain, "<completion>", "eval"), dict(namespace))
    except Exception:  # noqa: BLE001 - whatever the half-written expression raises, typing goes on
        return None


def _last_chain(text: str) -> ast.Expression | None:
    """Parse the longest end of a text that is a chain such as `prog["init_task"].comm`."""
    for start in range(len(text)):
        if start and _is_part_of_word(text[start - 1]):
            continue  # not in the middle of a word
        try:
            tree = ast.parse(text[start:].lstrip(), mode="eval")
        except (SyntaxError, ValueError):
            continue
        if _is_chain(tree.body):
            return tree
    return None


def _is_chain(node: ast.expr) -> bool:
    while True:
        match node:
            case ast.Name():
                return True
            case ast.Attribute():
                node = node.value
            case ast.Subscript(slice=ast.Constant() | ast.UnaryOp(operand=ast.Constant())):
                node = node.value
            case _:
                return False


def _starting_with(word: str, names: Iterable[str]) -> list[str]:
    # Names with an underscore in front are offered when asked for.
    hidden = not word.startswith("_")
    return sorted(
        {name for name in names if name.startswith(word) and not (hidden and name.startswith("_"))}
    )
