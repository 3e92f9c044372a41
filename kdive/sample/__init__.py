"""A dump of a small Debian guest that has three things wrong with it: what `kdive demo` shows, and tests run on.

`README.md` beside it says what is in the dump, how it was made, and under which licence it is.
"""

import os

DUMP = os.path.join(os.path.dirname(os.path.abspath(__file__)), "debian-6.1.kdump")  # noqa: PTH100, PTH118, PTH120
"""The path of the dump; `kdive.program_from_core_dump(DUMP)` opens it. It needs no files of debug information."""
