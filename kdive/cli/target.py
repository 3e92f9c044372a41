"""Opens the program that the command line asks for, with its debugging symbols."""

import os

from kdive import Architecture, BadDataError, Platform, Program, ProgramFlags
from kdive.cli import symbols
from kdive.cli.errors import UserError
from kdive.cli.options import Options
from kdive.cli.version import version_header


def open_program(options: Options) -> Program:
    """Open the target and load its symbols.

    Raises:
        UserError: The target can't be opened, or symbols that were given don't suit it.
    """
    symbols.check_readable(options)
    prog = _new_program(options)
    _set_target(prog, options)
    symbols.load(prog, options, _target_name(options))
    return prog


def banner(prog: Program) -> str:
    """Return what the prompt says first: what is open, and where help is."""
    names = "prog is the program"
    if prog.flags & ProgramFlags.IS_LINUX_KERNEL:
        release = prog["UTS_RELEASE"].string_().decode(errors="replace")
        names = f"prog is Linux {release}"
    return f"{version_header()}\n{names}; helpers and kdive's functions are at hand, help(kdive) tells more."


def _new_program(options: Options) -> Program:
    platform = (
        None if options.architecture is None else Platform(Architecture[options.architecture])
    )
    if options.vmcoreinfo is None:
        return Program(platform)
    try:
        with open(options.vmcoreinfo, "rb") as file:
            return Program(platform, vmcoreinfo=file.read())
    except OSError as error:
        raise UserError(
            f"cannot read {options.vmcoreinfo}: {error.strerror}; check the path given with --vmcoreinfo"
        ) from error
    except (BadDataError, ValueError) as error:
        raise UserError(
            f"{options.vmcoreinfo} is no VMCOREINFO: {error}; it is text with lines such as OSRELEASE=..."
        ) from error


def _set_target(prog: Program, options: Options) -> None:
    try:
        if options.core is not None:
            prog.set_core_dump(options.core)
        elif options.pid is not None:
            prog.set_pid(options.pid or os.getpid())
        elif options.qemu is not None:
            prog.set_qemu_qmp(options.qemu)
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
    if options.qemu is not None:
        return options.qemu
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
