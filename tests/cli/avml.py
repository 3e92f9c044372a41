"""Images as AVML writes them, made from those of LiME."""

import ctypes
import struct
from pathlib import Path

from lab.conversions import snappy_library

BLOCK = 64 << 10
STREAM_START = b"\xff\x06\x00\x00sNaPpY"
COMPRESSED, PLAIN = 0, 1


def avml_image(lime: Path, image: Path) -> None:
    """Write the ranges of a LiME image, each as a stream of snappy's frames and its size.

    Checksums are zero.
    """
    snappy = ctypes.CDLL(str(snappy_library()))
    size_t = ctypes.c_size_t
    room = ctypes.create_string_buffer(2 * BLOCK)
    with lime.open("rb") as source, image.open("wb") as target:
        while header := source.read(32):
            _, _, start, last, _ = struct.unpack("<IIQQQ", header)
            target.write(struct.pack("<4sIQQQ", b"AVML", 2, start, last, 0))
            written = target.write(STREAM_START)
            left = last + 1 - start
            while left:
                block = source.read(min(left, BLOCK))
                left -= len(block)
                size = size_t(len(room))
                status = snappy.snappy_compress(block, size_t(len(block)), room, ctypes.byref(size))
                assert status == 0
                kind, data = (COMPRESSED, room.raw[: size.value])
                if len(data) >= len(block):
                    kind, data = (PLAIN, block)
                frame = bytes([kind]) + (4 + len(data)).to_bytes(3, "little") + bytes(4) + data
                written += target.write(frame)
            target.write(struct.pack("<Q", written))
