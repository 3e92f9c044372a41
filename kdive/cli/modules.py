"""`kdive modules`: what is loaded in a target, which file describes it, and where a missing one is to be had."""

import argparse
import re
from collections.abc import Iterable, Sequence

from kdive import MainModule, Module, ModuleFileStatus, Program, ProgramFlags, RelocatableModule
from kdive.cli import log
from kdive.cli.options import Options, add_log, add_symbols, add_target
from kdive.cli.target import open_program

# How distributions name their kernels, and what has the debugging symbols of one.
_SOURCES = (
    (r"\d.*-\d+-(?:cloud-|rt-)?(?:amd64|arm64)", "Debian's package linux-image-{release}-dbg"),
    (
        r"\d.*-(?:generic|lowlatency|aws|azure|gcp|kvm)(?:-\w+)?",
        "Ubuntu's package linux-image-unsigned-{release}-dbgsym",
    ),
    (r"\d.*\.(?:fc|el|amzn)\d.*", "the package kernel-debuginfo-{release} (dnf debuginfo-install)"),
    (r"\d.*-default", "the package kernel-default-debuginfo"),
)


class _Options(Options):
    tried: bool


def run(arguments: Sequence[str]) -> int:
    """Print the table of modules and return 0 if all have debugging symbols, 1 if not."""
    options = _parser().parse_args(arguments, namespace=_Options())
    log.configure(options.log_level)
    prog = open_program(options)
    modules = list(prog.modules())
    rows = [_row(prog, module) for module in modules]
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    for row in rows:
        print(*(f"{cell:{width}}" for cell, width in zip(row, widths, strict=False)), row[3])
    missing = sum(module.wants_debug_file() for module in modules)
    if missing:
        if options.tried:
            _print_tried(modules)
        print(f"{missing} of {len(modules)} have no debugging symbols; {_where_to_get(prog)}")
        if not options.tried:
            print("--tried lists the files that were tried, and why each was not taken")
    return 1 if missing else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="kdive modules",
        description="List the executable or kernel and the libraries or kernel modules of a target: name, address, "
        "build ID, and the file with its debugging symbols.",
        epilog="Exit status: 0 if all have debugging symbols, 1 if not.",
        allow_abbrev=False,
    )
    add_target(parser)
    add_symbols(parser)
    add_log(parser)
    parser.add_argument(
        "--tried",
        action="store_true",
        help="list the files that were tried for each module without debugging symbols, and why they were not taken",
    )
    parser.set_defaults(log_level="error")  # what is missing is in the table
    return parser


def _row(prog: Program, module: Module) -> tuple[str, str, str, str]:
    ranges = module.address_ranges
    address = f"{ranges[0][0]:#x}" if ranges else "-"
    build_id = module.build_id.hex() if module.build_id is not None else "-"
    return module.name, address, build_id, _file(prog, module)


def _print_tried(modules: Iterable[Module]) -> None:
    for module in modules:
        if module.wants_debug_file():
            print(f"\n{module.name}:")
            for path, reason in module.tried_files:
                print(f"  {path}: {reason.removeprefix(f'{path}: ')}")
            if not module.tried_files:
                print("  nothing was tried: where its file may be is not known")
    print()


def _file(prog: Program, module: Module) -> str:
    if module.debug_file_path is not None:
        return module.debug_file_path
    if module.debug_file_status == ModuleFileStatus.WANT_SUPPLEMENTARY:
        wanted = module.wanted_supplementary_debug_file()
        return f"its supplementary file {wanted.supplementary_path} was not found"
    if not module.wants_debug_file():
        return "none is needed"
    refused = _refused(module)
    if refused is not None:
        return refused
    if isinstance(module, MainModule) and prog.flags & ProgramFlags.IS_LINUX_KERNEL:
        kind = "no vmlinux was found; what the target itself has is used"
    elif isinstance(module, RelocatableModule):
        kind = "no .ko with debugging symbols was found"
    elif module.loaded_file_path is not None:
        return f"{module.loaded_file_path} has none, and no other file was found"
    else:
        kind = "no file was found"
    return kind if module.build_id is not None else f"{kind}; its build ID is not known"


def _refused(module: Module) -> str | None:
    """Return what is wrong with the first file that was there for a module and is another one."""
    for path, reason in module.tried_files:
        if "build ID" in reason:
            return f"{path} was not taken: {reason}"
    return None


def _where_to_get(prog: Program) -> str:
    by_build_id = "a debuginfod server may have them by their build IDs"
    if not prog.flags & ProgramFlags.IS_LINUX_KERNEL:
        return by_build_id
    try:
        release = prog["UTS_RELEASE"].string_().decode(errors="replace")
    except LookupError:
        return by_build_id
    for pattern, source in _SOURCES:
        if re.fullmatch(pattern, release):
            return f"{source.format(release=release)} has them"
    return f"{by_build_id}, or whoever built {release}"
