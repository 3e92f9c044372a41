"""What a diagnosis needs of a target, and whether that is there."""

import contextlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from kdive import Architecture, FaultError, Object, Program, ProgramFlags, Type, TypeKind
from kdive.helpers import ValidationError
from kdive.helpers.linux.module import find_module

_TYPE = re.compile(r"((struct|union|enum) )?[A-Za-z_]\w*")
_MEMBER = re.compile(r"((struct|union) )?[A-Za-z_]\w*(\.[A-Za-z_]\w*)+")
_IDENTIFIER = re.compile(r"[A-Za-z_]\w*")
_NAMES_SHOWN = 2
_TARGETS = ("any", "live", "dump")


@dataclass(frozen=True)
class Needs:
    """What must be there for a diagnosis to run; it is skipped, with the reason, where something is not.

    Raises:
        TypeError: It is malformed, so it would never be met.
    """

    kernel: bool = True
    """Whether the target must be a Linux kernel."""
    modules: tuple[str, ...] = ()
    """Kernel modules, loaded or built in."""
    variables: Mapping[str, str] = field(default_factory=dict)
    """Variables and their types. Where debug information knows the address of a variable only, this is its type."""
    symbols: tuple[str, ...] = ()
    """Functions and other symbols."""
    types: tuple[str, ...] = ()
    """Types; of those with ``|`` between them one is enough, for kernels that have the one or the other."""
    members: tuple[str, ...] = ()
    """Members of types, such as ``"struct task_struct.pid"``."""
    optional_types: tuple[str, ...] = ()
    """Types that it can do without. They are looked up before it runs, as all the others are: to find a type for the
    first time may take seconds, in which a running kernel frees what a pointer to it led to."""
    architectures: tuple[Architecture, ...] = ()
    """Architectures that it knows; any if empty."""
    target: str = "any"
    """``live``, ``dump`` or ``any``."""

    def __post_init__(self) -> None:
        types = [name for names in self.types for name in names.split("|")]
        for pattern, what, names in (
            (_IDENTIFIER, "kernel module", self.modules),
            (_IDENTIFIER, "variable", self.variables),
            (_IDENTIFIER, "symbol", self.symbols),
            (_TYPE, "type", (*types, *self.optional_types)),
            (_MEMBER, "member", self.members),
        ):
            for name in names:
                if not pattern.fullmatch(name):
                    raise TypeError(f"{name!r} names no {what}")
        if self.target not in _TARGETS:
            raise TypeError(f"the target {self.target!r} is none of {', '.join(_TARGETS)}")

    def missing(self, prog: Program) -> str | None:
        """Say what is missing in a program, in a sentence; None if all is there."""
        if self.kernel and not prog.flags & ProgramFlags.IS_LINUX_KERNEL:
            return "the target is not a Linux kernel"
        return self._wrong_target(prog) or self._missing_module(prog) or self._missing_name(prog)

    def look_up(self, prog: Program) -> None:
        """Find the types that it can do without, where they are."""
        for name in self.optional_types:
            has_type(prog, name)

    def _wrong_target(self, prog: Program) -> str | None:
        is_live = bool(prog.flags & ProgramFlags.IS_LIVE)
        if self.target != "any" and is_live != (self.target == "live"):
            return f"it needs a {'running kernel' if self.target == 'live' else 'dump'}"
        if self.architectures and (
            prog.platform is None or prog.platform.arch not in self.architectures
        ):
            names = " or ".join(architecture.name.lower() for architecture in self.architectures)
            return f"it is about {names} only"
        return None

    def _missing_module(self, prog: Program) -> str | None:
        """Look for the modules; one that is not loaded may be built in, and then its variables are known."""
        for name in self.modules:
            try:
                loaded = bool(find_module(prog, name))
            except (FaultError, LookupError, ValidationError) as error:
                return f"the list of kernel modules can't be read: {error}"
            if not loaded and self._missing_name(prog) is not None:
                return f"the kernel module {name} is not loaded"
        return None

    def _missing_name(self, prog: Program) -> str | None:
        lacking = (
            [
                f"the variable {name}"
                for name, type in self.variables.items()
                if not _has_variable(prog, name, type)
            ]
            + [f"the symbol {name}" for name in self.symbols if not _has_symbol(prog, name)]
            + [
                f"the type {' or '.join(names)}"
                for names in (alternatives.split("|") for alternatives in self.types)
                if not any(has_type(prog, name) for name in names)
            ]
            + [f"the member {name}" for name in self.members if not has_member(prog, name)]
        )
        if not lacking:
            return None
        named = ", ".join(lacking[:_NAMES_SHOWN])
        if len(lacking) > _NAMES_SHOWN:
            named += f" and {len(lacking) - _NAMES_SHOWN} more"
        owner = f" of {' and '.join(self.modules)}" if self.modules else ""
        return f"the debugging symbols{owner} lack {named}; give the file that has them with -s"


def variable(prog: Program, name: str, type: str) -> Object:
    """Get a variable, also where debug information knows its address but not its type, as BTF does.

    Args:
        prog: The program.
        name: Its name.
        type: Its type, used if it is not known otherwise.

    Raises:
        LookupError: Not even its address is known.
    """
    with contextlib.suppress(KeyError):
        known = prog[name]
        # BTF tells the types of per-CPU variables, but not where they are.
        if not known.absent_:
            return known
    return Object(prog, type, address=prog.symbol(name).address)


def has_type(prog: Program, name: str) -> bool:
    """Return whether a type is known and complete."""
    try:
        return prog.type(name).is_complete()
    except LookupError:
        return False


def has_member(prog: Program, name: str) -> bool:
    """Return whether a member, such as ``"struct list_head.next"``, is known."""
    type_name, *path = name.split(".")
    try:
        type: Type = prog.type(type_name)
        for member in path:
            type = type.unaliased()
            while type.kind in (TypeKind.ARRAY, TypeKind.POINTER):
                type = type.type.unaliased()
            type = type.member(member).type
    except (LookupError, TypeError):
        return False
    return True


def _has_symbol(prog: Program, name: str) -> bool:
    try:
        prog.symbol(name)
    except LookupError:
        return False
    return True


def _has_variable(prog: Program, name: str, type: str) -> bool:
    try:
        variable(prog, name, type)
    except (LookupError, SyntaxError):
        return False
    return True
