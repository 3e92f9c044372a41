"""Runs many diagnoses at once, each in a forked process with a limit of time and of memory.

A process, and not a thread, because a diagnosis of a corrupted dump may do anything: loop in Python or in native code,
use up memory, crash. What it had yielded by then is kept, and the others go on. A forked process shares the opened
target and its debug information with this one, so it costs milliseconds.
"""

import os
import pickle
import resource
import selectors
import signal
import struct
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Never

from kdive import Program, ProgramFlags, set_default_prog
from kdive.lens.diagnosis import Diagnosis, Options, Progress
from kdive.lens.result import Result, Status
from kdive.lens.worker import End, answer

_HEADER = struct.Struct("=I")
_PIPE_READ_BYTES = 1 << 20
# A diagnosis that is told to stop may say its last words for this long.
_GRACE_S = 1.0
_MIB = 1 << 20


@dataclass(frozen=True)
class Limits:
    """What a diagnosis may use."""

    seconds: float = 60.0
    memory_mib: int = 2048
    """Memory beyond what the target itself takes; also what its rows may take on their way."""


@dataclass(frozen=True)
class Task:
    """A diagnosis to be run, and its options."""

    diagnosis: Diagnosis[Any]
    options: Options


@dataclass
class State:
    """How far a run is."""

    total: int
    done: int = 0
    running: dict[str, Progress | None] = field(default_factory=dict)
    """The diagnoses that run, and how far those that say so are."""


def run(
    prog: Program,
    tasks: Sequence[Task],
    limits: Limits | None = None,
    *,
    at_once: int | None = None,
    watch: Callable[[State], None] | None = None,
) -> list[Result]:
    """Run diagnoses and return their results, in the order of the tasks.

    Args:
        prog: The program; its debug information must have been loaded.
        tasks: What to run.
        limits: What each may use.
        at_once: How many run at the same time; by default one for each CPU.
        watch: Is called when something ended or got further.
    """
    # Processes can't share a connection, for they would read each other's answers: one has it at a time.
    at_once = 1 if _is_remote(prog) else at_once or os.cpu_count() or 1
    return _Run(prog, tasks, limits or Limits(), at_once, watch).all()


def _is_remote(prog: Program) -> bool:
    """Return whether the target is behind a connection, as a guest of QEMU is."""
    return bool(prog.flags & ProgramFlags.IS_LIVE) and not prog.flags & ProgramFlags.IS_LOCAL


class _Run:
    def __init__(
        self,
        prog: Program,
        tasks: Sequence[Task],
        limits: Limits,
        at_once: int,
        watch: Callable[[State], None] | None,
    ) -> None:
        self._prog = prog
        self._limits = limits
        self._at_once = at_once
        self._watch = watch
        self._results = [Result.of(task.diagnosis) for task in tasks]
        self._waiting = list(zip(tasks, self._results, strict=True))
        self._state = State(len(tasks))
        self._selector = selectors.DefaultSelector()
        self._workers: list[_Worker] = []
        # The diagnosis that was ended while it may have waited for an answer of the target, which is still to come.
        self._spoiled_by: str | None = None

    def all(self) -> list[Result]:
        try:
            while self._waiting or self._workers:
                while self._waiting and len(self._workers) < self._at_once:
                    self._start(*self._waiting.pop(0))
                self._wait()
        finally:
            for worker in self._workers:
                worker.kill()
            self._selector.close()
        return self._results

    def _start(self, task: Task, result: Result) -> None:
        if self._spoiled_by is not None:
            result.end(
                Status.FAILED,
                f"the target can't be asked any more since {self._spoiled_by} was ended",
            )
            self._state.done += 1
            self._tell()
            return
        worker = _Worker(self._prog, task, result, self._limits)
        self._workers.append(worker)
        self._selector.register(worker.pipe, selectors.EVENT_READ, worker)
        self._state.running[result.name] = None
        self._tell()

    def _wait(self) -> None:
        if not self._workers:
            return
        now = time.monotonic()
        next_deadline = min(worker.deadline for worker in self._workers)
        for key, _ in self._selector.select(max(0.0, next_deadline - now)):
            worker: _Worker = key.data
            if worker.receive():
                self._state.running[worker.result.name] = worker.progress
                self._tell()
            else:
                self._selector.unregister(worker.pipe)
                worker.bury()
                self._workers.remove(worker)
                if worker.was_killed and _is_remote(self._prog):
                    self._spoiled_by = worker.result.name
                self._state.done += 1
                del self._state.running[worker.result.name]
                self._tell()
        now = time.monotonic()
        for worker in self._workers:
            if now >= worker.deadline:
                worker.stop()

    def _tell(self) -> None:
        if self._watch is not None:
            self._watch(self._state)


class _Worker:
    """A process that runs a diagnosis, seen from the one that started it."""

    def __init__(self, prog: Program, task: Task, result: Result, limits: Limits) -> None:
        self.result = result
        self.progress: Progress | None = None
        self._limits = limits
        self._started = time.monotonic()
        self.deadline = self._started + limits.seconds
        self._is_stopping = False
        self.was_killed = False
        self._received = 0
        self._buffer = bytearray()
        self._end: End | None = None
        self.pipe, writing_end = os.pipe()
        with warnings.catch_warnings():
            # Python warns of forking beside native threads. These are rayon's, which hold no lock while they wait for
            # work, and kdive_target::parallel gives the new process threads of its own.
            warnings.simplefilter("ignore", DeprecationWarning)
            self._pid = os.fork()
        if self._pid == 0:
            os.close(self.pipe)
            _work(prog, task, limits, writing_end)
        os.close(writing_end)

    def receive(self) -> bool:
        """Take what the process has sent; return False when it has ended."""
        content = os.read(self.pipe, _PIPE_READ_BYTES)
        self._received += len(content)
        self._buffer += content
        start = 0
        while start + _HEADER.size <= len(self._buffer):
            (size,) = _HEADER.unpack_from(self._buffer, start)
            end = start + _HEADER.size + size
            if end > len(self._buffer):
                break
            self._take(pickle.loads(self._buffer[start + _HEADER.size : end]))
            start = end
        del self._buffer[:start]
        if self._received > self._limits.memory_mib * _MIB and not self._is_stopping:
            self._end = End(Status.FAILED, f"its rows take more than {self._limits.memory_mib} MiB")
            self.kill()
        return bool(content)

    def _take(self, item: Any) -> None:
        if isinstance(item, Progress):
            self.progress = item
        elif not isinstance(item, End):
            self.result.add(item)
        elif self._end is None:
            self._end = item

    def stop(self) -> None:
        """End the process: kindly at first, so that it can say its last words."""
        if self._is_stopping:
            self.kill()
            self.deadline = time.monotonic() + _GRACE_S
            return
        self._is_stopping = True
        self.deadline = time.monotonic() + _GRACE_S
        os.kill(self._pid, signal.SIGTERM)

    def kill(self) -> None:
        """End the process at once."""
        self.was_killed = True
        os.kill(self._pid, signal.SIGKILL)

    def bury(self) -> None:
        """Note how the process ended."""
        os.close(self.pipe)
        _, status = os.waitpid(self._pid, 0)
        self.result.seconds = time.monotonic() - self._started
        end = self._end
        if end is None and self._is_stopping:
            end = End(Status.TIMED_OUT, f"it was stopped after {self._limits.seconds:g} s")
        if end is None:
            end = End(Status.FAILED, _why_it_ended(status, self._limits))
        self.result.end(end.status, end.reason, end.details)


def _why_it_ended(status: int, limits: Limits) -> str:
    if not os.WIFSIGNALED(status):
        return (
            f"its process ended with status {os.waitstatus_to_exitcode(status)} and without a word"
        )
    number = os.WTERMSIG(status)
    why = f"its process was ended by {signal.Signals(number).name}"
    if number in (signal.SIGABRT, signal.SIGKILL):
        why += f"; it may have reached its limit of {limits.memory_mib} MiB of memory"
    return why


class _StoppedError(BaseException):
    """The process was told to stop."""


def _work(prog: Program, task: Task, limits: Limits, pipe: int) -> Never:
    """Run a diagnosis and send what it yields; this is all that a forked process does."""
    try:
        signal.signal(signal.SIGTERM, _on_stop)
        # Ctrl-C reaches all processes of a terminal; the one that started this one decides what is to be done.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        _limit_memory(limits.memory_mib * _MIB)
        set_default_prog(prog)
        for item in answer(prog, task.diagnosis, task.options):
            _send(pipe, item)
    except (BrokenPipeError, _StoppedError):
        pass
    finally:
        # Not sys.exit(): what this process inherited is not its own to flush or to clean up.
        os._exit(0)


def _on_stop(_number: int, _frame: object) -> Never:
    raise _StoppedError


def _send(pipe: int, item: object) -> None:
    content = pickle.dumps(item, pickle.HIGHEST_PROTOCOL)
    content = _HEADER.pack(len(content)) + content
    while content:
        content = content[os.write(pipe, content) :]


def _limit_memory(size: int) -> None:
    """Let this process allocate so many bytes more. Mapped files, such as dumps, do not count."""
    with open("/proc/self/status", encoding="ascii") as file:
        used_kib = next(int(line.split()[1]) for line in file if line.startswith("VmData:"))
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    wanted = used_kib * 1024 + size
    if hard != resource.RLIM_INFINITY:
        wanted = min(wanted, hard)
    resource.setrlimit(resource.RLIMIT_DATA, (wanted, hard))
