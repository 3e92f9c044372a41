"""Asks drgn, as a black box: another interpreter that has its wheel and nothing of kdive."""

import json
import random
import re
import subprocess
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any


def peer_python() -> Path:
    """The interpreter of an installation of drgn 0.3.0."""
    python = Path(__file__).parents[2] / ".venv-drgn/bin/python"
    assert python.exists(), (
        f"{python} is missing: setup_peers of tools/setup.sh installs drgn there"
    )
    return python


def evaluate(python: str | Path, tool: str, expressions: Sequence[str]) -> list[Any]:
    """What each expression gives in a debugger."""
    result = subprocess.run(
        [python, Path(__file__).with_name("evaluate.py"), tool],
        input=json.dumps(expressions),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        timeout=300,
    )
    # Both call their native classes after the modules that they are in.
    answers: list[Any] = json.loads(re.sub(r"_drgn\.(?=[A-Z])", "kdive.", result.stdout))
    return answers


def is_equal(their: Any, our: Any) -> bool:
    """Whether both say the same, which of CPython's or PyO3's words for a wrong argument aside."""
    if their == our:
        return True
    kinds = (their[0], our[0])
    return kinds == ("raise", "raise") and their[1] == our[1] and is_about_arguments(our[2])


def is_about_arguments(message: str) -> bool:
    """Whether it is PyO3's message about an argument of a wrong type or out of range, or too many or too few."""
    return bool(re.search(ARGUMENT_MESSAGES, message))


ARGUMENT_MESSAGES = (
    r"object is not an instance of|is not an instance of '|positional argument|unexpected keyword argument|"
    r"cannot be interpreted as an integer|can't convert negative int|out of range integral type|int too big to convert|"
    r"object is not iterable|so many bytes|enable_index must be|integer_base must be|Python int too large"
)


def differences(
    expressions: Sequence[str], agree: Callable[[Any, Any], bool] = is_equal
) -> list[str]:
    """The expressions on which drgn and kdive do not agree, with what they say."""
    theirs = evaluate(peer_python(), "drgn", expressions)
    ours = evaluate(sys.executable, "kdive", expressions)
    return [
        f"{expression}\n    drgn:  {their}\n    kdive: {our}"
        for expression, their, our in zip(expressions, theirs, ours, strict=True)
        if not agree(their, our)
    ]


def assert_agreement(
    expressions: Sequence[str], agree: Callable[[Any, Any], bool] = is_equal
) -> None:
    """Evaluate expressions with both, and fail with those on which they do not agree."""
    found = differences(expressions, agree)
    assert not found, f"{len(found)} of {len(expressions)} differ:\n" + "\n".join(found[:40])


def sample(expressions: Iterable[str], count: int) -> Sequence[str]:
    """Some of the expressions, the same ones each time."""
    distinct = list(dict.fromkeys(expressions))
    return random.Random(7).sample(distinct, min(count, len(distinct)))
