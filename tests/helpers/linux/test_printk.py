# SPDX-License-Identifier: Apache-2.0
import io
import re
from typing import Any

import pytest

from kdive import Program
from kdive.helpers.linux.panic import crash_message, panic_message, panic_task, tainted
from kdive.helpers.linux.printk import get_dmesg, get_printk_records, print_dmesg

pytestmark = pytest.mark.lab


def unescape(text: str) -> str:
    """Undo how /dev/kmsg writes bytes that it does not let through."""
    return re.sub(r"\\x([0-9a-f]{2})", lambda m: chr(int(m[1], 16)), text)


def test_the_log_is_what_the_guest_read(prog: Program, truth: dict[str, Any]) -> None:
    records = {record.seq: record for record in get_printk_records(prog)}
    assert sorted(records) == list(range(len(records)))
    lines = [line for line in truth["kernel_log"] if not line.startswith(" ")]
    assert len(lines) > 300
    for line in lines:
        head, text = line.split(";", 1)
        priority, seq, microseconds, flags, *_ = head.split(",")
        record = records[int(seq)]
        assert record.text.decode() == unescape(text.split("\n")[0])
        assert record.facility << 3 | record.level == int(priority)
        assert record.timestamp // 1000 == int(microseconds)
        assert record.continuation == (flags == "c")


def test_the_context_of_records(prog: Program) -> None:
    contexts = [record.context for record in get_printk_records(prog) if record.context]
    assert {b"SUBSYSTEM": b"pci", b"DEVICE": b"+pci:0000:00:00.0"} in contexts


def test_callers_are_tasks_or_cpus(prog: Program) -> None:
    records = get_printk_records(prog)
    assert records[0].caller_tid == 0
    assert records[0].caller_cpu is None
    assert all((r.caller_tid is None) != (r.caller_cpu is None) for r in records)


def test_the_log_as_text(prog: Program) -> None:
    lines = get_dmesg(prog).split(b"\n")
    assert lines[-1] == b""
    assert lines[0].startswith(b"[    0.000000] Linux version 6.1.0-56-amd64 ")
    assert all(re.match(rb"\[ *\d+\.\d{6}\] ", line) for line in lines[:-1])
    assert get_dmesg(prog, timestamps=False).startswith(b"Linux version ")
    assert re.match(
        rb"\[\w{3} \w{3} [ \d]\d \d\d:\d\d:\d\d \w+ \d{4}\] Linux",
        get_dmesg(prog, timestamps="human"),
    )
    out = io.StringIO()
    print_dmesg(prog, file=out)
    assert out.getvalue().encode() == get_dmesg(prog)


def test_a_healthy_kernel_has_not_panicked(prog: Program) -> None:
    assert panic_message(prog) is None
    with pytest.raises(LookupError, match="panic_cpu is not set"):
        panic_task(prog)
    assert tainted(prog) == ""


def test_a_crash_in_an_interrupt(scenario: Any) -> None:
    prog, _ = scenario("crash-in-irq", "vmcore")
    assert panic_message(prog) == b"BUG: kernel NULL pointer dereference, address: 0000000000000000"
    assert panic_task(prog).comm.string_() == b"lab_spinner/1"
    # A module that is unsigned and from outside of the tree; nothing proprietary
    assert tainted(prog).replace(" ", "") == "GOE"


def test_a_panic_on_request(scenario: Any) -> None:
    prog, _ = scenario("panic", "elf-d31")
    assert panic_message(prog) == b"Kernel panic - not syncing: sysrq triggered crash"


def test_the_first_of_several_oopses_is_the_cause() -> None:
    log = [
        (1_000_000_000, b"BUG: sleeping function called from invalid context"),
        (90_000_000_000, b"BUG: unable to handle page fault for address: 0000000000001234"),
        (90_000_100_000, b"Oops: 0000 [#1] SMP"),
        (90_000_200_000, b"general protection fault: 0000 [#2] SMP"),
        (90_000_300_000, b"Kernel panic - not syncing: Fatal exception in interrupt"),
    ]
    assert crash_message(log) == log[1][1]
    assert crash_message([*log, (90_000_400_000, b"Kernel panic - not syncing: Hard LOCKUP")]) == (
        b"Kernel panic - not syncing: Hard LOCKUP"
    )
    assert crash_message([(5, b"usb 1-1: new device")]) is None
