# SPDX-License-Identifier: Apache-2.0
"""The store of stack traces that KASAN and page owners refer to (lib/stackdepot.c)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kdive import Object, Program

if TYPE_CHECKING:
    from kdive import StackTrace

__all__ = ("stack_depot_fetch",)

# Offsets into a pool are in units of 16 bytes.
_ALIGNMENT_SHIFT = 4
_MAX_FRAMES = 1024


def _pool(prog: Program, parts: Object) -> Object | None:
    """Get the address of the pool that a handle refers to, None if there is no such pool."""
    if "stack_slabs" in prog:
        pools, number = prog["stack_slabs"], parts.slabindex.value_()
    else:
        # "lib/stackdepot: rename slab to pool" (Linux 6.3)
        pools = prog["stack_pools"]
        try:
            # "lib/stackdepot: fix first entry having a 0-handle" (Linux 6.9)
            number = parts.pool_index_plus_1.value_() - 1
        except AttributeError:
            number = parts.pool_index.value_()
    limit = len(pools) if hasattr(pools.type_.unaliased(), "length") else prog["pools_num"].value_()
    if not 0 <= number < limit:
        return None
    pool = pools[number].read_()
    return pool if pool else None


def stack_depot_fetch(handle: Object) -> StackTrace | None:
    """Get the stack trace that a handle stands for.

    :param handle: ``depot_stack_handle_t``
    :return: Stack trace, None if there is none.
    """
    prog = handle.prog_
    if not handle:
        return None
    parts = Object.from_bytes_(prog, prog.type("union handle_parts"), handle.to_bytes_())
    pool = _pool(prog, parts)
    if pool is None:
        return None
    address = pool.value_() + (parts.offset.value_() << _ALIGNMENT_SHIFT)
    record = Object(prog, "struct stack_record", address=address)
    count = record.size.value_()
    if not 0 < count <= _MAX_FRAMES:
        return None
    entries = record.entries + 0
    return prog.stack_trace_from_pcs([entries[i].value_() for i in range(count)])
