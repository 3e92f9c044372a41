"""Writing a kdump-compressed file whose pages are compressed by zstd as well as it can.

The format is that of makedumpfile (disk_dump_header version 6 for x86-64), so that other debuggers read the file, too.
"""

import ctypes
import re
import struct
from collections.abc import Callable
from pathlib import Path

from lab.errors import LabError

PAGE = 4096
LEVEL = 22
ZSTD_PAGE = 0x20
DUMP_LEVEL = 31
PT_NOTE = 4
DESCRIPTOR = struct.Struct("<QIIQ")


def write(core: Path, names: list[bytes], frames: list[tuple[int, bytes]], path: Path) -> None:
    """Write page frames as a kdump-compressed file.

    :param core: the ELF dump that they come from, for its notes.
    :param names: the fields of ``struct new_utsname``; libkdumpfile wants all of them.
    :param frames: numbers and contents, by number.
    :raises LabError: the notes are not those of a Linux kernel.
    """
    notes = _notes(core)
    vmcoreinfo = re.search(rb"OSRELEASE=[^\0]*", notes)
    if vmcoreinfo is None:
        raise LabError(f"{core}: has no VMCOREINFO")
    end = frames[-1][0] + 1
    bitmap_blocks = -(-end // (8 * PAGE))
    bitmap = bytearray(bitmap_blocks * PAGE)
    for pfn, _ in frames:
        bitmap[pfn >> 3] |= 1 << (pfn & 7)
    sub_header_blocks = 1 + -(-len(notes) // PAGE)
    place = (1 + sub_header_blocks + 2 * bitmap_blocks) * PAGE + len(frames) * DESCRIPTOR.size
    table, data = bytearray(), bytearray()
    written: dict[bytes, tuple[int, int, int]] = {}
    compress = _zstd()
    for _, content in frames:
        if content not in written:
            packed = compress(content)
            flags = ZSTD_PAGE
            if len(packed) >= PAGE:
                packed, flags = content, 0
            written[content] = (place + len(data), len(packed), flags)
            data += packed
        table += DESCRIPTOR.pack(*written[content], 0)
    sub_header = _sub_header(notes, vmcoreinfo, end)
    header = _header(names, notes, sub_header_blocks, 2 * bitmap_blocks, len(frames), end)
    with path.open("wb") as out:
        out.write(header.ljust(PAGE, b"\0"))
        out.write((sub_header.ljust(PAGE, b"\0") + notes).ljust(sub_header_blocks * PAGE, b"\0"))
        # What is memory, and what of it is in the file: what was left out is not told apart from holes.
        out.write(bitmap + bitmap + table + data)


def _header(
    names: list[bytes],
    notes: bytes,
    sub_header_blocks: int,
    bitmap_blocks: int,
    frames: int,
    end: int,
) -> bytes:
    return struct.pack(
        "<8si65s65s65s65s65s65s6xqqIiiIIIIIIi",
        b"KDUMP   ",
        6,
        *names,
        0,
        0,
        ZSTD_PAGE,
        PAGE,
        sub_header_blocks,
        bitmap_blocks,
        end,
        frames,
        0,
        frames,
        0,
        notes.count(b"CORE\0"),
    )


def _sub_header(notes: bytes, vmcoreinfo: re.Match[bytes], end: int) -> bytes:
    place = 2 * PAGE
    phys_base = re.search(rb"^NUMBER\(phys_base\)=(-?\d+)$", vmcoreinfo[0], re.MULTILINE)
    if phys_base is None:
        raise LabError("VMCOREINFO does not tell where the kernel is in memory")
    return struct.pack(
        "<qiiQQqQqQqQQQQ",
        int(phys_base[1]),
        DUMP_LEVEL,
        0,
        0,
        0,
        place + vmcoreinfo.start(),
        len(vmcoreinfo[0]),
        place,
        len(notes),
        0,
        0,
        0,
        0,
        end,
    )


def _notes(core: Path) -> bytes:
    """The notes of an ELF dump: registers and VMCOREINFO."""
    with core.open("rb") as file:
        header = file.read(64)
        table, count = (
            struct.unpack_from("<Q", header, 32)[0],
            struct.unpack_from("<H", header, 56)[0],
        )
        file.seek(table)
        for kind, _, offset, _, _, size, _, _ in struct.iter_unpack(
            "<IIQQQQQQ", file.read(56 * count)
        ):
            if kind == PT_NOTE:
                file.seek(offset)
                return file.read(size)
    raise LabError(f"{core}: has no notes")


def _zstd() -> Callable[[bytes], bytes]:
    library = ctypes.CDLL("libzstd.so.1")
    library.ZSTD_compress.restype = ctypes.c_size_t
    library.ZSTD_compress.argtypes = [
        ctypes.c_char_p,
        ctypes.c_size_t,
        ctypes.c_char_p,
        ctypes.c_size_t,
        ctypes.c_int,
    ]
    room = ctypes.create_string_buffer(2 * PAGE)

    def compress(content: bytes) -> bytes:
        size = library.ZSTD_compress(room, len(room), content, len(content), LEVEL)
        if library.ZSTD_isError(ctypes.c_size_t(size)):
            raise LabError(f"ZSTD_compress fails with {size}")
        return room.raw[:size]

    return compress
