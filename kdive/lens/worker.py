"""Runs one diagnosis in this process."""

import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from kdive import MissingDebugInfoError, Program
from kdive.lens.context import DAMAGES, Context
from kdive.lens.diagnosis import Diagnosis, Item, Note, Options, Row
from kdive.lens.result import Result, Status


@dataclass(frozen=True)
class End:
    """What comes after the last item of a diagnosis."""

    status: Status
    reason: str = ""
    details: str = ""


def answer(prog: Program, diagnosis: Diagnosis[Any], options: Options) -> Iterator[Item | End]:
    """Run a diagnosis and yield what it does, the damage it met, and how it ended.

    No exception of the diagnosis gets out, but for those that end a process.
    """
    context = Context(prog, options, diagnosis.needs)
    try:
        missing = diagnosis.needs.missing(prog)
        if missing is not None:
            yield End(Status.SKIPPED, missing)
            return
        diagnosis.needs.look_up(prog)
        for item in diagnosis.answer(context):
            if isinstance(item, Row) and type(item) not in diagnosis.rows:
                raise TypeError(
                    f"{diagnosis.name} yields {type(item).__name__}, which it does not declare"
                )
            yield from context.take_damages()
            yield item
        yield from context.take_damages()
        if context.changed:
            yield Note(
                f"{context.changed} of what was read changed meanwhile, as a running kernel does, and was left out"
            )
        yield End(Status.OK)
    except MemoryError:
        yield End(Status.FAILED, "it reached its limit of memory")
    except MissingDebugInfoError as error:
        yield from context.take_damages()
        yield End(Status.FAILED, f"debug information is missing: {error}")
    except DAMAGES as error:
        yield from context.take_damages()
        yield End(
            Status.FAILED, f"it met something that can't be read: {error}", traceback.format_exc()
        )
    except Exception as error:  # noqa: BLE001 -- a mistake in one diagnosis must not end the others
        yield from context.take_damages()
        yield End(Status.FAILED, f"{type(error).__name__}: {error}", traceback.format_exc())


def run_here(prog: Program, diagnosis: Diagnosis[Any], options: Options | None = None) -> Result:
    """Run a diagnosis in this process, without limits, and return its result.

    Args:
        prog: The program.
        diagnosis: The diagnosis.
        options: Its options, an instance of `Diagnosis.options`; the defaults if it is None.
    """
    result = Result.of(diagnosis)
    for item in answer(prog, diagnosis, diagnosis.options() if options is None else options):
        if isinstance(item, End):
            result.end(item.status, item.reason, item.details)
        else:
            result.add(item)
    return result
