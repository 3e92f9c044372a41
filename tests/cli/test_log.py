"""What the command logs, and that it loads `logging` only for that."""

import subprocess
import sys
from pathlib import Path

import pytest

from kdive.sample import DUMP
from tests.support import Kdive

SCRIPT = """
import sys
print("logging" in sys.modules, "typing" in sys.modules)
import logging
logging.getLogger("kdive").warning("from %s", "kdive")
logging.getLogger("other").warning("from another")
logging.info("not shown by default")
"""


@pytest.mark.parametrize(
    ("flags", "shown"),
    [
        ((), ["kdive: warning: from kdive", "kdive: warning: other: from another"]),
        (("--log-level", "error"), []),
        (
            ("--log-level", "info"),
            [
                "kdive: warning: from kdive",
                "kdive: warning: other: from another",
                "kdive: info: root: not shown by default",
            ],
        ),
    ],
)
def test_a_script_logs_as_the_command_does(
    kdive: Kdive, tmp_path: Path, flags: tuple[str, ...], shown: list[str]
) -> None:
    (tmp_path / "script.py").write_text(SCRIPT)
    found = ("--main-symbols", "--no-symbols-by", "standard")
    result = kdive("-c", DUMP, *found, *flags, "script.py")
    assert result.returncode == 0
    assert result.stdout == "False False\n"
    lines = [line for line in result.stderr.splitlines() if "no file found for kernel" not in line]
    assert lines == shown


@pytest.mark.parametrize(("flags", "warns"), [((), True), (("-q",), False)])
def test_a_warning_of_the_command(kdive: Kdive, flags: tuple[str, ...], warns: bool) -> None:
    result = kdive("-c", DUMP, "--no-symbols-by", "magic", *flags, "-e", "1")
    assert result.stdout == "1\n"
    warning = "kdive: warning: there is no way of finding symbols called 'magic'\n"
    assert (warning in result.stderr) == warns


RUNS = """
import sys
from kdive.cli import main
# The code that is run has arguments of its own.
dump = sys.argv[1]
for _ in range(3):
    main(["-c", dump, "--no-default-symbols", "-e", "import logging; logging.warning('seen')"])
"""


def test_each_run_in_a_process_shows_a_message_once() -> None:
    command = [sys.executable, "-c", RUNS, DUMP]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stderr == 3 * "kdive: warning: root: seen\n"
