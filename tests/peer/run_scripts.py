"""Runs scripts on a dump in drgn, or in kdive in its place, and prints what each printed as JSON.

    python run_scripts.py drgn|kdive DUMP SCRIPT... < FILES

FILES is a JSON list of files with debug information. Symbols come from such files only: kdive also finds those of
modules without files (docs/differences.md).
"""

import contextlib
import importlib
import io
import json
import runpy
import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[2])]


def main() -> None:
    """Run the scripts, each as `__main__` with `prog`."""
    tool, dump, *scripts = sys.argv[1:]
    if tool == "kdive":
        importlib.import_module("kdive.compat").install()
    drgn = importlib.import_module("drgn")
    prog = drgn.program_from_core_dump(dump)
    with contextlib.suppress(drgn.MissingDebugInfoError):
        prog.load_debug_info(json.load(sys.stdin))
    prog.set_enabled_symbol_finders(["elf"])
    drgn.set_default_prog(prog)
    printed = {}
    for script in scripts:
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            runpy.run_path(script, {"prog": prog}, "__main__")
        printed[Path(script).stem] = out.getvalue()
    json.dump(printed, sys.stdout)


if __name__ == "__main__":
    main()
