"""Where the files of a dump have what memory holds, worked out from their headers independently of kdive."""

import struct
from bisect import bisect_right
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

PAGE = 4096
READ_BYTES = 8


@dataclass(frozen=True)
class Place:
    """The bytes at an address.

    :param file: the number of the file that has them.
    :param end: the file must be at least so long for them to be readable.
    """

    address: int
    file: int
    end: int


def places(files: list[Path], count: int) -> list[Place]:
    """Some `count` places all over memory: physical addresses, of processes virtual ones."""
    start = files[0].open("rb").read(16)
    if start.startswith(b"\x7fELF"):
        found = list(_of_elf(files[0]))
    elif start.startswith(b"EMiL"):
        found = list(_of_lime(files[0]))
    elif start.startswith(b"AVML"):
        found = list(_of_avml(files[0]))
    elif start.startswith(b"makedumpfile"):
        found = list(_of_kdump(0, *_flattened(files[0])))
    elif start.startswith(b"KDUMP"):
        found = [
            place for number, path in enumerate(files) for place in _of_kdump(number, *_whole(path))
        ]
    else:
        found = [Place(at, 0, at + READ_BYTES) for at in range(0, files[0].stat().st_size, PAGE)]
    step = max(len(found) // count, 1)
    return found[::step]


def is_of_a_process(path: Path) -> bool:
    """Whether a dump is the core of a process: those have no physical addresses."""
    with path.open("rb") as file:
        return file.read(4) == b"\x7fELF" and not any(
            physical for _, physical, *_ in _loads(path.read_bytes()[: 1 << 16])
        )


def _loads(core: bytes) -> Iterator[tuple[int, int, int, int]]:
    """Virtual and physical address, size and offset of the segments that have bytes in the file."""
    (table,) = struct.unpack_from("<Q", core, 32)
    (count,) = struct.unpack_from("<H", core, 56)
    for at in range(table, table + 56 * count, 56):
        kind, _, offset, virtual, physical, size, _, _ = struct.unpack_from("<IIQQQQQQ", core, at)
        if kind == 1 and size >= READ_BYTES:
            yield virtual, physical, size, offset


def _of_elf(path: Path) -> Iterator[Place]:
    with path.open("rb") as file:
        core = file.read(1 << 20)
    loads = list(_loads(core))
    is_kernel = any(physical for _, physical, _, _ in loads)
    seen: set[int] = set()
    for virtual, physical, size, offset in loads:
        start = physical if is_kernel else virtual
        for at in range(0, size, PAGE):
            # A kernel's text is there twice.
            if start + at not in seen:
                seen.add(start + at)
                yield Place(start + at, 0, offset + min(at + READ_BYTES, size))


def _of_lime(path: Path) -> Iterator[Place]:
    size = path.stat().st_size
    with path.open("rb") as file:
        at = 0
        while at < size:
            file.seek(at)
            _, _, start, last, _ = struct.unpack("<IIQQQ", file.read(32))
            for address in range(start, last + 1, PAGE):
                yield Place(address, 0, at + 32 + address - start + READ_BYTES)
            at += 32 + last + 1 - start


def _of_avml(path: Path) -> Iterator[Place]:
    """A chunk of data is readable if all of it is there."""
    image = path.read_bytes()
    at = 0
    while at < len(image):
        _, _, address, last, _ = struct.unpack_from("<IIQQQ", image, at)
        at += 32
        while address <= last:
            kind, size = image[at], int.from_bytes(image[at + 1 : at + 4], "little")
            at += 4 + size
            if kind <= 1:
                yield Place(address, 0, at)
                address += 65536 if kind == 0 else size - 4
        at += 8


Read = Callable[[int, int], bytes]
End = Callable[[int, int], int]


def _whole(path: Path) -> tuple[Read, End]:
    """How to read a dump, and where in its file what was read ends."""
    content = path.read_bytes()
    return (lambda at, size: content[at : at + size]), (lambda at, size: at + size)


def _flattened(path: Path) -> tuple[Read, End]:
    content = path.read_bytes()
    chunks: list[tuple[int, int, int]] = []
    at = PAGE
    while True:
        offset, size = struct.unpack_from(">qq", content, at)
        if offset == -1:
            break
        chunks.append((offset, size, at + 16))
        at += 16 + size
    # Of chunks that overlap the last one in the file counts; sorting keeps their order.
    whole = bytearray(max(offset + size for offset, size, _ in chunks))
    for offset, size, place in chunks:
        whole[offset : offset + size] = content[place : place + size]
    chunks.sort(key=lambda chunk: chunk[0])
    starts = [offset for offset, _, _ in chunks]

    def end(at: int, size: int) -> int:
        found = 0
        for offset, length, place in chunks[: bisect_right(starts, at + size - 1)][::-1]:
            if offset + length <= at:
                break
            found = max(found, place + min(at + size, offset + length) - offset)
        return found

    return (lambda at, size: bytes(whole[at : at + size])), end


def _of_kdump(number: int, read: Read, end: End) -> Iterator[Place]:
    block, sub_header, bitmap_blocks, pages = struct.unpack("<iiII", read(428, 16))
    half = bitmap_blocks * block // 2
    saved_at = (1 + sub_header) * block + half
    saved = read(saved_at, half)
    (is_split,) = struct.unpack("<i", read(block + 12, 4))
    first, last, pages_64 = struct.unpack("<QQQ", read(block + 80, 24))
    if not is_split:
        first, last = 0, max(pages, pages_64)
    before_all = end(0, block * (1 + sub_header))
    at = saved_at + half
    for page in range(first, last):
        if page // 8 < len(saved) and saved[page // 8] >> (page % 8) & 1:
            offset, size = struct.unpack("<QI", read(at, 12))
            needed = (
                before_all,
                end(saved_at, half),
                end(at, 24),
                end(offset, size),
            )
            yield Place(page * block, number, max(needed))
            at += 24
