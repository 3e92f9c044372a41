"""The command `kdive lens`: runs diagnoses on a target and shows what they found."""

import argparse
import dataclasses
import json
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kdive.cli import log, target
from kdive.cli.errors import UserError
from kdive.cli.options import Options, add_log, add_symbols, add_target
from kdive.lens import runner
from kdive.lens.catalog import all_diagnoses
from kdive.lens.diagnosis import Diagnosis, Options as DiagnosisOptions, Severity
from kdive.lens.report import (
    Report,
    report_json,
    result_text,
    summary_text,
    write_directory,
)
from kdive.lens.result import Result, Status

if TYPE_CHECKING:
    from kdive import Program

_EXIT_CLEAN, _EXIT_FAILED, _EXIT_FINDINGS = 0, 1, 3
_USUAL_COLUMNS = 80
_SEVERITIES = [severity.name.lower() for severity in Severity]


class LensOptions(Options):
    """What the command line of `kdive lens` asks for."""

    names: list[str]
    list: bool
    all: bool
    json: bool
    full: bool
    output: Path | None
    severity: str
    time_limit: float
    memory_limit: int
    jobs: int


def run(arguments: Sequence[str]) -> int:
    """Run `kdive lens` and return the exit status.

    It is 0 if all is well, 1 if something failed, and 3 if there are findings of the severity asked for.

    Args:
        arguments: What follows `kdive lens` on the command line.

    Raises:
        UserError: The target can't be opened, or the arguments contradict each other.
    """
    known = all_diagnoses()
    named = [known[word] for word in dict.fromkeys(arguments) if word in known]
    options = _parser(named).parse_intermixed_args(arguments, namespace=LensOptions())
    if options.list:
        _list(known)
        return _EXIT_CLEAN
    if options.pid is not None:
        raise UserError("kdive lens is about kernels, not processes; give a dump with -c")
    chosen = _chosen(options, known)
    log.configure(options.log_level)
    prog = target.open_program(options)
    tasks = [runner.Task(diagnosis, _options_of(diagnosis, options)) for diagnosis in chosen]
    with _ProgressLine() as line:
        results = runner.run(
            prog,
            tasks,
            runner.Limits(options.time_limit, options.memory_limit),
            at_once=options.jobs or None,
            watch=line.show,
        )
    report = Report(_describe(prog, options), _command(options), results)
    _show(report, options)
    return _status(results, Severity[options.severity.upper()])


def _parser(
    named: Sequence[Diagnosis[Any]],
) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="kdive lens",
        description="Ask a kernel what is wrong with it: run diagnoses on a dump or on the running kernel.",
        epilog="Without a name the standard set runs. A diagnosis's own options are shown by kdive lens NAME --help. "
        "Exit status: 0 if all is well, 1 if something failed, 3 if there are findings.",
        allow_abbrev=False,
    )
    parser.add_argument("names", metavar="NAME", nargs="*", help="a diagnosis to run, see --list")
    what = parser.add_argument_group("what to run")
    what.add_argument("--list", action="store_true", help="list the diagnoses and their options")
    what.add_argument(
        "--all", action="store_true", help="run all diagnoses, also those that take long"
    )
    what.add_argument(
        "--time-limit",
        metavar="SECONDS",
        type=_positive_number,
        default=runner.Limits.seconds,
        help="stop a diagnosis after so long (default: %(default)g)",
    )
    what.add_argument(
        "--memory-limit",
        metavar="MIB",
        type=_positive_integer,
        default=runner.Limits.memory_mib,
        help="let a diagnosis use so much memory (default: %(default)d)",
    )
    what.add_argument(
        "--jobs",
        metavar="N",
        type=_positive_integer,
        default=0,
        help="run so many diagnoses at the same time (default: one for each CPU)",
    )
    how = parser.add_argument_group("what to show")
    how.add_argument("--json", action="store_true", help="show everything as JSON")
    how.add_argument(
        "--full",
        action="store_true",
        help="show the tables too; they are in any case when diagnoses are named",
    )
    how.add_argument(
        "--output",
        metavar="DIR",
        type=Path,
        help="write an index and two files for each diagnosis, text and JSON, into this folder",
    )
    how.add_argument(
        "--severity",
        choices=_SEVERITIES,
        default=Severity.WARNING.name.lower(),
        help="exit with status 3 for findings of this severity and above (default: %(default)s)",
    )
    add_target(parser)
    add_symbols(parser)
    add_log(parser)
    _add_diagnoses_options(parser, named)
    return parser


def _add_diagnoses_options(
    parser: argparse.ArgumentParser, named: Sequence[Diagnosis[Any]]
) -> None:
    """Add the options of the named diagnoses; one that several have is for all of them."""
    added: set[str] = set()
    for diagnosis in named:
        own = [made for made in dataclasses.fields(diagnosis.options) if made.name not in added]
        group = parser.add_argument_group(f"options of {diagnosis.name}") if own else parser
        for made in own:
            added.add(made.name)
            flag = f"--{made.name.replace('_', '-')}"
            if made.default is False:
                group.add_argument(
                    flag, dest=made.name, action="store_true", help=made.metadata["sentence"]
                )
            else:
                group.add_argument(
                    flag,
                    dest=made.name,
                    type=type(made.default),
                    default=made.default,
                    metavar=made.name.upper(),
                    help=f"{made.metadata['sentence']} (default: {made.default!r})",
                )


def _options_of(diagnosis: Diagnosis[Any], options: LensOptions) -> DiagnosisOptions:
    given = vars(options)
    names = [made.name for made in dataclasses.fields(diagnosis.options)]
    made: DiagnosisOptions = diagnosis.options(**{n: given[n] for n in names if n in given})
    return made


def _chosen(options: LensOptions, known: Mapping[str, Diagnosis[Any]]) -> list[Diagnosis[Any]]:
    unknown = [name for name in options.names if name not in known]
    if unknown:
        raise UserError(
            f"there is no diagnosis {unknown[0]!r}; kdive lens --list shows those that there are"
        )
    if options.names and options.all:
        raise UserError("name the diagnoses or give --all, not both")
    if options.names:
        return [known[name] for name in dict.fromkeys(options.names)]
    return [diagnosis for diagnosis in known.values() if diagnosis.standard or options.all]


def _list(known: Mapping[str, Diagnosis[Any]]) -> None:
    width = max(map(len, known))
    for diagnosis in known.values():
        kind = "" if diagnosis.standard else " (with --all or by name only)"
        print(f"{diagnosis.name:<{width}}  {diagnosis.sentence}{kind}")
        for made in dataclasses.fields(diagnosis.options):
            print(f"{'':<{width}}    --{made.name.replace('_', '-')}: {made.metadata['sentence']}")


def _describe(prog: "Program", options: LensOptions) -> str:
    release = prog["UTS_RELEASE"].string_().decode(errors="replace")
    return f"Linux {release}, {target.target_name(options)}"


def _command(options: LensOptions) -> list[str]:
    """Return the command that opens the same target."""
    command = ["kdive", "lens"]
    for path in options.core:
        command += ["-c", path]
    if options.qemu is not None:
        command += ["--qemu", options.qemu]
    if options.incomplete:
        command.append("--incomplete")
    for path in options.symbols:
        command += ["-s", path]
    if options.main_symbols:
        command.append("--main-symbols")
    return command


def _show(report: Report, options: LensOptions) -> None:
    if options.output is not None:
        try:
            write_directory(report, options.output)
        except OSError as error:
            raise UserError(f"cannot write to {options.output}: {error.strerror}") from error
    if options.json:
        print(json.dumps(report_json(report), indent=1, ensure_ascii=False))
        return
    print(summary_text(report), end="")
    if options.full or options.names:
        for result in report.results:
            print(f"\n{'=' * 72}\n{result_text(result)}", end="")


def _status(results: Sequence[Result], severity: Severity) -> int:
    if any(result.status in (Status.FAILED, Status.TIMED_OUT) for result in results):
        return _EXIT_FAILED
    if any(finding.severity >= severity for result in results for finding in result.findings):
        return _EXIT_FINDINGS
    return _EXIT_CLEAN


def _positive_number(text: str) -> float:
    value = float(text)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is not above 0")
    return value


def _positive_integer(text: str) -> int:
    value = int(text)
    if value <= 0:
        raise argparse.ArgumentTypeError(f"{text} is not above 0")
    return value


class _ProgressLine:
    """A line on the terminal that says how far the diagnoses are, and is gone when they have ended."""

    def __init__(self) -> None:
        self._is_shown = sys.stderr.isatty()

    def __enter__(self) -> "_ProgressLine":
        return self

    def __exit__(self, *_error: object) -> None:
        if self._is_shown:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)

    def show(self, state: runner.State) -> None:
        """Show how far a run is."""
        if not self._is_shown:
            return
        running = [
            name
            if progress is None
            else f"{name} {progress.done * 100 // max(progress.total, 1)} %"
            for name, progress in state.running.items()
        ]
        text = f"{state.done} of {state.total} diagnoses done; {', '.join(running)}"
        # Some terminals don't know their width and say 0.
        columns = os.get_terminal_size(sys.stderr.fileno()).columns or _USUAL_COLUMNS
        print(f"\r\x1b[K{text[: columns - 1]}", end="", file=sys.stderr, flush=True)
