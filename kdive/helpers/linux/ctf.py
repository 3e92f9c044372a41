# SPDX-License-Identifier: Apache-2.0
"""Types and variables of the kernel out of CTF.

Kernels that are built with CTF have it in `/lib/modules/RELEASE/kernel/vmlinux.ctfa`: some megabytes instead of the
gigabytes of a package with DWARF. It knows the types and variables of the kernel and its modules, and neither local
variables nor source lines.
"""

import os

from kdive import Program
from kdive._native import _linux_helper_load_ctf

__all__ = ("load_ctf",)


def load_ctf(prog: Program, path: str | os.PathLike[str] | None = None) -> None:
    """Let `prog` take types and variables from CTF, too; addresses come from kallsyms in its memory.

    They are asked for in the order of `Program.enabled_type_finders()`, by default after those of DWARF and before
    those of BTF. Modules whose types are found want no debug file any more.

    Args:
        prog: A Linux kernel.
        path: A CTF archive, a single CTF dictionary, or an ELF file with a section `.ctf`. Without it the archive that
            is installed with the kernel on this machine, below the directories of
            `prog.debug_info_options.kernel_directories`.

    Raises:
        LookupError: No archive is installed for this kernel.
        OSError: The file can't be read.
        ValueError: `prog` is no Linux kernel, or VMCOREINFO tells that the file belongs to another one.
        BadDataError: The file is no CTF, or damaged.

    >>> load_ctf(prog, "vmlinux.ctfa")
    >>> prog["init_task"].comm
    (char [16])"swapper/0"
    """
    _linux_helper_load_ctf(prog, path)
