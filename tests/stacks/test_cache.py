"""Unwind tables that are kept between processes."""

from pathlib import Path

import pytest

import lab
from tests.support import Kdive

pytestmark = pytest.mark.lab

CODE = "print(*prog.stack_traces(prog.threads()), sep='\\n\\n')"


@pytest.mark.parametrize("kind", ["unwind", "orc"])
def test_tables_are_kept_and_made_again_when_damaged(
    kdive: Kdive, idle: lab.Target, tmp_path: Path, kind: str
) -> None:
    # Without a file of the kernel, its ORC is taken from the dump.
    files = ("-s", idle.vmlinux, "--main-symbols") if kind == "unwind" else ("-q",)

    def stacks(cache: str) -> str:
        result = kdive(*("-c", idle.dumps["elf"], *files, "-e", CODE), env={"KDIVE_CACHE": cache})
        assert (result.stderr, result.returncode) == ("", 0)
        return result.stdout

    cache = tmp_path / "cache"
    expected = stacks("off")
    assert "ret_from_fork" in expected
    assert stacks(str(cache)) == expected
    (kept,) = cache.glob(f"*.{kind}")
    whole = kept.read_bytes()
    written = kept.stat().st_mtime_ns
    assert stacks(str(cache)) == expected
    assert kept.stat().st_mtime_ns == written

    for damaged in (whole[: len(whole) // 2], whole[:-1] + bytes([whole[-1] ^ 1]), b""):
        kept.unlink()
        kept.write_bytes(damaged)
        assert stacks(str(cache)) == expected
        assert kept.read_bytes() == whole
