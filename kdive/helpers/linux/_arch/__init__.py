# SPDX-License-Identifier: Apache-2.0
"""What depends on the processor architecture: one module for each, with the same functions in all.

- ``direct_mapping_offset(prog)``: virtual minus physical address in the direct map.
- ``translate(prog, pgd, address)``: physical address and size of the mapping that holds a virtual address.
"""

from types import ModuleType

from kdive import Architecture, Program


def of(prog: Program) -> ModuleType:
    """Get the module for the architecture of a program.

    :raises NotImplementedError: if there is none
    """
    platform = prog.platform
    arch = platform.arch if platform is not None else Architecture.UNKNOWN
    if arch == Architecture.X86_64:
        from kdive.helpers.linux._arch import x86_64

        return x86_64
    if arch == Architecture.AARCH64:
        from kdive.helpers.linux._arch import aarch64

        return aarch64
    raise NotImplementedError(f"virtual address translation is not implemented for {arch.name}")
