"""Real targets for kdive's tests: Debian kernels in guests, brought into a known state and dumped.

``lab.target("idle")`` returns the dumps, the debug files and the truth of a scenario;
``python -m lab`` does the same from a shell. What debuggers make of a dump does not belong here.
"""

from lab.errors import LabError
from lab.runs import Held, Run
from lab.targets import DEFAULT_KERNEL, Target, held_guest, run_in_guest, target

__all__ = [
    "DEFAULT_KERNEL",
    "Held",
    "LabError",
    "Run",
    "Target",
    "held_guest",
    "run_in_guest",
    "target",
]
