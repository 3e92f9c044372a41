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
    from typing import Any, SupportsIndex

    from kdive._aliases import IntegerLike, Path
    from kdive._records import SourceLocation, WantedSupplementaryFile

__all__ = (
    "NULL",
    "AbsenceReason",
    "Architecture",
    "BadDataError",
    "ExtraModule",
    "FaultError",
    "FindObjectFlags",
    "IntegerLike",
    "KmodSearchMethod",
    "Language",
    "MainModule",
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
    "set_default_prog",
    "sizeof",
    "source_location",
    "stack_trace",
)

_LOADED_ON_USE = {
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


def execscript(path: str, *args: str, globals: dict[str, Any] | None = None) -> None:
    """Run a script among the caller's global names.

    The script sees them, and what it defines stays. Code under `if __name__ == "__main__"` runs.

    Args:
        path: The script.
        *args: Its arguments, `sys.argv[1:]` while it runs.
        globals: The names to use instead of the caller's.
    """
    names = sys._getframe(1).f_globals if globals is None else globals
    with open(path, "rb") as file:
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
