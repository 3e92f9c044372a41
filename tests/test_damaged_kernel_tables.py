"""A dump whose own symbols or types are damaged: what is wrong is said, and what is left is used."""

import random
from collections.abc import Callable

import pytest

import kdive
import lab

pytestmark = pytest.mark.lab

CUTS = 200
CORRUPTIONS = 40
ERRORS = (LookupError, ValueError, TypeError, kdive.FaultError, kdive.BadDataError)

Damage = Callable[[bytes], bytes]


@pytest.fixture(scope="module")
def sound() -> kdive.Program:
    prog = kdive.Program()
    prog.set_core_dump(lab.target("idle").dumps["elf"])
    with pytest.raises(kdive.MissingDebugInfoError):
        prog.load_debug_info(main=True)
    return prog


def places(prog: kdive.Program) -> dict[str, int]:
    """What VMCOREINFO says of the table of symbols."""
    lines = prog["VMCOREINFO"].string_().decode().splitlines()
    return {
        line.partition("(")[2].partition(")")[0]: int(line.partition("=")[2], 16)
        for line in lines
        if line.startswith("SYMBOL(kallsyms_")
    }


def damaged(address: int, contents: bytes, readable: int | None = None) -> kdive.Program:
    """The same dump with other contents at an address, of which only so many bytes can be read."""
    prog = kdive.Program()
    prog.set_core_dump(lab.target("idle").dumps["elf"])

    def read(at: int, count: int, offset: int, _physical: bool) -> bytes:
        if readable is not None and offset + count > readable:
            raise kdive.FaultError("cut off", at)
        return contents[offset : offset + count]

    prog.add_memory_segment(address, len(contents), read)
    with pytest.raises(kdive.MissingDebugInfoError):
        prog.load_debug_info(main=True)
    return prog


def visit(prog: kdive.Program) -> None:
    """Ask for things that the tables tell; whatever is wrong must be an error of kdive's."""
    questions: list[Callable[[], object]] = [
        lambda: str(prog.type("struct task_struct")),
        lambda: str(prog.type("enum pid_type")),
        lambda: prog["init_task"].comm,
        lambda: prog["runqueues"],
        lambda: prog.symbol("schedule"),
        lambda: prog.stack_trace(prog["init_task"]),
    ]
    for ask in questions:
        try:
            ask()
        except ERRORS:
            continue


def test_cut_types(sound: kdive.Program, caplog: pytest.LogCaptureFixture) -> None:
    start = sound.symbol("__start_BTF").address
    whole = sound.read(start, sound.symbol("__stop_BTF").address - start)
    expected = sound.symbol("schedule").address
    for index in range(CUTS):
        caplog.clear()
        cut = len(whole) * index // CUTS
        if index % 2:
            prog = damaged(start, whole, readable=cut)
        else:
            prog = damaged(start, whole[:cut] + bytes(len(whole) - cut))
        # What is left are the symbols.
        assert prog.symbol("schedule").address == expected
        is_refused = "the kernel's own types can't be used" in caplog.text
        if index % 2:
            assert is_refused
            assert "cut off" in caplog.text
        # Cut within the names only, the types before are good.
        if is_refused:
            with pytest.raises(LookupError):
                prog.type("struct task_struct")
        else:
            assert cut > len(whole) / 2
        visit(prog)


@pytest.mark.parametrize(
    "part", ["kallsyms_names", "kallsyms_token_table", "kallsyms_token_index", "kallsyms_offsets"]
)
def test_cut_symbols(sound: kdive.Program, caplog: pytest.LogCaptureFixture, part: str) -> None:
    found = places(sound)
    start = found[part]
    end = min((other for other in found.values() if other > start), default=start + 512)
    whole = sound.read(start, end - start)
    init_task = sound.symbol("init_task").address
    for index in range(CUTS // 4):
        caplog.clear()
        cut = len(whole) * index // (CUTS // 4)
        prog = damaged(start, whole[:cut] + b"\xff" * (len(whole) - cut))
        try:
            address = prog.symbol("init_task").address
        except LookupError:
            # Said either in the log or by the symbol's absence from what could be read.
            assert caplog.records or prog.symbols()
        else:
            assert address == init_task or part != "kallsyms_names"
        visit(prog)


def test_impossible_number_of_symbols(
    sound: kdive.Program, caplog: pytest.LogCaptureFixture
) -> None:
    prog = damaged(places(sound)["kallsyms_num_syms"], b"\xff\xff\xff\x7f")
    assert "kallsyms_num_syms is 2147483647, which can't be right" in caplog.text
    assert "give its vmlinux" in caplog.text
    # VMCOREINFO and the exported symbols are left, and the types are found by their header.
    assert prog.symbol("init_task").address == sound.symbol("init_task").address
    assert prog.type("struct task_struct").size == sound.type("struct task_struct").size
    assert prog["init_task"].comm.string_() == b"swapper/0"


def test_random_damage(sound: kdive.Program) -> None:
    chance = random.Random(7)
    start = sound.symbol("__start_BTF").address
    whole = sound.read(start, sound.symbol("__stop_BTF").address - start)
    names = places(sound)["kallsyms_names"]
    text = sound.read(names, 1 << 20)
    for _ in range(CORRUPTIONS):
        for address, contents in ((start, whole), (names, text)):
            changed = bytearray(contents)
            for _ in range(chance.choice((1, 16, 256))):
                changed[chance.randrange(len(changed))] = chance.randrange(256)
            visit(damaged(address, bytes(changed)))


def test_dwarf_is_used_where_the_own_tables_are_damaged(sound: kdive.Program) -> None:
    start = sound.symbol("__start_BTF").address
    size = sound.symbol("__stop_BTF").address - start
    prog = damaged(start, b"\xff" * size)
    prog.load_debug_info([lab.target("idle").vmlinux])
    assert prog.type("struct task_struct").size == sound.type("struct task_struct").size
