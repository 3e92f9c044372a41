"""Types that tests share."""

import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol


class Kdive(Protocol):
    """Runs the command and returns what it printed."""

    def __call__(
        self, *arguments: str | Path | int, stdin: str = "", env: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]: ...
