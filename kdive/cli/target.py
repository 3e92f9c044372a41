"""Opens the program that the command line asks for, with its debugging symbols."""

import os

from kdive import Architecture, BadDataError, FaultError, Platform, Program, ProgramFlags
from kdive.cli import symbols
from kdive.cli.errors import UserError
from kdive.cli.options import Options
from kdive.cli.version import version_header

_MAX_VMCOREINFO_BYTES = 1 << 20
_VMCOREINFO_PAGE = 4096
_KCORE = "/proc/kcore"


def open_program(options: Options) -> Program:
    """Open the target and load its symbols.

    Raises:
        UserError: The target can't be opened, or symbols that were given don't suit it.
    """
    symbols.check_readable(options)
    prog = new_program(options)
    _set_target(prog, options)
    symbols.load(prog, options, target_name(options))
    return prog


def banner(prog: Program) -> str:
    """Return what the prompt says first: what is open, and where help is."""
    names = "prog is the program"
    if prog.flags & ProgramFlags.IS_LINUX_KERNEL:
        release = prog["UTS_RELEASE"].string_().decode(errors="replace")
        names = f"prog is Linux {release}"
    return f"{version_header()}\n{names}; helpers and kdive's functions are at hand, help(kdive) tells more."


def new_program(options: Options) -> Program:
    """Make a program without a target, with what the command line says of the target.

    Raises:
        UserError: The file given as VMCOREINFO can't be used.
    """
    platform = (
        None if options.architecture is None else Platform(Architecture[options.architecture])
    )
    if options.vmcoreinfo is None:
        return Program(platform)
    if options.vmcoreinfo.startswith("0x"):
        vmcoreinfo = _vmcoreinfo_in_memory(options, platform)
    else:
        vmcoreinfo = _vmcoreinfo_in_file(options.vmcoreinfo)
    if not vmcoreinfo.startswith(b"OSRELEASE=") and b"\nOSRELEASE=" not in vmcoreinfo:
        raise UserError(
            f"{options.vmcoreinfo} is no VMCOREINFO, it has no line OSRELEASE=...; "
            f"check {_what_vmcoreinfo_is(options.vmcoreinfo)} given with --vmcoreinfo"
        )
    return Program(platform, vmcoreinfo=vmcoreinfo)


def _what_vmcoreinfo_is(given: str) -> str:
    return "the address" if given.startswith("0x") else "the path"


def _vmcoreinfo_in_file(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read(_MAX_VMCOREINFO_BYTES)
    except OSError as error:
        raise UserError(
            f"cannot read {path}: {error.strerror}; check the path given with --vmcoreinfo"
        ) from error


def _vmcoreinfo_in_memory(options: Options, platform: Platform | None) -> bytes:
    """Return the text at a physical address of the target, as kdive lists them where there are several."""
    prog = Program(platform)
    try:
        address = int(options.vmcoreinfo or "", 16)
    except ValueError:
        raise UserError(
            f"{options.vmcoreinfo} is no address; check the address given with --vmcoreinfo"
        ) from None
    import logging  # which takes longer to load than opening most targets

    logger = logging.getLogger("kdive")
    level = logger.level
    # What there is to warn of is said when the target is opened to be used.
    logger.setLevel(logging.CRITICAL)
    try:
        _set_target(prog, options)
        return prog.read(address, _VMCOREINFO_PAGE, physical=True).partition(b"\0")[0]
    except FaultError as error:
        raise UserError(
            f"cannot read VMCOREINFO at {address:#x}: {error}; check the address given with --vmcoreinfo"
        ) from error
    finally:
        logger.setLevel(level)


def _set_target(prog: Program, options: Options) -> None:
    if options.pid and not os.path.isdir(f"/proc/{options.pid}"):  # noqa: PTH112
        raise UserError(f"there is no process {options.pid}; see ps for the processes that run")
    try:
        if options.core and options.core != [_KCORE]:
            prog.set_core_dump(
                options.core[0] if len(options.core) == 1 else options.core,
                excluded_pages=options.excluded_pages,
                allow_truncated=options.incomplete,
            )
        elif options.qemu is not None:
            prog.set_qemu_qmp(options.qemu, snapshot=options.snapshot)
        elif options.pid is not None:
            prog.set_pid(options.pid or os.getpid(), snapshot=options.snapshot)
        else:
            _set_kernel(prog, options.snapshot)
    except (BadDataError, NotImplementedError, OSError, ValueError) as error:
        raise UserError(why_not_opened(options, error)) from error


def _set_kernel(prog: Program, snapshot: bool) -> None:
    """Open the running kernel, with the help of sudo if need be.

    Raises:
        OSError: That can't be.
    """
    try:
        prog.set_kernel(snapshot=snapshot)
    except PermissionError:
        from kdive.cli.privileged import open_as_root

        descriptor = open_as_root(_KCORE)
        if descriptor is None:
            raise
        try:
            prog.set_core_dump(descriptor, snapshot=snapshot)
        finally:
            os.close(descriptor)


def target_name(options: Options) -> str:
    """Return what to call the target in a sentence."""
    if options.core:
        return options.core[0]
    if options.qemu is not None:
        return f"the guest at {options.qemu}"
    if options.pid is not None:
        return f"process {options.pid}"
    return "the running kernel"


def why_not_opened(options: Options, error: Exception) -> str:
    """Return one line that says why the target can't be opened, and what to do."""
    name = target_name(options)
    why = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    why = why.removeprefix(f"{name}: ")
    if isinstance(error, BadDataError) and not options.incomplete:
        return f"cannot open {name}: {why}; copy it again, or open what is there with --incomplete"
    if options.core in ([], [_KCORE]) and options.pid is None and options.qemu is None:
        if isinstance(error, PermissionError):
            return f"cannot read {name}: {why}; run kdive as root"
        if isinstance(error, FileNotFoundError):
            return f"cannot read {name}: {error.filename} is missing; give a dump with -c or a process with -p"
    if ";" in why:  # it says what to do already
        return f"cannot open {name}: {why}"
    flag = "-c" if options.core else "--qemu" if options.qemu else "-p"
    return f"cannot open {name}: {why}; check what is given with {flag}"
