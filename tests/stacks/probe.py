"""Prints as JSON what a debugger says of all stacks of a kernel dump; it runs under kdive and under drgn.

python probe.py kdive|drgn DUMP DEBUG_FILE...
"""

import contextlib
import importlib
import io
import json
import sys
from typing import Any

# Values of larger variables are compared by their address alone.
LARGEST_VALUE = 64
# Every word of a stack is looked up for this: some tasks will do.
ANNOTATED = 30


def attempt(function: Any, *expected: type[Exception]) -> Any:
    """Return what a function does, or the name of the exception that it raises."""
    try:
        return function()
    except expected as error:
        return [type(error).__name__]


def variable(module: Any, frame: Any, name: str) -> Any:
    """Return where a variable is and what it holds; None if it has no value."""
    found = frame[name]
    if found.absent_:
        return None
    place = None if found.address_ is None else [found.address_, found.bit_offset_]
    value = None
    if attempt(lambda: module.sizeof(found), TypeError) in range(1, LARGEST_VALUE + 1):
        value = attempt(
            lambda: repr(found.value_()),
            module.FaultError,
            module.ObjectAbsentError,
            NotImplementedError,
        )
    return [found.type_.type_name(), place, value]


def frame_facts(module: Any, frame: Any) -> dict[str, Any]:
    """Return everything that a frame knows."""
    symbol = attempt(frame.symbol, LookupError)
    source = attempt(frame.source, LookupError)
    return {
        "name": frame.name,
        "function": frame.function_name,
        "pc": frame.pc,
        "symbol": symbol if isinstance(symbol, list) else [symbol.name, frame.pc - symbol.address],
        "source": list(source)[:3] if isinstance(source, tuple) else None,
        "inline": frame.is_inline,
        "interrupted": frame.interrupted,
        "guess": getattr(frame, "is_guess", None),
        "locals": [[name, variable(module, frame, name)] for name in frame.locals()],
    }


def annotated(module: Any, trace: Any) -> str:
    """Return what `print_annotated_stack()` prints."""
    helpers = importlib.import_module(f"{module.__name__}.helpers.common.stack")
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        helpers.print_annotated_stack(trace)
    return printed.getvalue()


def interrupted(module: Any, prog: Any) -> dict[int, list[list[Any]]]:
    """Return the stacks from the registers of what interrupts interrupted, by CPU: by a pointer and by a value."""
    helpers = importlib.import_module(f"{module.__name__}.helpers.linux")
    found = {}
    for cpu in helpers.for_each_possible_cpu(prog):
        registers = helpers.per_cpu(prog["__irq_regs"], cpu).read_()
        if registers:
            found[cpu] = [
                [[frame.name, frame.pc, frame.interrupted] for frame in prog.stack_trace(given)]
                for given in (registers, registers[0].read_())
            ]
    return found


def main(tool: str, dump: str, *debug_files: str) -> None:
    """Print the stacks of all tasks, idle ones included, by their task's address."""
    module = importlib.import_module(tool)
    helpers = importlib.import_module(f"{tool}.helpers.linux")
    prog = module.Program()
    prog.set_core_dump(dump)
    prog.load_debug_info(debug_files)
    tasks = [helpers.idle_task(prog, cpu) for cpu in helpers.for_each_possible_cpu(prog)]
    tasks += [thread.object for thread in prog.threads()]
    facts = {}
    for number, task in enumerate(tasks):
        error = None
        trace = []
        try:
            trace = prog.stack_trace(task)
        except (LookupError, ValueError, module.FaultError) as failed:
            error = [type(failed).__name__, str(failed).rsplit(":", 1)[0]]
        facts[hex(task.value_())] = {
            "comm": task.comm.string_().decode(),
            "state": helpers.task_state_to_char(task),
            "running": bool(task.on_cpu),
            "error": error,
            "end": getattr(trace, "end_reason", None),
            "annotated": annotated(module, trace) if trace and number < ANNOTATED else None,
            "jumped": [str(frame) for frame in trace if getattr(frame, "is_tail_call", False)],
            # drgn does not know functions that left their frames by a jump.
            "frames": [
                frame_facts(module, frame)
                for frame in trace
                if not getattr(frame, "is_tail_call", False)
            ],
        }
    crashed = attempt(lambda: hex(prog.crashed_thread().object.value_()), LookupError)
    from_registers = attempt(lambda: interrupted(module, prog), LookupError, module.FaultError)
    json.dump(
        {"tasks": facts, "crashed": crashed, "interrupted": from_registers},
        sys.stdout,
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
