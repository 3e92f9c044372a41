"""Loads the debugging symbols that the command line asks for, and says what is missing."""

import os
from collections.abc import Iterable, Sequence

from kdive import (
    BadDataError,
    FaultError,
    KmodSearchMethod,
    MainModule,
    Module,
    ModuleFileStatus,
    Program,
    ProgramFlags,
)
from kdive._native import _build_id, _indexing_progress, _load_debug_info
from kdive.cli import downloads, log
from kdive.cli.errors import UserError
from kdive.cli.options import TYPE_FORMATS, Options
from kdive.cli.progress import Watched

_NAMES_SHOWN = 5


# What --try-symbols-by and --no-symbols-by can switch, and the attribute of DebugInfoOptions that it is.
_SWITCHES = {
    "module-name": "try_module_name",
    "build-id": "try_build_id",
    "debug-link": "try_debug_link",
    "procfs": "try_procfs",
    "embedded-vdso": "try_embedded_vdso",
    "reuse": "try_reuse",
    "supplementary": "try_supplementary",
}
_KMOD_METHODS = {
    f"kmod={method.name.lower().replace('_', '-')}": method
    for method in KmodSearchMethod
    if method != KmodSearchMethod.NONE
}


def check_readable(options: Options) -> None:
    """Make sure that the files given on the command line can be read.

    Raises:
        UserError: One can't.
    """
    for flag, paths in (
        ("-s", options.symbols),
        ("--extra-symbols", options.extra_symbols),
        ("--ctf-file", [] if options.ctf_file is None else [options.ctf_file]),
        ("--btf-file", options.btf_files),
    ):
        for path in paths:
            try:
                with open(path, "rb") as file:
                    file.read(1)
            except OSError as error:
                raise UserError(
                    f"cannot read the symbols {path}: {error.strerror}; check the path given with {flag}"
                ) from None


def load(prog: Program, options: Options, target_name: str) -> None:
    """Load symbols into a program whose target is set.

    What can't be found is a warning.

    Raises:
        UserError: A file was given that belongs to nothing in the target, and the kernel or executable itself has no
            symbols.
    """
    downloads.show()
    if options.symbol_methods:
        _choose_methods(prog, options.symbol_methods)
    _choose_directories(prog, options)
    only_ctf = options.ctf or options.ctf_file is not None
    types = ["ctf"] if only_ctf else ["btf"] if options.btf_files else options.types
    if types is not None:
        prog.set_enabled_type_finders(_chosen(prog.enabled_type_finders(), types))
        prog.set_enabled_object_finders(_chosen(prog.enabled_object_finders(), types))
    # The CTF of a program is in its own file; that of a kernel makes any search for files needless, as does its BTF.
    is_kernel = bool(prog.flags & ProgramFlags.IS_LINUX_KERNEL)
    has_file = only_ctf and (is_kernel or options.ctf_file is not None)
    if has_file:
        _load_ctf(prog, options, target_name)
    for path in options.btf_files:
        _load_btf(prog, path)
        has_file = has_file or is_kernel
    unused: Sequence[tuple[str, str]] = ()
    complete = True
    try:
        with Watched("indexing the debug files, once", _indexing_progress):
            unused, complete = _load_debug_info(
                prog,
                options.symbols,
                default=options.default_symbols and not options.main_symbols and not has_file,
                main=options.main_symbols and not has_file,
            )
    except FaultError as error:
        log.warning(f"what the target says of its symbols can't be read: {error}")
    except BadDataError as error:
        raise UserError(
            f"cannot load the symbols of {target_name}: {error}; give other files with -s"
        ) from error
    for path in options.extra_symbols:
        module = prog.extra_module(path, create=True)
        module.try_file(path)
        if module.wants_debug_file():
            log.warning(f"{path} has no debug information that can be used")
    _check_used(prog, unused, target_name)
    if not complete:
        log.warning(_what_is_missing(prog, options))


def _load_ctf(prog: Program, options: Options, target_name: str) -> None:
    """Take the types of a kernel from the CTF that the command line asks for.

    Raises:
        UserError: There is none, or it can't be used.
    """
    from kdive.helpers.linux.ctf import load_ctf

    try:
        load_ctf(prog, options.ctf_file)
    except (BadDataError, LookupError, OSError, ValueError) as error:
        hint = "" if ";" in str(error) else "; give another file with --ctf-file"
        raise UserError(f"cannot load the CTF of {target_name}: {error}{hint}") from error


def _load_btf(prog: Program, path: str) -> None:
    """Take types from a file with BTF that the command line gives.

    Raises:
        UserError: It can't be used.
    """
    from kdive.helpers.linux.btf import load_btf

    try:
        load_btf(prog, path)
    except (BadDataError, OSError, ValueError) as error:
        message = str(error) if path in str(error) else f"{path}: {error}"
        hint = "" if ";" in message else "; give another file with --btf-file"
        raise UserError(f"cannot load the BTF: {message}{hint}") from error


def _choose_methods(prog: Program, methods: Iterable[tuple[str, bool]]) -> None:
    chosen = prog.debug_info_options
    finders = prog.enabled_debug_info_finders()
    known = prog.registered_debug_info_finders()
    for method, wanted in methods:
        if method in _SWITCHES:
            setattr(chosen, _SWITCHES[method], wanted)
        elif method in _KMOD_METHODS and wanted:
            chosen.try_kmod = _KMOD_METHODS[method]
        elif method == "kmod" and not wanted:
            chosen.try_kmod = KmodSearchMethod.NONE
        elif method in known:
            finders = [name for name in finders if name != method]
            if wanted:
                finders.append(method)
        else:
            log.warning(f"there is no way of finding symbols called {method!r}")
    prog.debug_info_options = chosen
    prog.set_enabled_debug_info_finders(finders)


def _chosen(finders: Sequence[str], formats: Sequence[str]) -> list[str]:
    """Replace the finders of all formats by those of the chosen ones, where the first of them was."""
    place = min(finders.index(name) for name in TYPE_FORMATS if name in finders)
    others = [name for name in finders if name not in TYPE_FORMATS]
    return [*others[:place], *formats, *others[place:]]


def _choose_directories(prog: Program, options: Options) -> None:
    for attribute, keep, added in (
        ("directories", options.default_debug_directories, options.debug_directories),
        (
            "debug_link_directories",
            options.default_debug_link_directories,
            options.debug_link_directories,
        ),
        ("kernel_directories", options.default_kernel_directories, options.kernel_directories),
    ):
        if added or not keep:
            chosen = prog.debug_info_options
            defaults = getattr(chosen, attribute) if keep else ()
            setattr(chosen, attribute, (*added, *defaults))
            prog.debug_info_options = chosen


def _what_is_missing(prog: Program, options: Options) -> str:
    lacking = [module for module in prog.modules() if module.wants_debug_file()]
    main = [module for module in lacking if isinstance(module, MainModule)]
    if main and _has_own_types(prog):
        return (
            f"no file found for {_with_build_id(main[0])}; using the symbols and types (BTF) in its own memory, which "
            "tell nothing of local variables and lines; for those, give its file with -s"
        )
    if main:
        return f"no symbols found for {_with_build_id(main[0])}; give its file with -s"
    names = [os.path.basename(module.name) for module in lacking]  # noqa: PTH119
    shown = ", ".join(names[:_NAMES_SHOWN])
    if len(names) > _NAMES_SHOWN:
        shown += f" and {len(names) - _NAMES_SHOWN} more"
    hint = "" if options.main_symbols else ", or do without with --main-symbols"
    return f"no symbols found for {shown}; give their files with -s{hint}"


def _has_own_types(prog: Program) -> bool:
    """Return whether a kernel whose files are missing has brought its types with it."""
    if not prog.flags & ProgramFlags.IS_LINUX_KERNEL:
        return False
    try:
        prog.type("struct module")
    except LookupError:
        return False
    return True


def _with_build_id(module: Module) -> str:
    return f"{module.name} (build ID {module.build_id.hex()})" if module.build_id else module.name


def _own_build_id(path: str) -> str:
    try:
        build_id = _build_id(path)
    except (BadDataError, OSError):
        return ""
    return f" (build ID {build_id.hex()})" if build_id else " (without build ID)"


def _check_used(prog: Program, unused: Sequence[tuple[str, str]], target_name: str) -> None:
    """Say which files given with -s were not used, each with the reason.

    One among others is no reason to stop: a whole folder of modules may have been given. But when the kernel or
    executable itself is left without symbols, the wrong file was given.
    """
    if not unused:
        return
    main = prog.main_module()
    if main.debug_file_status != ModuleFileStatus.HAVE:
        path, _ = unused[0]
        raise UserError(
            f"{path}{_own_build_id(path)} does not belong to {target_name}; "
            f"give the file of {_with_build_id(main)} with -s"
        )
    for path, reason in unused:
        log.warning(f"{path} was not used: {reason}")
