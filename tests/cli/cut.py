"""Cuts a copy of a dump off at many places and prints, as JSON, what the command then makes of it.

    python cut.py COUNT FILE...

Several files are those of a split dump; each is cut off in turn while the others are whole. The files end as they were.
Printed are the rows of `Row`; one process does all runs.
"""

import contextlib
import io
import json
import os
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

from kdive.cli import main
from tests.cli.layout import READ_BYTES, Place, is_of_a_process, places

SAMPLES = 150
HEADERS = 1 << 20

READ = """
import json
found = []
for address in {addresses}:
    try:
        found.append(prog.read(address, {size}, {is_physical}).hex())
    except FaultError as error:
        found.append(error.address - address if "end of the" in str(error) else str(error))
print(json.dumps(found))
"""


@dataclass
class Row:
    """What came of one cut.

    :param file: the number of the file that was cut, of which `cut` bytes are left.
    :param refused: what was said without `--incomplete`; empty if it was opened.
    :param said: what was said with it.
    :param status: the exit status with it.
    :param readable: how many of the samples could be read.
    :param lost: addresses that could not although the file has them.
    :param wrong: addresses where something else was read than in the whole dump.
    :param odd: what was said of missing ones other than that the file is truncated.
    """

    file: int
    cut: int
    refused: str
    said: str
    status: int
    readable: int
    lost: list[int]
    wrong: list[int]
    odd: list[str]


def run(files: list[Path], *arguments: str) -> tuple[int, str, str]:
    """Run the command on a dump; returns its status, output and error output."""
    output, errors = io.StringIO(), io.StringIO()
    dumps = [word for path in files for word in ("-c", str(path))]
    with contextlib.redirect_stdout(output), contextlib.redirect_stderr(errors):
        status = main([*dumps, "--no-default-symbols", *arguments])
    return status, output.getvalue(), errors.getvalue()


def cuts(size: int, count: int) -> list[int]:
    """Where to cut a file off: half of the places in its headers, none at its end."""
    near = {min(HEADERS, size) * step // (count // 2) for step in range(count // 2)}
    far = {size * step // (count // 2) + 1 for step in range(count // 2)}
    return sorted(near | far | {size - 1}, reverse=True)


def rows(files: list[Path], number: int, count: int) -> list[Row]:
    """Cut off one of the files."""
    wanted = places(files, SAMPLES)
    code = READ.format(
        addresses=[place.address for place in wanted],
        size=READ_BYTES,
        is_physical=not is_of_a_process(files[0]),
    )
    status, output, said = run(files, "-e", code)
    if status != 0:
        sys.exit(f"the whole dump can't be read: {said}")
    whole: list[object] = json.loads(output)
    unread = [
        value for value in whole if not isinstance(value, str) or len(value) != 2 * READ_BYTES
    ]
    if unread:
        sys.exit(f"the whole dump lacks something: {unread[:3]}")
    found = []
    size = files[number].stat().st_size
    content_after = files[number].with_suffix(".whole")
    files[number].rename(content_after)
    for cut in cuts(size, count):
        _copy_start(content_after, files[number], cut)
        found.append(_look(files, number, cut, wanted, code, whole))
    content_after.replace(files[number])
    return found


def _copy_start(whole: Path, part: Path, size: int) -> None:
    """Make `part` the first `size` bytes of `whole`: the first time a copy, then ever shorter."""
    if part.exists():
        os.truncate(part, size)
        return
    with whole.open("rb") as source, part.open("wb") as target:
        os.sendfile(target.fileno(), source.fileno(), 0, 0)
        done = 0
        while done < size:
            done += os.copy_file_range(source.fileno(), target.fileno(), size - done, done, done)


def _look(
    files: list[Path], number: int, cut: int, wanted: list[Place], code: str, whole: list[object]
) -> Row:
    status, _, refused = run(files, "-e", "1")
    row = Row(number, cut, refused if status else "", "", 0, 0, [], [], [])
    row.status, output, row.said = run(files, "--incomplete", "-e", code)
    if row.status != 0:
        return row
    for place, expected, value in zip(wanted, whole, json.loads(output), strict=True):
        if value == expected:
            row.readable += 1
        elif isinstance(value, str) and len(value) == 2 * READ_BYTES:
            row.wrong.append(place.address)
        else:
            if isinstance(value, str):
                row.odd.append(value)
            if place.file != number or place.end <= cut:
                row.lost.append(place.address)
    return row


if __name__ == "__main__":
    count, files = int(sys.argv[1]), [Path(name) for name in sys.argv[2:]]
    print(
        json.dumps(
            [asdict(row) for number in range(len(files)) for row in rows(files, number, count)]
        )
    )
