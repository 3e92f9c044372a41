"""Other forms of one dump."""

import ctypes
import struct
from pathlib import Path

import pytest

import lab
from lab import LabError, conversions

PAGE = 4096


def elf_core(segments: list[tuple[int, bytes]]) -> bytes:
    """An ELF core of physical ``segments``, in the order given."""
    header = b"\x7fELF\x02\x01\x01".ljust(16, b"\0")
    header += struct.pack("<HHIQQQIHHHHHH", 4, 62, 1, 0, 64, 0, 0, 64, 56, len(segments), 0, 0, 0)
    offset, table, contents = 64 + 56 * len(segments), b"", b""
    for address, content in segments:
        place = offset + len(contents)
        table += struct.pack("<IIQQQQQQ", 1, 7, place, 0, address, len(content), len(content), 0)
        contents += content
    return header + table + contents


@pytest.fixture
def core(tmp_path: Path) -> Path:
    path = tmp_path / "vmcore"
    low, high = b"\x11" * 0x1800, b"\x22" * 0x800
    text = low[0x400:0x800]
    path.write_bytes(elf_core([(0x3400, text), (0x10000, high), (0x3000, low)]))
    return path


def test_a_raw_image_has_each_byte_at_its_address(core: Path, tmp_path: Path) -> None:
    conversions.raw_image(core, tmp_path / "raw")
    image = (tmp_path / "raw").read_bytes()
    assert image == b"\0" * 0x3000 + b"\x11" * 0x1800 + b"\0" * 0xB800 + b"\x22" * 0x800


def test_a_lime_image_has_a_header_before_each_range(core: Path, tmp_path: Path) -> None:
    conversions.lime_image(core, tmp_path / "lime")
    image = (tmp_path / "lime").read_bytes()
    assert image == (
        b"EMiL" + struct.pack("<IQQQ", 1, 0x3000, 0x47FF, 0)
        + b"\x11" * 0x1800
        + b"EMiL" + struct.pack("<IQQQ", 1, 0x10000, 0x107FF, 0)
        + b"\x22" * 0x800
    )  # fmt: skip


def test_what_is_no_core_is_refused(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("not a core")
    with pytest.raises(LabError, match="text: not a 64-bit little-endian ELF file"):
        conversions.raw_image(tmp_path / "text", tmp_path / "raw")


def kdump_pages(path: Path) -> list[tuple[bytes, int]]:
    """The stored bytes and the flags of each page of a kdump file."""
    content = path.read_bytes()
    block, sub_header, bitmap = struct.unpack_from("<iiI", content, 0x1AC)
    assert (content[:8], block) == (b"KDUMP   ", PAGE)
    table = (1 + sub_header + bitmap) * block
    dumped = content[table - bitmap * block // 2 : table]
    pages = []
    for number in range(int.from_bytes(dumped).bit_count()):
        offset, size, flags, _ = struct.unpack_from("<QIIQ", content, table + 24 * number)
        pages.append((content[offset : offset + size], flags))
    return pages


@pytest.mark.lab
@pytest.mark.scenario
def test_the_crash_kernels_dump_exists_in_every_form() -> None:
    dumps = lab.target("panic").dumps
    compressed = [f"kdump-d31-{codec}" for codec in ("lzo", "plain", "snappy", "zlib", "zstd")]
    split = [f"kdump-d31-zlib-split.{part}" for part in (1, 2, 3)]
    assert sorted(dumps) == sorted(
        [
            *compressed,
            *split,
            "elf-d31",
            "kdump-d0-zlib",
            "kdump-d1-lzo",
            "kdump-d31-zlib-flattened",
            "lime",
            "raw",
            "vmcore",
        ]
    )
    flags = {codec: {flag for _, flag in kdump_pages(dumps[codec])} for codec in compressed}
    assert flags == {
        "kdump-d31-lzo": {0, 2},
        "kdump-d31-plain": {0},
        "kdump-d31-snappy": {0, 4},
        "kdump-d31-zlib": {0, 1},
        "kdump-d31-zstd": {0, 0x20},
    }
    assert dumps["kdump-d31-zlib-flattened"].read_bytes()[:13] == b"makedumpfile\0"
    pages = [len(kdump_pages(dumps[name])) for name in ("kdump-d0-zlib", "kdump-d31-plain")]
    assert pages[0] > pages[1] > 1000


@pytest.mark.lab
@pytest.mark.scenario
def test_snappy_pages_decompress_to_the_plain_ones() -> None:
    dumps = lab.target("panic").dumps
    library = ctypes.CDLL(str(conversions.snappy_library()))
    page, size = ctypes.create_string_buffer(PAGE), ctypes.c_size_t()
    plain = kdump_pages(dumps["kdump-d31-plain"])
    for (stored, flags), (expected, _) in zip(
        kdump_pages(dumps["kdump-d31-snappy"]), plain, strict=True
    ):
        if flags == 0:
            assert stored == expected
            continue
        size.value = PAGE
        status = library.snappy_uncompress(
            stored, ctypes.c_size_t(len(stored)), page, ctypes.byref(size)
        )
        assert (status, size.value, page.raw) == (0, PAGE, expected)


@pytest.mark.lab
@pytest.mark.scenario
def test_the_images_hold_the_crashed_guests_memory() -> None:
    target = lab.target("panic")
    boot_id = bytes.fromhex(target.truth["before"]["boot_id"].replace("-", ""))
    raw, lime = target.dumps["raw"].read_bytes(), target.dumps["lime"].read_bytes()
    address = raw.find(boot_id)
    assert address > 0
    place = 0
    while place < len(lime):
        magic, _, start, last, _ = struct.unpack_from("<IIQQQ", lime, place)
        assert magic == conversions.LIME_MAGIC
        if start <= address <= last:
            found = place + 32 + address - start
            assert lime[found : found + len(boot_id)] == boot_id
        assert raw[start : start + 64] == lime[place + 32 : place + 96]
        place += 32 + last + 1 - start
    assert place == len(lime)


@pytest.mark.lab
@pytest.mark.scenario
def test_the_crash_shows_on_the_console() -> None:
    target = lab.target("panic")
    console = (target.directory / "console.log").read_text(errors="replace")
    assert "sysrq triggered crash" in console
    assert f"PID: {target.truth['facts']['crasher']} Comm: bash" in console
