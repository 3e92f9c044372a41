# SPDX-License-Identifier: Apache-2.0
"""How the kernel was placed when it booted."""

import re

from kdive import Architecture, Program
from kdive.helpers.common.prog import takes_program_or_default

__all__ = ("kaslr_offset", "pgtable_l5_enabled")


@takes_program_or_default
def kaslr_offset(prog: Program) -> int:
    """Get by how much the kernel's addresses were shifted at random: ``KERNELOFFSET`` of VMCOREINFO.

    :return: Offset in bytes, 0 if there was no randomization.
    """
    vmcoreinfo: bytes = prog["VMCOREINFO"].string_()
    match = re.search(rb"^KERNELOFFSET=([0-9a-f]+)$", vmcoreinfo, re.MULTILINE)
    return int(match[1], 16) if match else 0


@takes_program_or_default
def pgtable_l5_enabled(prog: Program) -> bool:
    """Return whether the kernel uses five levels of page tables; false on anything but x86-64."""
    platform = prog.platform
    if platform is None or platform.arch != Architecture.X86_64:
        return False
    from kdive.helpers.linux._arch import x86_64

    return x86_64.pgtable_l5_enabled(prog)
