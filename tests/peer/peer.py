"""Asks drgn, as a black box: another interpreter that has its wheel and nothing of kdive."""

import json
import re
import subprocess
import sys
from collections.abc import Sequence
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


def differences(expressions: Sequence[str]) -> list[str]:
    """The expressions on which drgn and kdive do not agree, with what they say."""
    theirs = evaluate(peer_python(), "drgn", expressions)
    ours = evaluate(sys.executable, "kdive", expressions)
    return [
        f"{expression}\n    drgn:  {their}\n    kdive: {our}"
        for expression, their, our in zip(expressions, theirs, ours, strict=True)
        if their != our
    ]
