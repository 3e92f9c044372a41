# SPDX-License-Identifier: Apache-2.0
"""Types of the kernel and its modules out of files with BTF.

A kernel has its BTF in its own memory, where kdive finds it by itself. Files are of use where that is not so: a dump
without those pages, a module that was built apart from its kernel, types of BPF programs.
"""

import os

from kdive import Program
from kdive._native import _linux_helper_load_btf

__all__ = ("load_btf",)


def load_btf(prog: Program, path: str | os.PathLike[str]) -> None:
    """Let `prog` take types from a file with BTF, too; addresses come from symbols.

    They are asked for in the order of `Program.enabled_type_finders()`, by default after those of DWARF and CTF and
    before those that the kernel has in its memory.

    BTF of a kernel module goes on from that of its kernel: from the one of the kernel that was loaded first, or from
    the one in the kernel's memory. A distilled base that the file brings with it (`.BTF.base`, Linux 6.11) is exchanged
    for the kernel's types.

    Args:
        prog: A Linux kernel, or a program.
        path: An ELF file with a section `.BTF` (`vmlinux`, a module's `.ko`, a program, a BPF object), or a file that
            is a table of BTF, as those in `/sys/kernel/btf`. A module's is called like the module.

    Raises:
        OSError: The file can't be read.
        ValueError: It has no section `.BTF`, or VMCOREINFO tells that it belongs to another kernel.
        BadDataError: It is no BTF, damaged, or goes on from types that are not known or of another kernel.

    >>> load_btf(prog, "/usr/lib/debug/boot/vmlinux")
    >>> load_btf(prog, "lab_module.ko")
    >>> prog.type("struct lab_item").size
    32
    """
    _linux_helper_load_btf(prog, path)
