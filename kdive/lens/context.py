"""What a diagnosis gets to work with."""

from collections.abc import Callable, Iterable, Iterator
from types import TracebackType
from typing import Any, Generic, TypeVar

from kdive import FaultError, Object, ObjectAbsentError, OutOfBoundsError, Program, ProgramFlags
from kdive.helpers import ValidationError
from kdive.lens.diagnosis import Damage, OptionsT
from kdive.lens.needs import Needs, variable

T = TypeVar("T")

DAMAGES = (
    FaultError,
    ValidationError,
    LookupError,
    ObjectAbsentError,
    OutOfBoundsError,
    OverflowError,
    ValueError,
)
"""What reading a corrupted structure can raise. Anything else is a mistake in the diagnosis."""


class Context(Generic[OptionsT]):
    """The program, the options, and ways to go on when something in the program is damaged.

    Attributes:
        prog: The program.
        options: What the command line or the caller asks for.
    """

    def __init__(self, prog: Program, options: OptionsT, needs: Needs) -> None:
        self.prog = prog
        self.options = options
        self._needs = needs
        self._damages: list[Damage] = []
        self._is_live = bool(prog.flags & ProgramFlags.IS_LIVE)
        self.damaged = 0
        """How much damage was noted."""
        self.changed = 0
        """How many things a running kernel changed while they were read."""

    def variable(self, name: str) -> Object:
        """Get a variable that the diagnosis has declared among its needs."""
        return variable(self.prog, name, self._needs.variables[name])

    def tolerate(self, where: str) -> "_Tolerance":
        """Note it as damage when what is read in a block can't be, and go on after the block.

        >>> with context.tolerate(f"task {hex(task)}"):
        ...     yield Task(task.pid.value_())

        Args:
            where: What is read, with its address.
        """
        return _Tolerance(where, self)

    def walk(self, elements: Iterable[T], where: str) -> Iterator[T]:
        """Iterate until the end or until the walk can't go on, which is noted as damage.

        Args:
            elements: A walk over a structure of the kernel.
            where: What is walked over, with its address.
        """
        with self.tolerate(where):
            yield from elements

    def walk_all(self, parts: Iterable[Iterable[T]], where: str) -> Iterator[T]:
        """Iterate over the elements of several walks, such as one for each bucket of a hash table.

        A part that can't be walked to its end is noted as damage, and the walk goes on with the next.

        Args:
            parts: The walks.
            where: What is walked over, with its address.
        """
        for part in self.walk(parts, where):
            yield from self.walk(part, where)

    def read(self, what: Callable[[], T], where: str, is_unchanged: Callable[[], bool]) -> T | None:
        """Read something that a running kernel may free and use for something else while it is read.

        >>> path = context.read(lambda: inode_path(inode), f"inode {hex(inode)}", lambda: page.mapping == mapping)

        Args:
            what: Reads it.
            where: What is read, with its address.
            is_unchanged: Looks again at what led there, afterwards.

        Returns:
            What was read; None if it can't be, which is noted as damage, or if the kernel changed it meanwhile, which
            is counted.
        """
        with self.tolerate(where):
            try:
                value = what()
            except DAMAGES:
                if not self._was_changed(is_unchanged):
                    raise
            else:
                if not self._was_changed(is_unchanged):
                    return value
            self.changed += 1
        return None

    def _was_changed(self, is_unchanged: Callable[[], bool]) -> bool:
        if not self._is_live:
            return False
        try:
            return not is_unchanged()
        except DAMAGES:
            return True

    def note(self, damage: Damage) -> None:
        """Note damage."""
        self._damages.append(damage)
        self.damaged += 1

    def take_damages(self) -> list[Damage]:
        """Return the damage that was noted since the last call."""
        damages = self._damages.copy()
        self._damages.clear()
        return damages


class _Tolerance:
    """Catches the exceptions of `DAMAGES` and notes them."""

    def __init__(self, where: str, context: Context[Any]) -> None:
        self._where = where
        self._context = context

    def __enter__(self) -> None:
        pass

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        _trace: TracebackType | None,
    ) -> bool:
        if kind is None or not issubclass(kind, DAMAGES):
            return False
        self._context.note(Damage(self._where, str(error)))
        return True
