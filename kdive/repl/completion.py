"""What the Tab key offers: names, attributes and members at the end of a line."""

import ast
import builtins
import keyword
from collections.abc import Iterable

from kdive.repl.namespace import Namespace


def candidates(line: str, namespace: Namespace, more_names: Iterable[str] = ()) -> list[str]:
    """Return the words that can stand for the unfinished word at the end of a line, sorted.

    After a dot these are the attributes of what stands before it, provided that it consists of names,
    attributes and literal subscripts only: completing never calls anything.

    Args:
        line: The text up to the cursor.
        namespace: The names that the line sees.
        more_names: Further names that can be used without being in the namespace yet.
    """
    word = _last_word(line)
    before = line[: len(line) - len(word)]
    if before.endswith("."):
        return _attributes(before[:-1], word, namespace)
    names = {*namespace, *more_names, *dir(builtins), *keyword.kwlist}
    return _starting_with(word, names)


def _last_word(line: str) -> str:
    start = len(line)
    while start and (line[start - 1].isalnum() or line[start - 1] == "_"):
        start -= 1
    return line[start:]


def _attributes(before: str, word: str, namespace: Namespace) -> list[str]:
    expression = _last_chain(before)
    if expression is None:
        return []
    try:
        value = eval(compile(expression, "<completion>", "eval"), dict(namespace))
        return _starting_with(word, dir(value))
    except Exception:  # noqa: BLE001 - whatever the half-written expression raises, typing goes on
        return []


def _last_chain(text: str) -> ast.Expression | None:
    """Parse the longest end of a text that is a chain such as `prog["init_task"].comm`."""
    for start in range(len(text)):
        if start and (text[start - 1].isalnum() or text[start - 1] == "_"):
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
