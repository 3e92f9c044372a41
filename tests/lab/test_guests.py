"""Guests: what they leave, and what is left when they fail."""

import mmap
import os
import re
import struct
import subprocess
import sys
from pathlib import Path

import pytest

import lab
from lab import LabError, kernels, runs, scenario

pytestmark = pytest.mark.lab


@pytest.fixture(scope="module")
def idle() -> lab.Target:
    return lab.target("idle")


def elf_notes(core: bytes | mmap.mmap) -> dict[str, bytes]:
    """The notes of an ELF core by their owner; of several of one owner the last."""
    offset, size = struct.unpack_from("<QQ", core, 32)[0], 56
    kind, _, start, _, _, length = struct.unpack_from("<IIQQQQ", core, offset)
    assert (kind, size) == (4, struct.unpack_from("<H", core, 54)[0])
    notes, end = {}, start + length
    while start < end:
        name_size, data_size, _ = struct.unpack_from("<III", core, start)
        name = core[start + 12 : start + 12 + name_size].rstrip(b"\0").decode()
        start += 12 + (name_size + 3) // 4 * 4
        notes[name] = bytes(core[start : start + data_size])
        start += (data_size + 3) // 4 * 4
    return notes


def build_id(vmlinux: Path) -> str:
    shown = subprocess.run(
        ["readelf", "-n", vmlinux], capture_output=True, text=True, check=True
    ).stdout
    found = re.search(r"Build ID: ([0-9a-f]{40})", shown)
    assert found is not None
    return found[1]


def test_the_elf_dump_is_of_the_kernel_that_ran(idle: lab.Target) -> None:
    with idle.dumps["elf"].open("rb") as file:
        core = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    notes = elf_notes(core)
    vmcoreinfo = dict(
        line.split("=", 1) for line in notes["VMCOREINFO"].decode().rstrip("\0\n").splitlines()
    )
    assert vmcoreinfo["OSRELEASE"] == idle.kernel == idle.truth["before"]["uname"]["release"]
    assert vmcoreinfo["BUILD-ID"] == build_id(idle.vmlinux)
    text = int(vmcoreinfo["SYMBOL(_stext)"], 16)
    assert text == idle.truth["before"]["symbols"]["_stext"]
    assert core.find(idle.truth["before"]["boot_id"].encode()) > 0
    core.close()


def test_the_compressed_dump_is_a_flattened_kdump(idle: lab.Target) -> None:
    with idle.dumps["kdump-zlib"].open("rb") as file:
        start = file.read(8192)
    assert start.startswith(b"makedumpfile\0")
    assert start[4096 + 16 : 4096 + 24] == b"KDUMP   "


def test_the_truth_says_what_the_scenario_did(idle: lab.Target) -> None:
    before, facts = idle.truth["before"], idle.truth["facts"]
    tasks = {task["pid"]: task for task in before["tasks"]}
    processes = {process["pid"]: process for process in before["processes"]}
    sleeper = processes[facts["sleeper"]]
    assert sleeper["cmdline"] == ["sleeper", "100000"]
    assert sleeper["cwd"] == "/mnt/btrfs/directory"
    assert {sleeper["files"][number] for number in "34567"} == {
        "/mnt/tmpfs/file",
        "/mnt/btrfs/file",
        "/mnt/tmpfs/fifo",
        "/etc/passwd",
        "/dev/zero",
    }
    assert tasks[facts["stopped"]]["state"] == "T"
    assert tasks[facts["zombie"]]["state"] == "Z"
    assert tasks[facts["zombie"]]["ppid"] == facts["zombie_parent"]
    assert tasks[facts["nice"]]["nice"] == 7
    assert tasks[facts["bound"]]["allowed_cpus"] == "1"
    assert processes[facts["bound"]]["cgroup"] == "/lab"
    assert sum(task["tgid"] == facts["threads"] for task in before["tasks"]) == 4
    assert tasks[2]["comm"] == "kthreadd"
    assert [tasks[1]["kernel_thread"], tasks[2]["kernel_thread"]] == [False, True]
    assert {"loop", "btrfs"} <= {module["name"] for module in before["modules"]}
    assert ("/mnt/tmpfs", "tmpfs") in {
        (mount["directory"], mount["type"]) for mount in before["mounts"]
    }
    assert any("lab: idle scenario is established" in record for record in before["kernel_log"])


def test_most_tasks_do_not_run_around_the_dump(idle: lab.Target) -> None:
    stable = {task["pid"] for task in idle.stable_tasks}
    assert idle.truth["before"]["observer_pid"] not in stable
    names = ("sleeper", "stopped", "zombie", "zombie_parent", "threads", "nice", "bound")
    assert {idle.truth["facts"][name] for name in names} <= stable
    assert len(stable) > len(idle.truth["before"]["tasks"]) // 2


def test_the_debug_files_are_those_of_the_loaded_modules(idle: lab.Target) -> None:
    assert sorted(idle.modules) == ["btrfs", "loop"]
    for path in idle.modules.values():
        sections = subprocess.run(
            ["readelf", "-SW", path], capture_output=True, text=True, check=True
        ).stdout
        assert " .debug_info " in sections


def test_a_target_is_made_only_once(idle: lab.Target) -> None:
    made = idle.dumps["elf"].stat().st_ino
    assert lab.target("idle").dumps["elf"].stat().st_ino == made


def test_dumps_take_no_space_for_what_is_zero(idle: lab.Target) -> None:
    status = idle.dumps["elf"].stat()
    assert status.st_size > 512 << 20
    assert status.st_blocks * 512 < 256 << 20


def test_a_script_runs_in_a_guest_with_this_machines_files() -> None:
    done = lab.run_in_guest(
        f"uname -r; cat {Path(__file__)} | sha256sum\n"
        '"$LAB_PYTHON" -c "import sys; print(sys.version)"\n'
        f"echo changed >{Path(__file__)}\n"
        "exit 3\n"
    )
    content = Path(__file__).read_bytes()
    here = subprocess.run(["sha256sum"], input=content, capture_output=True, check=True).stdout
    assert done.output == f"{lab.target('idle').kernel}\n{here.decode()}{sys.version}\n"
    assert done.status == 3
    assert content.startswith(b'"""Guests')


def run(script: str, header: str = "") -> runs.Run:
    text = f'#: sentence = "A test."\n{header}\n. "$LAB/lib.sh"\n{script}\n'
    return runs.run(kernels.get(lab.DEFAULT_KERNEL), scenario.parse("test", text))


def failure(script: str, header: str = "") -> tuple[str, Path]:
    """The message of a run that fails, and the directory of its logs."""
    with pytest.raises(LabError) as caught:
        run(script, header)
    message = str(caught.value)
    console = re.search(r"the end of (/\S+)/console\.log:", message)
    assert console is not None, message
    return message, Path(console[1])


def test_a_scenario_that_fails_shows_what_it_printed() -> None:
    message, logs = failure('fail "there is no such thing"')
    assert message.startswith("scenario test failed in the guest\n")
    assert "there is no such thing" in message
    assert "Linux version" in (logs / "console.log").read_text()


def test_a_guest_that_panics_shows_its_console() -> None:
    message, logs = failure("echo c >/proc/sysrq-trigger")
    assert message.startswith("the guest of scenario test ended before its script\n")
    assert "sysrq triggered crash" in (logs / "console.log").read_text()


def test_a_guest_that_hangs_is_ended_when_its_time_is_over() -> None:
    message, _ = failure("sleep 1000", "#: timeout_s = 25")
    assert message.startswith("the guest was not done after 25 s\n")


def test_a_message_that_nobody_understands_ends_the_run() -> None:
    message, _ = failure("lab_say gibberish")
    assert message.startswith("scenario test says 'gibberish': nothing known\n")


def test_the_command_line_prints_the_files_and_reports_errors(idle: lab.Target) -> None:
    def command(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "lab", *arguments],
            capture_output=True,
            text=True,
            check=False,
            cwd=Path(lab.__file__).parents[1],
            env={**os.environ},
        )

    shown = command("target", "idle")
    assert shown.returncode == 0
    assert f"  vmlinux  {idle.vmlinux}\n" in shown.stdout
    assert f"  dump     {idle.dumps['elf']}  (elf, 512 MiB)\n" in shown.stdout
    wrong = command("target", "nothing")
    assert wrong.returncode == 1
    assert wrong.stdout == ""
    assert wrong.stderr.startswith("lab: no scenario 'nothing'; there are ")
    assert wrong.stderr.count("\n") == 1
