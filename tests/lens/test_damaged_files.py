"""Dump files with damage in them, in every format: each diagnosis ends, and is marked when it could not see all.

`KDIVE_DAMAGES=100` makes so many damaged versions of the sample instead of a few.
"""

import contextlib
import os
import random
import shutil
import subprocess
from pathlib import Path

import pytest

import kdive
import lab
from kdive.lens import Limits, Result, Status, Task, all_diagnoses, run
from kdive.sample import DUMP

# What says where things are is spared: a dump whose header is damaged is refused, or opened in part.
SPARED_BYTES = 1 << 20
BLOCK_BYTES = 4096
DAMAGES = int(os.environ.get("KDIVE_DAMAGES", "8"))
CUTS = (
    [number / DAMAGES for number in range(1, DAMAGES)]
    if "KDIVE_DAMAGES" in os.environ
    else [0.4, 0.7, 0.95]
)
FORMS = [
    *("vmcore", "elf-d31", "raw", "lime"),
    *("kdump-d0-zlib", "kdump-d1-lzo", "kdump-d31-lzo", "kdump-d31-plain", "kdump-d31-snappy"),
    *("kdump-d31-zlib", "kdump-d31-zlib-flattened", "kdump-d31-zlib-split", "kdump-d31-zstd"),
]


def damage(path: Path, seed: str, blocks: int) -> None:
    """Overwrite some blocks of a file with noise, always the same for a seed; holes are left alone."""
    noise = random.Random(seed)
    size = path.stat().st_size
    assert size > SPARED_BYTES
    with path.open("r+b") as file:
        left = blocks
        for _ in range(100 * blocks):
            file.seek(noise.randrange(SPARED_BYTES, size - BLOCK_BYTES))
            if any(file.read(BLOCK_BYTES)):
                file.seek(-BLOCK_BYTES, 1)
                file.write(noise.randbytes(BLOCK_BYTES))
                left -= 1
                if not left:
                    return
    raise AssertionError(f"{path} is empty")


def diagnose_all(prog: kdive.Program) -> dict[str, Result]:
    """Run every diagnosis, and see that each has ended and says how."""
    known = all_diagnoses().values()
    results = run(prog, [Task(d, d.options()) for d in known], Limits(seconds=60))
    for result in results:
        assert result.status != Status.TIMED_OUT, result.name
        if result.status != Status.OK:
            assert result.reason, result.name
        if result.status == Status.PARTIAL:
            assert result.damages, result.name
        if result.status == Status.FAILED:
            # Damage ends it, not a mistake in it.
            assert result.reason.startswith("it met something that can't be read"), (
                result.name,
                result.reason,
                result.details,
            )
    return {result.name: result for result in results}


def test_the_sample_with_damage(tmp_path: Path) -> None:
    seen = set()
    for seed in range(DAMAGES):
        path = tmp_path / "damaged"
        shutil.copy(DUMP, path)
        damage(path, str(seed), 3)
        prog = kdive.Program()
        prog.set_core_dump(path)
        with contextlib.suppress(kdive.MissingDebugInfoError):
            prog.load_debug_info(default=True)
        statuses = {result.status for result in diagnose_all(prog).values()}
        # Most of the sample is what names its types and symbols: without these nothing can be said, which is said.
        assert statuses != {Status.FAILED}
        seen |= statuses
    assert seen >= {Status.OK, Status.PARTIAL, Status.SKIPPED}


@pytest.mark.lab
@pytest.mark.scenario
@pytest.mark.parametrize("form", FORMS)
def test_every_format_with_damage(form: str, tmp_path: Path) -> None:
    target = lab.target("panic")
    found = [path for name, path in target.dumps.items() if name in (form, f"{form}.1")]
    parts = [path for name, path in target.dumps.items() if name.startswith(f"{form}.")] or found
    copies = []
    for part in parts:
        copy = tmp_path / part.name
        subprocess.run(["cp", "--sparse=always", part, copy], check=True)
        damage(copy, form, 40)
        copies.append(copy)
    prog = kdive.Program()
    prog.set_core_dump(copies if len(copies) > 1 else copies[0])
    with contextlib.suppress(kdive.MissingDebugInfoError):
        prog.load_debug_info([target.vmlinux, *target.modules.values()])
    results = diagnose_all(prog)
    for copy in copies:
        copy.unlink()
    if "flattened" in form:
        # Where a chunk ends is known from its header only: behind a damaged one nothing can be found any more.
        assert any(result.status in (Status.PARTIAL, Status.FAILED) for result in results.values())
    else:
        assert any(result.status == Status.OK for result in results.values())
        assert results["sys"].status in (Status.OK, Status.PARTIAL)


def test_the_sample_with_damaged_headers(tmp_path: Path) -> None:
    """What is not refused is diagnosed: a dump whose bitmaps are damaged has other pages where some were."""
    opened = 0
    for seed in range(DAMAGES):
        noise = random.Random(seed)
        content = bytearray(Path(DUMP).read_bytes())
        for _ in range(noise.randint(1, 4)):
            place = noise.randrange(noise.choice((8192, SPARED_BYTES)))
            content[place] = noise.choice((0, 1, 0x7F, 0x80, 0xFF, noise.randrange(256)))
        path = tmp_path / "damaged"
        path.write_bytes(content)
        prog = kdive.Program()
        try:
            prog.set_core_dump(path)
        except (kdive.BadDataError, kdive.FaultError, OSError):
            continue
        opened += 1
        with contextlib.suppress(kdive.MissingDebugInfoError, kdive.FaultError, kdive.BadDataError):
            prog.load_debug_info(default=True)
        diagnose_all(prog)
    assert opened > DAMAGES / 4


@pytest.mark.parametrize("kept", CUTS)
def test_the_sample_cut_off(kept: float, tmp_path: Path) -> None:
    path = tmp_path / "cut"
    content = Path(DUMP).read_bytes()
    path.write_bytes(content[: int(len(content) * kept)])
    prog = kdive.Program()
    prog.set_core_dump(path, allow_truncated=True)
    with contextlib.suppress(kdive.MissingDebugInfoError, kdive.FaultError):
        prog.load_debug_info(default=True)
    results = diagnose_all(prog)
    assert any(
        result.status in (Status.PARTIAL, Status.FAILED, Status.SKIPPED)
        for result in results.values()
    )
