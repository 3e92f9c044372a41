"""kdive: a programmable debugger for the Linux kernel and for programs.

This is the public API. Programs, types and objects come from the native module; what only combines them is written
here. Kernel knowledge lives in `kdive.helpers`, the command in `kdive.cli`.

    >>> prog = kdive.program_from_core_dump("vmcore")
    >>> prog["init_task"].comm
    (char [16])"swapper/0"

Names, signatures and results are those that drgn 0.3 documents. Importing kdive is cheap: what needs `typing` or other
large modules is loaded when it is first used.
"""
