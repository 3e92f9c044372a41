"""Other forms of one dump: what makedumpfile writes, and forms that no tool of Debian writes.

All of them hold the same moment, so that a debugger must read the same from each, except for the
pages that a dump level leaves out.
"""

import ctypes
import shutil
import struct
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from lab import cache, commands, debian
from lab.errors import LabError
from lab.files import make_sparse

MAKEDUMPFILE_TIMEOUT_S = 300.0
SPLIT_PARTS = 3
OPTION_OF = {"zlib": ["-c"], "lzo": ["-l"], "zstd": ["-z"], "plain": []}
LIME_MAGIC, LIME_VERSION = 0x4C694D45, 1
COPY_BLOCK = 1 << 20
PAGE_DESCRIPTOR = struct.Struct("<QIIQ")
SNAPPY_PAGE = 0x4


def convert(vmcore: Path, directory: Path) -> None:
    """Write every form of the ELF dump ``vmcore`` into ``directory``.

    - ``kdump-d0-zlib``, ``kdump-d1-lzo``, ``kdump-d31-zlib``, ``kdump-d31-lzo``,
      ``kdump-d31-zstd``, ``kdump-d31-snappy``, ``kdump-d31-plain``: makedumpfile's own form,
      by dump level and compression;
    - ``kdump-d31-zlib-flattened``: the same as a stream;
    - ``kdump-d31-zlib-split.1`` to ``.3``: one dump in three files;
    - ``elf-d31``: ELF without the pages that level 31 leaves out;
    - ``raw``: physical memory, each byte at the offset that is its address;
    - ``lime``: physical memory as LiME writes it.

    :raises LabError: a tool fails or the dump is not an ELF core.
    """
    for level, compression in (
        (0, "zlib"),
        (1, "lzo"),
        (31, "zlib"),
        (31, "lzo"),
        (31, "zstd"),
        (31, "plain"),
    ):
        name = f"kdump-d{level}-{compression}"
        _makedumpfile(*OPTION_OF[compression], "-d", str(level), str(vmcore), str(directory / name))
    _makedumpfile("-E", "-d", "31", str(vmcore), str(directory / "elf-d31"))
    flattened = directory / "kdump-d31-zlib-flattened"
    _makedumpfile("-c", "-F", "-d", "31", str(vmcore), output=flattened)
    parts = [str(directory / f"kdump-d31-zlib-split.{part + 1}") for part in range(SPLIT_PARTS)]
    # The default block of 1 GiB would put all of a small guest into the first part.
    split = ["--split", "--splitblock-size", "32", "-c", "-d", "31"]
    _makedumpfile(*split, str(vmcore), *parts)
    with_snappy(directory / "kdump-d31-plain", directory / "kdump-d31-snappy")
    raw_image(vmcore, directory / "raw")
    lime_image(vmcore, directory / "lime")
    for path in directory.iterdir():
        make_sparse(path)


def _makedumpfile(*arguments: str, output: Path | None = None) -> None:
    """Run makedumpfile of the first Debian that builds it with zstd."""
    commands.require(["makedumpfile"])

    def fetch(directory: Path) -> None:
        package = debian.Archive("trixie", debian.native_architecture()).download("makedumpfile")
        debian.unpack_members(package, ["./usr/bin/makedumpfile"], directory)
        package.unlink()

    program = (
        cache.directory(cache.root() / "tools" / "makedumpfile", fetch) / "usr/bin/makedumpfile"
    )
    # Message level 4: errors only, no progress.
    command = [str(program), "--message-level", "4", *arguments]
    commands.run(command, timeout_s=MAKEDUMPFILE_TIMEOUT_S, output=output)


@dataclass(frozen=True)
class _Segment:
    """A range of physical memory in an ELF core."""

    address: int
    size: int
    offset: int


def _segments(core: BinaryIO) -> list[_Segment]:
    """The PT_LOAD segments by physical address, without those that repeat another's memory."""
    header = core.read(64)
    if header[:6] != b"\x7fELF\x02\x01":
        raise LabError(f"{core.name}: not a 64-bit little-endian ELF file")
    table, count = struct.unpack_from("<Q", header, 32)[0], struct.unpack_from("<H", header, 56)[0]
    segments = []
    core.seek(table)
    for _ in range(count):
        kind, _, offset, _, physical, in_file, _, _ = struct.unpack("<IIQQQQQQ", core.read(56))
        if kind == 1 and in_file:
            segments.append(_Segment(physical, in_file, offset))
    segments.sort(key=lambda segment: (segment.address, -segment.size))
    kept: list[_Segment] = []
    for segment in segments:
        # /proc/vmcore has the kernel's text twice: by itself and in the direct map around it.
        if kept and segment.address + segment.size <= kept[-1].address + kept[-1].size:
            continue
        kept.append(segment)
    return kept


def _blocks(core: BinaryIO, segment: _Segment, size: int) -> Iterator[tuple[int, bytes]]:
    """The physical address and content of each block of a segment."""
    for start in range(0, segment.size, size):
        core.seek(segment.offset + start)
        yield segment.address + start, core.read(min(size, segment.size - start))


def raw_image(vmcore: Path, image: Path) -> None:
    """Write physical memory, each byte at the offset that is its address; holes stay holes."""
    with vmcore.open("rb") as core, image.open("wb") as out:
        for segment in _segments(core):
            for address, block in _blocks(core, segment, COPY_BLOCK):
                out.seek(address)
                out.write(block)


def lime_image(vmcore: Path, image: Path) -> None:
    """Write physical memory as LiME does: a header before each range, whose end is inclusive."""
    with vmcore.open("rb") as core, image.open("wb") as out:
        for segment in _segments(core):
            last = segment.address + segment.size - 1
            out.write(struct.pack("<IIQQQ", LIME_MAGIC, LIME_VERSION, segment.address, last, 0))
            for _, block in _blocks(core, segment, COPY_BLOCK):
                out.write(block)


def with_snappy(plain: Path, compressed: Path) -> None:
    """Rewrite an uncompressed kdump file with its pages compressed by snappy.

    Everything before the page data keeps its place; only the page descriptors and the data differ.
    """
    compress = _snappy()
    with plain.open("rb") as source, compressed.open("wb") as out:
        shutil.copyfileobj(source, out)
        source.seek(0)
        header = source.read(8192)
        if header[:8] != b"KDUMP   ":
            raise LabError(f"{plain}: not a kdump file")
        block_size, sub_header_blocks, bitmap_blocks = struct.unpack_from("<iiI", header, 0x1AC)
        descriptors = (1 + sub_header_blocks + bitmap_blocks) * block_size
        bitmap_bytes = bitmap_blocks * block_size // 2
        source.seek(descriptors - bitmap_bytes)
        pages = int.from_bytes(source.read(bitmap_bytes)).bit_count()
        source.seek(descriptors)
        table = source.read(pages * PAGE_DESCRIPTOR.size)
        place = descriptors + len(table)
        new_table, written = [], {}
        out.seek(place)
        for offset, size, flags, page_flags in PAGE_DESCRIPTOR.iter_unpack(table):
            if flags:
                raise LabError(f"{plain}: has compressed pages")
            if offset not in written:
                source.seek(offset)
                page = source.read(size)
                packed = compress(page)
                if len(packed) >= len(page):
                    packed = page
                written[offset] = (place, len(packed), SNAPPY_PAGE if packed is not page else 0)
                out.write(packed)
                place += len(packed)
            new_table.append(PAGE_DESCRIPTOR.pack(*written[offset], page_flags))
        out.truncate(place)
        out.seek(descriptors)
        out.write(b"".join(new_table))


def snappy_library() -> Path:
    """Google's library, as Debian packages it."""

    def fetch(directory: Path) -> None:
        archive = debian.Archive("bookworm", debian.native_architecture())
        package = archive.download("libsnappy1v5")
        with tempfile.TemporaryDirectory(dir=directory) as unpacked:
            debian.unpack(package, Path(unpacked))
            library = next(Path(unpacked).rglob("libsnappy.so.1.*"))
            library.rename(directory / "libsnappy.so.1")
        package.unlink()

    return cache.directory(cache.root() / "tools" / "snappy", fetch) / "libsnappy.so.1"


def _snappy() -> Callable[[bytes], bytes]:
    library = ctypes.CDLL(str(snappy_library()))
    library.snappy_max_compressed_length.restype = ctypes.c_size_t
    library.snappy_max_compressed_length.argtypes = [ctypes.c_size_t]

    def compress(content: bytes) -> bytes:
        room = ctypes.c_size_t(library.snappy_max_compressed_length(len(content)))
        target = ctypes.create_string_buffer(room.value)
        status = library.snappy_compress(
            content, ctypes.c_size_t(len(content)), target, ctypes.byref(room)
        )
        if status != 0:
            raise LabError(f"snappy_compress fails with {status}")
        return target.raw[: room.value]

    return compress
