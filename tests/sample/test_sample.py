"""The dump that kdive ships: what kdive says of it is what its guest said about itself."""

import contextlib
import hashlib
import json
import re
import subprocess
from collections import Counter
from pathlib import Path

import pytest

import kdive
from kdive.helpers.linux import (
    cpu_online_mask,
    d_path,
    find_task,
    for_each_cpu,
    for_each_file,
    for_each_module,
    for_each_mount,
    for_each_task,
    get_dmesg,
    mount_dst,
    mount_fstype,
    mount_src,
    task_state_to_char,
)
from kdive.lens import Severity
from kdive.sample import DUMP
from tests.lens.support import diagnose, findings_of_everything, rows
from tests.peer.peer import peer_python

TRUTH: dict[str, str] = json.loads(Path(__file__).with_name("truth.json").read_text())
ARCHIVE, DATA = "6b646976-652d-4172-8368-697665000001", "6b646976-652d-4461-b461-000000000002"


@pytest.fixture(scope="module")
def prog() -> kdive.Program:
    """The sample, opened with nothing beside it."""
    return kdive.program_from_core_dump(DUMP)


def number(name: str) -> int:
    return int(TRUTH[name])


def stat_lines(moment: str) -> dict[int, tuple[str, list[str]]]:
    """For each thread its name and the fields of its stat file from the third on."""
    found = {}
    for line in TRUTH[f"tasks_{moment}"].splitlines():
        match = re.fullmatch(r"(\d+) \((.*)\) (.*)", line)
        assert match is not None
        found[int(match[1])] = match[2], match[3].split()
    return found


def files(moment: str) -> dict[int, dict[str, str]]:
    """For each process its cwd, root and open files."""
    found: dict[int, dict[str, str]] = {}
    for line in TRUTH[f"files_{moment}"].splitlines():
        link, _, target = line.partition(" ")
        _, _, pid, name = link.split("/", 3)
        found.setdefault(int(pid), {})[name.removeprefix("fd/")] = target
    return found


def functions(prog: kdive.Program, tid: int) -> list[str]:
    return [frame.name or "?" for frame in prog.stack_trace(tid)]


def test_each_broken_thing_is_found_and_nothing_else(prog: kdive.Program) -> None:
    assert findings_of_everything(prog) == {
        "btrfs": [Severity.CRITICAL],
        "delayed-works": [Severity.CRITICAL],
        "memcg": [Severity.WARNING],
    }


def test_the_file_system_that_is_still_held(prog: kdive.Program) -> None:
    assert TRUTH["mount_message"].endswith("failed: File exists")
    result = diagnose(prog, "btrfs")
    states = {row.fs_uuid: (row.state, row.opened) for row in rows(result, "FileSystem")}
    assert states == {ARCHIVE: ("DETACHED", 1), DATA: ("mounted", 1)}
    devices = {row.fs_uuid: row.name for row in rows(result, "Device")}
    assert devices == {ARCHIVE: "/dev/loop0", DATA: "/dev/vdb"}
    assert {(row.pid, row.how, row.path) for row in rows(result, "Holder")} == {
        (number("holder_of_directory"), "cwd", "/2026"),
        (number("holder_of_file"), "fd 0", "/2026/report"),
    }


def test_the_works_that_wait_for_a_cpu(prog: kdive.Program) -> None:
    truth = {
        name: int(value)
        for name, value in (line.split(":") for line in TRUTH["delayed"].splitlines())
    }
    found = {row.work: row for row in rows(diagnose(prog, "delayed-works"), "DelayedWork")}
    assert set(found) == {truth["overdue_address"], truth["later_address"]}
    jiffies = prog["jiffies"].value_()
    for name, function in (("overdue", "lab_overdue_function"), ("later", "lab_later_function")):
        row = found[truth[f"{name}_address"]]
        assert (row.cpu, row.state) == (2, "offline")
        assert row.function == f"{function} [lab_delayed]"
        assert row.remaining_jiffies == truth[f"{name}_expires"] - jiffies
    assert list(for_each_cpu(cpu_online_mask(prog))) == [0, 1]


def test_the_memory_cgroups_that_live_on(prog: kdive.Program) -> None:
    truth = dict(line.split() for line in TRUTH["cgroup"].splitlines())
    result = diagnose(prog, "memcg")
    (summary,) = rows(result, "Summary")
    assert (summary.active, summary.dying) == (
        int(truth["nr_descendants"]),
        int(truth["nr_dying_descendants"]),
    )
    assert [row.path for row in rows(result, "MemoryCgroup")] == [
        f"/batch/job-{job}" for job in (1, 2, 3, 4)
    ]
    # Each job has written as many times 256 KiB as its number says, the last one into a tmpfs.
    pinned = {
        row.path: (row.cgroup, row.kind, row.size_bytes >> 10)
        for row in rows(diagnose(prog, "memcg-pages"), "PinnedPages")
        if row.path.startswith("/")
    }
    assert pinned == {
        "/srv/data/job-1.out": ("/batch/job-1", "page cache", 256),
        "/srv/data/job-2.out": ("/batch/job-2", "page cache", 512),
        "/srv/data/job-3.out": ("/batch/job-3", "page cache", 768),
        "/run/job-4.out": ("/batch/job-4", "shared memory", 1024),
    }


def test_tasks(prog: kdive.Program) -> None:
    before, after = stat_lines("before"), stat_lines("after")
    tasks = {task.pid.value_(): task for task in for_each_task(prog)}
    # What ran while the guest looked at itself is seen on one side only.
    lasting = set(before) & set(after)
    assert lasting == set(tasks)
    ticks_ns = 10_000_000
    for tid in lasting:
        name, fields = before[tid]
        task = tasks[tid]
        # The name that /proc shows of a worker says what it works on.
        comm = task.comm.string_().decode()
        assert comm == (name if "kworker" not in name else re.sub("[-+].*", "", name))[:15]
        assert task.real_parent.tgid.value_() == int(fields[1])
        assert task.start_boottime.value_() // ticks_ns == int(fields[19])
        if after[tid][1][0] == fields[0]:
            assert task_state_to_char(task) == fields[0]
    named = ("indexer", "stopped", "busy", "zombie")
    assert [task_state_to_char(tasks[number(name)]) for name in named] == ["S", "T", "R", "Z"]


def test_open_files_and_directories(prog: kdive.Program) -> None:
    before, after = files("before"), files("after")
    compared = 0
    for pid, truth in before.items():
        # Process 1 is who looks, and has closed its pipes by the time of the dump.
        if pid == 1 or after.get(pid) != truth:
            continue
        task = find_task(prog, pid)
        if task_state_to_char(task) == "Z":
            continue
        found = {str(fd): d_path(file.f_path).decode() for fd, file in for_each_file(task)}
        found |= {"cwd": d_path(task.fs.pwd).decode(), "root": d_path(task.fs.root).decode()}
        # A path below a detached mount and one in another name space look different from within the process.
        assert {name: found[name] for name in found if not found[name].startswith("/2026")} == {
            name: target for name, target in truth.items() if not target.startswith("/2026")
        }, pid
        compared += len(found)
    assert compared >= 2 * 90


def test_stacks(prog: kdive.Program) -> None:
    threads = {
        task.comm.string_().decode(): task.pid.value_()
        for task in for_each_task(prog)
        if task.tgid.value_() == number("indexer")
    }
    for name, function in (
        ("indexer", "__ia32_sys_pause"),
        ("indexer/listen", "do_epoll_wait"),
        ("indexer/read", "pipe_read"),
        ("indexer/merge", "futex_wait"),
    ):
        assert function in functions(prog, threads[name])
    assert "do_signal_stop" in functions(prog, number("stopped"))
    ends = Counter(
        functions(prog, task.pid.value_())[-1]
        for task in for_each_task(prog)
        if task_state_to_char(task) != "Z"
    )
    assert set(ends) == {"ret_from_fork", "entry_SYSCALL_64_after_hwframe"}


def test_the_stack_of_a_running_task_crosses_an_interrupt(prog: kdive.Program) -> None:
    names = functions(prog, number("busy"))
    assert names.index("hrtimer_interrupt") < names.index("asm_sysvec_apic_timer_interrupt")
    assert names[-6:] == [
        "chacha_block_generic",
        "get_random_bytes_user",
        "vfs_read",
        "ksys_read",
        "do_syscall_64",
        "entry_SYSCALL_64_after_hwframe",
    ]


def test_mounts(prog: kdive.Program) -> None:
    assert TRUTH["mounts_before"] == TRUTH["mounts_after"]
    truth = set()
    for line in TRUTH["mounts_before"].splitlines():
        left, right = line.split(" - ")
        truth.add((left.split()[4], *right.split()[:2]))
    assert truth == {
        (mount_dst(mount).decode(), mount_fstype(mount).decode(), mount_src(mount).decode())
        for mount in for_each_mount(prog)
    }


def test_modules_and_symbols(prog: kdive.Program) -> None:
    truth = {
        name: int(address, 16)
        for name, _, _, _, _, address, *_ in (
            line.split() for line in TRUTH["modules"].splitlines()
        )
    }
    assert truth == {
        module.name.string_().decode(): module.core_layout.base.value_()
        for module in for_each_module(prog)
    }
    lines = [line.split() for line in TRUTH["symbols"].splitlines()]
    assert {name: prog.symbol(name).address for _, _, name in lines} == {
        name: int(address, 16) for address, _, name in lines
    }
    for address, kind, name, _ in (line.split() for line in TRUTH["module_symbols"].splitlines()):
        if kind in "tT":
            assert prog.symbol(int(address, 16)).name == name


def test_log_and_release(prog: kdive.Program) -> None:
    assert prog["UTS_RELEASE"].string_().decode() == TRUTH["release"]
    assert prog["saved_command_line"].string_().decode() == TRUTH["command_line"]
    log = get_dmesg(prog).decode()
    assert "duplicate device /dev/loop1 devid 1 generation 7 scanned by mount" in log
    assert "CPU 2 is now offline" in log


def test_code_is_left_out(prog: kdive.Program) -> None:
    with pytest.raises(kdive.FaultError):
        prog.read(prog.symbol("schedule").address, 1)
    assert prog.verify().is_sound


def test_drgn_reads_the_same_memory(prog: kdive.Program) -> None:
    addresses = [number << 12 for number in range(0, 32768, 41)]
    reading = f"""
import drgn, hashlib, json
prog = drgn.program_from_core_dump({DUMP!r})
read = {{}}
for address in {addresses}:
    try:
        read[address] = hashlib.sha256(prog.read(address, 4096, physical=True)).hexdigest()
    except drgn.FaultError:
        pass
print(json.dumps([prog["UTS_RELEASE"].string_().decode(), read]))
"""
    done = subprocess.run(
        [peer_python(), "-c", reading], capture_output=True, text=True, check=True, timeout=60
    )
    release, theirs = json.loads(done.stdout)
    ours = {}
    for address in addresses:
        with contextlib.suppress(kdive.FaultError):
            page = prog.read(address, 4096, physical=True)
            ours[str(address)] = hashlib.sha256(page).hexdigest()
    assert release == TRUTH["release"]
    assert len(ours) > 300
    assert ours == theirs


def test_nothing_tells_where_it_was_made(prog: kdive.Program) -> None:
    for text in (b"/root/.cache", b"/home/", b"/tmp/", b"PRIVATE KEY"):
        assert list(prog.search_memory(text)) == []
