"""The words, redirections and pipelines of a command line, as a POSIX shell takes them apart.

Nothing is expanded: `$x` and `*` are what they are. What only a shell can do is an error.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, Literal, NamedTuple, TypeVar

T = TypeVar("T")

_PIECE = re.compile(
    r"""\\(?P<escaped>.)|'(?P<single>[^']*)'|"(?P<double>(?:[^"\\]|\\.)*)"|(?P<plain>[^\s\\'"|<>;&()`]+)""",
    re.DOTALL,
)
_SPACE = re.compile(r"\s*(?:#[^\n]*\s*)*")
_OPERATOR = re.compile(r"(?P<fd>\d*)(?P<op><|>>|>)")


class ShellRedirection(NamedTuple):
    """A redirection of a file descriptor."""

    fd: int
    """The descriptor."""
    op: Literal["<", ">", ">>"]
    """What is done with the file."""
    path: str
    """The file."""


@dataclass
class ParsedCommand(Generic[T]):
    """The arguments of a command, and where its input and output go."""

    args: T
    """The arguments, without the command's name."""
    redirections: Sequence[ShellRedirection] = ()
    """The redirections, in the order in which they are made."""
    pipeline: str | None = None
    """What a shell does with the output, if it is piped."""


def parse_shell_command(source: str, unquote: bool = True) -> ParsedCommand[list[str]]:
    """Return the words, redirections and pipeline of a command line.

    Args:
        source: The line.
        unquote: Whether quotes around words are removed.

    Raises:
        SyntaxError: It is no simple command.

    >>> parse_shell_command("ps -m 'two words' | less")
    ParsedCommand(args=['ps', '-m', 'two words'], redirections=[], pipeline='less')
    """
    words: list[str] = []
    redirections: list[ShellRedirection] = []
    at = skip_space(source, 0)
    while at < len(source):
        if source[at] == "|":
            pipeline = source[at + 1 :].strip()
            if not pipeline:
                raise SyntaxError("unexpected end of input")
            return ParsedCommand(words, redirections, pipeline)
        operator = _OPERATOR.match(source, at)
        if operator is not None:
            path, at = _word(source, skip_space(source, operator.end()))
            op = operator["op"]
            number = int(operator["fd"] or (op != "<"))
            redirections.append(ShellRedirection(number, op, unquote_shell_word(path)))  # type: ignore[arg-type]
        else:
            word, at = _word(source, at)
            words.append(unquote_shell_word(word) if unquote else word)
        at = skip_space(source, at)
    return ParsedCommand(words, redirections)


def split_name(source: str) -> tuple[str, str]:
    """Return the first word of a command line, and what follows it."""
    at = skip_space(source, 0)
    if at == len(source):
        raise SyntaxError("expected command name")
    word, end = _word(source, at)
    return unquote_shell_word(word), source[end:].lstrip()


def unquote_shell_word(word: str) -> str:
    """Return a word without its quotes and backslashes; a quote that is not closed stays."""
    return _PIECE.sub(_unquoted, word)


def skip_space(source: str, at: int) -> int:
    """Return where the next word or operator is: after white space and comments."""
    space = _SPACE.match(source, at)
    return at if space is None else space.end()


def _word(source: str, at: int) -> tuple[str, int]:
    end = at
    while (piece := _PIECE.match(source, end)) is not None:
        end = piece.end()
    following = source[end : end + 1]
    # A word ends where white space or an operator is; anything else is out of place.
    if end == at or (following and not following.isspace() and following not in "|<>"):
        raise SyntaxError(f"unexpected {following!r}" if following else "unexpected end of input")
    return source[at:end], end


def _unquoted(piece: re.Match[str]) -> str:
    if (escaped := piece["escaped"]) is not None:
        return "" if escaped == "\n" else escaped
    if (double := piece["double"]) is not None:
        return re.sub(r'\\(?:\n|([$`"\\]))', r"\1", double)
    single = piece["single"]
    return piece["plain"] if single is None else single
