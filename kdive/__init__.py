"""kdive: a programmable debugger for the Linux kernel and for programs.

This is the public API. Programs, types and objects come from the native module; what only combines them is written
here. Kernel knowledge lives in `kdive.helpers`, the command in `kdive.cli`.

    >>> prog = kdive.program_from_core_dump("vmcore")
    >>> prog["init_task"].comm
    (char [16])"swapper/0"

Names, signatures and results are those that drgn 0.3 documents. Importing kdive is cheap: what needs `typing` or other
large modules is loaded when it is first used.
"""

from __future__ import annotations

import os
import sys

from kdive._native import (
    NULL,
    AbsenceReason,
    Architecture,
    BadDataError,
    ExtraModule,
    FaultError,
    FindObjectFlags,
    KmodSearchMethod,
    Language,
    MainModule,
    MissingDebugInfoError,
    Module,
    ModuleFileStatus,
    NoDefaultProgramError,
    Object,
    ObjectAbsentError,
    ObjectNotFoundError,
    OutOfBoundsError,
    Platform,
    PlatformFlags,
    PrimitiveType,
    Program,
    ProgramFlags,
    Qualifiers,
    Register,
    RelocatableModule,
    SharedLibraryModule,
    SourceLocationList,
    StackFrame,
    StackTrace,
    SupplementaryFileKind,
    Symbol,
    SymbolBinding,
    SymbolIndex,
    SymbolKind,
    Thread,
    Type,
    TypeEnumerator,
    TypeKind,
    TypeKindSet,
    TypeMember,
    TypeParameter,
    TypeTemplateParameter,
    UnsupportedOperation,
    VdsoModule,
    __version__ as __version__,
    alignof,
    cast,
    container_of,
    filename_matches,
    get_default_prog,
    host_platform,
    implicit_convert,
    offsetof,
    program_from_core_dump,
    program_from_kernel,
    program_from_pid,
    reinterpret,
    set_default_prog,
    sizeof,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, SupportsIndex, overload

    from kdive._aliases import IntegerLike, Path
    from kdive._native import (
        DebugInfoOptions,
        MemorySearchIterator,
    )
    from kdive._records import SourceLocation, WantedSupplementaryFile

__all__ = (
    "NULL",
    "AbsenceReason",
    "Architecture",
    "BadDataError",
    "DebugInfoOptions",
    "ExtraModule",
    "FaultError",
    "FindObjectFlags",
    "IntegerLike",
    "KmodSearchMethod",
    "Language",
    "MainModule",
    "MemorySearchIterator",
    "MissingDebugInfoError",
    "Module",
    "ModuleFileStatus",
    "NoDefaultProgramError",
    "Object",
    "ObjectAbsentError",
    "ObjectNotFoundError",
    "OutOfBoundsError",
    "Path",
    "Platform",
    "PlatformFlags",
    "PrimitiveType",
    "Program",
    "ProgramFlags",
    "Qualifiers",
    "Register",
    "RelocatableModule",
    "SharedLibraryModule",
    "SourceLocation",
    "SourceLocationList",
    "StackFrame",
    "StackTrace",
    "SupplementaryFileKind",
    "Symbol",
    "SymbolBinding",
    "SymbolIndex",
    "SymbolKind",
    "Thread",
    "Type",
    "TypeEnumerator",
    "TypeKind",
    "TypeKindSet",
    "TypeMember",
    "TypeParameter",
    "TypeTemplateParameter",
    "UnsupportedOperation",
    "VdsoModule",
    "WantedSupplementaryFile",
    "alignof",
    "cast",
    "container_of",
    "execscript",
    "filename_matches",
    "get_default_prog",
    "host_platform",
    "implicit_convert",
    "offsetof",
    "program_from_core_dump",
    "program_from_kernel",
    "program_from_pid",
    "reinterpret",
    "search_memory",
    "search_memory_regex",
    "search_memory_u16",
    "search_memory_u32",
    "search_memory_u64",
    "search_memory_word",
    "set_default_prog",
    "sizeof",
    "source_location",
    "stack_trace",
)

_LOADED_ON_USE = {
    "DebugInfoOptions": "_native",
    "MemorySearchIterator": "_native",
    "IntegerLike": "_aliases",
    "Path": "_aliases",
    "SourceLocation": "_records",
    "WantedSupplementaryFile": "_records",
}

if not TYPE_CHECKING:

    def __getattr__(name: str) -> object:
        if name not in _LOADED_ON_USE:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from importlib import import_module

        value = getattr(import_module(f"{__name__}.{_LOADED_ON_USE[name]}"), name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_LOADED_ON_USE})


def stack_trace(thread: Object | SupportsIndex) -> StackTrace:
    """Return the stack trace of a thread.

    Args:
        thread: A thread ID of the default program; or an object of any program: an integer that is a thread ID, a
            `struct task_struct *` or a `struct pt_regs` of the kernel. See `Program.stack_trace`.

    Raises:
        NoDefaultProgramError: It is no object, and there is no default program.
    """
    prog = thread.prog_ if isinstance(thread, Object) else get_default_prog()
    return prog.stack_trace(thread)


def source_location(address: SupportsIndex | str, /) -> SourceLocationList:
    """Return where in the source code an address is.

    Args:
        address: An address, or a symbol with or without an offset (`"schedule+0x6"`); of the default program, unless
            it is an object.

    Raises:
        LookupError: The source code of the address is not known.
        NoDefaultProgramError: It is no object, and there is no default program.
    """
    prog = address.prog_ if isinstance(address, Object) else get_default_prog()
    return prog.source_location(address)


def search_memory(
    value: bytes | str | SupportsIndex | Object, *, alignment: SupportsIndex = 1
) -> MemorySearchIterator[int]:
    """Search the memory of the default program, or of the object's; see `Program.search_memory`."""
    prog = value.prog_ if isinstance(value, Object) else get_default_prog()
    return prog.search_memory(value, alignment=alignment)


def search_memory_u16(
    *values: SupportsIndex | tuple[SupportsIndex, SupportsIndex], ignore_mask: SupportsIndex = 0
) -> MemorySearchIterator[tuple[int, int]]:
    """Search the memory of the default program; see `Program.search_memory_u16`."""
    return get_default_prog().search_memory_u16(*values, ignore_mask=ignore_mask)


def search_memory_u32(
    *values: SupportsIndex | tuple[SupportsIndex, SupportsIndex], ignore_mask: SupportsIndex = 0
) -> MemorySearchIterator[tuple[int, int]]:
    """Search the memory of the default program; see `Program.search_memory_u32`."""
    return get_default_prog().search_memory_u32(*values, ignore_mask=ignore_mask)


def search_memory_u64(
    *values: SupportsIndex | tuple[SupportsIndex, SupportsIndex], ignore_mask: SupportsIndex = 0
) -> MemorySearchIterator[tuple[int, int]]:
    """Search the memory of the default program; see `Program.search_memory_u64`."""
    return get_default_prog().search_memory_u64(*values, ignore_mask=ignore_mask)


def search_memory_word(
    *values: SupportsIndex | tuple[SupportsIndex, SupportsIndex], ignore_mask: SupportsIndex = 0
) -> MemorySearchIterator[tuple[int, int]]:
    """Search the memory of the default program; see `Program.search_memory_word`."""
    return get_default_prog().search_memory_word(*values, ignore_mask=ignore_mask)


if TYPE_CHECKING:

    @overload
    def search_memory_regex(pattern: str) -> MemorySearchIterator[tuple[int, str]]: ...
    @overload
    def search_memory_regex(pattern: bytes) -> MemorySearchIterator[tuple[int, bytes]]: ...


def search_memory_regex(
    pattern: str | bytes,
) -> MemorySearchIterator[tuple[int, str]] | MemorySearchIterator[tuple[int, bytes]]:
    """Search the memory of the default program; see `Program.search_memory_regex`."""
    return get_default_prog().search_memory_regex(pattern)


def execscript(path: str, *args: str, globals: dict[str, Any] | None = None) -> None:
    """Run a script among the caller's global names.

    The script sees them, and what it defines stays. Code under `if __name__ == "__main__"` runs.

    Args:
        path: The script.
        *args: Its arguments, `sys.argv[1:]` while it runs.
        globals: The names to use instead of the caller's.
    """
    names = sys._getframe(1).f_globals if globals is None else globals
    with open(os.fspath(path), "rb") as file:
        code = compile(file.read(), path, "exec")
    before: dict[str, Any] = {
        name: names[name] for name in ("__name__", "__file__") if name in names
    }
    previous_arguments = sys.argv
    sys.argv = [path, *args]
    names.update(__name__="__main__", __file__=path)
    try:
        exec(code, names)
    finally:
        sys.argv = previous_arguments
        for name in ("__name__", "__file__"):
            names.pop(name, None)
        names.update(before)
