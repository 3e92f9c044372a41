"""Opens the program that the command line asks for, with its debugging symbols."""

import os

from kdive import (
    BadDataError,
    MainModule,
    MissingDebugInfoError,
    Module,
    ModuleFileStatus,
    Program,
    ProgramFlags,
)
from kdive.cli.errors import UserError
from kdive.cli.log import logger
from kdive.cli.options import Options
from kdive.cli.version import version_header

_NAMES_SHOWN = 5


def open_program(options: Options) -> Program:
    """Open the target and load its symbols.

    Raises:
        UserError: The target can't be opened, or symbols that were given don't suit it.
    """
    for path in (*options.symbols, *options.extra_symbols):
        _check_readable(path, "the symbols")
    prog = Program()
    _set_target(prog, options)
    _load_symbols(prog, options)
    return prog


def banner(prog: Program) -> str:
    """Return what the prompt says first: what is open, and where help is."""
    names = "prog is the program"
    if prog.flags & ProgramFlags.IS_LINUX_KERNEL:
        release = prog["UTS_RELEASE"].string_().decode(errors="replace")
        names = f"prog is Linux {release}"
    return f"{version_header()}\n{names}; helpers and kdive's functions are at hand, help(kdive) tells more."


def _set_target(prog: Program, options: Options) -> None:
    try:
        if options.core is not None:
            prog.set_core_dump(options.core)
        elif options.pid is not None:
            prog.set_pid(options.pid or os.getpid())
        else:
            prog.set_kernel()
    except OSError as error:
        raise UserError(_why_not_opened(options, error)) from error
    except (BadDataError, NotImplementedError, ValueError) as error:
        raise UserError(f"cannot open {_target_name(options)}: {error}") from error


def _target_name(options: Options) -> str:
    if options.core is not None:
        return options.core
    if options.pid is not None:
        return f"process {options.pid}"
    return "the running kernel"


def _why_not_opened(options: Options, error: OSError) -> str:
    name = _target_name(options)
    why = error.strerror or str(error)
    match error:
        case PermissionError() if options.core is None:
            return f"cannot read {name}: {why}; run kdive as root"
        case FileNotFoundError() | ProcessLookupError() if options.pid is not None:
            return f"there is no {name}; see ps for the processes that run"
        case FileNotFoundError() if options.core is None:
            return f"cannot read {name}: {error.filename} is missing; give a dump with -c or a process with -p"
        case FileNotFoundError():
            return f"cannot open {name}: {why}; check the path given with -c"
        case _:
            return f"cannot open {name}: {why}"


def _check_readable(path: str, what: str) -> None:
    try:
        with open(path, "rb") as file:
            file.read(1)
    except OSError as error:
        raise UserError(
            f"cannot read {what} {path}: {error.strerror}; check the path given with -s"
        ) from None


def _load_symbols(prog: Program, options: Options) -> None:
    try:
        prog.load_debug_info(
            options.symbols,
            default=options.default_symbols and not options.main_symbols,
            main=options.main_symbols,
        )
        complete = True
    except MissingDebugInfoError:
        complete = False
    for path in options.extra_symbols:
        prog.extra_module(path, create=True).try_file(path)
    _check_used(prog, options)
    if not complete:
        logger.warning("%s", _what_is_missing(prog, options))


def _what_is_missing(prog: Program, options: Options) -> str:
    lacking = [module for module in prog.modules() if module.wants_debug_file()]
    main = [module for module in lacking if isinstance(module, MainModule)]
    if main:
        return f"no symbols found for {_with_build_id(main[0])}; give its file with -s"
    names = [os.path.basename(module.name) for module in lacking]  # noqa: PTH119
    shown = ", ".join(names[:_NAMES_SHOWN])
    if len(names) > _NAMES_SHOWN:
        shown += f" and {len(names) - _NAMES_SHOWN} more"
    hint = "" if options.main_symbols else ", or do without with --main-symbols"
    return f"no symbols found for {shown}; give their files with -s{hint}"


def _with_build_id(module: Module) -> str:
    return f"{module.name} (build ID {module.build_id.hex()})" if module.build_id else module.name


def _check_used(prog: Program, options: Options) -> None:
    """Look for files given with -s that belong to nothing in the target.

    One among others is no reason to stop: a whole directory of modules may have been given. But when the kernel or
    executable itself is left without symbols, the wrong file was given.
    """
    used = {
        os.path.realpath(path)
        for module in prog.modules()
        for path in (module.loaded_file_path, module.debug_file_path)
        if path is not None
    }
    stray = [path for path in options.symbols if os.path.realpath(path) not in used]
    if not stray:
        return
    main = prog.main_module()
    if main.debug_file_status == ModuleFileStatus.HAVE:
        for path in stray:
            logger.warning("%s belongs to nothing in the target", path)
        return
    raise UserError(
        f"{stray[0]} does not belong to {_target_name(options)}; give the file of {_with_build_id(main)} with -s"
    )
