"""All forms of one dump read the same, and as drgn reads those that it opens."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import kdive
import lab

pytestmark = [pytest.mark.lab, pytest.mark.scenario]

PROBE = Path(__file__).with_name("probe.py")
# Made by tools/setup.sh: drgn is never installed beside kdive.
DRGN_PYTHON = Path(__file__).parents[2] / ".venv-drgn/bin/python"

WHOLE = ("vmcore", "kdump-d0-zlib", "raw", "lime")
WITHOUT_ZEROS = ("kdump-d1-lzo",)
FILTERED = (
    "elf-d31",
    "kdump-d31-lzo",
    "kdump-d31-plain",
    "kdump-d31-snappy",
    "kdump-d31-zlib",
    "kdump-d31-zlib-flattened",
    "kdump-d31-zlib-split",
    "kdump-d31-zstd",
)
NOT_OF_DRGN = ("kdump-d31-zlib-split", "lime", "raw")

Answer = dict[str, dict[str, str]]
Ask = Callable[[str, str], Answer]


@pytest.fixture(scope="module")
def panic() -> lab.Target:
    return lab.target("panic")


@pytest.fixture(scope="module")
def ask(panic: lab.Target) -> Ask:
    """Return what a tool reads of a form."""
    answers: dict[tuple[str, str], Answer] = {}

    def answer(tool: str, form: str) -> Answer:
        if (tool, form) not in answers:
            answers[tool, form] = read(tool, panic.vmlinux, files_of(panic, form))
        return answers[tool, form]

    return answer


def read(tool: str, vmlinux: Path, files: list[Path]) -> Answer:
    """Return what a tool reads of a dump."""
    python = sys.executable if tool == "kdive" else DRGN_PYTHON
    command = [python, PROBE, tool, vmlinux, *files]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    answer: Answer = json.loads(done.stdout)
    return answer


def files_of(panic: lab.Target, form: str) -> list[Path]:
    """The file of a form, or all files of the split one."""
    return [
        path for name, path in panic.dumps.items() if name == form or name.startswith(f"{form}.")
    ]


def differences(one: Answer, other: Answer) -> Iterator[tuple[str, str, str]]:
    """What both say, and differently."""
    for kind, answers in one.items():
        for name, value in answers.items():
            second = other[kind][name]
            if value != second and "fault" not in (value, second):
                yield name, value, second


def readable(answer: Answer, kind: str) -> int:
    return sum(value != "fault" for value in answer[kind].values())


def test_whole_dumps_have_everything(ask: Ask) -> None:
    answer = ask("kdive", "vmcore")
    assert len(answer["expressions"]) > 200
    assert readable(answer, "expressions") == len(answer["expressions"])
    assert readable(answer, "blocks") > 200


@pytest.mark.parametrize("form", WHOLE[1:])
def test_whole_forms_are_equal(ask: Ask, form: str) -> None:
    assert ask("kdive", form) == ask("kdive", "vmcore")


@pytest.mark.parametrize("form", [*WITHOUT_ZEROS, *FILTERED])
def test_filtered_forms_have_nothing_else(ask: Ask, form: str) -> None:
    answer = ask("kdive", form)
    assert list(differences(answer, ask("kdive", "vmcore"))) == []
    assert answer.keys() == ask("kdive", "vmcore").keys()
    assert readable(answer, "expressions") > 200
    assert readable(answer, "blocks") > 50


@pytest.mark.parametrize("form", FILTERED[1:])
def test_filtered_forms_lack_the_same(ask: Ask, form: str) -> None:
    assert ask("kdive", form) == ask("kdive", FILTERED[1])


@pytest.mark.parametrize(
    "form", [form for form in (*WHOLE, *WITHOUT_ZEROS, *FILTERED) if form not in NOT_OF_DRGN]
)
def test_drgn_reads_the_same(ask: Ask, form: str) -> None:
    own, peer = ask("kdive", form), ask("drgn", form)
    assert own["expressions"].keys() == peer["expressions"].keys()
    assert list(differences(own, peer)) == []
    assert readable(own, "expressions") <= readable(peer, "expressions")


@pytest.mark.parametrize("form", [*WHOLE, *WITHOUT_ZEROS, *FILTERED])
def test_user_addresses_fault(panic: lab.Target, form: str) -> None:
    prog = kdive.Program()
    prog.set_core_dump(files_of(panic, form))
    for address in (0, 8, 0x1000, 0x40_0000, 0x7FFF_FFFF_F000):
        with pytest.raises(kdive.FaultError) as raised:
            prog.read(address, 8)
        assert raised.value.address == address


@pytest.mark.parametrize(
    ("name", "kernel"),
    [
        ("idle", "5.10-amd64"),
        ("idle", "6.1-amd64"),
        ("idle", "6.1-arm64"),
        ("idle", "6.12-amd64"),
        # Five levels of page tables.
        ("busy", "6.1-amd64"),
    ],
)
def test_forms_that_qemu_writes(name: str, kernel: str) -> None:
    target = lab.target(name, kernel)
    elf, kdump = (
        read("kdive", target.vmlinux, [target.dumps[form]]) for form in ("elf", "kdump-zlib")
    )
    assert len(elf["expressions"]) > 200
    assert readable(elf, "expressions") == len(elf["expressions"])
    assert readable(elf, "blocks") > 200
    assert kdump == elf
    # drgn does not open the compressed form without being told its architecture.
    peer = read("drgn", target.vmlinux, [target.dumps["elf"]])
    assert elf["expressions"].keys() == peer["expressions"].keys()
    assert list(differences(elf, peer)) == []
