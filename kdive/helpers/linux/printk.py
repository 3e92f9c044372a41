# SPDX-License-Identifier: Apache-2.0
"""The kernel's log buffer (kernel/printk/)."""

import sys
import time
from collections.abc import Iterator
from typing import Literal, NamedTuple

from kdive import Object, Program, offsetof, sizeof
from kdive.helpers.common.format import SupportsWriteText
from kdive.helpers.common.prog import takes_program_or_default
from kdive.helpers.linux._words import byte_order

__all__ = ("get_dmesg", "get_printk_records", "print_dmesg")

# enum printk_info_flags: the message continues one that did not end with a newline.
_LOG_CONT = 8
# Bit of a caller ID that says that it is a CPU and not a thread.
_CALLER_IS_CPU = 0x80000000
# enum desc_state, in the highest bits of a descriptor's state
_DESC_COMMITTED = 1
_DESC_FINALIZED = 2
_MAX_RING_BITS = 28
_MAX_LEGACY_LOG_BYTES = 1 << 31


class PrintkRecord(NamedTuple):
    """One record of the kernel's log."""

    text: bytes
    """Message, without prefix and final newline."""
    facility: int
    """syslog(3) facility."""
    level: int
    """Log level; 0 is the most severe."""
    seq: int
    """Sequence number."""
    timestamp: int
    """Time since boot in nanoseconds."""
    caller_tid: int | None
    """Thread that logged the record, None if it was not in the context of a task or isn't known."""
    caller_cpu: int | None
    """CPU that logged the record, None if it was in the context of a task or isn't known."""
    continuation: bool
    """Whether the record continues the one before it on the same line."""
    context: dict[bytes, bytes]
    """What the record is about, e.g. ``SUBSYSTEM`` and ``DEVICE``."""


def _caller(caller_id: int) -> tuple[int | None, int | None]:
    """Split a caller ID into thread and CPU."""
    if caller_id & _CALLER_IS_CPU:
        return None, caller_id & ~_CALLER_IS_CPU
    return caller_id, None


class _Field:
    """Decodes one integer member of the structures of an array that was read into memory."""

    def __init__(self, prog: Program, type: str, member: str) -> None:
        structure = prog.type(type)
        self._offset = offsetof(structure, member)
        self._size = sizeof(Object(prog, structure, address=0).subobject_(member).type_)
        self._stride = sizeof(structure)
        self._order = byte_order(prog)

    def __call__(self, data: bytes, number: int) -> int:
        start = number * self._stride + self._offset
        return int.from_bytes(data[start : start + self._size], self._order)


class _Ring:
    """The ring buffer since "printk: use the lockless ringbuffer" (Linux 5.10), read in three pieces."""

    def __init__(self, prog: Program) -> None:
        rb = prog["prb"].read_()
        self._prog = prog
        ring = rb.desc_ring
        count_bits = ring.count_bits.value_()
        text_bits = rb.text_data_ring.size_bits.value_()
        if not (0 < count_bits <= _MAX_RING_BITS and 0 < text_bits <= _MAX_RING_BITS):
            raise ValueError(
                f"printk ring buffer has implausible sizes: 2^{count_bits} records, 2^{text_bits} bytes"
            )
        self._count = 1 << count_bits
        self._text_size = 1 << text_bits
        self.first_id = ring.tail_id.counter.value_()
        self.last_id = ring.head_id.counter.value_()
        self._descs = prog.read(ring.descs, self._count * sizeof(prog.type("struct prb_desc")))
        self._infos = prog.read(ring.infos, self._count * sizeof(prog.type("struct printk_info")))
        self._text = prog.read(rb.text_data_ring.data, self._text_size)
        self._word = prog.address_size()
        self.id_mask = (1 << 8 * self._word - 2) - 1

        def field(type: str, member: str) -> _Field:
            return _Field(prog, f"struct {type}", member)

        self._state = field("prb_desc", "state_var.counter")
        self._begin = field("prb_desc", "text_blk_lpos.begin")
        self._next = field("prb_desc", "text_blk_lpos.next")
        self._seq = field("printk_info", "seq")
        self._ts = field("printk_info", "ts_nsec")
        self._text_len = field("printk_info", "text_len")
        self._facility = field("printk_info", "facility")
        self._caller_id = field("printk_info", "caller_id")
        self._info_type = prog.type("struct printk_info")
        self._info_size = sizeof(self._info_type)
        # These come after the facility and before the caller in one byte of bit fields; the engine decodes them.
        self._flag_bits = [
            (
                self._info_type.member(name).bit_offset,
                self._info_type.member(name).bit_field_size or 8,
            )
            for name in ("flags", "level")
        ]

    def _bits(self, number: int, which: int) -> int:
        bit_offset, size = self._flag_bits[which]
        byte = self._infos[number * self._info_size + bit_offset // 8]
        return byte >> bit_offset % 8 & (1 << size) - 1

    def _message(self, number: int) -> bytes | None:
        """Get the text of a record, None if the ring has already overwritten it."""
        begin, end = self._begin(self._descs, number), self._next(self._descs, number)
        if begin & 1:
            # The record has no data, only a marker.
            return b""
        mask = self._text_size - 1
        if begin // self._text_size == (end - 1) // self._text_size:
            start, limit = begin & mask, ((end - 1) & mask) + 1
        elif (begin + self._text_size) // self._text_size == (end - 1) // self._text_size:
            # What does not fit before the end of the buffer begins at its start.
            start, limit = 0, ((end - 1) & mask) + 1
        else:
            return None
        # A block begins with the ID of its record.
        start += self._word
        length = self._text_len(self._infos, number)
        return self._text[start : min(start + length, limit)]

    def _context(self, number: int) -> dict[bytes, bytes]:
        if not self._info_type.has_member("dev_info"):
            return {}
        info = self._infos[number * self._info_size : (number + 1) * self._info_size]
        dev_info = Object.from_bytes_(self._prog, self._info_type, info).dev_info
        pairs = (
            (b"SUBSYSTEM", dev_info.subsystem.string_()),
            (b"DEVICE", dev_info.device.string_()),
        )
        return {key: value for key, value in pairs if value}

    def record(self, record_id: int) -> PrintkRecord | None:
        """Get a record by its ID, None if it is being written or was overwritten."""
        number = record_id % self._count
        state = self._state(self._descs, number)
        if state & self.id_mask != record_id or state >> 8 * self._word - 2 not in (
            _DESC_COMMITTED,
            _DESC_FINALIZED,
        ):
            return None
        text = self._message(number)
        if text is None:
            return None
        tid, cpu = _caller(self._caller_id(self._infos, number))
        return PrintkRecord(
            text,
            self._facility(self._infos, number),
            self._bits(number, 1),
            self._seq(self._infos, number),
            self._ts(self._infos, number),
            tid,
            cpu,
            bool(self._bits(number, 0) & _LOG_CONT),
            self._context(number),
        )

    def records(self) -> Iterator[PrintkRecord]:
        record_id, last = self.first_id & self.id_mask, self.last_id & self.id_mask
        for _ in range(self._count):
            record = self.record(record_id)
            if record is not None:
                yield record
            if record_id == last:
                break
            record_id = record_id + 1 & self.id_mask


def _legacy_records(prog: Program) -> Iterator[PrintkRecord]:
    """Read the log as it was before Linux 5.10: records of variable length in a byte buffer, oldest first."""
    size = prog["log_buf_len"].value_()
    if not 0 < size <= _MAX_LEGACY_LOG_BYTES:
        raise ValueError(f"log buffer has an implausible size of {size} bytes")
    buffer = prog.read(prog["log_buf"], size)
    record_type = prog.type("struct printk_log")
    header = sizeof(record_type)
    position, end = prog["log_first_idx"].value_(), prog["log_next_idx"].value_()
    seq = prog["log_first_seq"].value_()
    for _ in range(size // header):
        if position == end:
            return
        if position + header > size:
            position = 0
            continue
        record = Object.from_bytes_(prog, record_type, buffer[position : position + header])
        length = record.len.value_()
        if not length:
            # What does not fit before the end of the buffer begins at its start.
            position = 0
            continue
        text_end = position + header + record.text_len.value_()
        pairs = (
            pair.split(b"=", 1)
            for pair in buffer[text_end : text_end + record.dict_len.value_()].split(b"\0")
            if b"=" in pair
        )
        tid, cpu = (
            _caller(record.caller_id.value_())
            if record_type.has_member("caller_id")
            else (None, None)
        )
        yield PrintkRecord(
            buffer[position + header : text_end],
            record.facility.value_(),
            record.level.value_(),
            seq,
            record.ts_nsec.value_(),
            tid,
            cpu,
            bool(record.flags.value_() & _LOG_CONT),
            dict(pairs),
        )
        seq += 1
        position += length


@takes_program_or_default
def get_printk_records(prog: Program) -> list[PrintkRecord]:
    """Get the records of the kernel's log, oldest first.

    Reads ``prb`` (``struct printk_ringbuffer``), or ``log_buf`` before Linux 5.10. Records that were being
    written or overwritten are left out.

    :raises ValueError: if the buffer's sizes are not plausible
    """
    if "prb" in prog:
        return list(_Ring(prog).records())
    return list(_legacy_records(prog))


def _human_time(boot_time_s: float, timestamp: int) -> bytes:
    return time.strftime(
        "[%a %b %e %H:%M:%S %Z %Y] ", time.localtime(boot_time_s + timestamp / 1e9)
    ).encode()


@takes_program_or_default
def get_dmesg(prog: Program, *, timestamps: bool | Literal["human"] = True) -> bytes:
    """Get the kernel's log as dmesg(1) shows it: ``[   timestamp] message`` lines.

    :param timestamps: True for seconds since boot, False for none, ``"human"`` for dates and times, which are right
        only for what was logged since the system last slept.
    :return: Text; every line ends with a newline.
    """
    boot_time_s = 0.0
    if timestamps == "human":
        from kdive.helpers.linux.timekeeping import (
            ktime_get_coarse_boottime_ns,
            ktime_get_coarse_real_ns,
        )

        boot_time_s = (
            int(ktime_get_coarse_real_ns(prog)) - int(ktime_get_coarse_boottime_ns(prog))
        ) / 1e9
    lines: list[bytes] = []
    for record in get_printk_records(prog):
        if timestamps == "human":
            prefix = _human_time(boot_time_s, record.timestamp)
        elif timestamps:
            seconds, nanoseconds = divmod(record.timestamp, 1_000_000_000)
            prefix = b"[%5d.%06d] " % (seconds, nanoseconds // 1000)
        else:
            prefix = b""
        lines += (prefix + line + b"\n" for line in record.text.split(b"\n"))
    return b"".join(lines)


@takes_program_or_default
def print_dmesg(
    prog: Program,
    *,
    timestamps: bool | Literal["human"] = True,
    file: SupportsWriteText | None = None,
) -> None:
    """Print the kernel's log.

    :param timestamps: See `get_dmesg()`.
    :param file: Where to write; standard output by default.
    """
    out: SupportsWriteText = sys.stdout if file is None else file
    out.write(get_dmesg(prog, timestamps=timestamps).decode(errors="replace"))
