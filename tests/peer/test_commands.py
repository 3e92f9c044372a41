"""Commands, against drgn: the same ones, made and run by both."""

import subprocess
import sys
from pathlib import Path

from tests.peer.peer import peer_python


def test_commands(tmp_path: Path) -> None:
    said = []
    for python, tool in ((peer_python(), "drgn"), (sys.executable, "kdive")):
        place = tmp_path / tool
        place.mkdir()
        result = subprocess.run(
            [python, Path(__file__).with_name("commands.py"), tool],
            cwd=place,
            capture_output=True,
            text=True,
            check=True,
            timeout=120,
        )
        said.append(result.stdout)
        assert "usage: hello [-n COUNT] [--loud] [-a | -b] [--drgn] who\n" in result.stderr
    theirs, ours = said
    assert theirs.count("\n>") > 150
    assert ours == theirs
