# SPDX-License-Identifier: Apache-2.0
"""Knowledge about programs, written in Python on top of the public API.

- `kdive.helpers.common` works on any program: formatting, annotated memory, types, the optional `prog` argument.
- `kdive.helpers.linux` knows the Linux kernel: one module per subsystem, named after the kernel header it follows.

What does not live here: access to memory, types, symbols and stacks (the native core), and anything that
renders a report. The few helpers named ``print_*`` write to standard output because they are called to do so.
"""


class ValidationError(Exception):
    """A structure in the debugged program breaks one of its own rules, e.g. a list whose links disagree."""


__all__ = ("ValidationError",)
