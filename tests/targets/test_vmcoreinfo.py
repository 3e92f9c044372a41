"""Of several VMCOREINFOs in memory, all are named and any can be chosen."""

import re
import shutil
from pathlib import Path

import pytest

import lab
from tests.support import Kdive

pytestmark = [pytest.mark.lab, pytest.mark.scenario]

PAGE = 4096
OTHER = "9.9.9-other"


def put_another(image: Path, release: str) -> int:
    """Copy the VMCOREINFO in an image of physical memory to a page of zeros, with another release."""
    with open(image, "r+b") as file:
        place = free = None
        file.seek(16 << 20)
        while place is None or free is None:
            at = file.tell()
            page = file.read(PAGE)
            assert len(page) == PAGE
            if page.startswith(b"OSRELEASE="):
                place, info = at, page
            elif not page.strip(b"\0"):
                free = at
        text = info.replace(release.encode(), OTHER.encode(), 1)
        file.seek(free)
        file.write(text[:PAGE])
        return free


def test_another_vmcoreinfo_can_be_chosen(kdive: Kdive, tmp_path: Path) -> None:
    panic = lab.target("panic")
    image = tmp_path / "memory"
    shutil.copyfile(panic.dumps["raw"], image)
    other = put_another(image, panic.kernel)
    code = 'prog["VMCOREINFO"].string_().decode().splitlines()[0]'
    arguments = ("-c", image, "--no-default-symbols", "-e", code)
    done = kdive(*arguments)
    assert done.returncode == 0, done.stderr
    releases = {panic.kernel, OTHER}
    used = re.fullmatch(r"'OSRELEASE=(.*)'\n", done.stdout)
    assert used is not None, done.stdout
    (left,) = releases - {used[1]}
    named = re.search(
        rf"another one, of release {left} .* at physical address (0x[0-9a-f]+);", done.stderr
    )
    assert named is not None, done.stderr
    assert (left == OTHER) == (int(named[1], 16) == other)
    done = kdive("--vmcoreinfo", named[1], *arguments)
    assert (done.stdout, done.returncode) == (f"'OSRELEASE={left}'\n", 0), done.stderr
    nowhere = kdive("--vmcoreinfo", "0x1000", *arguments)
    assert nowhere.returncode == 1
    assert nowhere.stderr == (
        "kdive: 0x1000 is no VMCOREINFO, it has no line OSRELEASE=...; check the address given with --vmcoreinfo\n"
    )
    image.unlink()
