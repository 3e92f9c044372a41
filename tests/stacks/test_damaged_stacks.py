"""Stacks whose memory is damaged: unwinding them ends, and says why."""

import contextlib
import random
from collections.abc import Callable, Iterator

import pytest

import lab
from kdive import FaultError, Object, ObjectAbsentError, Program, StackTrace

pytestmark = pytest.mark.lab

MAX_FRAMES = 1024
WORD = 8

# What becomes of a stack: its bytes, how many of them are unused, and where it is.
Damage = Callable[[bytes, int, int], bytes]


def repeated(stack: bytes, used: int) -> bytes:
    """The innermost part again and again, each time with the addresses of the first."""
    part = stack[used : used + 96]
    return stack[:used] + (part * (len(stack) // len(part) + 1))[: len(stack) - used]


def of_its_own_addresses(start: int, size: int) -> bytes:
    return b"".join(
        address.to_bytes(WORD, "little") for address in range(start, start + size, WORD)
    )


def random_words(seed: int) -> Damage:
    """Some words of the used part are others of the same stack."""

    def damage(stack: bytes, used: int, _: int) -> bytes:
        generator = random.Random(seed)
        changed = bytearray(stack)
        for _number in range(200):
            source, target = (generator.randrange(used, len(stack), WORD) for _ in range(2))
            changed[target : target + WORD] = stack[source : source + WORD]
        return bytes(changed)

    return damage


DAMAGES: dict[str, Damage] = {
    "zeros": lambda stack, used, _: stack[:used] + bytes(len(stack) - used),
    "ones": lambda stack, used, _: stack[:used] + b"\xff" * (len(stack) - used),
    "noise": lambda stack, used, _: stack[:used] + random.Random(1).randbytes(len(stack) - used),
    "its own addresses": lambda stack, _, start: of_its_own_addresses(start, len(stack)),
    # What a copy that ran over its end leaves behind.
    "moved by a word": lambda stack, _, __: stack[WORD:] + stack[:WORD],
    "moved by many": lambda stack, _, __: stack[200:] + stack[:200],
    "repeated": lambda stack, used, _: repeated(stack, used),
    **{f"exchanged {seed}": random_words(seed) for seed in range(6)},
}


@contextlib.contextmanager
def damaged(prog: Program, task: Object, damage: Damage) -> Iterator[None]:
    """Damage the stack of a task above what its switch saved, for a while."""
    start, size = task.stack.value_(), prog["THREAD_SIZE"].value_()
    whole = prog.read(start, size)
    # The registers that the switch to another task saved stay, so that unwinding begins.
    used = task.thread.sp.value_() - start + 7 * WORD
    changed = whole[:used] + damage(whole, used, start)[used:]
    assert len(changed) == size

    def provide(content: bytes) -> None:
        prog.add_memory_segment(
            start, size, lambda _, count, offset, __: content[offset : offset + count]
        )

    provide(changed)
    try:
        yield
    finally:
        provide(whole)


def pcs(trace: StackTrace) -> list[int]:
    return [frame.pc for frame in trace]


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_stacks_end(idle: lab.Target, damage: str) -> None:
    prog = Program()
    prog.set_core_dump(idle.dumps["elf"])
    prog.load_debug_info([idle.vmlinux])
    tasks = [thread.object for thread in prog.threads()]
    tasks = [task for task in tasks if not task.on_cpu and task.stack][:40]
    different = 0
    for task in tasks:
        expected = prog.stack_trace(task)
        with damaged(prog, task, DAMAGES[damage]):
            trace = prog.stack_trace(task)
            assert 1 <= len(trace) <= MAX_FRAMES
            assert trace.end_reason
            # The innermost frame is found by what is intact.
            assert trace[0].pc == expected[0].pc
            assert str(trace).startswith(str(expected).split("\n", 1)[0])
            for frame in trace:
                for name in frame.locals():
                    with contextlib.suppress(FaultError, ObjectAbsentError):
                        frame[name].read_()
        different += pcs(trace) != pcs(expected)
        assert pcs(prog.stack_trace(task)) == pcs(expected)
    assert different > len(tasks) // 4
